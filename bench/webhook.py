#!/usr/bin/env python3
"""The webhook receiver under load, one measurement a command:

  bench/webhook.py rate       4 000 events/s, as much as one apiserver sends
  bench/webhook.py overload   ten apiservers that each send that much
  bench/webhook.py flood      connections that send as fast as they are answered
  bench/webhook.py idle       rate, beside 2 000 slow and idle connections
  bench/webhook.py all

Apiservers are processes that send 400 events a batch and try again as
kube-apiserver does (tests/webhook/sender.py). Each measurement first checks
the answer: every batch was answered 2xx in the end, counted once, and each has
its alert. Senders and receiver share the machine: the seconds are those of
both. --klaxon FILE or --build-dir DIR names the binary.
"""
import argparse
import collections
import json
import multiprocessing
import os
import resource
import selectors
import shutil
import socket
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "webhook"))
LOG = os.path.join(ROOT, "samples", "logs", "attacked-hour.log.zst")
BATCHES_A_SECOND = 10  # kube-apiserver's own limit: 4 000 events.
SPAN = 1 / BATCHES_A_SECOND
NUMBERS = 1 << 20  # Of batches, at most: their ends come after them.
# What may wait (64 MiB), what may be under way (128 MiB), and all else.
RSS_MAX_MIB = 64 + 128 + 128


class Failure(Exception):
    """An answer was wrong: no figure can be trusted."""


def send(which, options, results, together):
    """One apiserver, in a process of its own."""
    from corpus import Corpus, body_of, read_lines
    from sender import Sender
    # Events are as old as they would be: who sends more has them more densely.
    span = options["pace"] or SPAN / 5
    corpus = Corpus(read_lines(LOG), NUMBERS, span, options["servers"])
    path = f"/audit/bench/server-{which}"

    def bodies():
        over = time.monotonic() + options["seconds"]
        number = which
        while time.monotonic() < over:
            yield corpus.body(number)
            number += options["servers"]

    def run(bodies, **more):
        sender = Sender(lambda: options["port"], path, bodies, which, haste=1,
                        **more)
        sender.start()
        sender.join(options["seconds"] + 300)
        return sender

    run([body_of(corpus.begin())], connections=1)
    together.wait(60)  # The receiver waits only for whom it knows.
    sender = run(bodies(), connections=options["connections"],
                 pace=options["pace"])
    run([body_of(corpus.end())], connections=1)
    results.put((which, dict(sender.answers), sender.seconds,
                 sorted(sender.accepted)))


class Crowd(threading.Thread):
    """Keeps so many connections open that say nothing, or too slowly."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self._port, self._count = port, count
        self._selector = selectors.DefaultSelector()
        self.over = threading.Event()
        self.reached = threading.Event()
        self.closed = 0

    def _open(self, which):
        if self.over.is_set():
            return
        made = socket.socket()
        # A peer has 256 of them at most.
        made.bind((f"127.1.{which % 20}.1", 0))
        made.connect(("127.0.0.1", self._port))
        made.setblocking(False)
        begin = b"POST /audit/bench/slow HTTP/1.1\r\nHost: k\r\n"
        said = (b"", begin, begin + b"Content-Type: application/json\r\n"
                b"Content-Length: 9999999\r\n\r\n{",
                b"GET / HTTP/1.1\r\nHost: k\r\n\r\n")[which % 4]
        made.send(said)
        drip = (b"", b"X: a\r\n", b" ", b"")[which % 4]
        self._selector.register(made, selectors.EVENT_READ, (which, drip))

    def run(self):
        for which in range(self._count):
            self._open(which)
        self.reached.set()
        next_drip = time.monotonic()
        while not self.over.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                self._read(key)
            if time.monotonic() >= next_drip:
                next_drip = time.monotonic() + 1
                self._drip()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()

    def _read(self, key):
        """What it answers is of no interest; who is closed comes again."""
        try:
            if key.fileobj.recv(1 << 16):
                return
        except OSError:
            pass
        self._selector.unregister(key.fileobj)
        key.fileobj.close()
        self.closed += 1
        self._open(key.data[0])

    def _drip(self):
        for key in list(self._selector.get_map().values()):
            if key.data[1]:
                try:
                    key.fileobj.send(key.data[1])
                except OSError:
                    pass  # Its end is read next.


class Bench:
    def __init__(self, options):
        self.options = options
        self.missed = 0

    def report(self, name, value, unit, target=None):
        told = ""
        if target is not None:
            good = value <= target
            self.missed += not good
            told = "  (target <= %g%s)" % (target, "" if good else ", MISSED")
        print("%-52s %9.4g %s%s" % (name, value, unit, told), flush=True)

    def load(self, name, servers, connections=4, pace=SPAN, crowd=0):
        from receiver import Receiver
        folder = os.path.join(self.options.work_dir, name)
        # The slow ones hold up the alerts, until they are believed no more.
        receiver = Receiver(folder, ", resend_wait: 10s" if crowd else "")
        receiver.start(endpoint=True)
        try:
            people = Crowd(receiver.port(), crowd) if crowd else None
            if people:
                people.start()
                if not people.reached.wait(60):
                    raise Failure("the crowd does not come in")
            begin = time.monotonic()
            sent = self.run_servers(
                {"servers": servers, "connections": connections, "pace": pace,
                 "port": receiver.port(), "seconds": self.options.seconds})
            seconds = time.monotonic() - begin
            if people:
                self.check_crowd(receiver, people, crowd)
            self.check(receiver, sent)
            if people:
                people.over.set()
                people.join()
            self.tell(name, receiver, sent, seconds)
        finally:
            receiver.end()
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def run_servers(options):
        results = multiprocessing.Queue()
        together = multiprocessing.Barrier(options["servers"])
        processes = [multiprocessing.Process(target=send,
                                             args=(which, options, results,
                                                   together))
                     for which in range(options["servers"])]
        for process in processes:
            process.start()
        try:
            return [results.get(timeout=options["seconds"] + 400)
                    for _ in processes]
        finally:
            for process in processes:
                process.join(10)
                process.kill()

    @staticmethod
    def check(receiver, sent):
        """Every batch once, each with the alert that was planted in it."""
        batches = sum(len(accepted) for *_, accepted in sent)
        want = batches + 2 * len(sent)
        got = receiver.metric("klaxon_webhook_batches_total",
                              result="delivered")
        if got != want:
            raise Failure(f"{got} batches were delivered, not {want}")
        planted = {f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"
                   for *_, accepted in sent for n in accepted}
        found = collections.Counter()

        def look():
            found.clear()
            for line in receiver.alert_lines():
                alert = json.loads(line)
                if alert["status"] == "resolved":
                    found[alert.get("client")] += 1
            return planted <= found.keys()
        receiver.wait_until(look, lambda: f"{len(planted - found.keys())} "
                            f"batches of {batches} have no alert", 120)
        if any(found[client] != 1 for client in planted):
            raise Failure("a batch has two alerts")
        late = receiver.metric("klaxon_input_late_total")
        if late:
            raise Failure(f"{late} observations came late")

    @staticmethod
    def check_crowd(receiver, people, crowd):
        """They were there; and those that were too slow were closed."""
        there = receiver.metric("klaxon_http_connections",
                                listener="webhook:127.0.0.1:0")
        if there < crowd * 0.8:
            raise Failure(f"of {crowd} connections {there} were there")
        print("# %d slow and idle connections at the end, %d were closed and "
              "came again" % (there, people.closed))

    def tell(self, name, receiver, sent, seconds):
        answers = collections.Counter()
        times = []
        batches = 0
        for _, own, took, accepted in sent:
            answers.update(own)
            times += took
            batches += len(accepted)
        times.sort()
        with open(f"/proc/{receiver.process.pid}/status",
                  encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status
                        if line.startswith("VmHWM"))
        print("# %s: %d events answered 2xx and judged once; answers %s" % (
            name, 400 * batches, dict(answers)))
        self.report(name + ": events answered 2xx", 400 * batches / seconds,
                    "/s")
        limit = {"idle": 200}.get(name, 1000)
        self.report(name + ": time to answer, p50", 1e3 * times[
            len(times) // 2], "ms")
        self.report(name + ": time to answer, p99", 1e3 * times[
            len(times) * 99 // 100], "ms", limit)
        self.report(name + ": time to answer, longest", 1e3 * times[-1], "ms")
        self.report(name + ": resident, peak", peak / 1024, "MiB", RSS_MAX_MIB)
        refused = sum(n for what, n in answers.items() if "429" in str(what))
        self.report(name + ": answers of 429", refused, "",
                    0 if name in ("rate", "idle") else None)
        other = sum(n for what, n in answers.items()
                    if what != 200 and "429" not in str(what))
        self.report(name + ": answers of neither 2xx nor 429", other, "", 0)

    def rate(self):
        self.load("rate", 1)

    def overload(self):
        self.load("overload", 10)

    def flood(self):
        self.load("flood", 4, connections=32, pace=0)

    def idle(self):
        self.load("idle", 1, crowd=2000)


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = ("rate", "overload", "flood", "idle")
    parser.add_argument("what", choices=commands + ("all",))
    parser.add_argument("--build-dir",
                        default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--klaxon")
    parser.add_argument("--work-dir")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--check", action="store_true",
                        help="a missed target is an error")
    options = parser.parse_args()
    os.environ["KLAXON_BINARY"] = os.path.abspath(
        options.klaxon or os.path.join(options.build_dir, "klaxon"))
    raise_file_limit()
    own = options.work_dir is None
    if own:
        options.work_dir = tempfile.mkdtemp(prefix="klaxon_webhook_")
    bench = Bench(options)
    try:
        for command in commands if options.what == "all" else [options.what]:
            getattr(bench, command)()
    except (Failure, AssertionError) as failure:
        sys.exit("webhook.py: %s" % failure)
    finally:
        if own:
            shutil.rmtree(options.work_dir, ignore_errors=True)
    sys.exit(1 if options.check and bench.missed else 0)


if __name__ == "__main__":
    main()
