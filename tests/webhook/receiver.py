"""A klaxon that receives, with a state directory and a file of alerts.

It may be killed and started again; ports are chosen by the system each time.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "cli"))
from daemon import samples, total  # noqa: E402

KLAXON = os.environ["KLAXON_BINARY"]
PATIENCE = 60  # Seconds until something that must happen has failed to.
STDERR_MAX = 16 << 20  # More than that is a failure too.


# The daemon's own endpoint is told from the receiver by its address.
ENDPOINT = "127.0.0.2"


def listening_port(pid, address):
    """The TCP port on which a process listens there; None: none."""
    inodes = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
    except OSError:
        return None
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    raw = "%08X" % int.from_bytes(socket.inet_aton(address), sys.byteorder)
    for row in rows:
        host, port = row[1].split(":")
        if host == raw and row[3] == "0A" and row[9] in inodes:
            return int(port, 16)
    return None


def get(port, path, timeout=10):
    """Status and body; 0 where there was no answer."""
    connection = http.client.HTTPConnection(ENDPOINT, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Receiver:
    """`webhook`: more keys of the source, `state`: of the state directory."""

    def __init__(self, folder, webhook="", state="", sinks=None):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.alerts_path = os.path.join(folder, "alerts.ndjson")
        self._stderr_path = os.path.join(folder, "stderr")
        self._webhook, self._state = webhook, state
        self._sinks = sinks or "- file: {path: %s}" % json.dumps(
            self.alerts_path)
        self.listen = "127.0.0.1:0"
        self.process = None
        self._port = None
        self.endpoint = None
        self._lock = threading.Lock()

    def _configure(self, endpoint):
        path = os.path.join(self.folder, "klaxon.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(
                "sources:\n- webhook: {listen: '%s'%s}\n"
                "sinks:\n%s\nstate: {dir: %s%s}\n" % (
                    self.listen, self._webhook, self._sinks,
                    json.dumps(os.path.join(self.folder, "state")),
                    self._state))
            if endpoint:
                out.write("http: {listen: '%s:0'}\n" % ENDPOINT)
        return path

    def start(self, endpoint=False, failpoint=None, wrapper=()):
        environment = dict(os.environ)
        if failpoint:
            environment["KLAXON_FAILPOINT"] = failpoint
        with self._lock, open(self._stderr_path, "ab") as err:
            if err.tell() > STDERR_MAX:
                raise AssertionError("too many messages:\n" + self.errors())
            self.process = subprocess.Popen(
                [*wrapper, KLAXON, "run", "-c", self._configure(endpoint)],
                cwd=self.folder, stdout=subprocess.DEVNULL, stderr=err,
                env=environment)
            self._port = self.endpoint = None
        if endpoint:
            self.wait_until(self.port, "it listens")
            self.endpoint = self.wait_until(
                lambda: listening_port(self.process.pid, ENDPOINT),
                "it has an endpoint")

    def wait_until(self, look, what, patience=PATIENCE):
        """Until look() gives something true, and that. `what`: that in words,
        or what gives them."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := look():
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        what = what() if callable(what) else what
        raise AssertionError(f"never so: {what}\n{self.errors()}")

    def port(self):
        """Where it receives at this moment; None: nowhere."""
        with self._lock:
            process = self.process
            if process is None or process.returncode is not None:
                return None
            if self._port is None:
                self._port = listening_port(process.pid, "127.0.0.1")
            return self._port

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE)
        if code != 0:
            raise AssertionError(f"exit {code}\n{self.errors()}")

    def end(self):
        """Whatever became of it, it is no more."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def metrics(self):
        status, text = get(self.endpoint, "/metrics")
        if status != 200:
            raise AssertionError(f"/metrics: {status}\n{self.errors()}")
        return samples(text)

    def metric(self, name, **labels):
        return total(self.metrics(), name, **labels)

    def errors(self):
        with open(self._stderr_path, errors="replace",
                  encoding="utf-8") as err:
            return err.read()[-4000:]

    def alert_lines(self):
        if not os.path.exists(self.alerts_path):
            return []
        with open(self.alerts_path, "rb") as alerts:
            lines = alerts.read().split(b"\n")
        return lines[:-1]

    def state(self):
        shown = subprocess.run(
            [KLAXON, "state", "show", os.path.join(self.folder, "state"),
             "--json"], check=True, stdout=subprocess.PIPE)
        return json.loads(shown.stdout)


def last_contents(lines):
    """What each alert says last; no revision may have come twice."""
    seen, last = set(), {}
    for line in lines:
        alert = json.loads(line)
        revision = alert.pop("revision")
        if (alert["id"], revision) in seen:
            raise AssertionError(f"delivered twice: {line[:300]}")
        seen.add((alert["id"], revision))
        if revision > last.get(alert["id"], (0,))[0]:
            last[alert["id"]] = (revision, alert)
    return {key: alert for key, (_, alert) in last.items()}


def scan(path, *arguments):
    done = subprocess.run(
        [KLAXON, "scan", path, "--output", "ndjson", "--summary", "none",
         *arguments], stdout=subprocess.PIPE, check=True)
    return last_contents(done.stdout.splitlines())


def difference(want, got):
    """In words; empty: there is none."""
    missing = [want[key] for key in want if key not in got]
    added = [got[key] for key in got if key not in want]
    other = [(want[key], got[key]) for key in want
             if key in got and want[key] != got[key]]
    if not (missing or added or other):
        return ""
    said = [f"{len(missing)} missing, {len(added)} too many, {len(other)} "
            f"differ, of {len(want)}"]
    said += [f"missing {json.dumps(alert)[:700]}" for alert in missing[:3]]
    said += [f"too many {json.dumps(alert)[:700]}" for alert in added[:3]]
    said += [f"want {json.dumps(a)[:1200]}\n got {json.dumps(b)[:1200]}"
             for a, b in other[:3]]
    return "\n".join(said)
