#!/usr/bin/env python3
"""Counts members in common with pyroaring and with Throng, on the same sets in the same run.

    python overlap.py --work WORK [--sets DIR]

Makes 100 random sets of 10 to 50 % of 10 M ids, and pairs of sets of several densities of 1 M; with
--sets also takes the roaring files of a folder, such as `throng export --all --as roaring` leaves.
pyroaring counts the upper triangle pair by pair, from its bitmaps in memory; "prepared" sets of Throng
are laid out for counting already, the others are not. Throng's figures come from `cargo bench --bench
overlap`, which reads the same files. Rounds alternate. Needs pyroaring and numpy.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pyroaring import BitMap

ROOT = Path(__file__).resolve().parents[2]
DENSITIES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]


def random_set(rng, ids, share):
    made = BitMap(np.nonzero(rng.random(ids) < share)[0].astype(np.uint32))
    made.run_optimize()
    return made


def groups(args):
    """{group: its sets}; two sets are a two-way count, more are all pairs."""
    rng = np.random.default_rng(7)
    made = {f"two-{share:.1%}".replace("%", "pc"): [random_set(rng, 1_000_000, share) for _ in range(2)] for share in DENSITIES}
    made["dense-100-of-10m"] = [random_set(rng, 10_000_000, 0.1 + 0.4 * i / 99) for i in range(100)]
    if args.sets:
        with open(Path(args.sets) / "manifest.json") as file:
            names = [one["file"] for one in json.load(file)["files"] if one["format"] == "roaring"]
        made[f"segments-{len(names)}"] = [BitMap.deserialize((Path(args.sets) / name).read_bytes()) for name in names]
    return made


def write(made, folder):
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for group, sets in made.items():
        for i, one in enumerate(sets):
            (folder / f"{group}.{i}").write_bytes(one.serialize())
            lines.append(f"{group} {group}.{i}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n")


def by_pyroaring(sets):
    """Seconds, and the sum of all counts."""
    total, started = 0, time.perf_counter()
    if len(sets) == 2:
        rounds = 200
        for _ in range(rounds):
            total = sets[0].intersection_cardinality(sets[1])
        return (time.perf_counter() - started) / rounds, total
    for i, one in enumerate(sets):
        for other in sets[i:]:
            total += one.intersection_cardinality(other)
    return time.perf_counter() - started, total


def by_throng(folder):
    """{(benchmark, group): seconds} and {group: the sum of all counts}."""
    env = {**os.environ, "OVERLAP_DIR": str(folder)}
    command = ["cargo", "bench", "--bench", "overlap", "--", "files/", "--warm-up-time", "0.3", "--measurement-time", "1"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    unit = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
    found = re.findall(r"files/(\w+)/(\S+)\s+time:\s+\[\S+ \S+ (\S+) (\S+) ", done.stdout)
    totals = {group: int(total) for group, total in re.findall(r"(\S+): all intersections together (\d+)", done.stderr)}
    return {(bench, group): float(value) * unit[scale] for bench, group, value, scale in found}, totals


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", metavar="DIR", required=True, help="where the sets are written to")
    parser.add_argument("--sets", metavar="DIR", help="a folder that throng export --as roaring wrote")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    made = groups(args)
    write(made, Path(args.work))
    peer, ours = {}, {}
    for _ in range(args.rounds):
        for group, sets in made.items():
            peer.setdefault(group, []).append(by_pyroaring(sets))
        times, totals = by_throng(args.work)
        for key, seconds in times.items():
            ours.setdefault(key, []).append(seconds)
        for group, total in totals.items():
            if total != peer[group][0][1]:
                sys.exit(f"{group}: Throng counts {total}, pyroaring {peer[group][0][1]}")
    print(f"{'sets':20} {'pyroaring':>12}   throng: two sets prepared, as kept; all pairs, on one thread, prepared")
    for group in made:
        base = statistics.median(seconds for seconds, _ in peer[group])
        names = ["two", "two_as_kept"] if ("two", group) in ours else ["all_pairs", "all_pairs_one_thread", "all_pairs_prepared"]
        cells = [statistics.median(ours[name, group]) for name in names]
        print(f"{group:20} {base * 1e3:9.4f} ms " + "  ".join(f"{cell * 1e3:9.4f} ms {cell / base:6.2f}" for cell in cells))


if __name__ == "__main__":
    main()
