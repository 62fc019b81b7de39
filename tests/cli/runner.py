"""Runs the klaxon binary and writes audit logs for it to read.

Standard library only. KLAXON_BINARY names the binary.
"""
import datetime
import json
import os
import shutil
import subprocess
import tempfile
import unittest

KLAXON = os.environ["KLAXON_BINARY"]
START = 1767323045  # 2026-01-02T03:04:05Z


def stamp(seconds):
    """RFC 3339 of START + seconds, as kube-apiserver writes it."""
    t = datetime.datetime.fromtimestamp(START, datetime.timezone.utc)
    t += datetime.timedelta(seconds=seconds)
    return t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(seconds, code=200, user="alice", ip="203.0.113.9", verb="list",
          uri="/api/v1/secrets", **more):
    """One audit event as kube-apiserver's log backend writes it."""
    audit_id = f"{int(seconds * 1e6):08x}-{ip}"
    fields = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseStarted" if code == 401 else "ResponseComplete",
        "requestURI": uri, "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"]}
        if user else {},
        "sourceIPs": [ip], "userAgent": "curl/8",
        "responseStatus": {"metadata": {}, "code": code},
        "requestReceivedTimestamp": stamp(seconds),
        "stageTimestamp": stamp(seconds + 0.001),
    }
    fields.update(more)
    return json.dumps(fields, separators=(",", ":"))


def burst(count=12, start=0, ip="203.0.113.9"):
    """`count` failed authentications, a second apart: one medium alert."""
    return [event(start + i, code=401, user="", ip=ip) for i in range(count)]


def anonymous_read(seconds, ip="198.51.100.7"):
    """An anonymous request for secrets that was let in: one critical alert."""
    return event(seconds, user="system:anonymous", ip=ip,
                 objectRef={"resource": "secrets", "namespace": "default",
                            "apiVersion": "v1"},
                 annotations={"authorization.k8s.io/decision": "allow",
                              "authorization.k8s.io/reason": ""})


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.raw_out = process.stdout or b""
        self.out = self.raw_out.decode(errors="replace")
        self.err = process.stderr.decode(errors="replace")

    @property
    def alerts(self):
        return [json.loads(line) for line in self.out.splitlines()]


class KlaxonTest(unittest.TestCase):
    """A scratch folder, which is the working directory of every run."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="klaxon_cli_")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        """Bytes, a text, or a list of lines; returns the name."""
        if isinstance(content, list):
            content = "".join(line + "\n" for line in content)
        if isinstance(content, str):
            content = content.encode()
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(content)
        return name

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def run_klaxon(self, *arguments, stdin=b"", env=None,
                   stdout=subprocess.PIPE):
        process = subprocess.run(
            [KLAXON, *arguments], cwd=self.dir, input=stdin, stdout=stdout,
            stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})),
            timeout=120)
        return Result(process)

    def scan(self, *arguments, **more):
        """A scan whose stderr holds messages only."""
        return self.run_klaxon("scan", "--summary", "none", *arguments, **more)

    def detectors_of(self, result):
        return [alert["detector"] for alert in result.alerts]
