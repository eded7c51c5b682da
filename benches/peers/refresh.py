#!/usr/bin/env python3
"""What a build costs after one event in a thousand is new: `throng build` beside `throng build --full`, in one run.

    python refresh.py --throng ../../target/release/throng --data DATA --project WORK/project [--rounds 5] [--next-day]

The project must be loaded (segments.py beside this file does that). It is copied; the 200 segments are built in the copy,
and 0.1 % new events ingested: rows drawn from the last month, moved to its last day. In each round a fresh copy is
refreshed, built again with nothing changed, and built with --full, which must move nobody. A warm session
(`throng sql`) does the same. With --next-day the events are of the day after, and the moment moves by that day; the segments' moments
are then written as `now() - INTERVAL`, as one would for a build every day.

Needs pyarrow and numpy.
"""
import argparse
import glob
import json
import os
import re
import shutil
import statistics
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segments import AS_OF, SESSION_MEMORY, Session, Throng, log

NEXT = "2026-11-02"
DAY_US = 86_400_000_000
STEPS = ("refresh", "nothing", "full")


def new_events(data, path, next_day):
    """Writes the new events to `path`, and says how many there are."""
    files = sorted(glob.glob(os.path.join(data, "events", "*.parquet")))
    total = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    month = pq.read_table(files[-1])
    draw = np.random.default_rng(7)
    rows = month.take(np.sort(draw.choice(month.num_rows, total // 1000, replace=False)))
    day = np.datetime64(AS_OF, "us").astype(np.int64) - (0 if next_day else DAY_US)
    moments = pa.array(np.sort(day + draw.integers(0, DAY_US, rows.num_rows)), pa.int64()).cast(rows.schema.field("ts").type)
    rows = rows.set_column(rows.schema.get_field_index("ts"), "ts", moments)
    ids = pa.array(np.arange(rows.num_rows) + (1 << 40), pa.int64())
    rows = rows.set_column(rows.schema.get_field_index("event_id"), "event_id", ids)
    pq.write_table(rows, path)
    return rows.num_rows, len(set(rows["profile_id"].to_pylist()))


def roll(project):
    """Writes the moments of the segments of `project` as days before now()."""
    now = np.datetime64(AS_OF, "D")

    def ago(match):
        days = int((now - np.datetime64(match.group(1), "D")).astype(int))
        return f"(now() - INTERVAL '{days} days')"

    for path in glob.glob(os.path.join(project, "sql", "segments", "*.sql")):
        with open(path, encoding="utf-8") as file:
            sql = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"TIMESTAMP '(\d{4}-\d\d-\d\d) 00:00:00'", ago, sql))


class Copies:
    """Copies of a project, and what its builds in them took."""

    def __init__(self, args):
        self.args = args
        self.base = os.path.join(args.work, "base")
        self.copy = os.path.join(args.work, "copy")
        self.as_of = NEXT if args.next_day else AS_OF
        self.times = {}

    def throng(self, folder):
        return Throng(self.args.throng, folder, self.args.threads)

    def prepare(self):
        """The base: the 200 segments built, then the new events ingested."""
        shutil.rmtree(self.args.work, ignore_errors=True)
        shutil.copytree(self.args.project, self.base)
        if self.args.next_day:
            roll(self.base)
        events = os.path.join(self.args.work, "new.parquet")
        rows, profiles = new_events(self.args.data, events, self.args.next_day)
        throng = self.throng(self.base)
        throng.run("build", "build", "b*", "--as-of", AS_OF, "--full")
        throng.run("ingest", "ingest", "events", events, "--key", "user_id=profile_id", "--time", "ts", "--event", "event")
        log(f"{rows:,} new events of {profiles:,} profiles")

    def fresh(self):
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.base, self.copy)
        return self.copy

    def note(self, who, step, seconds):
        self.times.setdefault((who, step), []).append(seconds)

    def cold(self):
        throng = self.throng(self.fresh())
        for step, flags in zip(STEPS, ([], [], ["--full"])):
            built, seconds = throng.run("build", "build", "b*", "--as-of", self.as_of, *flags)
            self.note("a process", step, seconds)
            self.note("a process, CPU", step, throng.cpu)
            if step == "refresh":
                self.statuses = statuses(built[0])
        check(built[0])

    def warm(self):
        session = Session(self.throng(self.fresh()), self.as_of)
        for step, flags in zip(STEPS, ("", "", " --full")):
            built, seconds = session.ask(f".build b*{flags}")
            self.note("a warm session", step, seconds)
        session.stop()
        check(built)


def statuses(build):
    found = {}
    for one in build["segments"]:
        kind = "refreshed" if "evaluated" in one else one["status"]
        found[kind] = found.get(kind, 0) + 1
    return found


def check(full):
    """A full build after a refresh moves nobody."""
    differ = [one["name"] for one in full["segments"] if one["entered"] or one["exited"]]
    if differ:
        sys.exit(f"a refresh and a full build differ: {', '.join(differ[:5])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--throng", required=True, help="the binary")
    parser.add_argument("--data", required=True, help="the peers' data")
    parser.add_argument("--project", required=True, help="a loaded project")
    parser.add_argument("--work", help="where copies go; beside the project where not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--next-day", action="store_true", help="the moment moves by a day, and the new events are of that day")
    args = parser.parse_args()
    args.work = args.work or os.path.join(os.path.dirname(os.path.abspath(args.project)), "refresh")
    copies = Copies(args)
    copies.prepare()
    for number in range(args.rounds):
        copies.cold()
        copies.warm()
        log(f"round {number + 1} of {args.rounds}")
    print(f"refresh: {json.dumps(copies.statuses)}")
    print("| | refresh | nothing changed | full | refresh / full |\n|---|---|---|---|---|")
    for who in dict.fromkeys(who for who, _ in copies.times):
        middle = {step: statistics.median(copies.times[who, step]) for step in STEPS}
        figures = " | ".join(f"{middle[step]:.3f} s" for step in STEPS)
        print(f"| {who} | {figures} | {middle['refresh'] / middle['full']:.2f} |")
    shutil.rmtree(args.work)


if __name__ == "__main__":
    main()
