#!/usr/bin/env python3
"""Ingests real data sets with Throng and checks the counts and every segment's members.

    python check.py --throng ../../target/release/throng [--shared DIR] [--keep DIR] [SET ...]

DIR holds online_retail/, cdnow/ and bank_marketing/ as described in the README.md of each; a set
that is not there is skipped. Counts must be those of that README. Members must be those that
SET/duckdb.sql finds in the raw file by itself. Needs the Python package duckdb.
"""
import argparse
import csv
import os
import shutil
import sys
import tempfile

from cli import Failed, Tally, Throng

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NOTHING = {"profiles_new": 0, "events": 0, "rejected": 0}

# What each data set's README.md states, under "Check:" where it has such a line. By source: what
# its ingest must report; by query: what must come out true.
SETS = {
    "online_retail": {
        "as_of": "2011-12-10",
        "sources": {
            "customers": NOTHING | {"profiles_new": 4_372},
            "invoice_lines": NOTHING | {"events": 541_909 - 135_080, "rejected": 135_080},
        },
        "facts": {
            "4,372 customers": "SELECT count(*) = 4372 FROM profiles",
            "406,829 lines with a customer": "SELECT count(*) = 406829 FROM events",
            "8 customers with several countries": "SELECT count(*) = 8 FROM profiles WHERE countries > 1",
            "first and last line": "SELECT min(ts) = TIMESTAMP '2010-12-01 08:26:00' AND max(ts) = TIMESTAMP '2011-12-09 12:50:00' FROM events",
            "a float id is a whole number": "SELECT count(*) = 1 FROM identifiers WHERE namespace = 'user_id' AND value = '17850'",
        },
    },
    "cdnow": {
        "as_of": "1998-07-01",
        "sources": {"purchases": NOTHING | {"profiles_new": 23_570, "events": 69_659}},
        "facts": {
            "23,570 customers": "SELECT count(*) = 23570 FROM profiles",
            "69,659 transactions": "SELECT count(*) = 69659 FROM events",
            "167,881 CDs": "SELECT sum(cds) = 167881 FROM events",
            "2,500,315.63 dollars": "SELECT sum(amount) = CAST('2500315.63' AS DECIMAL(12, 2)) FROM events",
            "first and last day": "SELECT min(ts) = TIMESTAMP '1997-01-01 00:00:00' AND max(ts) = TIMESTAMP '1998-06-30 00:00:00' FROM events",
            "all began in the first quarter": "SELECT count(DISTINCT profile_id) = 23570 FROM events WHERE ts < TIMESTAMP '1997-04-01 00:00:00'",
            "zeros before a number stay": "SELECT count(*) = 1 FROM identifiers WHERE namespace = 'user_id' AND value = '00001'",
        },
    },
    "bank_marketing": {
        "as_of": "2011-01-01",
        "sources": {"clients": NOTHING | {"profiles_new": 45_211}},
        "facts": {
            "45,211 clients": "SELECT count(*) = 45211 FROM profiles",
            "5,289 said yes": "SELECT count(*) = 5289 FROM profiles WHERE subscribed",
            "rows are numbered from 1": "SELECT count(*) = 2 FROM identifiers WHERE value IN ('1', '45211')",
        },
    },
}


def check(name, facts, binary, raw, project, tally):
    """One data set, from its project's SQL files to members compared."""
    before = tally.failed
    shutil.copytree(os.path.join(HERE, name), project)
    os.symlink(os.path.abspath(raw), os.path.join(project, "raw"))
    throng = Throng(binary, project)
    check_ingest(name, facts, throng, tally)
    segments = sorted(file[: -len(".sql")] for file in os.listdir(os.path.join(project, "sql", "segments")))
    check_build(name, segments, throng, facts["as_of"], tally)
    members = duckdb_members(project)
    tally.equal(f"{name}: segments and their twins in duckdb.sql", sorted(members), segments)
    for segment in segments:
        exported = export(throng, segment, os.path.join(project, segment + ".csv"))
        compare(f"{name}.{segment}", exported, members.get(segment, []), tally)
    print(f"{'ok     ' if tally.failed == before else 'FAILED '} {name}: {len(segments)} segments", flush=True)


def check_ingest(name, facts, throng, tally):
    first = {one["source"]: one for one in throng.run("ingest")}
    tally.equal(f"{name}: sources", sorted(first), sorted(facts["sources"]))
    for source, wanted in facts["sources"].items():
        for field, count in wanted.items():
            tally.equal(f"{name}: {field} of {source}", first.get(source, {}).get(field), count)
    for source, one in {one["source"]: one for one in throng.run("ingest")}.items():
        tally.equal(f"{name}: {source} again, known", bool(one["already_ingested"]), True)
        tally.equal(f"{name}: {source} again, new", (one["profiles_new"], one["events"]), (0, 0))
    for what, sql in facts["facts"].items():  # after the second time, so that nothing may have doubled
        tally.equal(f"{name}: {what}", throng.value(sql), True)


def check_build(name, segments, throng, as_of, tally):
    built = {one["name"]: one for one in throng.run("build", "--as-of", as_of)[0]["segments"]}
    for segment in segments:
        one = built.get(segment, {})
        tally.equal(f"{name}.{segment}: status {one.get('error', '')}".rstrip(), one.get("status"), "built")


def export(throng, segment, file):
    """The user ids of a segment, as the exported file has them."""
    throng.run("export", segment, "--to", file, "--as", "csv", "--ids", "user_id")
    with open(file, newline="") as lines:
        ids = [row[0] for row in csv.reader(lines) if row]
    return ids[1:] if ids[:1] == ["user_id"] else ids


def compare(what, found, wanted, tally):
    """Two lists of ids: the same members, none twice, and not an empty test."""
    if len(found) != len(set(found)):
        tally.fail(f"{what}: {len(found) - len(set(found))} ids come twice")
    elif not wanted:
        tally.fail(f"{what}: DuckDB finds nobody, so this tests nothing")
    elif set(found) != set(wanted):
        missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        tally.fail(f"{what}: {len(found)} members, DuckDB finds {len(set(wanted))}; "
                   f"{len(missing)} missing {missing[:5]}, {len(extra)} extra {extra[:5]}")
    else:
        tally.passed += 1


def duckdb_members(project):
    """{segment: [user_id]} by the statements of duckdb.sql, which read PROJECT/raw."""
    import duckdb

    with open(os.path.join(project, "duckdb.sql")) as file:
        setup, *statements = file.read().split("\n-- segment: ")
    database = duckdb.connect()
    database.execute(f"SET file_search_path = '{project}'")
    database.execute(setup)
    members = {}
    for statement in statements:
        segment, sql = statement.split("\n", 1)
        members[segment.strip()] = [str(row[0]) for row in database.execute(sql).fetchall()]
    return members


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throng", metavar="PATH", required=True, help="the binary")
    parser.add_argument("--shared", metavar="DIR", default=os.path.join(os.path.dirname(ROOT), "shared", "data"),
                        help="the folder of the data sets (default: ../shared/data from the root)")
    parser.add_argument("--keep", metavar="DIR", help="leave the projects here, one folder a set, instead of in a temporary folder")
    parser.add_argument("sets", nargs="*", choices=[[], *SETS], metavar="SET", help="some of " + ", ".join(SETS))
    args = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="throng-data-") as folder:
        for name in args.sets or SETS:
            raw = os.path.join(args.shared, name)
            project = os.path.join(os.path.abspath(args.keep) if args.keep else folder, name)
            if not os.path.isdir(raw):
                tally.skip(f"{name}: no folder {raw}")
                continue
            if args.keep and os.path.exists(project):
                sys.exit(f"check.py: {project} is there already; remove it or keep the projects elsewhere")
            try:
                check(name, SETS[name], args.throng, raw, project, tally)
            except Failed as failure:
                tally.fail(f"{name}: {failure}")
            except ImportError as missing:
                tally.skip(f"{name}: {missing}; pip install duckdb")
    tally.close()


if __name__ == "__main__":
    main()
