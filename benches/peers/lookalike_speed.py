#!/usr/bin/env python3
"""Scoring speed of look-alikes: Throng, numpy, scikit-learn and LightGBM on the same shape, in turns.

    python lookalike_speed.py [--rounds 3] [--threads 2] [--bench FILE] [--lightgbm-rows 250000]

The shape is 1 M profiles with 64 features of float32. Throng's figures come from `cargo bench --bench lookalike`,
as criterion estimates them (the middle of its samples): linear scoring reads the same bytes as numpy's product
of a matrix that lies column by column, trees read bins, a byte each. The read bandwidth is numpy's sum of all, on
one thread and on as many as there are; the largest of it counts. Each round runs every peer and then Throng;
the table has the median of the rounds, and the lowest and highest ratio within a round.

Needs numpy, scikit-learn and lightgbm.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS, FEATURES = 1_000_000, 64


def middle(work, repeats):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


class Peers:
    """The peers, on data of their own made once."""

    def __init__(self, args):
        import lightgbm
        import numpy as np
        from concurrent.futures import ThreadPoolExecutor
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(0)
        self.np, self.args, self.pool = np, args, ThreadPoolExecutor(args.threads)
        self.rows = rng.standard_normal((ROWS, FEATURES), dtype=np.float32)
        self.columns = np.asfortranarray(self.rows)
        self.weights = rng.standard_normal(FEATURES).astype(np.float32)
        few = self.rows[:20_000]
        label = (few @ self.weights + 2 * np.abs(few[:, 0]) > 1).astype(int)
        self.line = LogisticRegression(max_iter=200).fit(few, label)
        self.trees = lightgbm.LGBMClassifier(n_estimators=100, n_jobs=args.threads, verbosity=-1).fit(few, label).booster_
        self.scores = self.columns @ self.weights
        self.parts = np.array_split(self.columns.T, args.threads)

    def read(self):
        # The halves of all columns, each summed by a thread of its own: numpy lets go of Python's lock.
        list(self.pool.map(lambda part: part.sum(), self.parts))

    def round(self):
        """Seconds for a million profiles, by name."""
        np, few = self.np, self.args.lightgbm_rows
        predict = lambda: self.trees.predict(self.rows[:few], raw_score=True, num_threads=self.args.threads)
        return {
            "read, 1 thread": middle(lambda: self.columns.sum(), 7),
            f"read, {self.args.threads} threads": middle(self.read, 7),
            "numpy, columns": middle(lambda: self.columns @ self.weights, 7),
            "scikit-learn": middle(lambda: self.line.decision_function(self.rows), 7),
            "LightGBM": middle(predict, 1) * ROWS / few,
            "numpy argpartition": middle(lambda: np.argpartition(-self.scores, ROWS // 100)[: ROWS // 100], 7),
        }


def throng(args):
    """Seconds, by name of the bench's stage."""
    names = {"linear": "linear_normal_1Mx64", "trees": "trees_normal_1Mx64", "top": "top_normal_1M", "top_set": "top_set_normal_1M"}
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "CRITERION_HOME": folder, "RAYON_NUM_THREADS": str(args.threads)}
        command = [args.bench, "--bench"] if args.bench else ["cargo", "bench", "--bench", "lookalike", "--"]
        done = subprocess.run([*command, "/(linear|trees|top|top_set)/normal/1M(x64)?$"], cwd=ROOT, env=env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        found = {}
        for stage, name in names.items():
            with open(Path(folder) / "lookalike" / name / "new" / "estimates.json") as file:
                found[stage] = json.load(file)["median"]["point_estimate"] / 1e9
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lightgbm-rows", type=int, default=250_000, help="rows that LightGBM scores in a round; its time is scaled")
    parser.add_argument("--bench", metavar="FILE", help="the bench, where it is built already")
    args = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    peers = Peers(args)
    rounds = []
    for _ in range(args.rounds):
        rounds.append({**peers.round(), **{f"Throng, {stage}": seconds for stage, seconds in throng(args).items()}})
    print(f"{ROWS:,} profiles, {FEATURES} features, {args.threads} threads, load {os.getloadavg()[0]:.1f}")
    gigabytes = ROWS * FEATURES * 4 / 1e9
    for name in rounds[0]:
        seconds = statistics.median(r[name] for r in rounds)
        reads = name.startswith("read") or name in ("numpy, columns", "scikit-learn", "Throng, linear")
        rate = f"  {gigabytes / seconds:6.1f} GB/s" if reads else ""
        print(f"  {name:20} {seconds * 1e3:9.2f} ms  {ROWS / seconds / 1e6:8.2f} M profiles/s{rate}")
    bandwidth = lambda r: min(seconds for name, seconds in r.items() if name.startswith("read"))
    ratios = {
        "linear against the read bandwidth": (lambda r: bandwidth(r) / r["Throng, linear"], "1.0"),
        "linear against numpy": (lambda r: r["numpy, columns"] / r["Throng, linear"], ""),
        "linear against scikit-learn": (lambda r: r["scikit-learn"] / r["Throng, linear"], "3"),
        "trees against LightGBM": (lambda r: r["LightGBM"] / r["Throng, trees"], "10"),
        "top 1 % against argpartition": (lambda r: r["numpy argpartition"] / r["Throng, top"], ""),
    }
    for name, (ratio, wanted) in ratios.items():
        found = sorted(ratio(r) for r in rounds)
        print(f"  {name:34} {statistics.median(found):7.2f} x  ({found[0]:.2f} to {found[-1]:.2f})" + (f"  asked for: {wanted}" if wanted else ""))
    top = statistics.median(r["Throng, top_set"] for r in rounds)
    print(f"  {'top 1 % to a bitmap':34} {top * 1e3:7.2f} ms  asked for: 10")


if __name__ == "__main__":
    main()
