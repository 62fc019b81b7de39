"""A daemon on a followed log, and what its counters and its alerts must say.

For the drivers of this folder. A bed outlives its processes: what each of them
counted is added up, so that "read once" holds over restarts too. Counters are
read when they can be: call `settle` before a process is ended.
"""
import atexit
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
# pylint: disable=wrong-import-position
from daemon import listening_ports, samples, total
from kill_driver import Bed, compare, last_contents, revisions
from runner import KLAXON, anonymous_read, event

PATIENCE = 120  # Seconds until something that must happen has failed to.
COUNTERS = {"events": "klaxon_input_events_total",
            "lines": "klaxon_input_lines_total",
            "bytes": "klaxon_input_processed_bytes_total"}


class LiveBed(Bed):
    def __init__(self, folder, sinks=None, state="snapshot_interval: 200ms",
                 source="", name="audit.log"):
        super().__init__(KLAXON, folder, "1h")
        self.log = os.path.join(folder, name)
        sinks = sinks or (f"file: {{path: {self.alerts}, rotate: 256KiB, "
                          "keep: 1000}")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(f"sources: [{{file: {{path: {self.log}{source}}}}}]\n"
                      f"sinks: [{{{sinks}}}]\n"
                      f"state: {{dir: {folder}/state, commit_interval: 5ms, "
                      f"{state}}}\nhttp: {{listen: '127.0.0.1:0'}}\n")
        self.process = None
        self.port = None
        self.before = dict.fromkeys([*COUNTERS, "gaps", "late"], 0)
        atexit.register(self.leave_nothing)

    def leave_nothing(self):
        """A test that failed leaves its folder, but no process."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def up(self, **more):
        self.process = self.start(**more)
        self.port = None

    def scrape(self):
        """What the running process counts; {} where it does not answer yet."""
        for port in [self.port] if self.port else listening_ports(
                self.process.pid):
            try:
                with urllib.request.urlopen(
                        f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
                    self.port = port
                    return samples(page.read().decode())
            except (urllib.error.URLError, OSError):
                continue
        return {}

    def counted(self, found=None):
        """What all processes of this bed counted together."""
        found = self.scrape() if found is None else found
        now = {key: total(found, name) for key, name in COUNTERS.items()}
        now["gaps"] = total(found, "klaxon_input_gaps_total")
        now["late"] = total(found, "klaxon_input_late_total")
        return {key: int(self.before[key] + now[key]) for key in self.before}

    def wait(self, what, condition):
        """Until `condition(metrics)`; returns the metrics."""
        deadline = time.monotonic() + PATIENCE
        found = {}
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"{what}: exit {self.process.returncode}\n"
                                 + self.errors())
            found = self.scrape()
            if found and condition(found):
                return found
            time.sleep(0.005)
        raise SystemExit(f"{what}: never so; counted {self.counted(found)}\n"
                         + self.errors())

    def settle(self, events):
        """Until so many events were read; more or fewer are a failure."""
        found = self.wait(f"{events} events", lambda found: self.counted(
            found)["events"] >= events)
        counted = self.counted(found)
        if counted["events"] != events:
            raise SystemExit(f"{events} events were written, {counted} read\n"
                             + self.errors())
        return counted

    def down(self, number=signal.SIGTERM):
        self.before = self.counted()
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE)
        if code not in (0, -signal.SIGKILL):
            raise SystemExit(f"exit {code}\n" + self.errors())

    def check(self, everything, what):
        """Alerts, counters: as a scan of the file `everything` says."""
        summary, alerts = scan(everything)
        counted = self.counted({})
        for key in ("events", "lines", "bytes", "gaps", "late"):
            if counted[key] != summary[key]:
                raise SystemExit(f"{what}: {key}: scan {summary[key]}, daemon "
                                 f"{counted[key]}\n" + self.errors())
        got = self.delivered()
        revisions(got, what)
        compare(alerts, last_contents(got), what)
        return summary, alerts


def scan(path):
    done = subprocess.run(
        [KLAXON, "scan", path, "--output", "ndjson", "--summary", "json",
         "--progress", "never"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    summary = json.loads(done.stderr.strip().splitlines()[-1])
    return summary, last_contents(done.stdout.splitlines())


def seeded(seed):
    """A generator whose seed is printed; --seed does the same again."""
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}", flush=True)
    return random.Random(seed)


class Events:
    """Lines with each an auditID of its own; some of them are attacks.

    Of 40 events 12 are failed authentications of one new client, whose alert
    counts them: one lost or one too many would show in it, too.
    """

    def __init__(self, seconds_between=0.05):
        self.between = seconds_between
        self.count = 0

    def next(self):
        number = self.count
        self.count += 1
        client = "198.51.%d.%d" % (number // 40 // 250 % 256,
                                   number // 40 % 250 + 1)
        failed = number % 40 < 12
        line = event(number * self.between, code=401 if failed else 200,
                     user="" if failed else "alice",
                     ip=client if failed else "10.20.0.7")
        return line.encode() + b"\n"

    def some(self, number):
        return [self.next() for _ in range(number)]


class Intrusions(Events):
    """Lines of which each makes an alert of its own, by its client."""

    @staticmethod
    def client(number):
        return "198.%d.%d.%d" % (18 + number // 62500 % 2,
                                 number // 250 % 250, number % 250 + 1)

    def next(self):
        number = self.count
        self.count += 1
        return anonymous_read(number, self.client(number)).encode() + b"\n"


class Lumberjack:
    """kube-apiserver's rotation; all that was ever written is in `copy`."""

    def __init__(self, log, copy):
        self.log, self.copy = log, open(copy, "ab", buffering=1 << 20)
        self.rotations = 0
        self.out = open(log, "ab", buffering=0)

    def write(self, lines):
        for line in lines:
            self.out.write(line)
            self.copy.write(line)

    def rotate(self):
        """Returns the backup's path. A millisecond passes with each."""
        self.rotations += 1
        stem, extension = os.path.splitext(self.log)
        seconds, ms = divmod(10_000_000 + self.rotations, 1000)
        minutes, seconds = divmod(seconds, 60)
        backup = "%s-2026-01-02T%02d-%02d-%02d.%03d%s" % (
            stem, *divmod(minutes, 60), seconds, ms, extension)
        self.out.close()
        os.rename(self.log, backup)
        self.out = open(self.log, "ab", buffering=0)
        return backup

    def close(self):
        self.out.close()
        self.copy.close()
