#!/usr/bin/env python3
"""Kills exports of many segments at random moments and resumes them, at any size.

    python kills.py --throng ../../target/release/throng --profiles 10000000 --segments 200

Makes a project of numbered users and segments that are random samples of them, 0.01 to 60 %, and exports
all segments in four formats once, undisturbed: the reference. Then again and again into another folder with
--resume, each time killed (SIGKILL) after a random time, a little longer each time, until one ends by itself.
After each kill:

- the manifest that is there is the one before or the reference's, and each of its files has its length and SHA-256;
- every file of the folder that has a final name is whole, named by a manifest or not.

At the end the folder has the reference's files, byte by byte. Takes about 40 bytes of disk a profile.
"""
import argparse
import hashlib
import json
import os
import random
import subprocess
import tempfile
import time

from cli import Tally, Throng

FORMATS = "roaring,clickhouse,starrocks,csv"


def make(folder, binary, profiles, segments):
    os.makedirs(os.path.join(folder, "sql/segments"))
    open(os.path.join(folder, "throng.toml"), "w").close()
    users = os.path.join(folder, "users.csv")
    with open(users, "w") as file:
        file.write("user_id\n")
        for start in range(0, profiles, 100_000):
            file.writelines(f"{user}\n" for user in range(start, min(start + 100_000, profiles)))
    for n in range(segments):
        # From 0.01 % on, each a little larger than the one before, up to 60 %.
        parts = round(100 * 6_000 ** (n / max(segments - 1, 1)))
        sql = f"SELECT profile_id FROM profiles WHERE (CAST(profile_id AS BIGINT) * 2654435761 + {n * 7919}) % 1000003 < {parts}\n"
        with open(os.path.join(folder, f"sql/segments/sample_{n:03}.sql"), "w") as file:
            file.write(sql)
    throng = Throng(binary, folder)
    throng.run("ingest", "profiles", users, "--key", "user_id")
    throng.run("build")
    return throng


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder):
    with open(os.path.join(folder, "manifest.json")) as file:
        return json.load(file)


class Checked:
    """Files by name, size and time of change, so that each is read once."""

    def __init__(self):
        self.known = {}

    def digest(self, path):
        found = os.stat(path)
        key = (path, found.st_size, found.st_mtime_ns)
        if key not in self.known:
            self.known[key] = digest(path)
        return self.known[key]


def check(tally, folder, allowed, checked):
    """What a reader may see now. Returns how many files have final names, and how many others there are."""
    now = manifest(folder)
    tally.equal("the manifest is the one before or the reference's", now["files"] in allowed, True)
    for one in now["files"]:
        path = os.path.join(folder, one["file"])
        tally.equal(one["file"], (os.path.getsize(path), checked.digest(path)), (one["bytes"], one["sha256"]))
    final = other = 0
    for name in os.listdir(folder):
        parts = name.split(".")
        if name == "manifest.json":
            continue
        if "#" in name or name.startswith("."):
            other += 1
            continue
        final += 1
        tally.equal(f"{name} is whole", checked.digest(os.path.join(folder, name))[:16], parts[-2])
    return final, other


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throng", required=True, metavar="FILE")
    parser.add_argument("--work", metavar="DIR", help="where the project is made; a temporary folder where not given")
    parser.add_argument("--profiles", type=int, default=100_000)
    parser.add_argument("--segments", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="sets that are exported to their end")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice, tally, checked = random.Random(args.seed), Tally(), Checked()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        throng = make(folder, args.throng, args.profiles, args.segments)
        whole = [*throng.command, "export", "--all", "--as", FORMATS, "-q", "--to"]
        reference = os.path.join(folder, "reference")
        started = time.monotonic()
        subprocess.run([*whole, reference], check=True, stdout=subprocess.DEVNULL)
        alone = time.monotonic() - started
        files = manifest(reference)["files"]
        tally.equal("files of the reference", len(files), 4 * args.segments)
        size = sum(one["bytes"] for one in files)
        print(f"{args.profiles} profiles, {args.segments} segments: {len(files)} files, {size / 1e6:.0f} MB, in {alone:.2f} s", flush=True)
        for place in range(args.rounds):
            out = os.path.join(folder, f"out{place}")
            throng.run("export", "sample_000", "--to", out + "/", "--as", "csv")
            before, kills, moments, ended, left = manifest(out)["files"], 0, [], False, 0
            while not ended:
                process = subprocess.Popen([*whole, out, "--resume"], stdout=subprocess.DEVNULL)
                # Longer each time: one that resumes still reads and makes what is there, so that one that
                # is always stopped early would never end.
                wait = dice.uniform(0.02, 0.6) * alone * (1 + kills / 3)
                try:
                    code = process.wait(timeout=wait)
                    tally.equal("exit code of an export that ends", code, 0)
                    ended = True
                except subprocess.TimeoutExpired:
                    process.kill()
                    # It may have ended by itself just before.
                    ended = process.wait() == 0
                    kills += not ended
                final, other = check(tally, out, [before, files], checked)
                moments.append(f"{final}{'+' * other}")
                left = max(left, other)
            tally.equal("an export was killed while it ran", kills > 0, True)
            tally.equal("the set at the end", manifest(out)["files"], files)
            for one in files:
                paths = [os.path.join(where, one["file"]) for where in (out, reference)]
                tally.equal(one["file"], checked.digest(paths[0]), checked.digest(paths[1]))
            print(f"round {place}: {kills} kills while it ran; files that were whole each time: {' '.join(moments)}; at most {left} unfinished", flush=True)
            for name in os.listdir(out):
                os.remove(os.path.join(out, name))
    tally.close()


if __name__ == "__main__":
    main()
