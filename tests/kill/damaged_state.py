#!/usr/bin/env python3
"""Damages a state directory and starts the daemon on it, again and again.

A daemon is killed in the middle of a log, with a snapshot, records behind it
and, in half of the beds, a rollback journal that is still to be played back.
Each round restores what it left, flips bits or cuts a file, and runs the daemon
over the rest of the log: it refuses, says why and has delivered nothing new, or
what was delivered in the end is what it is without damage.

KLAXON_BINARY names the binary.

    damaged_state.py [--rounds N] [--seed N]
"""
import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

from live_bed import LiveBed, compare, revisions, seeded

LINES = 2500
SOURCE = os.environ["KLAXON_SOURCE_DIR"]


def sample():
    """Some thousand real lines, attacks among them in both halves."""
    path = os.path.join(SOURCE, "samples", "logs")
    lines = subprocess.run(
        ["zstd", "-dqc", os.path.join(path, "attacked-hour.log.zst")],
        check=True, capture_output=True).stdout.splitlines(keepends=True)
    lines = lines[:LINES]
    for name in ("burst.log", "anonymous.log", "accounts.log"):
        with open(os.path.join(path, name), "rb") as log:
            lines += log.readlines()
    return lines


class Damaged(LiveBed):
    """Killed half-way; `restore` makes it what it was then."""

    def __init__(self, folder, lines):
        super().__init__(folder)
        self.kept = folder + ".kept"
        half = len(lines) // 2
        with open(self.log, "ab") as log:
            log.writelines(lines[:half])
        self.up()
        self.settle(half)
        self.wait("a snapshot", lambda found: found.get(
            ("klaxon_snapshots_total", ()), 0) >= 1)
        # Records behind the snapshot.
        with open(self.log, "ab") as log:
            log.writelines(lines[half:half + 200])
        self.settle(half + 200)
        self.down(signal.SIGKILL)
        with open(self.log, "ab") as log:
            log.writelines(lines[half + 200:])
        self.keep()

    def owned(self):
        """The alerts and the state directory."""
        return [name for name in os.listdir(self.folder)
                if name == "state" or name.startswith("alerts")]

    def keep(self):
        os.makedirs(self.kept)
        for name in self.owned():
            self.copy(self.folder, self.kept, name)

    def restore(self):
        for name in self.owned():
            path = os.path.join(self.folder, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        for name in os.listdir(self.kept):
            self.copy(self.kept, self.folder, name)

    @staticmethod
    def copy(begin, end, name):
        begin, end = os.path.join(begin, name), os.path.join(end, name)
        if os.path.isdir(begin):
            shutil.copytree(begin, end)
        else:
            shutil.copy2(begin, end)

    def interrupt_commit(self):
        """Leaves a rollback journal to be played back, as a crash would.

        Made by SQLite's own means: a transaction that spilled its pages into
        the file and whose process died before it was committed.
        """
        code = (
            "import os, sqlite3, sys\n"
            "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "db.execute('PRAGMA journal_mode=PERSIST')\n"
            "db.execute('PRAGMA cache_size=2')\n"
            "db.execute('PRAGMA cache_spill=1')\n"
            "db.execute('BEGIN IMMEDIATE')\n"
            "db.execute('UPDATE journal SET crc = crc + 1')\n"
            "db.execute('UPDATE snapshot SET crc = crc + 1')\n"
            "db.execute('INSERT INTO snapshot(part, crc, bytes) '\n"
            "           'VALUES(?, 1, zeroblob(400000))', ('x',))\n"
            "os._exit(0)\n")
        path = os.path.join(self.kept, "state", "klaxon.db")
        subprocess.run([sys.executable, "-c", code, path], check=True)
        with open(path + "-journal", "rb") as journal:
            if not any(journal.read(8)):
                raise SystemExit("no hot journal was left")

    def run(self):
        """Exit code and what it said."""
        errors = os.path.join(self.folder, "stderr")
        open(errors, "wb").close()
        process = self.start("--until-end")
        code = process.wait(timeout=120)
        return code, self.errors()


def damage(folder, rng):
    """Does one of many kinds of harm; returns its description."""
    name = rng.choice(("klaxon.db", "klaxon.db", "klaxon.db-journal"))
    path = os.path.join(folder, name)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        how = rng.choice(("flip", "flip", "flip", "flips", "cut", "zeros",
                          "noise", "stray"))
        at = rng.randrange(size)
        if rng.random() < 0.2:
            at = min(at, rng.randrange(200))
        if how == "cut":
            file.truncate(at)
        elif how in ("flip", "flips"):
            for _ in range(1 if how == "flip" else rng.randint(2, 8)):
                file.seek(at)
                byte = file.read(1)[0] ^ 1 << rng.randrange(8)
                file.seek(at)
                file.write(bytes([byte]))
                at = rng.randrange(size)
        else:
            length = min(rng.choice((512, 4096, 8192)), size)
            at = at // length * length
            if how == "stray":
                file.seek(rng.randrange(size) // length * length)
                new = file.read(length)
            else:
                new = rng.randbytes(length) if how == "noise" else bytes(length)
            file.seek(at)
            file.write(new[:size - at])
    return f"{how} at {at} of {name} ({size} bytes)"


def play(bed, whole, rng, what):
    """One round; refused, harmless, or the end of the test."""
    bed.restore()
    before = bed.delivered()
    done = damage(os.path.join(bed.folder, "state"), rng)
    code, said = bed.run()
    what = f"{what}: {done}: exit {code}"
    got = bed.delivered()
    if code == 0:
        compare(whole, revisions(got, what), what)
        return "harmless"
    if code not in (1, 2) or not said.strip():
        raise SystemExit(f"{what}, no refusal: {said}")
    if got != before:
        raise SystemExit(f"{what}, refused after it had delivered: {said}")
    return "refused"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng = seeded(options.seed)
    folder = tempfile.mkdtemp(prefix="klaxon-damage-")
    lines = sample()
    for hot in (False, True):
        bed = Damaged(os.path.join(folder, f"hot-{hot}"), lines)
        if hot:
            bed.interrupt_commit()
        bed.restore()
        code, said = bed.run()
        if code != 0:
            raise SystemExit(f"undamaged: exit {code}: {said}")
        whole = revisions(bed.delivered(), "undamaged")
        results = collections.Counter()
        for number in range(options.rounds // 2):
            seed = rng.getrandbits(32)
            results[play(bed, whole, random.Random(seed),
                         f"hot={hot} round {number}")] += 1
        print(f"rollback journal hot={hot}: {options.rounds // 2} damages of "
              f"the state, {results['refused']} refused, "
              f"{results['harmless']} harmless; {len(whole)} revisions",
              flush=True)
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
