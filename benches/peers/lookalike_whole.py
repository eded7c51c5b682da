#!/usr/bin/env python3
"""What a whole look-alike costs: `throng lookalike SEED --report FILE --scores FILE` over profiles that are made up here.

    python lookalike_whole.py --throng ../../target/release/throng --work DIR [--profiles 1000000] [--seeds 10000]

64 features: 52 numbers of several shapes (some missing), 10 columns of words, 2 dates. Ten numbers, two words and a date
decide who would be in the seed, beside chance. Four runs: on all threads and on one, each from nothing kept and with the
features of the run before. The scores of all four must be the same to the byte.

Needs pyarrow and numpy.
"""
import argparse
import hashlib
import os
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from segments import Throng

NUMBERS, WORDS = 52, 10
PART = 1_000_000  # profiles that are made at a time


def part(draw, first, rows):
    """`rows` profiles from number `first` on, and how likely each is to be a seed."""
    columns, score = {"user_id": np.arange(first, first + rows)}, np.zeros(rows)
    for at in range(NUMBERS):
        shape = at % 4
        if shape == 0:
            values = draw.normal(size=rows)
        elif shape == 1:
            values = draw.exponential(100.0, rows)
        elif shape == 2:
            values = draw.poisson(3.0, rows).astype(float)
        else:
            values = np.floor(draw.pareto(1.5, rows) * 10)
        if at < 10:
            ranks = np.clip((values - values.mean()) / values.std(), -3, 3)
            score += ranks * (0.6 if at % 2 else -0.4)
        mask = draw.random(rows) < 0.05 if at % 5 == 0 else None
        columns[f"n_{at}"] = pa.array(values, mask=mask)
    for at in range(WORDS):
        codes = np.minimum(draw.geometric(0.2 / (at + 1), rows), 12 * (at + 1))
        if at < 2:
            score += (codes <= 2) * 0.8
        columns[f"c_{at}"] = pa.DictionaryArray.from_arrays(pa.array(codes - 1, pa.int32()), [f"w{n}" for n in range(12 * (at + 1))]).cast(pa.string())
    for at in range(2):
        days = draw.integers(0, 1500, rows)
        if at == 0:
            score -= days / 1500.0
        columns[f"d_{at}"] = pa.array(days + 18_800, pa.int32()).cast(pa.date32())
    return pa.table(columns), score + draw.gumbel(size=rows)


def prepare(args, throng):
    draw = np.random.default_rng(11)
    files, scores = [], []
    os.makedirs(os.path.join(args.work, "data"))
    for first in range(0, args.profiles, PART):
        table, score = part(draw, first, min(PART, args.profiles - first))
        files.append(os.path.join(args.work, f"data/profiles-{first}.parquet"))
        pq.write_table(table, files[-1])
        scores.append(score)
    throng.run("made", "ingest", "profiles", *files, "--key", "user_id")
    seeds = np.argpartition(-np.concatenate(scores), args.seeds)[: args.seeds]
    seed = os.path.join(args.work, "data/seed.csv")
    pacsv.write_csv(pa.table({"user_id": np.sort(seeds)}), seed)
    throng.run("made", "import", "seed", seed, "--as", "csv", "--ids", "user_id")
    names = [name for name in table.column_names if name != "user_id"]
    os.makedirs(os.path.join(args.work, "sql/features"))
    with open(os.path.join(args.work, "sql/features/all.sql"), "w") as file:
        file.write(f"SELECT profile_id, {', '.join(names)} FROM profiles\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--throng", required=True, help="the binary")
    parser.add_argument("--work", required=True, help="a folder for the project, which is made anew unless --keep")
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true", help="use the project that an earlier run left in --work")
    args = parser.parse_args()
    throng = Throng(args.throng, os.path.abspath(args.work), args.threads)
    if not args.keep:
        shutil.rmtree(args.work, ignore_errors=True)
        os.makedirs(args.work)
        with open(os.path.join(args.work, "throng.toml"), "w") as file:
            file.write('as_of = "2026-01-01"\n')
        prepare(args, throng)
    report, scores = (os.path.join(os.path.abspath(args.work), name) for name in ("report.html", "scores.parquet"))
    digests = set()
    print(f"{args.profiles:,} profiles, 64 features, {args.seeds:,} seeds\n")
    print("| threads | features | wall | CPU | peak memory |\n|---|---|---|---|---|")
    for threads in dict.fromkeys((args.threads, 1)):
        shutil.rmtree(os.path.join(args.work, "store/_throng_features"), ignore_errors=True)
        throng = Throng(args.throng, os.path.abspath(args.work), threads)
        for features in ("encoded", "reused"):
            _, wall = throng.run(features, "lookalike", "seed", "--report", report, "--scores", scores)
            with open(scores, "rb") as file:
                digests.add(hashlib.sha256(file.read()).hexdigest())
            print(f"| {threads} | {features} | {wall:.1f} s | {throng.cpu:.1f} s | {throng.peaks_mb[features]:,.0f} MB |", flush=True)
    if len(digests) != 1:
        sys.exit("the scores differ from run to run")
    print("\nThe scores of all runs were the same to the byte.")


if __name__ == "__main__":
    main()
