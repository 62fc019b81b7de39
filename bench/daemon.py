#!/usr/bin/env python3
"""What the daemon costs and how fast it is, one measurement a command:

  bench/daemon.py latency     from a line's write to its alert, at 5000 events/s
  bench/daemon.py idle        CPU and memory of a daemon with nothing to do
  bench/daemon.py recovery    from exec to ready, with a 64 MiB journal to replay
  bench/daemon.py catchup     a backlog of 1 GB, against `klaxon scan`
  bench/daemon.py snapshot    what a snapshot of a million keys holds up
  bench/daemon.py all

Each checks the answer first and prints no figure without it. --build-dir DIR
measures a build that is there; --work-dir is where logs and state are written
(a disk, not tmpfs, for a figure to quote). Targets: issue 11; bench/README.md.
"""

import argparse
import atexit
import datetime
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MIB = 1 << 20
PATIENCE = 600


class Failure(Exception):
    """An answer was wrong: no figure can be trusted."""


def stamp(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(number, seconds, client="10.1.2.3", user="alice", code=200,
          planted=False):
    """An audit event; planted: an anonymous read of secrets that was let in."""
    when = stamp(seconds)
    fields = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": "bench-%d" % number, "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/secrets", "verb": "list",
        "user": {"username": "system:anonymous" if planted else user,
                 "groups": ["system:unauthenticated" if planted else
                            "system:authenticated"]},
        "sourceIPs": [client], "userAgent": "kubelet/v1.35.0",
        "objectRef": {"resource": "secrets", "namespace": "default",
                      "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": code},
        "requestReceivedTimestamp": when, "stageTimestamp": when,
        "annotations": {"authorization.k8s.io/decision": "allow",
                        "authorization.k8s.io/reason": ""}}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def address(number):
    return "2001:db8:%x:%x::1" % (number >> 16, number & 0xffff)


def refused(number, seconds):
    """A failed authentication of a client of its own: a key to remember."""
    fields = json.loads(event(number, seconds, address(number), code=401))
    fields["user"] = {}
    fields["stage"] = "ResponseStarted"
    return json.dumps(fields, separators=(",", ":")) + "\n"


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Daemon:
    """A running `klaxon run` and its metrics."""

    def __init__(self, klaxon, folder, config):
        self.folder = folder
        path = os.path.join(folder, "klaxon.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        self.port = int(re.search(r'listen: "127.0.0.1:(\d+)"', config)[1])
        self.errors = open(os.path.join(folder, "stderr"), "ab")
        self.begin = time.monotonic()
        self.process = subprocess.Popen([klaxon, "run", "-c", path],
                                        stdout=subprocess.DEVNULL,
                                        stderr=self.errors)
        atexit.register(self.process.kill)  # Nothing, where it has ended.

    def get(self, path):
        try:
            with urllib.request.urlopen(
                    "http://127.0.0.1:%d%s" % (self.port, path),
                    timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def metric(self, name, text=None):
        """The sum of a family's series."""
        text = self.get("/metrics")[1] if text is None else text
        return sum(float(value) for value in re.findall(
            r"^%s(?:\{.*\})? (\S+)$" % name, text, re.M))

    def wait(self, what, condition, pause=0.005):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure("%s never came, exit %s; see %s" % (
                    what, self.process.poll(), self.errors.name))
            time.sleep(pause)

    def wait_ready(self):
        self.wait("ready", lambda: self.get("/readyz")[0] == 200)
        return time.monotonic() - self.begin

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) * 1024

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.errors.close()
        if number == signal.SIGTERM and code != 0:
            raise Failure("exit %d; see %s" % (code, self.errors.name))


class Bench:
    def __init__(self, options):
        self.klaxon = os.path.join(options.build_dir, "klaxon")
        self.generator = os.path.join(options.build_dir, "bench",
                                      "klaxon-generate")
        self.options = options
        self.missed = 0

    def report(self, what, value, unit, target=None, at_least=False):
        good = target is None or (value >= target if at_least else
                                  value <= target)
        self.missed += not good
        sign = "" if target is None else "  (target %s %g%s)" % (
            ">=" if at_least else "<=", target, "" if good else ", MISSED")
        print("%-48s %10.4g %s%s" % (what, value, unit, sign), flush=True)

    def folder(self, name):
        path = os.path.join(self.options.work_dir, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def config(self, folder, log, more="", snapshot_journal="1TiB",
               snapshot_interval="1d", keys=1_000_000):
        return """sources: [{file: {path: %s}}]
sinks: [{file: {path: %s/alerts.ndjson}}]
state: {dir: %s/state, snapshot_journal: %s, snapshot_interval: %s,
        snapshot_replay: 1d, keys_max: %d}
http: {listen: "127.0.0.1:%d"}
%s
""" % (log, folder, folder, snapshot_journal, snapshot_interval, keys,
       self.options.port, more)

    # --------------------------------------------------------------- commands

    def write_load(self, log, seconds, rate, planted_every, stop=None):
        """Writes `rate` events a second; returns {client: when written}."""
        written = {}
        step = 0.01
        number = 0
        begin = time.monotonic()
        while time.monotonic() - begin < seconds and not (
                stop is not None and stop.is_set()):
            lines = []
            clients = []
            while number < (time.monotonic() - begin) * rate:
                number += 1
                planted = number % planted_every == 0
                client = "203.0.%d.%d" % (number // planted_every // 250 % 256,
                                          number // planted_every % 250 + 1)
                lines.append(event(number, time.time(),
                                   client if planted else "10.0.0.%d" % (
                                       number % 200), planted=planted))
                if planted:
                    clients.append(client)
            now = time.monotonic()
            log.write("".join(lines).encode())
            written.update((client, now) for client in clients)
            time.sleep(max(0, step - (time.monotonic() - now)))
        return written, number

    def watch_alerts(self, path, seen, done):
        """When each client's first alert came to stand in the file."""
        position, rest = 0, b""
        while True:
            last = done.is_set()
            try:
                with open(path, "rb") as file:
                    file.seek(position)
                    new = file.read()
            except FileNotFoundError:
                new = b""
            now = time.monotonic()
            position += len(new)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                seen.setdefault(json.loads(line).get("client", ""), now)
            if last:
                return
            time.sleep(0.001)

    def latencies(self, daemon, log_path, seconds, during=None):
        seen, done = {}, threading.Event()
        watcher = threading.Thread(
            target=self.watch_alerts,
            args=(os.path.join(daemon.folder, "alerts.ndjson"), seen, done))
        watcher.start()
        with open(log_path, "ab", buffering=0) as log:
            if during is not None:
                threading.Timer(seconds / 4, during).start()
            written, events = self.write_load(log, seconds, self.options.rate,
                                              500)
            # Event time goes on, so that the last ones are judged too.
            self.write_load(log, 2, 100, 10**9)
        deadline = time.monotonic() + 30
        while not set(written) <= set(seen) and time.monotonic() < deadline:
            time.sleep(0.01)
        done.set()
        watcher.join()
        if not set(written) <= set(seen):
            raise Failure("%d of %d planted attacks were not found" % (
                len(set(written) - set(seen)), len(written)))
        print("# %d events, %.0f a second; all %d planted attacks found" % (
            events, events / seconds, len(written)))
        return [seen[client] - when for client, when in written.items()]

    def latency(self):
        folder = self.folder("latency")
        log = os.path.join(folder, "audit.log")
        open(log, "w", encoding="utf-8").close()
        daemon = Daemon(self.klaxon, folder, self.config(folder, log))
        daemon.wait_ready()
        found = self.latencies(daemon, log, self.options.seconds)
        daemon.end()
        self.report("latency at %d/s: p50" % self.options.rate,
                    quantile(found, 0.5), "s")
        self.report("latency at %d/s: p99" % self.options.rate,
                    quantile(found, 0.99), "s", 1)

    def idle(self):
        folder = self.folder("idle")
        log = os.path.join(folder, "audit.log")
        with open(log, "w", encoding="utf-8") as file:
            file.write("".join(event(i, time.time()) for i in range(100)))
        daemon = Daemon(self.klaxon, folder, self.config(folder, log))
        daemon.wait_ready()
        if daemon.metric("klaxon_input_events_total") != 100:
            raise Failure("it did not read its log")
        time.sleep(5)
        before, begin = daemon.cpu_seconds(), time.monotonic()
        time.sleep(self.options.seconds)
        share = (daemon.cpu_seconds() - before) / (time.monotonic() - begin)
        resident = daemon.resident()
        daemon.end()
        self.report("idle: CPU", 100 * share, "% of a core", 0.5)
        self.report("idle: resident", resident / MIB, "MiB", 64)

    def keys_log(self, path, keys, per_second=100_000, age=0):
        """`keys` clients, each with one failed authentication, `age` s ago."""
        begin = time.time() - age - keys / per_second
        with open(path, "w", encoding="utf-8") as log:
            for number in range(keys):
                log.write(refused(number, begin + number / per_second))
            log.flush()
            os.fsync(log.fileno())  # Now, and not while commits are measured.
        return keys

    def recovery(self):
        folder = self.folder("recovery")
        log = os.path.join(folder, "audit.log")
        config = self.config(folder, log)
        keys = self.keys_log(log, self.options.keys)
        daemon = Daemon(self.klaxon, folder, config)
        daemon.wait("the backlog", lambda: daemon.metric(
            "klaxon_input_events_total") == keys and
            daemon.get("/readyz")[0] == 200, 0.1)
        size = daemon.metric("klaxon_journal_size_bytes")
        known = daemon.metric("klaxon_table_keys")
        while size < 64 * MIB:
            with open(log, "a", encoding="utf-8") as more:
                for number in range(keys, keys + 100_000):
                    more.write(refused(number, time.time()))
            keys += 100_000
            daemon.wait("more", lambda: daemon.metric(
                "klaxon_input_events_total") == keys, 0.1)
            time.sleep(1.2)  # The size is looked at once a second.
            size = daemon.metric("klaxon_journal_size_bytes")
        time.sleep(3)
        known = daemon.metric("klaxon_table_keys")
        daemon.end(signal.SIGKILL)
        daemon = Daemon(self.klaxon, folder, config)
        seconds = daemon.wait_ready()
        again = daemon.metric("klaxon_table_keys")
        resident = daemon.resident()
        daemon.end()
        if again != known:
            raise Failure("%d keys before, %d after" % (known, again))
        print("# %d events, %d keys, journal %.0f MiB, resident %.0f MiB" % (
            keys, known, size / MIB, resident / MIB))
        self.report("recovery of a 64 MiB journal",
                    seconds * 64 * MIB / size, "s", 3)

    def catchup(self):
        folder = self.folder("catchup")
        log = os.path.join(folder, "audit.log")
        with open(log, "wb") as file:
            subprocess.run([self.generator, "metadata",
                            str(int(self.options.gigabytes * 1e9)), "1"],
                           stdout=file, stderr=subprocess.DEVNULL, check=True)
        with open(log, "rb") as file:
            while file.read(MIB):
                pass
        ratios = []
        for round_ in range(self.options.rounds):
            begin = time.monotonic()
            scanned = subprocess.run(
                [self.klaxon, "scan", "--output", "ndjson", "--summary", "none",
                 "--progress", "never", log], stdout=subprocess.PIPE,
                check=True).stdout
            scan_seconds = time.monotonic() - begin
            state = os.path.join(folder, "state%d" % round_)
            begin = time.monotonic()
            run = subprocess.run(
                [self.klaxon, "tail", log, "--until-end", "--output", "ndjson",
                 "--state-dir", state], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, check=True).stdout
            seconds = time.monotonic() - begin
            if last_contents(run) != last_contents(scanned):
                raise Failure("tail says other than scan")
            print("# scan %.2f s, daemon %.2f s: the same %d alerts" % (
                scan_seconds, seconds, len(last_contents(scanned))))
            ratios.append(scan_seconds / seconds)
            shutil.rmtree(state)
        self.report("catch-up: speed / scan's (median)",
                    statistics.median(ratios), "", 0.5, at_least=True)

    def snapshot(self):
        folder = self.folder("snapshot")
        log = os.path.join(folder, "audit.log")
        keys = self.keys_log(log, self.options.keys, age=60)
        with open(log, "a", encoding="utf-8") as more:
            more.write(event(0, time.time()))  # So that their minute is over.
        daemon = Daemon(self.klaxon, folder, self.config(
            folder, log, snapshot_interval="10s"))
        daemon.wait("the backlog", lambda: daemon.metric(
            "klaxon_input_events_total") == keys + 1 and
            daemon.get("/readyz")[0] == 200 and
            daemon.metric("klaxon_reorder_observations") < 100, 0.1)
        first = daemon.metric("klaxon_snapshots_total")
        before = daemon.get("/metrics")[1]
        self.latencies(daemon, log, self.options.seconds)
        after = daemon.get("/metrics")[1]
        snapshots = daemon.metric("klaxon_snapshots_total", after) - first
        if snapshots < 1 or daemon.metric("klaxon_table_keys", after) < keys:
            raise Failure("no snapshot of %d keys was taken" % keys)
        print("# %d snapshots, %.0f MB each, %.1f s" % (
            snapshots, daemon.metric("klaxon_snapshot_size_bytes", after) / 1e6,
            daemon.metric("klaxon_snapshot_duration_seconds", after)))
        daemon.end()
        name = "klaxon_snapshot_pause_seconds"
        self.report("snapshot of %d keys: pause, p99" % keys,
                    1000 * histogram_quantile(name, 0.99, before, after), "ms",
                    10)
        self.report("snapshot of %d keys: pause, longest" % keys,
                    1000 * histogram_quantile(name, 1, before, after), "ms")


def last_contents(text):
    last = {}
    for line in text.splitlines():
        alert = json.loads(line)
        revision = alert.pop("revision")
        if revision >= last.get(alert["id"], (0, None))[0]:
            last[alert["id"]] = (revision, alert)
    return {key: alert for key, (_, alert) in last.items()}


def histogram_quantile(name, share, before, after):
    """The upper bound of the bucket that holds the quantile."""
    def buckets(text):
        return [(float(bound), float(count)) for bound, count in re.findall(
            r'^%s_bucket\{le="(\S+)"\} (\S+)$' % name, text, re.M)]
    old = dict(buckets(before))
    counts = [(bound, count - old.get(bound, 0))
              for bound, count in buckets(after)]
    wanted = counts[-1][1] * share
    return next(bound for bound, count in counts if count >= wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = ("latency", "idle", "recovery", "catchup", "snapshot")
    parser.add_argument("what", choices=commands + ("all",))
    parser.add_argument("--build-dir",
                        default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--work-dir")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=29440)
    parser.add_argument("--check", action="store_true",
                        help="a missed target is an error")
    options = parser.parse_args()
    own = options.work_dir is None
    if own:
        options.work_dir = tempfile.mkdtemp(prefix="klaxon_daemon_")
    bench = Bench(options)
    try:
        for command in commands if options.what == "all" else [options.what]:
            getattr(bench, command)()
    except Failure as failure:
        sys.exit("daemon.py: %s" % failure)
    finally:
        if own:
            shutil.rmtree(options.work_dir, ignore_errors=True)
    sys.exit(1 if options.check and bench.missed else 0)


if __name__ == "__main__":
    main()
