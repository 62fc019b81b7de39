"""Audit events in batches as kube-apiserver's webhook sends them, any number.

They are those of a recorded log, over and over, with stamps and audit IDs of
their own, a little out of order, as they are written when they end. Each batch
has a read of secrets by an anonymous client from an address of its own: one
alert, which says whether it was judged.
"""
import datetime
import json
import random
import re
import subprocess

BATCH_EVENTS = 400
SPAN = 2  # Seconds of event time in a batch.
START = 1767323045  # 2026-01-02T03:04:05Z
STAMP = re.compile(rb'((?:requestReceived|stage)Timestamp":")[^"]*')
AUDIT_ID = re.compile(rb'("auditID":")[^"]{8}')


def read_lines(path):
    if path.endswith(".zst"):
        text = subprocess.run(["zstd", "-dqc", path], check=True,
                              stdout=subprocess.PIPE).stdout
        return text.splitlines()
    with open(path, "rb") as log:
        return log.read().splitlines()


def stamp(micros):
    """RFC 3339 of START + `micros`."""
    seconds, fraction = divmod(micros, 1_000_000)
    when = datetime.datetime.fromtimestamp(START + seconds,
                                           datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{fraction:06d}Z"


def event(audit_id, micros, uri, user, address, **more):
    return json.dumps({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": audit_id, "stage": "ResponseComplete", "requestURI": uri,
        "verb": "list", "user": user, "sourceIPs": [address],
        "userAgent": "curl/8", "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": stamp(micros),
        "stageTimestamp": stamp(micros), **more},
        separators=(",", ":")).encode()


def plant(micros, number):
    """An anonymous read of secrets that was let in, of client `number`."""
    return event(
        f"plant-{number}", micros, "/api/v1/secrets",
        {"username": "system:anonymous", "groups": ["system:unauthenticated"]},
        f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",
        objectRef={"resource": "secrets", "namespace": "default",
                   "apiVersion": "v1"},
        annotations={"authorization.k8s.io/decision": "allow",
                     "authorization.k8s.io/reason": ""})


def body_of(lines):
    return (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1",'
            b'"metadata":{},"items":[' + b",".join(lines) + b"]}\n")


class Corpus:
    """`count` batches made of the events in `lines`. `span`: seconds of events
    in each; `servers`: so many batches have the same time."""

    def __init__(self, lines, count, span=SPAN, servers=1):
        self._templates = [self._template(line) for line in lines]
        self.count = count
        self._servers = servers
        self._span = int(span * 1_000_000)

    @staticmethod
    def _template(line):
        line = line.replace(b"%", b"%%")
        line = AUDIT_ID.sub(rb"\g<1>%(id)08x", line, count=1)
        return STAMP.sub(rb"\g<1>%(at)s", line)

    def lines(self, number):
        """The events of a batch, one a line; the same for the same number."""
        step = self._span // BATCH_EVENTS
        begin = number // self._servers * self._span
        rng = random.Random(number)
        templates, count = self._templates, len(self._templates)
        seconds = [stamp(begin + more * 1_000_000)[:-7].encode()
                   for more in range(self._span // 1_000_000 + 2)]
        out = []
        for which in range(BATCH_EVENTS - 1):
            at = number * BATCH_EVENTS + which
            micros = begin % 1_000_000 + int((which + 20 * rng.random()) * step)
            out.append(templates[at % count] % {
                b"id": at, b"at": b"%s%06dZ" % (seconds[micros // 1_000_000],
                                                micros % 1_000_000)})
        out.append(plant(begin + self._span, number))
        return out

    def body(self, number):
        return body_of(self.lines(number))

    @staticmethod
    def begin():
        """An event before all others, of which nothing is made."""
        return [event("begin", 0, "/api/v1/nodes", {"username": "alice"},
                      "10.0.0.9")]

    def end(self):
        """Two days later than all else: every episode is over. The second
        event lets the first one be judged."""
        begin = self.count * self._span + 2 * 86400 * 1_000_000
        return [event(f"end-{minute}", begin + minute * 60_000_000,
                      "/api/v1/nodes", {"username": "alice"}, "10.0.0.9")
                for minute in range(2)]
