#!/usr/bin/env python3
"""Builds the peers' 24 and 200 segments with Throng, DuckDB and plain DataFusion, in one run.

    python segments.py --throng ../../target/release/throng --data DIR --work DIR

Checks every membership, prints a Markdown table, writes WORK/results.json, and exits 1 where any
engine disagrees. README.md beside this file says what is measured and how.
"""
import argparse
import glob
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
AS_OF = "2026-11-01"
PARTS = ["load", "segments", "batch", "verify", "store"]
ENGINES = ["throng", "duckdb", "datafusion"]
SESSION = "throng_session"  # Throng again, in one process that stays
SESSION_MEMORY = "4GB"
SUITES = {"segments": "24", "batch": "200"}
FULL_DATA = {"seed": 42, "profiles": 1_000_000, "events": 20_000_000}  # what expected-1m.json speaks of
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
# A new process inherits its parent's peak until it calls exec, so this process imports nothing large
# before the last measurement.


def log(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


class Failed(Exception):
    """Something the run cannot go on without."""


# ---------------------------------------------------------------- processes


class Throng:
    """The binary, one process a command, the largest of their peaks, and the CPU seconds of the last."""

    def __init__(self, binary, project, threads):
        self.command = [os.path.abspath(binary), "--project", project, "--format", "json", "--threads", str(threads)]
        self.peaks_mb = {}
        self.cpu = 0.0

    def run(self, part, *args, may_fail=False):
        """Runs one command; gives its JSON documents and its seconds, process start and end included."""
        start = time.perf_counter()
        process = subprocess.Popen([*self.command, *args], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        self.peaks_mb[part] = max(self.peaks_mb.get(part, 0), usage.ru_maxrss * RSS_UNIT / 1e6)
        self.cpu = usage.ru_utime + usage.ru_stime
        if process.returncode and not may_fail:
            raise Failed(f"throng {' '.join(args[:3])} ... ended with {process.returncode}")
        return documents(output.decode()), seconds


def documents(text):
    """Every JSON value in `text`, whether they stand on lines of their own, in a row, or in one array."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found += value if isinstance(value, list) else [value]
    return found


class Session:
    """A process of `throng sql` that has read its columns into memory and keeps no set of a leaf, so that every
    build evaluates all of it."""

    def __init__(self, throng, as_of=AS_OF):
        self.process = subprocess.Popen([*throng.command, "--memory", SESSION_MEMORY, "sql", "--as-of", as_of],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for statement in (".leaves off", ".warm"):
            self.ask(statement)

    def ask(self, statement):
        """The answer to one statement, and the seconds until it was there."""
        start = time.perf_counter()
        try:
            self.process.stdin.write(statement + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the empty answer below tells
        line = self.process.stdout.readline()
        seconds = time.perf_counter() - start
        answer = json.loads(line) if line else {"error": {"message": "it ended"}}
        if "error" in answer:
            raise Failed(f"throng sql: {statement[:40]}: {answer['error']['message']}")
        return answer, seconds

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * RSS_UNIT / 1e6


class Peer:
    """A process of engines.py: started once, asked many times."""

    def __init__(self, kind, path, threads):
        command = [sys.executable, os.path.join(HERE, "engines.py"), kind, path, str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the empty answer below tells
        line = self.process.stdout.readline()
        if not line:
            raise Failed("a peer's process ended before it answered; its message is above")
        return json.loads(line)

    def stop(self):
        """Ends the process and gives its peak memory in MB."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * RSS_UNIT / 1e6


# ---------------------------------------------------------------- the run


class Run:
    def __init__(self, args):
        self.args = args
        self.work = os.path.abspath(args.work)
        self.data = os.path.abspath(args.data) if args.data else os.path.join(self.work, "data")
        self.project = os.path.join(self.work, "project")
        self.store = os.path.join(self.project, "store")
        self.duckdb = os.path.abspath(args.duckdb or os.path.join(self.work, "duck.db"))
        self.throng = Throng(args.throng, self.project, args.threads) if args.throng else None
        self.problems = []
        os.makedirs(self.work, exist_ok=True)
        self.ensure_data()
        self.suites = {suite: read_suite(os.path.join(args.peers, suite)) for suite in SUITES}
        self.results_path = os.path.join(self.work, "results.json")
        self.results = self.earlier_results()
        self.results["meta"] = self.meta()

    def ensure_data(self):
        """In a smoke run without --data, makes the small data set; otherwise it must be there."""
        if self.args.smoke and not self.args.data and not os.path.exists(self.data):
            generator = os.path.join(self.args.peers, "gen.py")
            sizes = ["--profiles", "20000", "--events", "400000", "--outdir", self.data]
            subprocess.run([sys.executable, generator, *sizes], check=True, stdout=subprocess.DEVNULL)
        if not os.path.exists(os.path.join(self.data, "profiles.parquet")):
            raise Failed(f"no profiles.parquet in {self.data}; make it with gen.py of the peers (see README.md)")
        with open(os.path.join(self.data, "manifest.json")) as file:
            self.manifest = json.load(file)

    def earlier_results(self):
        """A run of some parts keeps what earlier runs wrote about the others."""
        if set(self.args.parts) != set(PARTS) and os.path.exists(self.results_path):
            with open(self.results_path) as file:
                return json.load(file)
        return {}

    def meta(self):
        return {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "profiles": self.manifest["profiles"],
            "events": self.manifest["events"],
            "seed": self.manifest["seed"],
            "as_of": AS_OF,
            "threads": self.args.threads,
            "repeat": self.args.repeat,
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "load_average": os.getloadavg()[0],
            "engines": self.args.engines,
        }

    def go(self):
        if "load" in self.args.parts:
            self.load()
        suites = [suite for suite in SUITES if suite in self.args.parts]
        if suites:
            self.measure(suites)
        if "verify" in self.args.parts:
            self.verify()
        if "store" in self.args.parts and self.throng:
            self.results["store"] = describe_store(self.store, self.manifest, self.problems)
        if self.throng:
            self.results.setdefault("throng", {}).setdefault("peak_rss_mb", {}).update(self.throng.peaks_mb)
        self.results["problems"] = self.problems
        with open(self.results_path, "w") as file:
            json.dump(self.results, file, indent=1)
        print(report(self.results))

    # -- load

    def load(self):
        if self.throng:
            self.load_throng()
        if "duckdb" in self.args.engines:
            for path in (self.duckdb, self.duckdb + ".wal"):
                if os.path.exists(path):
                    os.remove(path)
            peer = Peer("duckdb", self.duckdb, self.args.threads)
            loaded = peer.ask(op="load", data=self.data)
            record = self.results.setdefault("duckdb", {})
            record["load"] = {"seconds": loaded["seconds"], "bytes": loaded["bytes"], "peak_rss_mb": peer.stop()}
            log(f"duckdb loaded in {loaded['seconds']:.1f} s")

    def load_throng(self):
        make_project(self.project, self.suites.values())
        profiles = os.path.join(self.data, "profiles.parquet")
        events = sorted(glob.glob(os.path.join(self.data, "events", "*.parquet")))
        key = ("--key", "user_id=profile_id")
        made, profiles_s = self.throng.run("load", "ingest", "profiles", profiles, *key)
        happened, events_s = self.throng.run("load", "ingest", "events", *events, *key, "--time", "ts", "--event", "event")
        self.expect("profiles made", sum(one["profiles_new"] for one in made), self.manifest["profiles"])
        self.expect("events stored", sum(one["events"] for one in happened), self.manifest["events"])
        self.expect("profiles made by events", sum(one["profiles_new"] for one in happened), 0)
        self.expect("rows rejected", sum(one["rejected"] for one in made + happened), 0)
        self.results.setdefault("throng", {})["load"] = {
            "seconds": profiles_s + events_s,
            "profiles_seconds": profiles_s,
            "events_seconds": events_s,
            "bytes": folder_bytes(self.store),
            "ingest": made + happened,
        }
        log(f"throng loaded in {profiles_s + events_s:.1f} s")

    def expect(self, what, found, wanted):
        if found != wanted:
            self.problems.append(f"{what}: {found:,}, should be {wanted:,}")

    # -- segments and batch

    def measure(self, suites):
        """Every round gives the suite to each engine in turn; who goes first rotates, so that a noisy
        neighbour hits all alike. The peers' processes stay warm between rounds, Throng starts anew."""
        peers = self.start_peers()
        engines = self.args.engines + [SESSION] * (SESSION in peers)
        try:
            for suite in suites:
                times = {engine: [] for engine in engines}
                for number in range(self.args.repeat):
                    turn = number % len(engines)
                    for engine in engines[turn:] + engines[:turn]:
                        times[engine].append(self.round(engine, suite, peers, first=number == 0))
                    log(f"the {SUITES[suite]}, round {number + 1} of {self.args.repeat}: "
                        + ", ".join(f"{engine} {rounds[-1]['total']:.2f} s" for engine, rounds in times.items()))
                for engine, rounds in times.items():
                    self.results.setdefault(engine, {})[suite] = summary(rounds)
        finally:
            for engine, peer in peers.items():
                self.results.setdefault(engine, {})["peak_rss_mb"] = {"queries": peer.stop()}

    def start_peers(self):
        places = {"duckdb": self.duckdb, "datafusion": self.store}
        peers = {kind: Peer(kind, place, self.args.threads) for kind, place in places.items() if kind in self.args.engines}
        if self.throng:
            peers[SESSION] = Session(self.throng)
        return peers

    def round(self, engine, suite, peers, first):
        if engine == "throng":
            built, seconds = self.throng.run(suite, "build", *self.names(suite), "--as-of", AS_OF, "--full", may_fail=True)
            if not built:
                raise Failed(f"throng build of the {SUITES[suite]} printed nothing")
            return self.built(suite, built[0], seconds)
        if engine == SESSION:
            return self.built(suite, *peers[SESSION].ask(f".build {' '.join(self.names(suite))} --full"))
        out = None
        if first:
            out = os.path.dirname(self.bitmap(engine, "any"))
            for name, _ in self.suites[suite]:  # so that a failing query leaves nothing of an earlier run to compare
                if os.path.exists(self.bitmap(engine, name)):
                    os.remove(self.bitmap(engine, name))
        reply = peers[engine].ask(op="run", queries=self.suites[suite], out=out)
        for name, error in reply["errors"].items():
            self.problems.append(f"{engine} {name}: {error}")
        return {"total": sum(reply["seconds"].values()), "each": reply["seconds"]}

    def names(self, suite):
        return [name for name, _ in self.suites[suite]]

    def built(self, suite, build, seconds):
        """What one build of `suite` took, by the clock and as it reports."""
        names = self.names(suite)
        segments = {one["name"]: one for one in build["segments"]}
        for name in names:
            one = segments.get(name, {"status": "missing from the build"})
            if one["status"] != "built":
                self.problems.append(f"throng {name}: {one['status']} {one.get('error', '')}".strip())
        each = {name: one["elapsed_ms"] / 1e3 for name, one in segments.items() if name in names and "elapsed_ms" in one}
        members = {name: one.get("members") for name, one in segments.items() if name in names}
        return {"total": seconds, "own": build["elapsed_ms"] / 1e3, "each": each, "members": members}

    def bitmap(self, engine, name):
        folder = os.path.join(self.work, "bitmaps", engine)
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name + ".roar")

    # -- verify

    def verify(self):
        """Compares every membership of every engine with expected-1m.json where that applies, else with DuckDB's."""
        expected, source = self.expected()
        compared = 0
        for suite in SUITES:
            for name, _ in self.suites[suite]:
                if self.throng:
                    self.export(name)
                found = {engine: digest(self.bitmap(engine, name)) for engine in self.args.engines}
                wanted = expected[name] if expected else found["duckdb"]
                for engine, answer in found.items():
                    self.compare(engine, name, answer, wanted, source)
                    compared += 1
            reported = self.results.get("throng", {}).get(suite, {}).get("members", {})
            for name, members in reported.items():
                exported = digest(self.bitmap("throng", name)) if self.throng else None
                if exported and members != exported[0]:
                    self.problems.append(f"throng {name}: build reported {members} members, the export holds {exported[0]}")
        self.results["verify"] = {"compared": compared, "against": source}

    def export(self, name):
        file = self.bitmap("throng", name)
        if os.path.exists(file):
            os.remove(file)
        self.throng.run("export", "export", name, "--to", file, "--as", "roaring", may_fail=True)

    def compare(self, engine, name, answer, wanted, source):
        if answer is None or wanted is None:
            self.problems.append(f"{engine} {name}: no bitmap to compare")
        elif answer != wanted:
            others = ", and not the same ones" if answer[0] == wanted[0] else ""
            self.problems.append(f"{engine} {name}: {answer[0]:,} members, {source} says {wanted[0]:,}{others}")

    def expected(self):
        """Cardinality and hash by name, and where they come from."""
        if self.args.smoke or any(self.manifest[field] != value for field, value in FULL_DATA.items()):
            if "duckdb" not in self.args.engines:
                raise Failed("without the 1 M data set, verify needs DuckDB among the engines")
            return None, "DuckDB"
        with open(os.path.join(self.args.peers, "expected-1m.json")) as file:
            answers = json.load(file)
        return {name: (one["cardinality"], one["sha256"]) for suite in SUITES for name, one in answers[suite].items()}, "expected-1m.json"


def digest(path):
    """The number of members of a bitmap file, and the SHA-256 of them, sorted, as little-endian uint32."""
    from pyroaring import BitMap

    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        bitmap = BitMap.deserialize(file.read())
    members = bitmap.to_array()
    if sys.byteorder == "big":
        members.byteswap()
    return len(bitmap), hashlib.sha256(members.tobytes()).hexdigest()


# ---------------------------------------------------------------- files


def read_suite(folder):
    """[name, sql] of each .sql file, in the order of names."""
    suite = []
    for path in sorted(glob.glob(os.path.join(folder, "*.sql"))):
        with open(path) as file:
            suite.append([os.path.basename(path)[: -len(".sql")], file.read()])
    if not suite:
        raise Failed(f"no .sql files in {folder}; say where the peers are with --peers")
    return suite


def make_project(project, suites):
    """A new project with every segment as it stands in the peers' folder. An old one of ours gives way."""
    marker = os.path.join(project, "throng.toml")
    if os.path.exists(project):
        if not os.path.exists(marker):
            raise Failed(f"{project} is there and is no project; give another --work")
        shutil.rmtree(project)
    os.makedirs(os.path.join(project, "sql", "segments"))
    with open(marker, "w") as file:
        file.write(f'as_of = "{AS_OF}"\n')
    for suite in suites:
        for name, sql in suite:
            with open(os.path.join(project, "sql", "segments", name + ".sql"), "w") as file:
                file.write(sql)


def describe_store(store, manifest, problems):
    """Files, bytes and rows of the current version of each table, by the footers of the Parquet files."""
    import pyarrow.parquet as parquet

    from engines import current_files

    tables = {}
    for table in ("profiles", "events", "identifiers", "memberships", "builds"):
        folder = os.path.join(store, table)
        if not os.path.isdir(os.path.join(folder, "_delta_log")):
            problems.append(f"store: no table {table}")
            continue
        files = current_files(folder)
        tables[table] = {
            "files": len(files),
            "bytes": sum(os.path.getsize(file) for file in files),
            "rows": sum(parquet.read_metadata(file).num_rows for file in files),
        }
    for table in ("profiles", "events"):
        if table in tables and tables[table]["rows"] != manifest[table]:
            problems.append(f"store: {table} holds {tables[table]['rows']:,} rows, should be {manifest[table]:,}")
    return tables


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(place, file)) for place, _, files in os.walk(folder) for file in files)


def cpu_model():
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    except OSError:
        return platform.processor() or "?"


# ---------------------------------------------------------------- the report


def summary(rounds):
    """Medians over the rounds: `total` of a peer's sum over its queries, and of Throng's whole process;
    `own` of the time that Throng itself reports; `each` by segment."""
    names = sorted({name for one in rounds for name in one["each"]})
    each = {name: statistics.median(one["each"][name] for one in rounds if name in one["each"]) for name in names}
    out = {"total": statistics.median(one["total"] for one in rounds), "rounds": [one["total"] for one in rounds], "each": each}
    if "own" in rounds[0]:
        out["own"] = statistics.median(one["own"] for one in rounds)
        out["members"] = rounds[-1]["members"]
    return out


def report(results):
    meta = results["meta"]
    head = ["engine", "load s", "store MB", "24 segments s", "200 segments s", "24: times Throng's", "200: times Throng's", "peak RSS MB"]
    lines = [
        f"{meta['profiles']:,} profiles, {meta['events']:,} events, as of {meta['as_of']}; medians of {meta['repeat']}, "
        f"{meta['threads']} threads; {meta['cpu']}, {meta['cores']} cores; load average {meta['load_average']:.1f} at the start.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
    ]
    rows = [("throng, whole process", "throng", "total"), ("throng, as it reports", "throng", "own"),
            ("throng, warm session", SESSION, "total"),
            ("duckdb, own store", "duckdb", "total"), ("datafusion, Throng's files", "datafusion", "total")]
    for label, engine, clock in rows:
        one = results.get(engine)
        if one:
            lines.append(table_row(label, one, clock, results.get("throng", {})))
    peaks = results.get("throng", {}).get("peak_rss_mb")
    if peaks:
        lines += ["", "Throng's peaks: " + ", ".join(f"{part} {peak:,.0f} MB" for part, peak in peaks.items()) + "."]
    if "store" in results:
        lines += ["", "Store: " + "; ".join(f"{table} {one['rows']:,} rows in {one['files']} files, {one['bytes'] / 1e6:.1f} MB"
                                            for table, one in results["store"].items()) + "."]
    if "verify" in results:
        lines += ["", f"{results['verify']['compared']} memberships compared with {results['verify']['against']}; "
                  f"{len(results['problems'])} problem(s)."]
    return "\n".join(lines + [f"- {problem}" for problem in results["problems"]])


def table_row(label, one, clock, throng):
    loads = one.get("load", {}) if clock == "total" else {}
    peaks = [*one.get("peak_rss_mb", {}).values(), loads.get("peak_rss_mb", 0)]
    times = [one.get(suite, {}).get(clock) for suite in SUITES]
    ratios = [time / throng[suite]["total"] if time and throng.get(suite) else None for suite, time in zip(SUITES, times)]
    cells = [number(loads.get("seconds"), 1), number(loads["bytes"] / 1e6 if "bytes" in loads else None, 0),
             *(number(time, 2) for time in times), *(number(ratio, 2) for ratio in ratios),
             number(max(peaks) if clock == "total" and max(peaks) else None, 0)]
    return "| " + " | ".join([label, *cells]) + " |"


def number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throng", metavar="PATH", help="the binary; without it only the peers run")
    parser.add_argument("--data", metavar="DIR", help="what gen.py made; may be left out with --smoke")
    parser.add_argument("--work", metavar="DIR", required=True, help="where the project, DuckDB's store and the bitmaps go")
    parser.add_argument("--peers", metavar="DIR", default=os.path.join(os.path.dirname(ROOT), "shared", "peers"),
                        help="where segments/, batch/ and expected-1m.json are (default: ../shared/peers from the root)")
    parser.add_argument("--parts", metavar="A,B", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--engines", metavar="A,B", default=",".join(ENGINES), help="some of " + ",".join(ENGINES))
    parser.add_argument("--repeat", type=int, help="rounds of each suite (default 3, with --smoke 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for every engine (default: all cores)")
    parser.add_argument("--duckdb", metavar="FILE", help="DuckDB's store (default: WORK/duck.db)")
    parser.add_argument("--smoke", action="store_true", help="small data, checked against DuckDB only")
    args = parser.parse_args()
    args.parts, args.engines = args.parts.split(","), args.engines.split(",")
    for given, known in ((args.parts, PARTS), (args.engines, ENGINES)):
        for one in given:
            if one not in known:
                parser.error(f"no {one}; there are {', '.join(known)}")
    if not args.data and not args.smoke:
        parser.error("--data is needed unless --smoke")
    if not args.throng:  # and so no store for DataFusion to read
        args.engines = [engine for engine in args.engines if engine == "duckdb"]
    elif "throng" not in args.engines:
        args.throng = None
    args.repeat = args.repeat or (1 if args.smoke else 3)
    return args


def main():
    try:
        run = Run(arguments())
        run.go()
    except Failed as failure:
        print(f"segments.py: {failure}", file=sys.stderr)
        return 1
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
