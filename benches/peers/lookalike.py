#!/usr/bin/env python3
"""Look-alikes by the public protocol, through the command line.

    python lookalike.py --binary target/release/throng [--tasks bank,cdnow] [--salts 3] [--nseed N] [--wide] [--out FILE]
    python lookalike.py --binary target/release/throng --synthetic       tasks made up here, with known structure

A task is TASK.parquet in --folder: `id`, `label`, `n_*` numbers, `c_*` words, `s_*` sensitive. The seed are the positives
whose hash says so; the label of a candidate is never ingested. For each task and seed: a project is made, the table is
ingested (profiles, the features as attributes), the seed imported, `throng lookalike` run with --scores, and the scores
of the candidates measured here. With --wide the sparse events (TASK.wide.parquet: id, key, cnt) are ingested too.

Needs pyarrow and numpy.
"""
import argparse
import hashlib
import json
import math
import os
import resource
import subprocess
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "..", "..", "shared", "lookalike", "tasks")
# AUC of the best published peer on each task, salt 0 (the README of the protocol).
PEERS = {"retail_vip": 0.8964, "bank": 0.7343, "cdnow": 0.7692}


def u32(text):
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16)


class Project:
    """A project in a folder, and the binary on it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = os.path.abspath(binary), folder
        for sub in ("sql/features", "data"):
            os.makedirs(os.path.join(folder, sub), exist_ok=True)
        self.write("throng.toml", 'as_of = "2026-01-01"\n')

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def run(self, *args):
        done = subprocess.run([self.binary, "--project", self.folder, "--format", "json", *args], cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"throng {' '.join(args)}\n{done.stderr}{done.stdout}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def can(self, verb):
        return subprocess.run([self.binary, verb, "--help"], capture_output=True).returncode == 0


def write_profiles(project, table):
    """The task's table without its label; the features as attributes."""
    keep = [c for c in table.column_names if c != "label"]
    out = table.select(keep)
    out = out.set_column(out.schema.get_field_index("id"), "user_id", out["id"].cast(pa.string()))
    pq.write_table(out, os.path.join(project.folder, "data/profiles.parquet"))
    project.run("ingest", "profiles", "data/profiles.parquet", "--key", "user_id")
    columns = [f'"{c}"' for c in keep if c.startswith(("n_", "c_"))]
    project.write("sql/features/given.sql", "-- description: The features as the task gives them\nSELECT profile_id, " + ", ".join(columns) + " FROM profiles\n")


def write_items(project, path):
    wide = pq.read_table(path)
    out = pa.table({"user_id": wide["id"].cast(pa.string()), "ts": pa.array(["2025-01-01T00:00:00Z"] * wide.num_rows), "event": pa.array(["item"] * wide.num_rows), "item": wide["key"].cast(pa.string()), "cnt": wide["cnt"].cast(pa.float64())})
    pq.write_table(out, os.path.join(project.folder, "data/items.parquet"))
    project.run("ingest", "events", "data/items.parquet", "--key", "user_id", "--time", "ts", "--event", "event")
    project.write("sql/features/items.sql", "-- kind: items\nSELECT profile_id, item, sum(cnt) AS cnt FROM events WHERE event = 'item' GROUP BY profile_id, item\n")


def write_seed(project, name, ids):
    """A static segment, or, where the binary has no import, a segment over events that are the list."""
    path = os.path.join(project.folder, f"data/{name}.csv")
    if project.can("import"):
        pacsv.write_csv(pa.table({"user_id": [str(i) for i in ids]}), path)
        project.run("import", name, path, "--as", "csv", "--ids", "user_id")
        return
    pacsv.write_csv(pa.table({"user_id": [str(i) for i in ids], "ts": ["2025-01-01T00:00:00Z"] * len(ids), "event": [name] * len(ids)}), path)
    project.run("ingest", "events", path, "--key", "user_id", "--time", "ts", "--event", "event")
    os.makedirs(os.path.join(project.folder, "sql/segments"), exist_ok=True)
    project.write(f"sql/segments/{name}.sql", f"SELECT profile_id FROM events WHERE event = '{name}'\n")
    project.run("build", name)


def metrics(label, score, tie):
    order = np.lexsort((tie, -score))
    hits = label[order]
    total, rows = hits.sum(), len(hits)
    cumulative = np.cumsum(hits)
    places = np.flatnonzero(hits)
    precision = cumulative[places] / (places + 1)
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    auc = (ranks[label].sum() - total * (total + 1) / 2) / (total * (rows - total))
    found = {"auc": auc, "ap": precision.mean()}
    for percent in (1, 5, 10):
        cut = math.ceil(rows * percent / 100)
        found[f"lift{percent}"] = cumulative[cut - 1] / cut / (total / rows)
    return found


def measure(args, task, table, items):
    ids = table["id"].to_pylist()
    label = np.array(table["label"].to_pylist(), dtype=bool)
    tie = np.array([u32(f"tie:{i}") for i in ids], dtype=np.uint64)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        project = Project(args.binary, folder)
        write_profiles(project, table)
        if items:
            write_items(project, items)
        listed = project.run("query", "SELECT profile_id, value FROM identifiers WHERE namespace = 'user_id'")
        row_of = {str(i): at for at, i in enumerate(ids)}
        profile_row = {row["profile_id"]: row_of[row["value"]] for row in listed}
        for salt in range(args.salts):
            hashes = np.array([u32(f"{task}:{salt}:{i}") for i in ids], dtype=np.uint64)
            if args.nseed:
                seed = np.zeros(len(ids), bool)
                positive = np.flatnonzero(label)
                seed[positive[np.lexsort((np.array(ids)[positive], hashes[positive]))][: args.nseed]] = True
            else:
                seed = label & (hashes % 100 < 50)
            name = f"seed{salt}"
            write_seed(project, name, [i for i, is_seed in zip(ids, seed) if is_seed])
            cpu, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            report = project.run("lookalike", name, "--scores", "scores.parquet", "--threads", str(args.threads))
            used, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - wall
            scores = pq.read_table(os.path.join(folder, "scores.parquet"))
            score = np.full(len(ids), -1.0)
            score[[profile_row[p] for p in scores["profile_id"].to_pylist()]] = scores["score"].to_numpy()
            candidates = ~seed
            if (score[candidates] < 0).any():
                raise SystemExit(f"{task}: candidates without a score")
            row = {"task": task, "salt": salt, "seeds": int(seed.sum()), "candidates": int(candidates.sum()), **metrics(label[candidates], score[candidates], tie[candidates])}
            row["held_out_lift10"] = report["metrics"]["lift"]["10"]
            row["cpu_s"] = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
            row["wall_s"] = wall
            rows.append(row)
            peer = f"  best peer {PEERS[task]:.4f}" if task in PEERS and salt == 0 and not args.nseed else ""
            print("{task:<14} salt {salt} seeds {seeds:>5} candidates {candidates:>6}  auc {auc:.4f} ap {ap:.4f} lift {lift1:5.2f} {lift5:5.2f} {lift10:5.2f}  held-out lift@10 {held_out_lift10:5.2f}  cpu {cpu_s:.1f} s".format(**row) + peer, flush=True)
    return rows


def synthetic():
    """Tasks with known structure: a line, a tangle, and counts over hidden tastes."""
    rng = np.random.default_rng(7)
    count = 12_000

    def task(columns, label):
        columns = {"id": list(range(count)), "label": label, **columns}
        return pa.table(columns)

    x = rng.standard_normal((count, 20))
    z = x[:, 0] + 0.7 * x[:, 1] - 0.5 * x[:, 2] + rng.logistic(size=count)
    yield "line", task({f"n_{i}": x[:, i] for i in range(20)}, z > np.quantile(z, 0.9))
    x = rng.standard_normal((count, 12))
    word = rng.integers(0, 30, count)
    z = 2 * ((x[:, 0] > 0.3) & (x[:, 1] < 0.2)) + 1.5 * ((x[:, 2] > 0) != (x[:, 3] > 0)) + rng.standard_normal(30)[word] + rng.logistic(size=count)
    yield "tangle", task({**{f"n_{i}": x[:, i] for i in range(12)}, "c_word": [f"w{w}" for w in word]}, z > np.quantile(z, 0.93))
    tastes = rng.gamma(0.3, 1, (count, 6))
    counts = rng.poisson(tastes @ rng.gamma(0.2, 1, (6, 80)) * 0.6)
    z = np.log1p(4 * tastes[:, 0]) + 0.4 * rng.logistic(size=count)
    yield "tastes", task({f"n_{i}": counts[:, i].astype(float) for i in range(80)}, z > np.quantile(z, 0.92))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--folder", default=FOLDER)
    parser.add_argument("--tasks", help="names, separated by commas [default: all in --folder]")
    parser.add_argument("--salts", type=int, default=1)
    parser.add_argument("--nseed", type=int, help="so many seeds instead of half of the positives")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wide", action="store_true", help="with the sparse events of tasks that have some")
    parser.add_argument("--synthetic", action="store_true", help="tasks made up here instead")
    parser.add_argument("--out", help="a JSON file for the figures")
    args = parser.parse_args()
    rows = []
    if args.synthetic:
        for task, table in synthetic():
            rows += measure(args, task, table, None)
    else:
        names = args.tasks.split(",") if args.tasks else sorted(f[:-8] for f in os.listdir(args.folder) if f.endswith(".parquet") and ".wide." not in f)
        for task in names:
            items = os.path.join(args.folder, f"{task}.wide.parquet")
            items = items if args.wide and os.path.exists(items) else None
            rows += measure(args, task, pq.read_table(os.path.join(args.folder, f"{task}.parquet")), items)
    for figure in ("auc", "ap", "lift10"):
        print(f"mean {figure}: {np.mean([row[figure] for row in rows]):.4f}")
    if args.out:
        with open(args.out, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
