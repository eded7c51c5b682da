#!/usr/bin/env python3
"""The peers of segments.py, each in a process of its own, so that its memory can be told apart.

    python engines.py duckdb FILE THREADS        DuckDB on its own store
    python engines.py datafusion STORE THREADS   plain DataFusion on the Parquet files of Throng's store

Reads one JSON object a line, answers each with one:

    {"op": "load", "data": DIR}                      -> {"seconds": s, "bytes": n}            (duckdb)
    {"op": "run", "queries": [[name, sql], ...],
     "out": DIR or null}                             -> {"seconds": {name: s}, "errors": {name: text}}

A query's seconds run from its text to the bytes of a portable roaring bitmap of dense profile
numbers, held in memory. Writing them to OUT/NAME.roar comes after the clock has stopped.
The end of the input ends the process. Nothing here knows the expected answers.
"""
import array
import json
import os
import re
import shutil
import sys
import tempfile
import time
from urllib.parse import unquote

MEMORY_GB = 12  # what DuckDB may take; it needs far less than this for the 1 M set


def roaring(ids):
    """The serialized portable bitmap of a numpy array of profile numbers."""
    import numpy as np
    from pyroaring import BitMap

    members = array.array("I")  # pyroaring's fastest way in
    members.frombytes(np.ascontiguousarray(ids, dtype=np.uint32).tobytes())
    bitmap = BitMap(members)
    bitmap.run_optimize()
    return bitmap.serialize()


class DuckDB:
    """Tables in DuckDB's own format: events carry the dense number `idx` for the text id and lie in
    the order event, month, idx, which is the best order found for this workload."""

    def __init__(self, path, threads):
        import duckdb

        self.path = path
        self.db = duckdb.connect(path)
        for setting in ("TimeZone = 'UTC'", f"threads = {threads}", f"memory_limit = '{MEMORY_GB}GB'"):
            self.db.execute("SET " + setting)

    def load(self, data):
        profiles = os.path.join(data, "profiles.parquet")
        events = os.path.join(data, "events", "*.parquet")
        self.db.execute(f"""
            CREATE TABLE profiles AS
            SELECT file_row_number::UINTEGER AS idx, * EXCLUDE (file_row_number)
                   REPLACE (signup_at::TIMESTAMP AS signup_at, last_login_at::TIMESTAMP AS last_login_at)
            FROM read_parquet('{profiles}', file_row_number = true)
            ORDER BY idx""")
        self.db.execute(f"""
            CREATE TABLE events AS
            SELECT p.idx, e.* EXCLUDE (profile_id) REPLACE (e.ts::TIMESTAMP AS ts)
            FROM read_parquet('{events}') AS e JOIN profiles AS p USING (profile_id)
            ORDER BY e.event, date_trunc('month', e.ts), p.idx""")
        self.db.execute("CHECKPOINT")
        return os.path.getsize(self.path)

    def members(self, sql):
        # The stored events know profiles by number only, so a segment asks for the number.
        columns = self.db.execute(re.sub(r"\bprofile_id\b", "idx", sql)).fetchnumpy()
        return columns["idx"]


class DataFusion:
    """The engine inside Throng without Throng: the same files, each segment a query of its own."""

    def __init__(self, store, threads):
        from datafusion import SessionConfig, SessionContext

        self.context = SessionContext(SessionConfig().with_target_partitions(threads))
        self.links = tempfile.mkdtemp(prefix="throng-twin-")
        for table in ("profiles", "events"):
            folder = os.path.join(self.links, table)
            os.mkdir(folder)
            for number, file in enumerate(current_files(os.path.join(store, table))):
                os.symlink(file, os.path.join(folder, f"{number:06}.parquet"))
            self.context.register_parquet(table, folder + os.sep)

    def members(self, sql):
        return self.context.sql(sql).to_arrow_table().column("profile_id").to_numpy()

    def close(self):
        shutil.rmtree(self.links, ignore_errors=True)


def current_files(table):
    """The Parquet files of the newest version of a Delta table in a local folder, in the order of the log."""
    from deltalake import DeltaTable

    current = DeltaTable(table)
    if any(batch.num_rows for batch in current.deletion_vectors()):
        raise SystemExit(f"{table}: has deletion vectors, which a plain reader of its files would not see")
    paths = [re.sub("^file://", "", uri) for uri in current.file_uris()]
    return [os.path.realpath(path if os.path.exists(path) else unquote(path)) for path in paths]


def run(engine, queries, out):
    seconds, errors = {}, {}
    for name, sql in queries:
        start = time.perf_counter()
        try:
            bitmap = roaring(engine.members(sql))
        except Exception as error:  # reported by the harness, which then goes on
            errors[name] = str(error)
            continue
        seconds[name] = time.perf_counter() - start
        if out:
            with open(os.path.join(out, name + ".roar"), "wb") as file:
                file.write(bitmap)
    return {"seconds": seconds, "errors": errors}


def main():
    kind, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that a library prints may get among the replies
    engine = {"duckdb": DuckDB, "datafusion": DataFusion}[kind](path, threads)
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "load":
            start = time.perf_counter()
            size = engine.load(request["data"])
            reply = {"seconds": time.perf_counter() - start, "bytes": size}
        else:
            reply = run(engine, request["queries"], request["out"])
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    if hasattr(engine, "close"):
        engine.close()


if __name__ == "__main__":
    main()
