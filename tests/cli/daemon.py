"""A running `klaxon`, and what it says: for tests that look at a daemon."""
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from runner import KLAXON, KlaxonTest

PATIENCE = 60  # Seconds until something that must happen has failed to.


def listening_ports(pid):
    """The TCP ports that a process listens on; none once it is gone."""
    inodes = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
    except OSError:
        return set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows
            if row[3] == "0A" and row[9] in inodes}


class Daemon:
    """A klaxon process; its output is read as it comes.

    Nothing here sleeps: a wait ends with a line, an answer, or the process.
    """

    def __init__(self, directory, *arguments, before=None):
        """`before`: called in the process that becomes it."""
        self.process = subprocess.Popen(
            [KLAXON, *arguments, "--log-level", "info"], cwd=directory,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=before)
        self.out = []
        self.err = []
        self._lines = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, kept))
            for stream, kept in ((self.process.stdout, self.out),
                                 (self.process.stderr, self.err))]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, kept):
        for line in stream:
            kept.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text, since=0):
        """Until a line with `text` was written (the `since`-th such line)."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if sum(text in line for line in self.out + self.err) > since:
                return
            try:
                self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(
                    "no %r in:\n%s" % (text, "".join(self.err))) from None

    def alerts(self):
        return [json.loads(line) for line in list(self.out)]

    def wait_for_alert(self, **fields):
        deadline = time.monotonic() + PATIENCE
        while True:
            for alert in self.alerts():
                if fields.items() <= alert.items():
                    return alert
            try:
                self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError("no alert %r in:\n%s\n%s" % (
                    fields, "".join(self.out), "".join(self.err))) from None

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, expected="is taken over"):
        """SIGHUP; returns when it ended as expected."""
        before = sum(expected in line for line in self.err)
        self.signal(signal.SIGHUP)
        self.wait_for(expected, before)

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        self.process.wait(timeout=PATIENCE)
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.stop()

    # HTTP

    def ports(self):
        """The TCP ports that it listens on."""
        return listening_ports(self.process.pid)

    def endpoint(self):
        """The port of /metrics and /healthz."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for port in self.ports():
                if self.get("/healthz", port)[0] in (200, 503):
                    return port
        raise AssertionError("it does not listen:\n" + "".join(self.err))

    def get(self, path, port=None):
        """Status and body; 0 where there was no answer."""
        port = port or self.endpoint()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}",
                                        timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def wait_until(self, look, port):
        """Until `look(metrics)` holds; returns what it gave."""
        deadline = time.monotonic() + PATIENCE
        text = ""
        while time.monotonic() < deadline:
            text = self.get("/metrics", port)[1]
            result = look(samples(text))
            if result:
                return result
        raise AssertionError("never so:\n" + text)


def samples(text):
    """{(name, ((label, value), …)): number} of a scrape."""
    found = {}
    for line in text.splitlines():
        row = re.match(r'(\w+)(?:\{(.*)\})? (\S+)$', line)
        if line.startswith("#") or not row:
            continue
        labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"',
                                         row[2] or "")))
        found[row[1], labels] = float(row[3])
    return found


def total(metrics, name, **labels):
    """The sum of the series of `name` that have these labels."""
    return sum(value for (series, own), value in metrics.items()
               if series == name and labels.items() <= dict(own).items())


class DaemonTest(KlaxonTest):
    """Has a klaxon.yaml of file sources, sinks, state and endpoint."""

    def configure(self, logs=("a.log",), sinks="- stdout: {}", more="",
                  sources="", state=""):
        files = "".join("- file: {path: %s}\n" % json.dumps(self.path(log))
                        for log in logs)
        self.write("klaxon.yaml", "sources:\n%s%s\nsinks:\n%s\n"
                   "state: {dir: %s%s}\nhttp: {listen: '127.0.0.1:0'}\n%s\n"
                   % (files, sources, sinks, json.dumps(self.path("state")),
                      state, more))

    def start(self, before=None):
        daemon = Daemon(self.dir, "run", "-c", "klaxon.yaml", "--output",
                        "ndjson", before=before)
        self.addCleanup(daemon.kill)
        return daemon
