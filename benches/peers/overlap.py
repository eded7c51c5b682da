#!/usr/bin/env python3
"""Counts members in common with pyroaring and with Throng, on the same sets in the same run.

    python overlap.py --work WORK [--sets DIR]

Makes 100 random sets of 10 to 50 % of 10 M ids, and pairs of sets of several densities of 1 M; with
--sets also takes the roaring files of a folder, such as `throng export --all --as roaring` leaves.
Both begin with the sets in memory as each keeps them, read from the same files. pyroaring counts the
upper triangle pair by pair. Throng's figures come from `cargo bench --bench overlap`, timed in the same
way. Rounds alternate; the table has the best of them, and the spread of their ratios. Needs pyroaring and numpy.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pyroaring import BitMap

ROOT = Path(__file__).resolve().parents[2]
# Close together where Throng's containers change, at 512 of 65,536 ids, and pyroaring's, at 4,096.
DENSITIES = [0.001, 0.002, 0.003, 0.005, 0.006, 0.007, 0.0075, 0.0078, 0.008, 0.0085, 0.009, 0.01, 0.015, 0.02, 0.03, 0.05]
DENSITIES += [0.06, 0.0625, 0.065, 0.07, 0.1, 0.2, 0.35, 0.5]


def random_set(rng, ids, share):
    made = BitMap(np.nonzero(rng.random(ids) < share)[0].astype(np.uint32))
    made.run_optimize()
    return made


def groups(args):
    """{group: its sets}; two sets are a two-way count, more are all pairs."""
    rng = np.random.default_rng(7)
    made = {f"two-{share:.2%}".replace("%", "pc"): [random_set(rng, 1_000_000, share) for _ in range(2)] for share in DENSITIES}
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
    if len(sets) == 2:
        # As criterion does: the middle of many samples, the first of them warm already.
        samples = []
        for _ in range(100):
            started = time.perf_counter()
            for _ in range(100):
                total = sets[0].intersection_cardinality(sets[1])
            samples.append((time.perf_counter() - started) / 100)
        return statistics.median(samples), total
    samples = []
    for _ in range(3):
        total, started = 0, time.perf_counter()
        for i, one in enumerate(sets):
            for other in sets[i:]:
                total += one.intersection_cardinality(other)
        samples.append(time.perf_counter() - started)
    return statistics.median(samples), total


def by_throng(folder, binary):
    """{(kind, group): (seconds, the sum of all counts)}."""
    env = {**os.environ, "OVERLAP_DIR": str(folder)}
    command = [binary] if binary else ["cargo", "bench", "--bench", "overlap"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    lines = (line.split() for line in done.stdout.splitlines())
    return {(kind, group): (float(seconds), int(total)) for kind, group, seconds, total in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", metavar="DIR", required=True, help="where the sets are written to")
    parser.add_argument("--sets", metavar="DIR", help="a folder that throng export --as roaring wrote")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bench", metavar="FILE", help="the bench, where it is built already")
    args = parser.parse_args()
    made = groups(args)
    write(made, Path(args.work))
    peer, ours = {}, {}
    for _ in range(args.rounds):
        for group, sets in made.items():
            peer.setdefault(group, []).append(by_pyroaring(sets))
        for (kind, group), (seconds, total) in by_throng(args.work, args.bench).items():
            ours.setdefault((kind, group), []).append(seconds)
            if total != peer[group][0][1]:
                sys.exit(f"{group}: Throng counts {total}, pyroaring {peer[group][0][1]}")
    print(f"{'sets':20} {'pyroaring':>12}   throng, and its share of pyroaring's time (best to worst round); all pairs: 2 threads, then 1")
    for group in made:
        base = [seconds for seconds, _ in peer[group]]
        cells = []
        for name in ["two"] if ("two", group) in ours else ["all_pairs", "all_pairs_one_thread"]:
            shares = sorted(cell / one for cell, one in zip(ours[name, group], base))
            best = min(ours[name, group])
            cells.append(f"{best * 1e3:9.4f} ms {best / min(base):5.2f} ({shares[0]:.2f} to {shares[-1]:.2f})")
        print(f"{group:20} {min(base) * 1e3:9.4f} ms " + "  ".join(cells))


if __name__ == "__main__":
    main()
