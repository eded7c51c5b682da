"""What check.py and readers.py share: running the binary, reading its JSON, keeping the tally."""
import json
import os
import subprocess
import sys


class Failed(Exception):
    """A command that should have worked, and what it said."""


class Throng:
    """The binary on one project; every command answers in JSON."""

    def __init__(self, binary, project):
        self.command = [os.path.abspath(binary), "--project", project, "--format", "json"]

    def run(self, *args):
        """The JSON documents that one command prints."""
        done = subprocess.run([*self.command, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failed(f"throng {' '.join(args)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return documents(done.stdout)

    def value(self, sql):
        """The first column of the first row of a query."""
        row = self.run("query", sql)[0]
        return next(iter(row.values())) if isinstance(row, dict) else row[0]


def documents(text):
    """Every JSON value in `text`, whether they stand on lines of their own, in a row, or in one array."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found += value if isinstance(value, list) else [value]
    return found


class Tally:
    """Counts what passed, failed and was skipped; a failure is printed when it happens."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def equal(self, what, found, wanted):
        if found == wanted:
            self.passed += 1
        else:
            self.fail(f"{what}: found {found!r}, should be {wanted!r}")

    def fail(self, message):
        self.failed += 1
        print(f"FAILED  {message}", flush=True)

    def skip(self, message):
        self.skipped += 1
        print(f"skipped {message}", flush=True)

    def close(self):
        """Prints the closing line and ends the process."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}")
        sys.exit(1 if self.failed else 0)
