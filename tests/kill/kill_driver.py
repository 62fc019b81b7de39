#!/usr/bin/env python3
"""Kills `klaxon run` at random instants while it follows a rotating log.

The log is written line by line and rotated as lumberjack does, with and
without compression. Whatever was delivered in the end must be what one
uninterrupted run delivers, revision by revision, and its last revisions what
a scan of all bytes says. Prints its seed; --seed N does the same again.

    kill_driver.py BINARY LOG... [--kills N] [--seed N] [--failpoints]
"""
import argparse
import collections
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROTATE_BYTES = 2 << 20
FAILPOINTS = (
    "journal.append.before", "journal.append.after", "source.commit.after",
    "judge.apply.after", "outbox.offer.after", "acks.append.before",
    "snapshot.begin", "snapshot.carry", "snapshot.commit.after",
)


class Writer(threading.Thread):
    """kube-apiserver's log: one write an event, rotated by size."""

    def __init__(self, path, lines, compress, rotate_bytes, pause):
        super().__init__(daemon=True)
        self.path, self.lines, self.compress = path, lines, compress
        self.rotate_bytes, self.pause = rotate_bytes, pause
        self.rotations = 0
        self.written = 0

    def run(self):
        out = open(self.path, "ab", buffering=0)
        size = 0
        for number, line in enumerate(self.lines):
            if size and size + len(line) > self.rotate_bytes:
                out.close()
                self.rotate()
                out = open(self.path, "ab", buffering=0)
                size = 0
            out.write(line)
            size += len(line)
            self.written = number + 1
            if number % 50 == 0:
                time.sleep(self.pause)
        out.close()

    def rotate(self):
        self.rotations += 1
        stem, extension = os.path.splitext(self.path)
        stamp = "2026-01-02T03-%02d-%02d.000" % divmod(self.rotations, 60)
        backup = f"{stem}-{stamp}{extension}"
        os.rename(self.path, backup)
        if self.compress:
            threading.Thread(target=self.gzip, args=(backup,)).start()

    @staticmethod
    def gzip(backup):
        with open(backup, "rb") as plain, \
                open(backup + ".gz", "wb") as packed:
            with gzip.GzipFile(fileobj=packed, mode="wb", filename="") as out:
                while piece := plain.read(16 << 10):
                    out.write(piece)
        os.unlink(backup)


class Bed:
    """One state directory, one followed log, one file of alerts."""

    def __init__(self, binary, folder, snapshot_interval):
        self.binary, self.folder = binary, folder
        os.makedirs(folder)
        self.log = os.path.join(folder, "audit.log")
        self.alerts = os.path.join(folder, "alerts.ndjson")
        self.config = os.path.join(folder, "klaxon.yaml")
        with open(self.config, "w") as out:
            out.write(
                f"sources: [{{file: {{path: {self.log}}}}}]\n"
                f"sinks: [{{file: {{path: {self.alerts}, rotate: 256KiB, "
                f"keep: 1000}}}}]\n"
                f"state: {{dir: {folder}/state, commit_interval: 5ms, "
                f"snapshot_interval: {snapshot_interval}}}\n")

    def start(self, *more, failpoint=None):
        environment = dict(os.environ)
        if failpoint:
            environment["KLAXON_FAILPOINT"] = failpoint
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            return subprocess.Popen(
                [self.binary, "run", "-c", self.config, *more],
                stdout=subprocess.DEVNULL, stderr=err, env=environment)

    def finish(self):
        process = self.start("--until-end")
        code = process.wait(timeout=300)
        if code != 0:
            sys.exit(f"run --until-end: exit {code}\n" + self.errors())

    def errors(self):
        with open(os.path.join(self.folder, "stderr"), errors="replace") as f:
            return f.read()[-4000:]

    def delivered(self):
        """Every line of every file of alerts, in order."""
        files = sorted(f for f in os.listdir(self.folder)
                       if f.startswith("alerts.ndjson."))
        files = [f for f in files if not f.endswith(".lock")]
        lines = []
        for name in [*files, "alerts.ndjson"]:
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path) as f:
                    lines += f.read().splitlines()
        return lines


def revisions(lines, what):
    seen = {}
    for line in lines:
        alert = json.loads(line)
        key = (alert["id"], alert["revision"])
        if key in seen:
            sys.exit(f"{what}: delivered twice: {line[:300]}")
        seen[key] = line
    return seen


def last_contents(lines):
    last = {}
    for line in lines:
        alert = json.loads(line)
        revision = alert.pop("revision")
        if alert["id"] not in last or last[alert["id"]][0] < revision:
            last[alert["id"]] = (revision, alert)
    return {key: alert for key, (_, alert) in last.items()}


def compare(want, got, what):
    missing = [want[k] for k in want if k not in got]
    added = [got[k] for k in got if k not in want]
    differ = [(want[k], got[k]) for k in want
              if k in got and want[k] != got[k]]
    if not missing and not added and not differ:
        return
    print(f"{what}: {len(missing)} missing, {len(added)} too many, "
          f"{len(differ)} differ of {len(want)}")
    for text in missing[:3]:
        print(" missing", str(text)[:600])
    for text in added[:3]:
        print(" added  ", str(text)[:600])
    for a, b in differ[:3]:
        print(" want   ", str(a)[:1200])
        print(" got    ", str(b)[:1200])
    sys.exit(1)


def kill_round(bed, lines, compress, kills, options, rng):
    """Writes all lines while the daemon is killed `kills` times."""
    writer = Writer(bed.log, lines, compress, options.rotate_bytes,
                    options.pause)
    open(bed.log, "ab").close()
    writer.start()
    done = 0
    points = collections.Counter()
    while done < kills:
        failpoint = None
        if options.failpoints and done % 2 == 0:
            name = FAILPOINTS[(done // 2) % len(FAILPOINTS)]
            failpoint = f"{name}:{rng.randint(1, 4)}"
        process = bed.start(failpoint=failpoint)
        try:
            process.wait(timeout=rng.uniform(0.0, options.life)
                         if not failpoint else 2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode not in (-signal.SIGKILL,):
            sys.exit(f"the daemon ended by itself: {process.returncode}\n"
                     + bed.errors())
        points[failpoint or "random"] += 1
        done += 1
    writer.join()
    bed.finish()
    return writer, points


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--failpoints", action="store_true",
                        help="the binary was built with KLAXON_FAILPOINTS")
    parser.add_argument("--rotate-bytes", type=int, default=ROTATE_BYTES)
    parser.add_argument("--life", type=float, default=0.25,
                        help="longest life of a process, seconds")
    parser.add_argument("--pause", type=float, default=0.004,
                        help="of the writer, each 50 lines, seconds")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    seed = options.seed
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    lines = []
    for log in options.logs:
        if log.endswith(".zst"):
            text = subprocess.run(["zstd", "-dqc", log], check=True,
                                  capture_output=True).stdout
            lines += text.splitlines(keepends=True)
            continue
        with open(log, "rb") as f:
            lines += f.readlines()

    folder = tempfile.mkdtemp(prefix="klaxon-kill-")
    everything = os.path.join(folder, "all.log")
    with open(everything, "wb") as out:
        out.writelines(lines)
    scan = subprocess.run(
        [options.binary, "scan", everything, "--output", "ndjson",
         "--summary", "none"], capture_output=True, text=True)
    if scan.returncode != 0:
        sys.exit(scan.stderr)
    scanned = last_contents(scan.stdout.splitlines())

    plain = Bed(options.binary, os.path.join(folder, "plain"), "1h")
    shutil.copy(everything, plain.log)
    plain.finish()
    whole = revisions(plain.delivered(), "uninterrupted run")
    compare(scanned, last_contents(plain.delivered()),
            "uninterrupted run against scan")

    for compress in (False, True):
        bed = Bed(options.binary, os.path.join(folder, f"gzip-{compress}"),
                  "200ms")
        writer, points = kill_round(bed, lines, compress,
                                    (options.kills + 1) // 2, options, rng)
        what = f"killed, compress={compress}"
        compare(whole, revisions(bed.delivered(), what), what)
        print(f"{what}: {sum(points.values())} kills, {writer.rotations} "
              f"rotations, {len(lines)} lines, {len(whole)} revisions of "
              f"{len(scanned)} alerts: equal", flush=True)
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
