#!/usr/bin/env python3
"""Lets the peers' harness measure Throng: speaks its protocol on stdin and stdout by driving `throng sql`.

    python run.py --data DATA --out OUT --work STORE --parts segments batch adhoc --sessions duckdb:native_event \\
      --external "throng:native_event=python serve.py --throng BINARY --project DIR"

The project must be loaded (segments.py beside this file does that), with `as_of = "2026-11-01"` in its throng.toml.
README.md says what is kept warm and what is not.
"""
import argparse
import base64
import json
import os
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Throng:
    """A process of `throng sql`: one statement in, one JSON line out."""

    def __init__(self, args, threads, memory_gb):
        command = [args.throng, "--project", args.project, "--format", "json", "--threads", str(threads)]
        command += ["--memory", f"{memory_gb}GB", "sql"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.answers = self.process.stdout
        self.buffer = b""

    def line(self):
        while b"\n" not in self.buffer:
            read = os.read(self.answers.fileno(), 1 << 20)
            if not read:
                raise RuntimeError("throng ended")
            self.buffer += read
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def ask(self, statement):
        self.process.stdin.write(statement.encode() + b"\n")
        answer = json.loads(self.line())
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Server:
    def __init__(self, args):
        self.args = args
        self.throng = None
        self.leaves = True

    def open(self, request):
        if not request.get("building"):
            self.throng = Throng(self.args, request["threads"], min(request["mem_gb"], self.args.memory_gb))
            self.throng.ask(".memory")  # opens the store
            if not self.args.cold:
                self.throng.ask(".warm")
        return {}

    def load(self, _request):
        folder = os.path.join(self.args.project, "store")
        files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
        return {"store_bytes": sum(map(os.path.getsize, files)), "note": "loaded before, by segments.py"}

    def keep_leaves(self, keep):
        """A repeated segment must not be answered from what it left behind the first time: that would measure a
        cache of results. Questions that differ, one each, may share leaves, as in a session of an analyst."""
        if keep != self.leaves:
            self.throng.ask(f".leaves {'on' if keep else 'off'}")
            self.throng.ask(".memory")  # opens the store anew
            self.leaves = keep

    def segment(self, request):
        self.keep_leaves(self.args.leaves)
        start, used = time.perf_counter(), self.throng.cpu()
        answer = self.throng.ask(f".members {request['sql'].strip().rstrip(';')};")
        bitmap = base64.b64decode(answer["roaring"])
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "cpu": self.throng.cpu() - used, "bytes": len(bitmap)}, bitmap

    def count(self, request):
        self.keep_leaves(not self.args.no_leaves)
        start, used = time.perf_counter(), self.throng.cpu()
        answer = self.throng.ask(f".count {request['sql'].strip().rstrip(';')};")
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "cpu": self.throng.cpu() - used, "value": answer["members"]}

    def lookup(self, _request):
        raise RuntimeError("not measured here")

    def close(self, _request):
        if self.throng:
            self.throng.stop()
        return {}

    def serve(self):
        for line in sys.stdin:
            request = json.loads(line)
            start, raw = time.perf_counter(), b""
            try:
                answer = getattr(self, request["op"])(request)
                if isinstance(answer, tuple):
                    answer, raw = answer
                answer = {"ok": True, "seconds": time.perf_counter() - start, **answer}
            except Exception as error:  # the harness wants every failure as an answer
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + raw)
            sys.stdout.buffer.flush()
            if request["op"] == "close":
                return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throng", required=True, help="the binary")
    parser.add_argument("--project", required=True, help="a loaded project")
    parser.add_argument("--memory-gb", type=int, default=4, help="--memory of throng, at most the harness's")
    parser.add_argument("--cold", action="store_true", help="do not read columns into memory when opening")
    parser.add_argument("--leaves", action="store_true", help="keep sets of leaves between segments too")
    parser.add_argument("--no-leaves", action="store_true", help="keep none between counts either")
    Server(parser.parse_args()).serve()


if __name__ == "__main__":
    main()
