#!/usr/bin/env python3
"""The same events by `scan`, by `tail` at full speed, and as they happen.

A recorded log is moved in time so that it begins now, and each line is written
when its time has come, rotated now and then, while `klaxon tail` follows it.
What it tells, ids and contents, is what a scan of the finished log says, and
what another `tail` says that finds all of it there.

KLAXON_BINARY names the binary.

    same_events.py [LOG...] [--seconds S] [--skip S] [--seed N]
"""
import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from kill_driver import Writer
from live_bed import KLAXON, compare, last_contents, revisions, scan, seeded

SAMPLES = os.path.join(os.environ["KLAXON_SOURCE_DIR"], "samples", "logs")
STAMPS = ("requestReceivedTimestamp", "stageTimestamp")


def parse(stamp):
    """Microseconds since 1970, without a float in between."""
    when = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    epoch = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    return (when - epoch) // datetime.timedelta(microseconds=1)


def stamp_of(micros):
    when = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    when += datetime.timedelta(microseconds=micros)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(path):
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dqc", path], check=True,
                              capture_output=True).stdout.splitlines(True)
    with open(path, "rb") as log:
        return log.readlines()


class Recording:
    """Lines with the instants at which they were written."""

    def __init__(self, paths, skip, seconds):
        lines = []
        for path in paths:
            events = [(json.loads(line), line) for line in read(path)]
            begin = parse(events[0][0]["stageTimestamp"])
            lines += [(parse(event["stageTimestamp"]) - begin, begin, event,
                       line) for event, line in events]
        # Several logs are one: they began together. What was written in order
        # stays so.
        lines.sort(key=lambda entry: entry[0])
        self.lines = [entry for entry in lines
                      if skip * 1e6 <= entry[0] < (skip + seconds) * 1e6]
        self.skip = int(skip * 1e6)

    def play(self, now):
        """(instant, line), as if its beginning had been `now`."""
        for offset, begin, event, line in self.lines:
            for name in STAMPS:
                moved = parse(event[name]) - begin + now - self.skip
                line = line.replace(event[name].encode(),
                                    stamp_of(moved).encode())
            yield now - self.skip + offset, line


def write_slowly(recording, log, rng):
    """In real time; returns the names of the log's files, old to young."""
    writer = Writer(log, [], False, 0, 0)
    out = open(log, "ab", buffering=0)
    written = 0
    for instant, line in recording.play(time.time_ns() // 1000):
        while (left := instant - time.time_ns() // 1000) > 0:
            time.sleep(min(left / 1e6, 0.1))
        if written and rng.random() < 0.005:
            out.close()
            writer.rotate()
            out = open(log, "ab", buffering=0)
        # One write, or two with half a line between them.
        cut = rng.randrange(len(line)) if rng.random() < 0.05 else len(line)
        out.write(line[:cut])
        if line[cut:]:
            out.write(line[cut:])
        written += 1
    out.close()
    folder = os.path.dirname(log)
    backups = sorted(name for name in os.listdir(folder)
                     if name.startswith("audit-"))
    return written, [os.path.join(folder, name) for name in backups] + [log]


def tail(folder, name, log, *more):
    with open(os.path.join(folder, name + ".out"), "ab") as out, \
            open(os.path.join(folder, name + ".err"), "ab") as err:
        return subprocess.Popen(
            [KLAXON, "tail", log, "--output", "ndjson", "--state-dir",
             os.path.join(folder, name), *more], stdout=out, stderr=err)


def told(folder, name):
    with open(os.path.join(folder, name + ".err"), encoding="utf-8") as err:
        said = err.read()
    if "late" in said:
        raise SystemExit(f"{name}: {said}")
    with open(os.path.join(folder, name + ".out"), encoding="utf-8") as out:
        lines = out.read().splitlines()
    revisions(lines, name)
    return last_contents(lines)


def ended(process, folder, name):
    code = process.wait(timeout=120)
    if code != 0:
        with open(os.path.join(folder, name + ".err"), encoding="utf-8") as err:
            raise SystemExit(f"{name}: exit {code}: {err.read()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", nargs="*")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--skip", type=float, default=4)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng = seeded(options.seed)
    logs = options.logs or [os.path.join(SAMPLES, name) for name in (
        "burst.log", "anonymous.log", "accounts.log")]
    recording = Recording(logs, options.skip, options.seconds)
    folder = tempfile.mkdtemp(prefix="klaxon-same-")
    os.makedirs(os.path.join(folder, "log"))
    log = os.path.join(folder, "log", "audit.log")
    slow = tail(folder, "slow", log)
    written, files = write_slowly(recording, log, rng)
    slow.send_signal(signal.SIGTERM)
    ended(slow, folder, "slow")
    ended(tail(folder, "slow", log, "--until-end"), folder, "slow")
    ended(tail(folder, "fast", log, "--until-end"), folder, "fast")
    everything = os.path.join(folder, "all.log")
    with open(everything, "wb") as out:
        for path in files:
            with open(path, "rb") as part:
                shutil.copyfileobj(part, out)
    summary, alerts = scan(everything)
    if summary["events"] != written:
        raise SystemExit(f"{written} written, {summary['events']} events")
    compare(alerts, told(folder, "fast"), "tail at full speed")
    compare(alerts, told(folder, "slow"), "tail in real time")
    print(f"{written} events in {options.seconds:g} s, {len(files) - 1} "
          f"rotations, {len(alerts)} alerts: scan, tail at full speed and tail "
          "in real time say the same", flush=True)
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
