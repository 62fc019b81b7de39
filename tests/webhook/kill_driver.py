#!/usr/bin/env python3
"""Kills the receiver at random points while apiservers send to it.

Two apiservers of one cluster send recorded events, 400 a batch, and try again
as kube-apiserver does; faults are made besides (sender.py). Every batch is
answered 2xx in the end. Then: the alerts are those of a scan of the same
events, none of them came twice, nothing was late, and the journal holds each
batch once. Prints its seed; --seed N does the same again (as far as the
scheduler lets it).

    KLAXON_BINARY=… kill_driver.py [--kills N] [--seed N] [--failpoints]
"""
import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from corpus import Corpus, body_of, read_lines  # noqa: E402
from receiver import (Receiver, difference, last_contents,  # noqa: E402
                      scan)
from sender import Sender  # noqa: E402

LOG = os.path.join(HERE, "..", "..", "samples", "logs",
                   "attacked-hour.log.zst")
FAILPOINTS = (
    "journal.append.before", "journal.append.after", "source.commit.after",
    "judge.apply.after", "outbox.offer.after", "acks.append.before",
    "snapshot.begin", "snapshot.carry", "snapshot.commit.after",
)
RESEND_WAIT = 10  # Seconds; half of it holds event time after a restart.
# Seconds. The daemon looks every 200 ms at what is waited for. In that time 4 s
# of events come of each server here, twenty times as much as in earnest; a
# batch that comes again is 10 to 40 s old.
REORDER = 12
CLUSTER = "c1"
DEAL = 2  # So many apiservers; each batch is one's of them, by turns.


class Bed:
    """Apiservers, what they send, and who receives it."""

    def __init__(self, folder, batches, state, options, seed):
        self.options = options
        self.rng = random.Random(f"{seed}/kills")
        self.corpus = Corpus(read_lines(options.log), batches)
        self.receiver = Receiver(
            folder, webhook=", resend_wait: %ds" % RESEND_WAIT,
            state=", reorder: {webhook: %ds}, commit_interval: %s" % (
                REORDER, state))
        self.everything = os.path.join(folder, "all.log")
        self.sent = 0
        with open(self.everything, "wb") as log:
            log.write(b"\n".join(self.corpus.begin() * DEAL) + b"\n")
            for number in range(batches):
                lines = self.corpus.lines(number)
                self.sent += len(lines)
                log.write(b"\n".join(lines) + b"\n")
            log.write(b"\n".join(self.corpus.end() * DEAL) + b"\n")
        self.senders = [
            Sender(self.receiver.port, f"/audit/{CLUSTER}/server-{which}",
                   self._bodies(which), seed, haste=options.haste,
                   faults=options.faults, again=options.again,
                   pace=options.pace)
            for which in range(DEAL)]

    def _bodies(self, which):
        for number in range(which, self.corpus.count, DEAL):
            yield self.corpus.body(number)

    def share(self, which):
        """How many batches are this server's."""
        return len(range(which, self.corpus.count, DEAL))

    def points(self):
        """How each process ends: (failpoint or None, seconds it may live)."""
        options, rng = self.options, self.rng
        for number in itertools.count():
            if options.failpoints and number % 2:
                name = FAILPOINTS[number // 2 % len(FAILPOINTS)]
                yield f"{name}:{rng.randint(1, 6)}", 2 * options.life
            elif number % 20 == 10:  # Long enough to judge.
                yield None, RESEND_WAIT / 2 + rng.uniform(0, options.life)
            elif number % 10 == 4:  # Perhaps before it listens.
                yield None, -rng.uniform(0, 0.05)
            else:
                yield None, rng.uniform(0, options.life)

    def send_each(self, lines, seed):
        """One batch from each server, until it was taken."""
        senders = [Sender(self.receiver.port, sender.path, [body_of(lines)],
                          seed) for sender in self.senders]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(120)

    def begin(self):
        """Until each server is known: a receiver that never heard of one
        cannot wait for what of it failed."""
        self.receiver.start()
        self.send_each(self.corpus.begin(), "begin")
        self.receiver.kill()
        for sender in self.senders:
            sender.start()

    def kill_all(self, kills):
        """Kills so many processes; how many died of a failpoint."""
        at_failpoints = 0
        for failpoint, life in itertools.islice(self.points(), kills):
            self.receiver.start(failpoint=failpoint)
            process = self.receiver.process
            if life > 0 and not failpoint:
                self.receiver.wait_until(self.receiver.port, "it listens")
            try:
                code = process.wait(timeout=abs(life))
                at_failpoints += 1
                if code != -9:
                    raise AssertionError(
                        f"it ended by itself: {code}\n"
                        + self.receiver.errors())
            except subprocess.TimeoutExpired:
                self.receiver.kill()
        return at_failpoints

    def finish(self):
        """All that is left is sent, and judged."""
        self.receiver.start(endpoint=True)
        for sender in self.senders:
            sender.join(self.options.patience)
        self.send_each(self.corpus.end(), "end")

    def check(self):
        """What must be so, whatever was killed."""
        want = scan(self.everything, "--cluster", CLUSTER)
        # The holds of this process and of faults run out, then all is judged.
        self.receiver.wait_until(
            lambda: last_contents(self.receiver.alert_lines()) == want,
            lambda: difference(want,
                               last_contents(self.receiver.alert_lines())),
            2 * RESEND_WAIT + 60)
        late = self.receiver.metric("klaxon_input_late_total")
        lost = self.receiver.metric("klaxon_webhook_batches_total",
                                    result="not_resent")
        self.receiver.stop()
        got = last_contents(self.receiver.alert_lines())
        assert got == want, difference(want, got)
        assert lost == 0, f"{lost} batches are said to be lost"
        assert late == 0, f"{late} observations came late"
        self.check_conservation()
        for sender in self.senders:
            share = self.share(int(sender.path[-1]))
            assert set(sender.accepted) == set(range(share)), sender.path
        return want

    def check_conservation(self):
        """Each lane took its batches, begin and end, each once: the count is in
        the journal and its snapshots, so it holds over all the processes."""
        lanes = {lane["lane"].split(",")[0][len("webhook:"):]: lane["batches"]
                 for lane in self.receiver.state()["lanes"]}
        want = {sender.path: self.share(which) + 2
                for which, sender in enumerate(self.senders)}
        assert lanes == want, (lanes, want)


def drive(folder, kills, state, options, seed):
    batches = options.batches or max(
        40, int(kills * options.life * 1.1 / options.pace * DEAL))
    bed = Bed(folder, batches, state, options, seed)
    try:
        begin = time.monotonic()
        bed.begin()
        at_failpoints = bed.kill_all(kills - 1)
        left = sum(bed.share(which) - len(sender.accepted)
                   for which, sender in enumerate(bed.senders))
        bed.finish()
        alerts = bed.check()
        answers = sum((sender.answers for sender in bed.senders),
                      start=type(bed.senders[0].answers)())
        repeated = sum(sum(sender.accepted.values()) - len(sender.accepted)
                       for sender in bed.senders)
        print(f"{state}: {kills} kills ({at_failpoints} at failpoints), "
              f"{batches} batches of 400 ({left} of them after the last kill),"
              f" {repeated} taken before and sent again, {len(alerts)} alerts: "
              f"equal, {time.monotonic() - begin:.0f} s\n  {dict(answers)}",
              flush=True)
        return bed
    finally:
        bed.receiver.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", default=LOG)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--batches", type=int, default=0)
    parser.add_argument("--seed", type=int,
                        default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--failpoints", action="store_true",
                        help="the binary was built with KLAXON_FAILPOINTS")
    parser.add_argument("--life", type=float, default=0.5,
                        help="longest life of a process, seconds")
    parser.add_argument("--pace", type=float, default=0.2,
                        help="between two new batches of a server, seconds")
    parser.add_argument("--haste", type=float, default=20,
                        help="so many times faster are an apiserver's pauses")
    parser.add_argument("--faults", type=float, default=0.15)
    parser.add_argument("--again", type=float, default=0.1)
    parser.add_argument("--patience", type=float, default=600)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="klaxon_webhook_kill_")
    try:
        for which, state in enumerate(
                ("5ms, snapshot_interval: 200ms", "50ms")):
            kills = (options.kills + 1 - which) // 2
            drive(os.path.join(folder, str(which)), kills, state, options,
                  options.seed + which)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
