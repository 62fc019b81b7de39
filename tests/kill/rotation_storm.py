#!/usr/bin/env python3
"""Rotation at its worst: every event is read once, or a gap says it was not.

    storm       rotations faster than the daemon looks, which is stopped
                (SIGSTOP) for random times meanwhile
    down        rotations while no daemon runs; inodes are used again, and all
                files begin alike, further than where they are looked at
    compressor  killed half-way: part of a .gz beside the plain file, then all
    truncate    copytruncate at random moments, with and without a loss

KLAXON_BINARY names the binary. Without flags a short form of all four.

    rotation_storm.py [WHAT...] [--seed N] [--seconds S] [--stop S]
        [--rotations-per-second N] [--downs N] [--points N] [--truncations N]
"""
import argparse
import gzip
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

from live_bed import Events, Intrusions, LiveBed, Lumberjack, event, seeded
from live_bed import total


def stop_and_go(bed, rng, longest, done):
    """The reader stands still for random times until `done`."""
    stops = 0
    while not done.is_set():
        os.kill(bed.process.pid, signal.SIGSTOP)
        done.wait(rng.uniform(0, longest))
        os.kill(bed.process.pid, signal.SIGCONT)
        stops += 1
        done.wait(rng.uniform(0, longest / 10))
    return stops


def compress(backup, part=100):
    """`part` percent of it as lumberjack does: in place, then the plain goes."""
    with open(backup, "rb") as plain:
        packed = gzip.compress(plain.read(), mtime=0)
    with open(backup + ".gz", "wb") as out:
        out.write(packed[:len(packed) * part // 100])
    if part == 100:
        os.unlink(backup)


def storm(folder, rng, options, packed):
    bed = LiveBed(os.path.join(folder, f"storm-{packed}"))
    everything = os.path.join(folder, f"storm-{packed}.all")
    log = Lumberjack(bed.log, everything)
    events = Events()
    bed.up()
    done = threading.Event()
    stops = []
    stopper = threading.Thread(target=lambda: stops.append(
        stop_and_go(bed, rng, options.stop, done)))
    stopper.start()
    waiting = []
    begin = time.monotonic()
    while (late := time.monotonic() - begin) < options.seconds:
        if log.rotations >= late * options.rate:
            time.sleep(0.001)
            continue
        log.write(events.some(20))
        waiting.append(log.rotate())
        if packed and len(waiting) >= 4:
            for backup in waiting:
                compress(backup)
            waiting.clear()
    done.set()
    stopper.join()
    log.write(events.some(20))
    log.close()
    bed.settle(events.count)
    bed.down()
    bed.finish()
    _, alerts = bed.check(everything, "storm")
    print(f"storm, compressed={packed}: {log.rotations} rotations in "
          f"{time.monotonic() - begin:.0f} s, {stops[0]} stops of up to "
          f"{options.stop:g} s, {events.count} events, {len(alerts)} alerts: "
          "0 lost, 0 twice", flush=True)


def down(folder, rng, options, packed):
    """1, 2, … 20 rotations while no daemon runs, and again from 1."""
    bed = LiveBed(os.path.join(folder, f"down-{packed}"))
    everything = os.path.join(folder, f"down-{packed}.all")
    log = Lumberjack(bed.log, everything)
    events = Events()
    # Counted, but no requests yet: they are of a time that has passed.
    head = [event(0, uri=f"/healthz/{i}", stage="RequestReceived").encode()
            + b"\n" for i in range(12)]
    written = reused = 0

    def put(number):
        nonlocal written
        log.write(head + events.some(number))
        written += len(head) + number

    put(20)
    bed.up()
    bed.settle(written)
    backups = []
    for round_ in range(options.downs):
        bed.down(rng.choice((signal.SIGTERM, signal.SIGKILL)))
        # What was read to its end goes, and leaves its inodes to the next.
        old = set()
        for path in backups:
            for name in (path, path + ".gz"):
                if os.path.exists(name):
                    old.add(os.stat(name).st_ino)
                    os.unlink(name)
        backups = []
        for _ in range(round_ % 20 + 1):
            backups.append(log.rotate())
            reused += os.stat(bed.log).st_ino in old
            put(rng.randint(1, 8))
        if packed:
            for backup in backups:
                compress(backup)
        bed.up()
        bed.settle(written)
    log.close()
    bed.down()
    bed.finish()
    bed.check(everything, "down")
    print(f"down, compressed={packed}: {options.downs} times, "
          f"{log.rotations} rotations, {reused} inodes used again, {written} "
          "events: 0 lost, 0 twice", flush=True)


def compressor(folder, rng, options):
    bed = LiveBed(os.path.join(folder, "compressor"))
    everything = os.path.join(folder, "compressor.all")
    log = Lumberjack(bed.log, everything)
    events = Events()
    bed.up()
    for point in range(options.points):
        how = rng.choice(("running", "stopped", "terminated", "killed"))
        if how == "stopped":
            os.kill(bed.process.pid, signal.SIGSTOP)
        elif how != "running":
            bed.settle(events.count)
            bed.down(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        log.write(events.some(rng.randint(1, 60)))
        backup = log.rotate()
        compress(backup, point * 100 // options.points)
        # With a successor that has bytes, or not yet.
        log.write(events.some(rng.randint(0, 3)))
        if how == "stopped":
            os.kill(bed.process.pid, signal.SIGCONT)
        elif how != "running":
            bed.up()
        if rng.random() < 0.7:
            bed.settle(events.count)
        compress(backup)
        log.write(events.some(rng.randint(1, 3)))
        if rng.random() < 0.7:
            bed.settle(events.count)
    log.close()
    bed.settle(events.count)
    bed.down()
    bed.finish()
    bed.check(everything, "compressor")
    print(f"compressor: killed at {options.points} points, {events.count} "
          "events: each once", flush=True)


class CopyTruncate:
    """logrotate's copytruncate, with a writer that does not wait for it."""

    def __init__(self, log):
        self.log, self.made = log, 0
        self.out = open(log, "ab", buffering=0)

    def write(self, lines):
        for line in lines:
            self.out.write(line)

    def truncate(self, between, copied):
        """`between` is written after the copy, if any, and gone."""
        if copied:
            for number in range(self.made, 0, -1):
                os.rename(f"{self.log}.{number}", f"{self.log}.{number + 1}")
            self.made += 1
            shutil.copyfile(self.log, self.log + ".1")
        self.write(between)
        os.truncate(self.log, 0)


def truncate(folder, rng, options):
    """Each event raises an alert of its own client: what was read is known."""
    bed = LiveBed(os.path.join(folder, "truncate"))
    log = CopyTruncate(bed.log)
    events = Intrusions()
    rounds = []
    # A log that was truncated before its first byte was read looks new.
    log.write(events.some(1))
    bed.up()
    bed.settle(1)
    for _ in range(options.truncations):
        rounds.append(truncate_once(bed, log, events, rng))
        if options.verbose:
            print("#", *rounds[-1])
    bed.down()
    bed.process = bed.start("--until-end")
    if bed.process.wait(timeout=300) not in (0, 1):  # 1: there were gaps.
        raise SystemExit(bed.errors())
    judge_truncations(bed, rounds, events.count)


def truncate_once(bed, log, events, rng):
    """First number, number behind it, gaps told, what was done."""
    first, told = events.count, bed.counted()["gaps"]
    how = rng.choice(("running", "stopped", "killed"))
    log.write(events.some(rng.randint(1, 20)))
    # What a process read after it was last asked would not be counted.
    if how == "killed" or rng.random() < 0.5:
        wait_for(bed, events.count - 1)
    if how == "stopped":
        os.kill(bed.process.pid, signal.SIGSTOP)
    elif how == "killed":
        bed.down(signal.SIGKILL)
    done = how
    for _ in range(1 if how == "running" else rng.randint(1, 3)):
        log.write(events.some(rng.choice((0, 1, 20))))
        copied, between = rng.random() < 0.7, rng.choice((0, 0, 1, 10))
        done += f" {events.count}+{between} copied={copied}"
        log.truncate(events.some(between), copied)
    log.write(events.some(rng.randint(1, 40)))
    if how == "stopped":
        os.kill(bed.process.pid, signal.SIGCONT)
    elif how == "killed":
        bed.up()
    wait_for(bed, events.count - 1)
    return first, events.count, bed.counted()["gaps"] - told, done


def wait_for(bed, number):
    """Until the event of that number is the newest, and all is read."""
    bed.wait(f"event {number}", lambda found: total(
        found, "klaxon_input_newest_event_timestamp_seconds") >=
        1767323045 + number and total(found, "klaxon_input_lag_bytes") == 0)


def judge_truncations(bed, rounds, written):
    seen = {json.loads(line)["client"] for line in bed.delivered()}
    lost = [n for n in range(written) if Intrusions.client(n) not in seen]
    counted = bed.counted({})["events"]
    if counted != written - len(lost):
        raise SystemExit(f"truncate: {written} written, {len(lost)} lost, "
                         f"{counted} counted: some came twice\n" + bed.errors())
    losing = 0
    for first, end, gaps, done in rounds:
        missing = [n for n in lost if first <= n < end]
        losing += bool(missing)
        if missing and gaps < 1:
            raise SystemExit(f"truncate: events {missing} of {first}..{end} "
                             f"are lost, and no gap says so: {done}\n"
                             + bed.errors())
    print(f"truncate: {len(rounds)} times, {losing} of them lost events "
          f"({len(lost)} of {written}): each was told, "
          f"{sum(r[2] for r in rounds)} gaps", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--stop", type=float, default=0.8)
    parser.add_argument("--rotations-per-second", dest="rate", type=float,
                        default=50)
    parser.add_argument("--downs", type=int, default=4)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--truncations", type=int, default=8)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng = seeded(options.seed)
    what = options.what or ["storm", "down", "compressor", "truncate"]
    folder = tempfile.mkdtemp(prefix="klaxon-rotation-")
    for packed in (False, True):
        if "storm" in what:
            storm(folder, rng, options, packed)
        if "down" in what:
            down(folder, rng, options, packed)
    if "compressor" in what:
        compressor(folder, rng, options)
    if "truncate" in what:
        truncate(folder, rng, options)
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
