#!/usr/bin/env python3
"""Opens a store with DuckDB and with the deltalake package, and compares what they count.

    python readers.py --throng ../../target/release/throng --project DIR

DuckDB gets the Parquet files of the current version, found here by reading the transaction log as
the Delta protocol describes it, without any Delta library. Every table must hold the same rows by
both readers and by Throng itself; every membership's bitmap must hold its cardinality.
Needs the Python packages duckdb, deltalake, pyarrow and, for the bitmaps, pyroaring.
"""
import argparse
import glob
import json
import os
import re
from urllib.parse import unquote

from cli import Failed, Tally, Throng

TABLES = ["profiles", "identifiers", "events", "memberships", "builds"]
QUERYABLE = ["profiles", "identifiers", "events"]


def current_files(database, table):
    """The data files of a Delta table's newest version: the last checkpoint, then each commit after it."""
    log = os.path.join(table, "_delta_log")
    files, version = checkpoint(database, log)
    for path in sorted(glob.glob(os.path.join(log, "*.json"))):
        number = re.fullmatch(r"(\d{20})\.json", os.path.basename(path))
        if not number or int(number[1]) <= version:
            continue
        if version >= 0 and int(number[1]) != version + 1 or version < 0 and int(number[1]) != 0:
            raise Failed(f"{log}: version {version + 1} is missing")
        version = int(number[1])
        with open(path) as lines:
            apply([json.loads(line) for line in lines if line.strip()], files)
    if any(add.get("deletionVector") for add in files.values()):
        raise Failed(f"{table}: has deletion vectors, which a plain reader of its files would not see")
    return [os.path.join(table, unquote(path)) for path in files]


def checkpoint(database, log):
    """The files and the version of the newest checkpoint; none and -1 where there is none."""
    pointer = os.path.join(log, "_last_checkpoint")
    if not os.path.exists(pointer):
        return {}, -1
    with open(pointer) as file:
        last = json.load(file)
    parts = sorted(glob.glob(os.path.join(log, f"{last['version']:020}.checkpoint*.parquet")))
    if len(parts) != last.get("parts", 1):
        raise Failed(f"{log}: the checkpoint of version {last['version']} has {len(parts)} files, should have {last.get('parts', 1)}")
    columns = [row[0] for row in database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [parts]).fetchall()]
    if "sidecar" in columns and database.execute("SELECT count(sidecar) FROM read_parquet(?)", [parts]).fetchone()[0]:
        raise Failed(f"{log}: the checkpoint has sidecars, which this script does not read")
    adds = database.execute("SELECT add FROM read_parquet(?) WHERE add.path IS NOT NULL", [parts]).fetchall()
    return {add["path"]: add for (add,) in adds}, last["version"]


def apply(actions, files):
    """One commit: a file that leaves and comes back in it is there afterwards."""
    for action in actions:
        if "remove" in action:
            files.pop(action["remove"]["path"], None)
    for action in actions:
        if "add" in action:
            files[action["add"]["path"]] = action["add"]


def by_duckdb(database, files):
    if not files:
        return 0
    return database.execute("SELECT count(*) FROM read_parquet(?, union_by_name = true)", [files]).fetchone()[0]


def by_deltalake(table):
    from deltalake import DeltaTable

    return DeltaTable(table).to_pyarrow_dataset().count_rows()


def by_status(status):
    """{table: rows} as far as `throng status` tells: {"tables": [{"name", "rows"}]} or {"tables": {name: {"rows"}}}."""
    tables = status[0].get("tables", {}) if status else {}
    named = tables.items() if isinstance(tables, dict) else [(one.get("name", one.get("table")), one) for one in tables]
    return {name: one["rows"] if isinstance(one, dict) else one for name, one in named if not isinstance(one, dict) or "rows" in one}


def check_bitmaps(database, files, tally):
    """Each membership row: the bitmap is portable roaring and holds as many members as the row says."""
    if not files:
        return
    from pyroaring import BitMap

    columns = {row[0]: row[1] for row in database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [files]).fetchall()}
    bitmaps = [name for name, kind in columns.items() if kind == "BLOB"]
    if len(bitmaps) != 1 or "cardinality" not in columns:
        tally.skip(f"memberships: columns {sorted(columns)} are not one binary and a cardinality")
        return
    rows = database.execute(f'SELECT "{bitmaps[0]}", cardinality FROM read_parquet(?)', [files]).fetchall()
    wrong = [count for bytes_, count in rows if len(BitMap.deserialize(bytes_ or b"")) != count]
    tally.equal(f"memberships: bitmaps of {len(rows)} that do not hold their cardinality", len(wrong), 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throng", metavar="PATH", required=True, help="the binary")
    parser.add_argument("--project", metavar="DIR", required=True, help="a project with its store in DIR/store")
    args = parser.parse_args()
    tally = Tally()
    try:
        import duckdb
    except ImportError as missing:
        tally.skip(f"all: {missing}; pip install duckdb deltalake pyarrow pyroaring")
        tally.close()
    database = duckdb.connect()
    throng = Throng(args.throng, os.path.abspath(args.project))
    try:
        reported = by_status(throng.run("status"))
        for name in TABLES:
            check_table(name, database, throng, reported, os.path.join(os.path.abspath(args.project), "store", name), tally)
    except Failed as failure:
        tally.fail(str(failure))
    tally.close()


def check_table(name, database, throng, reported, table, tally):
    if not os.path.isdir(os.path.join(table, "_delta_log")):
        tally.fail(f"{name}: no Delta table in {table}")
        return
    files = current_files(database, table)
    rows = by_duckdb(database, files)
    print(f"{name}: {rows:,} rows in {len(files)} files", flush=True)
    try:
        tally.equal(f"{name}: rows by deltalake, as DuckDB has them", by_deltalake(table), rows)
    except ImportError as missing:
        tally.skip(f"{name}: {missing}")
    if name in QUERYABLE:
        tally.equal(f"{name}: rows by throng query", throng.value(f"SELECT count(*) AS n FROM {name}"), rows)
    if name in reported:
        tally.equal(f"{name}: rows by throng status", reported[name], rows)
    else:
        tally.skip(f"{name}: throng status tells no rows of it")
    if name == "memberships":
        try:
            check_bitmaps(database, files, tally)
        except ImportError as missing:
            tally.skip(f"memberships: {missing}")


if __name__ == "__main__":
    main()
