#!/usr/bin/env python3
"""Asks DuckDB the random queries of tests/it/fuzz.rs, and holds its answers against the compiler's.

    THRONG_FUZZ_OUT=DIR cargo test --test it fuzz
    python fuzz.py DIR

DIR holds the store and, in answers.json, each query with its members. DuckDB reads the store's Parquet
files. Exits 1 where an answer differs, or DuckDB could be asked too few of the queries.
"""
import argparse
import json
import os
import re
import sys

import duckdb

# Some queries are DataFusion's own SQL (a moment cast to a number): DuckDB cannot be asked those.
ASKED_SHARE = 0.95


def connect(store):
    db = duckdb.connect()
    # As DataFusion has it, and PostgreSQL.
    db.execute("SET default_null_order = 'NULLS_LAST_ON_ASC_FIRST_ON_DESC'")
    for table in ["profiles", "events"]:
        files = os.path.join(store, table, "**", "*.parquet")
        replaced = " REPLACE (ts AT TIME ZONE 'UTC' AS ts)" if table == "events" else ""
        db.execute(f"CREATE TABLE {table} AS SELECT *{replaced} FROM read_parquet('{files}')")
    return db


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="what THRONG_FUZZ_OUT was")
    folder = parser.parse_args().folder
    with open(os.path.join(folder, "answers.json")) as file:
        kept = json.load(file)
    db = connect(os.path.join(folder, "store"))
    asked, different, refused = 0, [], []
    for answer in kept["answers"]:
        sql = re.sub(r"\bnow\(\)", f"TIMESTAMP '{kept['as_of']}'", answer["sql"])
        try:
            rows = db.execute(f"SELECT DISTINCT profile_id FROM ({sql}) WHERE profile_id IS NOT NULL ORDER BY 1").fetchall()
        except duckdb.Error as error:
            refused.append(f"{str(error).splitlines()[0]}: {sql}")
            continue
        asked += 1
        members = [row[0] for row in rows]
        if members != answer["members"]:
            different.append(f"DuckDB {len(members)}, Throng {len(answer['members'])}: {sql}")
    print(f"fuzz: {asked} queries asked of DuckDB, {len(different)} answers differ, {len(refused)} are not its SQL")
    for line in different + (refused if asked < ASKED_SHARE * len(kept["answers"]) else []):
        print("  " + line, file=sys.stderr)
    return 1 if different or asked < ASKED_SHARE * len(kept["answers"]) else 0


if __name__ == "__main__":
    sys.exit(main())
