#!/usr/bin/env python3
"""Lets the disk fail under a running daemon: full, EIO, read-only, lost syncs.

At each point one operation on the state directory or on the file of alerts
fails, or several in a row (fault_io.cc, preloaded). The daemon goes on, perhaps
after a pause, or ends and says why; the next run, on a whole disk, delivers the
rest: in the end all is as if nothing had failed.

KLAXON_BINARY names the binary, KLAXON_FAULT_IO the library.

    disk_faults.py [--points N] [--seed N] [--kind KIND]
"""
import argparse
import collections
import os
import shutil
import subprocess
import sys
import tempfile

from damaged_state import Damaged, sample
from live_bed import LiveBed, compare, revisions, seeded

KINDS = ("eio", "space", "sync", "readonly", "short", "kill")
# Operations of a run, roughly: a fault behind the last one does nothing.
OPERATIONS = {"state": 130, "alerts": 5, "quarantine": 4}
SYNCS = {"state": 36, "alerts": 2, "quarantine": 1}
PATHS = {"state": "/state/", "alerts": "alerts.ndjson",
         "quarantine": "quarantine"}


class Faulty:
    """The runs of one bed, of which each begins as `restore` says."""

    def __init__(self, bed, restore):
        self.bed, self.restore = bed, restore
        self.fired = os.path.join(bed.folder, "fired")
        self.said = ""

    def run(self, fault=None):
        """Exit code and what it said."""
        open(os.path.join(self.bed.folder, "stderr"), "wb").close()
        environment = dict(os.environ)
        if fault:
            environment.update(LD_PRELOAD=os.environ["KLAXON_FAULT_IO"],
                               KLAXON_FAULT=fault,
                               KLAXON_FAULT_FIRED=self.fired)
        with open(os.path.join(self.bed.folder, "stderr"), "ab") as err:
            process = subprocess.run(
                [self.bed.binary, "run", "-c", self.bed.config, "--until-end"],
                stdout=subprocess.DEVNULL, stderr=err, env=environment,
                timeout=300, check=False)
        return process.returncode, self.bed.errors()

    def whole(self):
        self.restore()
        code, said = self.run()
        if code != 0:
            raise SystemExit(f"on a whole disk: exit {code}: {said}")
        return revisions(self.bed.delivered(), "whole disk")

    def play(self, fault, kind, whole):
        """One point; returns what became of it."""
        self.restore()
        self.said = ""
        if os.path.exists(self.fired):
            os.unlink(self.fired)
        code, said = self.run(fault)
        what = f"{fault}: exit {code}"
        if not os.path.exists(self.fired):
            compare(whole, revisions(self.bed.delivered(), what), what)
            return "not reached"
        if kind == "kill":
            if code != -9:
                raise SystemExit(f"{what}: it was to die: {said}")
        elif code not in (0, 1, 2) or (code != 0 and not said.strip()):
            raise SystemExit(f"{what}, and not a word why: {said}")
        self.said = said
        result = "died" if kind == "kill" else "ended" if code else "went on"
        if code == 0:
            compare(whole, revisions(self.bed.delivered(), what), what)
        if "intake pauses" in said:
            result += ", paused"
        code, said = self.run()
        if code != 0:
            raise SystemExit(f"{what}; then, on a whole disk: exit {code}: "
                             + said)
        what += ", and one more run"
        compare(whole, revisions(self.bed.delivered(), what), what)
        return result


def first_start(folder, lines):
    """A bed that begins with nothing."""
    bed = LiveBed(folder, state="snapshot_interval: 20ms")
    with open(bed.log, "wb") as log:
        log.writelines(lines)

    def restore():
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name == "state":
                shutil.rmtree(path)
            elif name.startswith("alerts"):
                os.unlink(path)
    return Faulty(bed, restore)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=9)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kind", choices=KINDS, default=None)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng = seeded(options.seed)
    folder = tempfile.mkdtemp(prefix="klaxon-faults-")
    lines = sample()
    # Some of the later ones cannot be read: they are quarantined.
    lines[-200:] = [part for line in lines[-200:]
                    for part in (line, b"\x00no event\n")]
    half = Damaged(os.path.join(folder, "half"), lines)
    beds = [first_start(os.path.join(folder, "first"), lines),
            Faulty(half, half.restore)]
    wholes = [faulty.whole() for faulty in beds]
    results = collections.Counter()
    for number in range(options.points):
        kind = options.kind or KINDS[number % len(KINDS)]
        place = rng.choice(("state",) * 8 + ("alerts", "quarantine"))
        if kind == "readonly":
            place = "state"
        last = (SYNCS if kind == "sync" else OPERATIONS)[place]
        times = rng.choice((1, 1, 2, 8)) if place == "state" else 1
        fault = f"{kind}:{rng.randint(1, last)}:{times}:{PATHS[place]}"
        which = rng.randrange(2)
        result = beds[which].play(fault, kind, wholes[which])
        if options.verbose:
            print(f"# {fault} of bed {which}: {result}\n"
                  + beds[which].said, flush=True)
        results[kind, result] += 1
    reached = sum(count for (_, result), count in results.items()
                  if result != "not reached")
    print(f"{options.points} points, {reached} of them reached: all recovered")
    for (kind, result), count in sorted(results.items()):
        print(f"  {kind}: {result}: {count}")
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
