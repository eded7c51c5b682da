#!/usr/bin/env python3
"""Foreign readers of the bitmaps: pyroaring and ClickHouse (chdb) load what Throng writes, and Throng
reads what they write.

    python formats.py --throng ../../target/release/throng

Makes a small project of its own, with customers whose numbers need 64 bits. Needs the Python packages
pyroaring and chdb; what is missing is skipped.
"""
import argparse
import base64
import os
import tempfile

from cli import Failed, Tally, Throng

# More than 2^32, so that 32-bit formats must refuse them.
FIRST = 5_000_000_000
USERS = 40_000
# name: which of the users, by their place
SEGMENTS = {
    "nobody": lambda i: False,
    "few": lambda i: i % 4_001 == 7,
    "third": lambda i: i % 3 == 0,
    "first_half": lambda i: i < USERS // 2,
    "everybody": lambda i: True,
}
SQL = {
    "nobody": "profile_id < 0",
    "few": "profile_id % 4001 = 7",
    "third": "profile_id % 3 = 0",
    "first_half": f"profile_id < {USERS // 2}",
    "everybody": "true",
}


def make(folder, binary):
    os.makedirs(os.path.join(folder, "sql/segments"))
    with open(os.path.join(folder, "throng.toml"), "w") as file:
        file.write('as_of = "2026-11-01"\n')
    with open(os.path.join(folder, "users.csv"), "w") as file:
        file.write("user_id\n" + "".join(f"{FIRST + i}\n" for i in range(USERS)))
    for name, condition in SQL.items():
        with open(os.path.join(folder, "sql/segments", f"{name}.sql"), "w") as file:
            file.write(f"SELECT profile_id FROM profiles WHERE {condition}\n")
    throng = Throng(binary, folder)
    throng.run("ingest", "profiles", os.path.join(folder, "users.csv"), "--key", "user_id")
    throng.run("build")
    return throng


def members(name, first=0):
    return [first + i for i in range(USERS) if SEGMENTS[name](i)]


class Files:
    """Exports and imports of one project."""

    def __init__(self, throng, folder):
        self.throng, self.folder = throng, folder

    def exported(self, name, form, ids):
        path = os.path.join(self.folder, "exported")
        self.throng.run("export", name, "--to", path, "--as", form, "--ids", ids)
        with open(path, "rb") as file:
            return file.read()

    def imported(self, data, form, ids):
        """How many members the bytes have, as Throng reads them, and whether all were known."""
        path = os.path.join(self.folder, "foreign")
        with open(path, "wb") as file:
            file.write(data)
        report = self.throng.run("import", "foreign", path, "--as", form, "--ids", ids)[0]
        return report["members"], report["rejected"]


def check_pyroaring(files, tally):
    from pyroaring import BitMap, BitMap64

    for name in SEGMENTS:
        low, high = members(name), members(name, FIRST)
        tally.equal(f"pyroaring reads roaring of {name}", list(BitMap.deserialize(files.exported(name, "roaring", "profile_id"))), low)
        tally.equal(f"pyroaring reads roaring64 of {name}", list(BitMap64.deserialize(files.exported(name, "roaring64", "user_id"))), high)
        text = files.exported(name, "elasticsearch", "profile_id")
        tally.equal(f"pyroaring reads elasticsearch of {name}", list(BitMap.deserialize(base64.b64decode(text))), low)
        row = files.exported(name, "postgres64", "user_id").decode().rstrip("\n").split("\t")
        tally.equal(f"the COPY row of {name} is named", row[0], name)
        tally.equal(f"pyroaring reads postgres64 of {name}", list(BitMap64.deserialize(bytes.fromhex(row[1].removeprefix("\\\\x")))), high)
        tally.equal(f"Throng reads pyroaring's {name}", files.imported(BitMap(low).serialize(), "roaring", "profile_id"), (len(low), 0))
        tally.equal(f"Throng reads pyroaring's 64-bit {name}", files.imported(BitMap64(high).serialize(), "roaring64", "user_id"), (len(high), 0))
    try:
        files.exported("everybody", "roaring", "user_id")
        tally.fail("ids above 2^32 were put into a 32-bit bitmap")
    except Failed as refused:
        tally.equal("ids above 2^32 are refused in 32 bits", "too large for roaring" in str(refused), True)


def check_clickhouse(files, tally):
    import chdb

    def ask(sql, form="TabSeparated"):
        return chdb.query(sql, form).bytes()

    for wide, type_ in ((False, "UInt32"), (True, "UInt64")):
        form, ids, first = ("clickhouse64", "user_id", FIRST) if wide else ("clickhouse", "profile_id", 0)
        state = f"AggregateFunction(groupBitmap, {type_})"
        for name in SEGMENTS:
            wanted = members(name, first)
            expression = files.exported(name, f"{form}-sql", ids).decode().strip().removeprefix("SELECT ")
            # A literal of more than 256 KiB is beyond ClickHouse's default for a query.
            limit = "SETTINGS max_query_size = 100000000"
            found = ask(f"SELECT finalizeAggregation({expression}) {limit}")
            tally.equal(f"ClickHouse counts {name} by SQL, {type_}", int(found or 0), len(wanted))
            path = os.path.join(files.folder, "state.bin")
            with open(path, "wb") as file:
                file.write(files.exported(name, form, ids))
            source = f"file('{path}', RowBinary, 'm {state}')"
            tally.equal(f"ClickHouse counts {name} by RowBinary, {type_}", int(ask(f"SELECT finalizeAggregation(m) FROM {source}")), len(wanted))
            listed = ask(f"SELECT arraySort(bitmapToArray(m)) FROM {source}").decode().strip()
            tally.equal(f"ClickHouse lists {name}, {type_}", [int(i) for i in listed.strip("[]").split(",") if i], wanted)
            both = ask(f"SELECT bitmapAndCardinality(m, (SELECT groupBitmapState(to{type_}(number + {first})) FROM numbers(100))) FROM {source}")
            tally.equal(f"ClickHouse intersects {name}, {type_}", int(both), sum(1 for i in wanted if i < first + 100))
            values = f"SELECT to{type_}(number + {first}) AS id FROM numbers({USERS}) WHERE {clickhouse_condition(name)}"
            theirs = ask(f"SELECT groupBitmapState(id) FROM ({values})", "RowBinary")
            tally.equal(f"Throng reads ClickHouse's {name}, {type_}", files.imported(theirs, form, ids), (len(wanted), 0))


def clickhouse_condition(name):
    return SQL[name].replace("profile_id < 0", "false").replace("profile_id", "number")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throng", metavar="PATH", required=True, help="the binary")
    args = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        files = Files(make(folder, args.throng), folder)
        for check in (check_pyroaring, check_clickhouse):
            try:
                check(files, tally)
            except ImportError as missing:
                tally.skip(f"{check.__name__}: {missing}")
            except Failed as failure:
                tally.fail(str(failure))
    tally.close()


if __name__ == "__main__":
    main()
