#!/usr/bin/env python3
"""Random but pointed audit logs: the edges of the rules, from a seed.

    generate.py --seed N --scenario S --events M [--out FOLDER]
    generate.py --list

Writes the log (one event a line, as kube-apiserver prints it) to stdout, or
log.ndjson, config.json and certs.pem into FOLDER. The same arguments always
give the same bytes. Standard library only.

Every scenario lays several small cases beside each other, each with addresses
and names of its own, and fills up with healthy traffic until `events` events.
"""
import argparse
import base64
import datetime
import hashlib
import json
import os
import random
import sys

MICRO = 1_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BASE = 1_768_435_200 * SECOND  # 2026-01-15, midnight UTC

KUBECTL = "kubectl/v1.35.4 (linux/amd64) kubernetes/8f2c5ab"
CURL = "curl/7.88.1"
PYTHON = "python-requests/2.31.0"
GO = "Go-http-client/2.0"
AGENT = "reflector/v1.35.4 (linux/amd64) kubernetes/8f2c5ab"
KUBELET = "kubelet/v1.35.4 (linux/amd64) kubernetes/8f2c5ab"
EXTRA = "authentication.kubernetes.io/"


def stamp(nanos):
    whole = datetime.datetime.fromtimestamp(nanos // SECOND,
                                            datetime.timezone.utc)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanos % SECOND // MICRO:06d}Z"


def go_json(value):
    """As Go's encoder prints it: compact, HTML escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for sign in "&<>\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


# ------------------------------------------------------------- certificates


def der(tag, *parts):
    content = b"".join(parts)
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def name(common_name, organizations=()):
    def attribute(last, text):
        oid = der(6, b"\x55\x04" + bytes([last]))
        return der(0x31, der(0x30, oid, der(12, text.encode())))
    return der(0x30, *[attribute(10, o) for o in organizations],
               attribute(3, common_name))


def certificate(rng, common_name, not_before, not_after, organizations=()):
    """DER of a certificate that any parser reads; its signature is noise."""
    ecdsa = der(0x30, der(6, bytes.fromhex("2a8648ce3d040302")))
    point = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    key = der(0x30, der(0x30, der(6, bytes.fromhex("2a8648ce3d0201")),
                        der(6, bytes.fromhex("2a8648ce3d030107"))),
              der(3, b"\0" + point))
    dates = []
    for nanos in (not_before, not_after):
        at = datetime.datetime.fromtimestamp(nanos // SECOND,
                                             datetime.timezone.utc)
        dates.append(der(24, f"{at:%Y%m%d%H%M%SZ}".encode()) if at.year >= 2050
                     else der(23, f"{at:%y%m%d%H%M%SZ}".encode()))
    serial = der(2, b"\x4d" + rng.randbytes(8))
    body = der(0x30, der(0xa0, der(2, b"\x02")), serial, ecdsa,
               name("kubernetes"), der(0x30, *dates),
               name(common_name, organizations), key)
    number = der(2, b"\x55" + rng.randbytes(31))
    return der(0x30, body, ecdsa, der(3, b"\0" + der(0x30, number, number)))


def pem(der_bytes):
    text = base64.b64encode(der_bytes).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines,
                      "-----END CERTIFICATE-----", ""])


def fingerprint(der_bytes):
    return "X509SHA256=" + hashlib.sha256(der_bytes).hexdigest()


# -------------------------------------------------------------------- users


def anonymous():
    return {"username": "system:anonymous",
            "groups": ["system:unauthenticated"]}


def account(namespace, name, jti=None, pod=None, node=None):
    user = {"username": f"system:serviceaccount:{namespace}:{name}",
            "uid": f"uid-{namespace}-{name}",
            "groups": ["system:serviceaccounts",
                       f"system:serviceaccounts:{namespace}",
                       "system:authenticated"]}
    extra = {}
    if jti:
        extra[EXTRA + "credential-id"] = ["JTI=" + jti]
    if node:
        extra[EXTRA + "node-name"] = [node]
    if pod:
        extra[EXTRA + "pod-name"] = [pod]
    if extra:
        user["extra"] = extra
    return user


def by_certificate(username, groups, credential):
    return {"username": username, "groups": groups + ["system:authenticated"],
            "extra": {EXTRA + "credential-id": [credential]}}


def node(name, credential=None):
    user = {"username": "system:node:" + name,
            "groups": ["system:nodes", "system:authenticated"]}
    if credential:
        user["extra"] = {EXTRA + "credential-id": [credential]}
    return user


# ---------------------------------------------------------------------- log


class Log:
    """A log in the making. Times are nanoseconds, whole microseconds."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.lines = []  # (time, line)
        self.config = {"cluster": "model"}
        self.certificates = []  # PEM texts of the inventory
        # Off the minute, so that minutes cut the cases anywhere.
        self.start = (BASE + self.rng.randrange(20 * HOUR // SECOND) * SECOND
                      + self.rng.randrange(10**6) * MICRO)
        self.hosts = 0
        self.prelude = self.rng.random() < 0.7

    def uuid(self):
        text = f"{self.rng.getrandbits(128):032x}"
        return "-".join([text[:8], text[8:12], text[12:16], text[16:20],
                         text[20:]])

    def outside(self):
        """An external IPv4 address that nobody else has."""
        self.hosts += 1
        return f"203.{self.hosts >> 8}.{self.hosts & 255}.7"

    def inside(self):
        self.hosts += 1
        return f"10.{self.hosts >> 8}.{self.hosts & 255}.9"

    def prefix(self):
        """The first four groups of an IPv6 address nobody else has."""
        self.hosts += 1
        return f"2001:db8:{self.hosts:x}:1"

    def fingerprint(self):
        return f"X509SHA256={self.rng.getrandbits(256):064x}"

    def add(self, time, verb, uri, user, ips, agent=AGENT, ref=None, code=200,
            message="", stage="ResponseComplete", decision="allow", reason="",
            annotations=None, received=None, audit_id=None, request=None,
            response=None):
        """One event. `decision` None: authorization did not run."""
        time -= time % MICRO
        if received is None:
            received = time - self.rng.randrange(300, 5000) * MICRO
        event = {"kind": "Event", "apiVersion": "audit.k8s.io/v1",
                 "level": "RequestResponse" if response else
                          "Request" if request else "Metadata",
                 "auditID": audit_id or self.uuid(), "stage": stage,
                 "requestURI": uri, "verb": verb, "user": user,
                 "sourceIPs": [ips] if isinstance(ips, str) else list(ips)}
        if not ips:
            del event["sourceIPs"]
        if agent:
            event["userAgent"] = agent
        if ref:
            event["objectRef"] = ref
        status = {"metadata": {}}
        if message:
            status.update(status="Failure", message=message,
                          reason=message.split()[0])
        status["code"] = code
        if stage != "RequestReceived":
            event["responseStatus"] = status
        if request:
            event["requestObject"] = request
        if response:
            event["responseObject"] = response
        event["requestReceivedTimestamp"] = stamp(received)
        event["stageTimestamp"] = stamp(time)
        notes = dict(annotations or {})
        if decision and stage != "RequestReceived":
            notes["authorization.k8s.io/decision"] = decision
            notes["authorization.k8s.io/reason"] = reason
        if notes:
            event["annotations"] = dict(sorted(notes.items()))
        self.lines.append((time, go_json(event)))
        return event

    def failure(self, time, ips, path="/api/v1/pods", agent=CURL, **more):
        """A failed authentication."""
        ref = None
        if path.startswith("/api/v1/"):
            ref = {"resource": path.split("?")[0].split("/")[3],
                   "apiVersion": "v1"}
        more.setdefault("stage", "ResponseStarted")
        return self.add(time, "list" if ref else "get", path, {}, ips, agent,
                        ref, 401, "Unauthorized", decision=None, **more)

    def request(self, time, user, ips, verb="list", resource="pods",
                namespace="shop", subresource="", name="", group="",
                agent=AGENT, query="", **more):
        """A request for a resource."""
        uri = f"/apis/{group}/v1" if group else "/api/v1"
        ref = {"resource": resource}
        if namespace:
            uri += f"/namespaces/{namespace}"
            ref["namespace"] = namespace
        uri += f"/{resource}"
        if name:
            uri += f"/{name}"
            ref["name"] = name
        if group:
            ref["apiGroup"] = group
        ref["apiVersion"] = "v1"
        if subresource:
            uri += f"/{subresource}"
            ref["subresource"] = subresource
        return self.add(time, verb, uri + query, user, ips, agent, ref, **more)

    def refused(self, time, user, ips, **more):
        return self.request(time, user, ips, code=403, decision="forbid",
                            message="Forbidden no", **more)

    def noise(self, time):
        """One healthy request from inside."""
        n = self.rng.randrange(1, 6)
        kind = self.rng.randrange(6)
        if kind == 0:
            self.add(time, "get", self.rng.choice(
                ["/livez", "/readyz?verbose", "/healthz", "/version"]),
                anonymous(), "10.255.0.1", "kube-probe/1.35")
        elif kind == 1:
            self.request(time, node(f"w{n}"), f"10.255.1.{n}", "get", "pods",
                         "", name="x", agent=KUBELET)
        elif kind == 2:
            self.request(time, account("shop", f"app{n}", f"jti-{n}",
                                       f"app{n}-0", f"w{n}"),
                         f"10.255.2.{n}", "watch", "endpoints",
                         stage="ResponseStarted", query="?watch=true&a=<b>")
        elif kind == 3:
            self.refused(time, account("shop", f"app{n}", f"jti-{n}",
                                       f"app{n}-0", f"w{n}"),
                         f"10.255.2.{n}", verb="get", resource="secrets",
                         name="s")
        elif kind == 4:
            self.request(time, {"username": "oidc:eli",
                                "groups": ["dev", "system:authenticated"]},
                         "10.255.3.1", "create", "configmaps", agent=KUBECTL,
                         code=201)
        else:
            self.add(time, "get", "/metrics", account("mon", "prom", "jti-p"),
                     "10.255.2.9", GO)

    def duplicate(self, chance):
        """Writes some lines a second time (a webhook's retry)."""
        for time, line in list(self.lines):
            if self.rng.random() < chance:
                self.lines.append((time + 11 * SECOND, line))

    def finish(self, events):
        """Fills up with noise; returns the lines as they are on disk."""
        rng = self.rng
        if not self.lines:
            self.noise(self.start)
        first = min(time for time, _ in self.lines)
        last = max(time for time, _ in self.lines)
        tail = rng.choice([0, 1, 10 * MINUTE, 10 * MINUTE + MICRO, HOUR])
        if tail > 1:
            self.noise(last + tail)
            last += tail
        if self.prelude:  # The stream begins a while before the cases.
            first -= 3 * MINUTE
            self.noise(first)
        while len(self.lines) < events:
            self.noise(rng.randrange(first, last + 1))
        self.lines.sort(key=lambda line: line[0])  # Stable.
        if rng.random() < 0.3:  # Disorder, as of merged feeds.
            for _ in range(len(self.lines) // 10):
                i = rng.randrange(len(self.lines))
                j = min(len(self.lines) - 1, i + rng.randrange(8))
                self.lines[i], self.lines[j] = self.lines[j], self.lines[i]
        return [line for _, line in self.lines]


# ---------------------------------------------------------------- scenarios

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def spread(log, count, begin, length):
    """`count` times of which the first and last are exactly `length` apart."""
    inner = sorted(log.rng.randrange(1, length // MICRO) * MICRO
                   for _ in range(count - 2))
    return [begin + t for t in [0, *inner, length]][:max(count, 1)]


def paths(count):
    return [f"/api/v1/r{i}" for i in range(count)]


@scenario
def burst_edges(log):
    """N failures whose first and last are at, below, beyond the window."""
    for _ in range(8):
        client = log.outside() if log.rng.random() < 0.7 else log.inside()
        count = log.rng.choice([8, 9, 10, 11, 12, 99, 100, 101])
        length = log.rng.choice([30 * SECOND, MINUTE - MICRO, MINUTE,
                                 MINUTE + MICRO, 61 * SECOND])
        begin = log.start + log.rng.randrange(0, 1200) * SECOND
        for t in spread(log, count, begin, length):
            log.failure(t, client, log.rng.choice(paths(9)),
                        log.rng.choice([CURL, GO, PYTHON]))


@scenario
def minute_boundary(log):
    """Bursts that lie across the end of a minute, or just at it."""
    for _ in range(8):
        client = log.outside()
        boundary = (log.start // MINUTE + log.rng.randrange(1, 30)) * MINUTE
        before = log.rng.randrange(1, 12)
        after = log.rng.choice([9, 10, 11]) - before
        for i in range(before):
            log.failure(boundary - (i * 997 + 1) * MICRO, client,
                        paths(9)[i % 9])
        for i in range(max(after, 0)):
            log.failure(boundary + i * 991 * MICRO, client, paths(9)[i % 9])


@scenario
def flood(log):
    """Hundreds of failures within a minute, more than are remembered."""
    for _ in range(3):
        inside = log.rng.random() < 0.4
        client = log.inside() if inside else log.outside()
        count = log.rng.randrange(150, 700)
        begin = log.start + log.rng.randrange(0, 600) * SECOND
        length = log.rng.choice([20, 55, 60, 90, 170]) * SECOND
        agents = [AGENT] if inside else [CURL, GO][:log.rng.randrange(1, 3)]
        wanted = paths(log.rng.choice([1, 3, 5]) if inside else 12)
        step = length // count
        for i in range(count):
            jitter = log.rng.randrange(0, step // MICRO // 3 + 1) * MICRO
            log.failure(begin + i * step + jitter, client,
                        log.rng.choice(wanted), log.rng.choice(agents))
        if log.rng.random() < 0.5:
            log.failure(begin + length + log.rng.randrange(600) * SECOND,
                        client)
        if log.rng.random() < 0.5:
            log.request(begin + length + log.rng.randrange(500) * SECOND,
                        account("shop", "cart", "j1"), client, agent=KUBECTL)
        if inside and log.rng.random() < 0.5:
            # No workload any more, late in the minute; then the first agent's
            # success: is it the new token?
            if log.rng.random() < 0.7:
                log.failure(begin + length, client, agent=GO)
            log.request(begin + length + log.rng.randrange(1, 20) * SECOND,
                        account("shop", "cart", "j1"), client, agent=AGENT)


@scenario
def paces(log):
    """Of one pod, fast, slow, and a pause; as many as are remembered."""
    for _ in range(4):
        client = log.inside()
        when = log.start + log.rng.randrange(0, 1200) * SECOND
        fast, slow = sorted(log.rng.sample(range(20_000, 300_000), 2))
        steps = ([fast * MICRO] * log.rng.randrange(20, 110)
                 + [slow * MICRO] * log.rng.randrange(20, 89))
        if log.rng.random() < 0.3:
            steps.reverse()
        pause = 10 * log.rng.choice(steps) + log.rng.choice([-MICRO, 0, MICRO])
        at = log.rng.choice([len(steps), log.rng.randrange(len(steps))])
        steps.insert(at, pause)
        for step in [0, *steps]:
            when += step
            log.failure(when, client, agent=AGENT)


@scenario
def prefixes(log):
    """Addresses of one /64, alone and together, and out of it again."""
    for _ in range(5):
        prefix = log.prefix()
        begin = log.start + log.rng.randrange(0, 1800) * SECOND
        kind = log.rng.randrange(6)
        plan = []  # (address, offset in seconds)
        if kind == 0:  # Only together.
            counts = log.rng.choice([(5, 5), (5, 4), (6, 5), (9, 9), (3, 3, 4)])
            for i, count in enumerate(counts):
                plan += [(i, log.rng.uniform(0, 55)) for _ in range(count)]
        elif kind == 1:  # One alone: no alert of its prefix.
            plan += [(0, log.rng.uniform(0, 50)) for _ in range(15)]
        elif kind == 2:  # One alone and fewer of another.
            plan += [(0, log.rng.uniform(0, 50)) for _ in range(12)]
            plan += [(1, log.rng.uniform(0, 100)) for _ in
                     range(log.rng.choice([5, 9, 10]))]
        elif kind == 3:  # The prefix first, then one of its addresses.
            plan += [(i, i * 0.7) for i in range(11)]
            plan += [(0, 20 + i) for i in range(log.rng.choice([8, 9, 10, 12]))]
            plan += [(1, 70 + i) for i in range(3)]
        elif kind == 4:  # A new address each time.
            plan += [(i, i * 3.0) for i in range(log.rng.randrange(9, 40))]
        else:  # An address alerts, is quiet, and counts again.
            plan += [(0, i * 1.0) for i in range(10)]
            later = 9 + 600 + log.rng.choice([0, 0.000001, 1, 30])
            plan += [(0, later + i) for i in range(5)]
            plan += [(1, later + 0.5 + i) for i in range(5)]
        for address, offset in plan:
            log.failure(begin + int(offset * 10**6) * MICRO,
                        f"{prefix}::{address + 1:x}",
                        log.rng.choice(paths(8)))
        if log.rng.random() < 0.4:
            log.request(begin + 150 * SECOND, account("shop", "cart", "j2"),
                        f"{prefix}::{log.rng.choice([1, 2, 77])}",
                        agent=KUBECTL)


@scenario
def workload(log):
    """A workload with an expired token, and what only looks like one."""
    for _ in range(6):
        client = log.rng.choice([log.inside, log.inside, log.outside])()
        begin = log.start + log.rng.randrange(0, 1200) * SECOND
        period = log.rng.choice([1, 2, 4, 5]) * SECOND
        count = log.rng.choice([12, 20, 40])
        wanted = paths(log.rng.choice([1, 4, 5, 6]))
        jitter = log.rng.choice([0, 0, 20, 60])
        odd_agent = log.rng.random() < 0.25
        clumps = log.rng.random() < 0.25
        offset = 0
        for i in range(count):
            agent = AGENT
            if odd_agent and i == count - 2:
                agent = CURL
            shake = log.rng.randrange(-jitter, jitter + 1)
            log.failure(begin + offset + period * shake // 200, client,
                        wanted[i % len(wanted)], agent)
            offset += period
            if clumps and i == count // 2:
                offset += 11 * period
        kind = log.rng.randrange(6)
        user = account("shop", "cart", "fresh")
        when = begin + offset + log.rng.choice([1, 70, 400, 700]) * SECOND
        if kind == 1:  # Its new token.
            log.request(when, user, client, agent=AGENT)
        elif kind == 2:  # Another program.
            log.request(when, user, client, agent=KUBECTL)
        elif kind == 3:  # The same family, another program.
            log.request(when, user, client, agent="other/v1")
        elif kind == 4:  # Both.
            log.request(when, user, client, agent=AGENT)
            log.request(when + 90 * SECOND, user, client, agent=CURL)
        elif kind == 5:  # Another program of its family, soon after.
            log.request(when, user, client, agent=AGENT)
            log.request(when + log.rng.choice([1, 20, 50]) * SECOND, user,
                        client, agent="other/v1")


@scenario
def gap_ratio(log):
    """Steady but for one gap, of 9, 10 or 11 times the others."""
    for _ in range(6):
        client = log.inside()
        begin = log.start + log.rng.randrange(0, 1200) * SECOND
        ratio = log.rng.choice([9, 10, 11])
        at = log.rng.choice([3, 6, 9, 12])
        offset = 0
        for i in range(15):
            log.failure(begin + offset, client, paths(2)[i % 2], AGENT)
            offset += SECOND * (ratio if i == at else 1)


@scenario
def success(log):
    """A success after a burst, sooner and later, by few and by many."""
    for _ in range(7):
        client = log.outside() if log.rng.random() < 0.8 else log.inside()
        boundary = (log.start // MINUTE + log.rng.randrange(2, 30)) * MINUTE
        begin = boundary + log.rng.choice([0, 5, 30, 52]) * SECOND
        count = log.rng.choice([9, 10, 10, 12])
        times = [begin + i * 777777 * MICRO for i in range(count)]
        for i, t in enumerate(times):
            log.failure(t, client, paths(8)[i % 8])
        last = times[-1]
        user = account("shop", "cart", log.uuid())
        kind = log.rng.choice([0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 9])
        delay = log.rng.choice([-MICRO, 0, MICRO, SECOND, 40 * SECOND,
                                MINUTE, 5 * MINUTE, 10 * MINUTE - MICRO,
                                10 * MINUTE, 10 * MINUTE + MICRO,
                                11 * MINUTE])
        when = last + delay
        if kind == 0:
            log.refused(when, user, client, agent=KUBECTL)
        elif kind == 1:  # Public paths only.
            log.add(when, "get", "/version", user, client, KUBECTL)
        elif kind == 2:  # Anonymous only.
            log.refused(when, anonymous(), client, agent=KUBECTL)
        elif kind in (3, 4):  # Five identities, or four, share the address.
            others = 4 if kind == 3 else 3
            when = last + log.rng.choice([SECOND, MINUTE, 9 * MINUTE])
            # Before the burst, so that none of them is the success; the first
            # one just within the 10 minutes, or not, or anywhere.
            before = times[0] - log.rng.choice([SECOND, MINUTE])
            for i in range(others):
                at = before - i * 3 * SECOND
                if i == 0:
                    at = log.rng.choice([
                        at, min(at, when - 10 * MINUTE + log.rng.choice(
                            [-MICRO, 0, MICRO]))])
                log.request(at, account("shop", f"app{i}", f"snat-{i}"), client)
            log.request(when, user, client, agent=KUBECTL)
        elif kind == 5:  # Before, in the same minute, and after.
            log.request(times[0] - SECOND, user, client, agent=KUBECTL)
            log.request(when, user, client, agent=KUBECTL)
        elif kind == 6:  # The end of an old watch is no success.
            log.request(when, user, client, "watch", stage="ResponseComplete",
                        received=last - HOUR)
        elif kind == 7:  # More failures after it.
            log.request(when, user, client, agent=KUBECTL)
            for i in range(3):
                log.failure(when + (i + 1) * 3 * MINUTE, client)
        elif kind == 9:  # A crowd, some before and some after; who is first?
            for i in range(log.rng.randrange(6, 40)):
                at = last + log.rng.choice(
                    [-10 * MINUTE, -MINUTE, 0, 0, 0, MINUTE])
                at += log.rng.randrange(-30 * SECOND, 50 * SECOND)
                log.request(at, account("shop", f"crowd{i % 30}", f"c-{i}"),
                            client)
        else:
            log.request(when, user, client, agent=KUBECTL)
        if log.rng.random() < 0.3:  # Somebody else elsewhere.
            log.request(when, user, log.outside())


@scenario
def spray(log):
    """19 or 20 or more clients, once each, within 5 minutes or just not."""
    begin = log.start
    for _ in range(log.rng.randrange(1, 3)):
        clients = log.rng.choice([19, 20, 21, 25])
        length = log.rng.choice([4 * MINUTE, 5 * MINUTE, 5 * MINUTE + MICRO])
        for t in spread(log, clients, begin, length):
            address = log.outside()
            if log.rng.random() < 0.2:
                address = log.prefix() + "::1"
            log.failure(t, address, log.rng.choice(paths(5)),
                        log.rng.choice([CURL, GO]))
            if log.rng.random() < 0.1:  # Another address of the same /64.
                if ":" in address:
                    log.failure(t + SECOND, address[:-1] + "2")
        if log.rng.random() < 0.5:
            log.failure(begin + length + log.rng.randrange(500) * SECOND,
                        log.outside())
        begin += length + log.rng.choice([6, 9, 10, 16, 40]) * MINUTE


@scenario
def key_rotation(log):
    """Many clients at once: 79, 80, 81 % of them as after a key rotation."""
    clients = log.rng.choice([20, 20, 20, 25, 100])
    # One share at its edge, the other safe; or both anyhow.
    edge, safe = log.rng.choice([-1, 0, 0, 1]), log.rng.choice([0, 2, 4])
    if log.rng.random() < 0.5:
        edge, safe = safe, edge
    internal, single = clients * 4 // 5 + edge, clients * 4 // 5 + safe
    single_first = log.rng.random() < 0.5
    plan = []
    for i in range(clients):
        address = log.inside() if i < internal else log.outside()
        own = i < single if single_first else i >= clients - single
        plan.append((address, own))
    if log.rng.random() < 0.5:  # Other agents, earlier: still in the window?
        before = log.start - log.rng.randrange(50, 350) * SECOND
        for i in range(log.rng.randrange(1, clients // 2)):
            log.failure(before + i * SECOND, plan[i][0], agent="old/v1")
    # All clients twice in the same order, so that the second agent of those
    # that have two is seen early.
    step = 200 * SECOND // (2 * clients)
    order = list(range(clients))
    if clients == 20 or log.rng.random() < 0.3:
        log.rng.shuffle(order)  # Else the internal ones come first.
    t = log.start
    for i in order:
        address, own = plan[i]
        log.failure(t, address, agent=f"app{i % 7}/v1")
        if not own:
            log.failure(t + 10 * MICRO, address, agent="second/v1")
        t += step
    for i in order[:log.rng.randrange(clients)]:
        log.failure(t, plan[i][0], agent=f"app{i % 7}/v1")
        t += step


@scenario
def low_and_slow(log):
    """29 to 31 minutes with a failure; over midnight; two days."""
    for _ in range(3):
        client = log.rng.choice(
            [log.outside(), log.inside(), log.prefix() + "::5"])
        kind = log.rng.randrange(4)
        minutes = log.rng.choice([29, 30, 31, 45])
        begin = log.start
        step = log.rng.choice([61, 120, 600]) * SECOND
        if kind == 1:  # Over midnight.
            midnight = (begin // DAY + 1) * DAY
            begin = midnight - log.rng.choice([10, 29, 30, 35]) * step
        elif kind == 2:  # The same minutes again and again.
            step = 20 * SECOND
            minutes = log.rng.choice([84, 90, 93])
        elif kind == 3:  # The 30th a day after the first, or later.
            step = DAY // 29 // MICRO * MICRO
            minutes = 29
            last = begin + DAY + log.rng.choice([-MICRO, 0, MICRO, SECOND])
            log.failure(last, client)
        for i in range(minutes):
            address = client
            if ":" in client and log.rng.random() < 0.3:
                address = client[:-1] + "6"
            shake = log.rng.randrange(999) * MICRO if i else 0
            log.failure(begin + i * step + shake, address, log.rng.choice(paths(7)))


@scenario
def own_egress(log):
    """Kubelets and accounts behind one external address."""
    log.prelude = False  # The hold of two minutes is part of the cases.
    log.noise(log.start)
    for _ in range(5):
        client = log.outside()
        nodes = log.rng.choice([1, 2, 2, 3])
        first = log.rng.choice([10, 50, 100, 119, 125, 600]) * SECOND
        for i in range(nodes):
            user = node(f"n{i}", log.fingerprint())
            if log.rng.random() < 0.1:
                user["groups"].remove("system:nodes")
            log.request(log.start + first + i * log.rng.randrange(1, 40)
                        * SECOND + log.rng.randrange(10**6) * MICRO, user,
                        client, "get", agent=KUBELET)
        for _ in range(log.rng.randrange(1, 6)):
            # Not within a minute of the kubelets, unless before the hold ends.
            when = log.rng.choice([5, 30, 60, 110, 300, 900, 1500, 4000])
            log.request(log.start + when * SECOND
                        + log.rng.randrange(10**6) * MICRO,
                        account("shop", f"app{log.rng.randrange(2)}",
                                log.uuid()), client,
                        agent=log.rng.choice([AGENT, KUBECTL]))
    if log.rng.random() < 0.3:  # The next day too.
        log.request(log.start + DAY - HOUR, account("shop", "x", "j"), client)


@scenario
def allow_list(log):
    """Entries that hold, have expired, or are of somebody else."""
    until = (log.start // MINUTE + 20) * MINUTE
    clients = [log.outside() for _ in range(4)]
    text = stamp(until)[:19] + "Z"
    day = datetime.datetime.fromtimestamp(log.start // SECOND,
                                          datetime.timezone.utc)
    yesterday = day - datetime.timedelta(days=1)
    log.config["detectors"] = {"service-account-external": {"allow": [
        {"account": "ci/deploy", "cidr": clients[0] + "/32", "until": text},
        {"account": "ci/deploy", "cidr": clients[1] + "/32",
         "until": f"{yesterday:%Y-%m-%d}"},
        {"account": "ci/deploy", "cidr": clients[2] + "/32",
         "until": f"{day:%Y-%m-%d}"}]}}
    if log.rng.random() < 0.5:  # One of them is the cluster's own egress.
        for i in range(2):
            log.request(log.start + i * SECOND,
                        node(f"n{i}", log.fingerprint()),
                        log.rng.choice(clients[:1] + clients), "get")
    for client in clients:
        for who in ("deploy", "other"):
            for _ in range(log.rng.randrange(1, 4)):
                when = log.start + log.rng.randrange(60, 2400) * SECOND
                log.request(when, account("ci", who, log.uuid()), client)
        if log.rng.random() < 0.5:
            log.request(until, account("ci", "deploy", log.uuid()), client)
            log.request(until - MICRO, account("ci", "deploy", log.uuid()),
                        client)


@scenario
def account_flags(log):
    """Tokens outside: every flag, in every order, within a minute."""
    for i in range(8):
        client = log.outside()
        if log.rng.random() < 0.1:
            client = log.inside()
        user = account("shop", f"app{i}", log.uuid())
        minute = (log.start // MINUTE + log.rng.randrange(4, 40)) * MINUTE
        deeds = ["read", "refused", "secrets", "rbac", "exec", "legacy",
                 "kubectl", "curl", "python", "admission", "named401"]
        for deed in log.rng.sample(deeds, log.rng.randrange(1, 5)):
            when = minute + log.rng.randrange(60 * 10**6) * MICRO
            if deed == "read":
                log.request(when, user, client)
            elif deed == "refused":
                log.refused(when, user, client)
            elif deed == "secrets":
                log.refused(when, user, client, resource="secrets")
            elif deed == "rbac":
                log.request(when, user, client, resource="roles",
                            group="rbac.authorization.k8s.io")
            elif deed == "exec":
                log.request(when, user, client, "create", "pods", name="p",
                            subresource="exec", code=101,
                            stage="ResponseStarted")
            elif deed == "legacy":
                log.request(when, account("shop", f"app{i}"), client,
                            annotations={
                                "authentication.k8s.io/legacy-token":
                                    user["username"],
                                "authentication.k8s.io/"
                                "legacy-token-manual-secret": "s"})
            elif deed == "admission":  # Allowed, then refused by admission.
                log.request(when, user, client, "create", "pods", code=403,
                            message="Forbidden quota")
            elif deed == "named401":
                log.request(when, user, client, "list", "metrics", code=401)
            else:
                log.request(when, user, client, agent={
                    "kubectl": KUBECTL, "curl": CURL, "python": PYTHON}[deed])


@scenario
def quiet(log):
    """Gaps of exactly 10 minutes, and of a microsecond more."""
    quiet_time = 10 * MINUTE
    for kind in range(4):
        client = log.outside()
        t = log.start + kind * SECOND + 3 * MINUTE
        if kind == 0:
            for i in range(10):
                log.failure(t + i * SECOND, client, paths(9)[i % 9])
            t += 9 * SECOND
        for i in range(log.rng.randrange(3, 7)):
            if i or kind == 0:
                t += quiet_time + log.rng.choice([-MICRO, 0, 0, MICRO])
            if kind == 0:
                log.failure(t, client)
                if log.rng.random() < 0.3:
                    for j in range(9):
                        log.failure(t + j * SECOND, client, paths(9)[j])
                    t += 8 * SECOND
            elif kind == 1:
                log.request(t, anonymous(), client)
            elif kind == 2:
                log.request(t, account("shop", "cart", "q"), client)
            else:
                log.request(t, by_certificate(
                    "system:serviceaccount:shop:cart", [],
                    "X509SHA256=" + "ab" * 32), client)


@scenario
def anonymous_let_in(log):
    """What anonymous was let do: every class, over 32 keys, two days."""
    for _ in range(3):
        client = log.rng.choice([log.outside(), log.inside()])
        begin = log.start
        if log.rng.random() < 0.3:
            begin = (log.start // DAY + 1) * DAY - 5 * MINUTE
        targets = log.rng.choice([3, 31, 32, 33, 40])
        for i in range(targets + log.rng.randrange(20)):
            when = begin + i * 13 * SECOND + log.rng.randrange(999) * MICRO
            number = i if i < targets else log.rng.randrange(targets)
            kind = log.rng.randrange(9)
            if kind == 0:
                log.add(when, log.rng.choice(["get", "post", "head"]),
                        f"/debug/x{number}/y/z?a=1", anonymous(), client)
            elif kind == 1:
                log.request(when, anonymous(), client, "get", "configmaps",
                            "kube-public", name="cluster-info")
            elif kind == 2:
                log.request(when, anonymous(), client,
                            log.rng.choice(["create", "delete", "patch"]),
                            f"things{number}", name="t")
            elif kind == 3:
                log.request(when, anonymous(), client, "get", "secrets",
                            name="s", code=log.rng.choice([200, 404]))
            elif kind == 4:
                log.request(when, anonymous(), client, "get",
                            log.rng.choice(["pods", "nodes", "services"]),
                            name="p", subresource=log.rng.choice(
                                ["proxy", "exec", "log", "portforward"]),
                            stage="ResponseStarted", code=101)
            elif kind == 5:  # Authorization did not run, yet it worked.
                log.request(when, anonymous(), client, "get", f"r{number}",
                            decision=None,
                            code=log.rng.choice([101, 200, 302, 399, 403]))
            elif kind == 6:  # Of the group, by another name.
                log.request(when, {"username": "guest",
                                   "groups": ["system:unauthenticated"]},
                            client, "list", f"r{number}")
            elif kind == 7:  # Admission said no, authorization yes.
                log.request(when, anonymous(), client, "create", "pods",
                            code=403, message="Forbidden quota")
            else:
                log.request(when, anonymous(), client, "list", f"r{number}")


@scenario
def probing(log):
    """Denied anonymous requests: 9, 10, 99, 100; 4 and 5 paths; 60 s."""
    for _ in range(7):
        client = log.rng.choice([log.outside(), log.inside(),
                                 log.prefix() + "::1"])
        count = log.rng.choice([4, 5, 9, 10, 11, 99, 100, 150, 300])
        distinct = log.rng.choice([1, 3, 4, 5, 8])
        length = log.rng.choice([20 * SECOND, MINUTE - MICRO, MINUTE,
                                 MINUTE + MICRO, 3 * MINUTE])
        begin = log.start + log.rng.randrange(0, 900) * SECOND
        names = log.rng.choice([0, 0, 1, 2, 20]) if count < 99 else 0
        for i, t in enumerate(spread(log, count, begin, length)):
            user = anonymous()
            if names and i > log.rng.randrange(count):
                user["username"] = f"guest{log.rng.randrange(names)}"
            log.refused(t, user, client, verb="get",
                        resource=f"r{i % distinct}", agent=CURL,
                        query=f"?n={i}")
        if log.rng.random() < 0.3:
            log.request(begin, anonymous(), client)


def certificate_of(log, username, age, life=400 * DAY, listed=True,
                   minute=None, organizations=()):
    """A certificate that is `age` old at a whole minute; its credential."""
    at = (minute or log.start // MINUTE * MINUTE)
    made = certificate(log.rng, username, at - age, at - age + life,
                       organizations)
    if listed:
        log.certificates.append(pem(made))
    return fingerprint(made), made


@scenario
def certificates(log):
    """Ages across the thresholds; with and without an inventory."""
    for i in range(8):
        user = log.rng.choice([f"eli{i}", f"mo{i}", f"system:node:n{i}",
                               "system:kube-scheduler",
                               "kubernetes-admin"])
        groups = {"k": ["system:masters"]}.get(user[0], ["dev"])
        if user.startswith("system:node:"):
            groups = ["system:nodes"]
        minute = (log.start // MINUTE + log.rng.randrange(5, 600)) * MINUTE
        age = log.rng.choice([29, 30, 89, 90, 364, 365, 10, 400]) * DAY
        life = age + log.rng.choice([29, 30, 31, 200]) * DAY
        listed = log.rng.random() < 0.6
        credential, made = certificate_of(log, user, age, life, listed, minute)
        client = log.rng.choice([log.inside(), log.outside(), "127.0.0.1"])
        if user == "system:kube-scheduler":
            client = "127.0.0.1"
        if not listed and log.rng.random() < 0.5:  # Issued in the log.
            status = {"certificate":
                      base64.b64encode(pem(made).encode()).decode()}
            body = {"kind": "CertificateSigningRequest", "status": status}
            log.request(minute - 3 * MINUTE, account(
                "kube-system", "certificate-controller", "jc"), "127.0.0.1",
                "update", "certificatesigningrequests", "",
                name=f"csr{i}", subresource="status",
                group="certificates.k8s.io", request=body)
        for days in log.rng.sample([0, 0, 0, 1, 2, 30], 3):
            for _ in range(log.rng.randrange(1, 4)):
                # Around the threshold, in other minutes than it.
                offset = log.rng.choice([-90, -61, 0, 1, 61, 90, 300])
                log.request(minute + days * DAY + offset * SECOND
                            + log.rng.randrange(9 * 10**5) * MICRO,
                            by_certificate(user, groups, credential), client)


@scenario
def superseded(log):
    """Two certificates of one name: which is the newer, and 24 hours."""
    for i in range(6):
        user = log.rng.choice([f"eli{i}", f"ops{i}", f"system:node:s{i}",
                               "system:kube-controller-manager"])
        groups = ["system:nodes"] if "node" in user else ["dev"]
        minute = (log.start // MINUTE + log.rng.randrange(5, 600)) * MINUTE
        listed = log.rng.choice([(True, True), (True, False), (False, False)])
        old, _ = certificate_of(log, user, log.rng.choice([20, 9]) * DAY,
                                listed=listed[0], minute=minute)
        new, _ = certificate_of(log, user, log.rng.choice([20, 9, 5]) * DAY,
                                listed=listed[1], minute=minute)
        came = log.rng.choice([1 * HOUR, DAY - MICRO, DAY, DAY + HOUR])
        client = log.inside()
        log.request(minute, by_certificate(user, groups, old), client)
        log.request(minute + came, by_certificate(user, groups, new), client)
        for later in log.rng.sample(
                [HOUR, DAY - MICRO, DAY, DAY + MICRO, DAY + 2 * HOUR,
                 2 * DAY, 3 * DAY], 3):
            who = old if log.rng.random() < 0.8 else new
            log.request(minute + came + later,
                        by_certificate(user, groups, who), client)
        if log.rng.random() < 0.3:  # The end of an old watch is no use.
            log.request(minute + came + DAY + 5 * HOUR,
                        by_certificate(user, groups, old), client, "watch",
                        stage="ResponseComplete", received=minute)


@scenario
def short_lived(log):
    """Many certificates of one name, the older ones used now and then."""
    minute = (log.start // MINUTE + 5) * MINUTE
    step = log.rng.choice([DAY, DAY, DAY - MICRO, 8 * HOUR])
    users = [by_certificate("eli", ["dev"], log.fingerprint())
             for _ in range(log.rng.choice([15, 16, 17, 40]))]
    for i, user in enumerate(users):
        log.request(minute + i * step, user, log.inside())
        if log.rng.random() < 0.3:
            log.request(minute + i * step + log.rng.choice([5, 90]) * SECOND,
                        log.rng.choice(users[:i + 1]), log.inside())


@scenario
def first_seen(log):
    """Age by when a fingerprint was first seen: over 30 and 90 days."""
    minute = (log.start // MINUTE + 5) * MINUTE
    for i in range(4):
        user = by_certificate(f"eli{i}", ["dev"], log.fingerprint())
        client = log.inside()
        log.request(minute, user, client)
        for day in log.rng.sample([1, 29, 30, 31, 60, 89, 90, 91], 4):
            log.request(minute + day * DAY, user, client)
            log.request(minute + day * DAY - log.rng.choice(
                [MICRO, HOUR]), user, client)


@scenario
def forged(log):
    """Credentials of the wrong kind for their name, and right ones."""
    for i in range(10):
        client = log.rng.choice([log.inside(), log.outside(), "127.0.0.1",
                                 "::1"])
        credential = log.rng.choice([log.fingerprint(), "JTI=" + log.uuid()])
        username, own = log.rng.choice([
            (f"system:serviceaccount:shop:a{i}",
             ["system:serviceaccounts", "system:serviceaccounts:shop"]),
            (f"system:node:n{i}", ["system:nodes"]),
            ("system:apiserver", ["system:masters"])])
        groups = list(own)
        kind = log.rng.randrange(4)
        if kind == 1:
            groups = []
        elif kind == 2:
            groups = [log.rng.choice(["dev", "system:unauthenticated"])]
        user = by_certificate(username, groups, credential)
        if kind == 3:
            user["groups"] = []
        if log.rng.random() < 0.2:
            user.pop("extra")
        ips = [client]
        if log.rng.random() < 0.2:
            ips = [log.outside(), client]
        begin = log.start + log.rng.randrange(600) * SECOND
        for j in range(log.rng.randrange(1, 5)):
            when = begin + j * log.rng.choice([1, 30, 600, 601]) * SECOND
            log.request(when, user, ips, verb=log.rng.choice(["get", "list"]),
                        code=log.rng.choice([200, 403]))
            if log.rng.random() < 0.3:  # Beside a genuine one.
                log.request(when + log.rng.choice([-2, 1, 3]) * SECOND,
                            {**user, "groups": own}, ips)


@scenario
def proxies(log):
    """X-Forwarded-For with trusted proxies, believed and not."""
    log.config["networks"] = {"trusted_proxies": ["10.0.0.10/32",
                                                  "10.0.1.0/24"]}
    for _ in range(6):
        real, fake = log.outside(), log.outside()
        ips = log.rng.choice([[real, "10.0.0.10"], [fake, real, "10.0.0.10"],
                              [fake, real], [real, "10.0.1.7", "10.0.0.10"],
                              ["10.0.1.8", "10.0.0.10"], ["10.0.0.10"],
                              [real, "10.0.2.1"]])
        begin = log.start + log.rng.randrange(900) * SECOND
        for i in range(log.rng.choice([9, 10, 11])):
            chain = list(ips)
            if log.rng.random() < 0.5 and len(chain) > 2:
                chain[0] = f"198.51.100.{i}"
            log.failure(begin + i * SECOND, chain, paths(9)[i % 9])
        log.request(begin + 90 * SECOND, account("shop", "cart", log.uuid()),
                    ips)
        if log.rng.random() < 0.5:
            log.request(begin + 95 * SECOND, anonymous(), ips)


@scenario
def unknown_addresses(log):
    """No address, or none that is one."""
    for _ in range(3):
        ips = log.rng.choice([[], ["gce-internal-ip"]])
        begin = log.start + log.rng.randrange(1800) * SECOND
        for i in range(log.rng.choice([9, 10, 12])):
            log.failure(begin + i * SECOND, ips, paths(9)[i % 9])
        if log.rng.random() < 0.5:
            log.request(begin + MINUTE, anonymous(), ips)
        if log.rng.random() < 0.5:
            log.request(begin + 2 * MINUTE, account("a", "b", "c"), ips)
    client = "::ffff:" + log.outside()  # IPv4 in IPv6 is IPv4.
    for i in range(11):
        log.failure(log.start + i * SECOND, client, paths(9)[i % 9])


@scenario
def oauth(log):
    """OpenShift's login failures: anonymous 401s that are failures."""
    for _ in range(5):
        client = log.rng.choice([log.outside(), log.inside()])
        begin = log.start + log.rng.randrange(900) * SECOND
        names = log.rng.choice([3, 4, 5, 20, 40])
        pace = log.rng.choice([2, 2, 31, 150]) * SECOND
        for i in range(log.rng.choice([8, 9, 10, 11, 15, 20, 45])):
            log.add(begin + i * pace, "get",
                    f"/oauth/authorize?client_id=c&n={i}", anonymous(),
                    client, CURL, code=401,
                    message="Authentication failed, attempted: basic",
                    decision=None, annotations={
                        "authentication.openshift.io/decision": "deny",
                        "authentication.openshift.io/username":
                            f"u{i % names}"})
        for i in range(log.rng.choice([0, 3, 10])):  # None of these is one.
            user = log.rng.choice([anonymous(), {
                "username": "guest", "groups": ["system:unauthenticated"]}])
            note = log.rng.choice(["username", "username", "decision"])
            code, decision = log.rng.choice(
                [(302, "allow"), (401, None), (403, "forbid"), (401, "allow")])
            log.add(begin + i * 3 * SECOND, "get", f"/oauth/authorize/{i}",
                    user, client, CURL, code=code, decision=decision,
                    annotations={"authentication.openshift.io/" + note: "x"})
        for i in range(log.rng.choice([0, 1, 2])):
            log.failure(begin + i * SECOND + 7, client)


@scenario
def long_running(log):
    """Both stages, only one, far apart: one request each."""
    for _ in range(5):
        client = log.outside()
        begin = log.start + log.rng.randrange(240, 900) * SECOND
        user = log.rng.choice([anonymous(), account("shop", "cart", "lr")])
        for i in range(log.rng.choice([1, 4, 10, 11])):
            when = begin + i * 3 * SECOND + log.rng.randrange(999) * MICRO
            stages = log.rng.choice(["both", "started", "complete"])
            allowed = log.rng.random() < 0.4
            gap = log.rng.choice([MICRO, SECOND, 5 * MINUTE, 20 * MINUTE,
                                  20 * HOUR])
            if not allowed:  # What is refused ends at once.
                gap = log.rng.choice([MICRO, SECOND, 59 * SECOND])
            code = 200 if allowed else 403
            more = {"audit_id": log.uuid(), "received": when - 9 * MICRO,
                    "code": code, "resource": f"r{i}",
                    "decision": "allow" if allowed else "forbid"}
            verb, subresource = log.rng.choice([("watch", ""), ("get", "log")])
            if subresource:
                more["name"] = "p"
            more["subresource"] = subresource
            if stages != "complete":
                log.request(when, user, client, verb, stage="ResponseStarted",
                            **more)
            if stages != "started":
                log.request(when + gap, user, client, verb,
                            stage=log.rng.choice(["ResponseComplete"] * 4
                                                 + ["Panic"]), **more)


@scenario
def duplicates(log):
    """The same events twice: once per request, all the same."""
    for _ in range(4):
        client = log.outside()
        begin = log.start + log.rng.randrange(900) * SECOND
        for i in range(log.rng.choice([9, 10, 11, 40])):
            log.failure(begin + i * SECOND, client, paths(9)[i % 9])
        other = log.outside()
        for i in range(log.rng.choice([4, 9, 10])):
            log.refused(begin + i * SECOND, anonymous(), other,
                        resource=f"r{i % 4}")
            log.request(begin + i * SECOND, anonymous(), log.outside())
    log.duplicate(0.5)


@scenario
def audit_ids(log):
    """The client chooses the audit id: one for all, or somebody's else."""
    client = log.outside()
    for i in range(log.rng.choice([10, 12, 30])):
        log.failure(log.start + i * SECOND, client, paths(8)[i % 8],
                    audit_id="Lorem")
    other = log.outside()
    for i in range(12):
        log.request(log.start + i * SECOND, anonymous(), other,
                    resource=f"r{i}", audit_id="Lorem")
        log.refused(log.start + i * SECOND + MICRO, anonymous(), client,
                    resource=f"r{i}", audit_id="Lorem")


@scenario
def received(log):
    """RequestReceived noise: never judged."""
    client = log.outside()
    for i in range(log.rng.choice([6, 9, 10, 14])):
        when = log.start + i * SECOND
        audit_id = log.uuid()
        for stage in ("RequestReceived", "ResponseComplete"):
            log.refused(when, anonymous(), client, resource="r1",
                        stage=stage, audit_id=audit_id, received=when - 77000)
        log.request(when, anonymous(), log.outside(), stage="RequestReceived")
        log.request(when, account("shop", "cart", "r"), log.outside(),
                    stage="RequestReceived")
        log.failure(when, log.outside(), stage="RequestReceived")


@scenario
def named_401(log):
    """401s with a username are somebody else's answers."""
    for _ in range(4):
        client = log.outside()
        begin = log.start + log.rng.randrange(900) * SECOND
        failures = log.rng.choice([8, 9, 10])
        for i in range(12):
            log.request(begin + i * SECOND, {
                "username": f"oidc:eli{i % 2}",
                "groups": ["system:authenticated"]}, client, "list",
                "metrics", code=401, group="metrics.k8s.io")
            if i < failures:
                log.failure(begin + i * SECOND + 500 * MICRO, client,
                            paths(9)[i % 9])
        log.add(begin, "list", "/api/v1/pods?timeout=never", {}, client, CURL,
                code=400, stage="ResponseStarted", decision=None)


@scenario
def odd_paths(log):
    """Paths that are public or not, and the same written in two ways."""
    client = log.outside()
    for i in range(40):
        path = log.rng.choice([
            "/livez", "/livez/", "/livez/etcd", "/livez?verbose", "//livez",
            "/%6civez", "/./livez", "/a/../livez", "/healthz", "/readyz/ping",
            "/version", "/version/", "/openid/v1/jwks", "/metrics",
            "/openid/v1/jwks/", "/healthz/", "/healthz//", "/readyz/.",
            "/.well-known/openid-configuration", "/api", "/apis/x/v1", "/",
            "/%2e%2e/metrics", "/a//b/./c/../d", "/livezz", "/LIVEZ"])
        when = log.start + i * log.rng.randrange(1, 20) * SECOND
        if log.rng.random() < 0.5:
            log.add(when, "get", path, anonymous(), client, CURL)
        else:
            log.add(when, "get", path, anonymous(), log.rng.choice(
                [client, log.outside()]), CURL, code=403,
                message="Forbidden no", decision="forbid")


@scenario
def thresholds(log):
    """Other numbers than the defaults, larger than what is kept by default."""
    threshold = log.rng.choice([3, 5, 25, 40])
    window = log.rng.choice([60, 90, 300])
    log.config["detectors"] = {"unauthorized-burst": {
        "threshold": threshold, "window": f"{window}s"}}
    for _ in range(4):
        client = log.rng.choice([log.outside(), log.prefix() + "::1"])
        count = log.rng.choice([threshold - 1, threshold, threshold + 1,
                                10 * threshold - 1, 10 * threshold])
        length = window * SECOND + log.rng.choice([-MICRO, 0, 0, MICRO])
        begin = log.start + log.rng.randrange(0, 1200) * SECOND
        for t in spread(log, max(count, 2), begin, length):
            log.failure(t, client, log.rng.choice(paths(9)))
        if log.rng.random() < 0.4:
            log.request(begin + length + log.rng.randrange(700) * SECOND,
                        account("shop", "cart", "t"), client)


@scenario
def spans(log):
    """Windows and quiet times that are longer than each other, over days."""
    window = log.rng.choice([1, 10, 50])
    quiet = log.rng.choice(["1m", "3m", "20m", "10h", "2d"])
    log.config["detectors"] = {
        "unauthorized-burst": {
            "threshold": log.rng.choice([2, 5]), "window": f"{window}m",
            "high_factor": log.rng.choice([2, 3, 10]), "quiet": quiet,
            "slow_minutes": log.rng.choice([4, 10]),
            "slow_window": log.rng.choice(["1h", "5h", "24h"])},
        "anonymous-probing": {"window": f"{window}m", "quiet": quiet,
                              "threshold_medium": log.rng.choice([10, 20])}}
    for _ in range(4):
        client = log.outside()
        probing = log.rng.random() < 0.4
        when = log.start
        for _ in range(log.rng.randrange(3, 25)):
            when += log.rng.choice([SECOND, 50 * SECOND, 2 * MINUTE,
                                    4 * MINUTE, 19 * MINUTE, 3 * HOUR,
                                    40 * HOUR]) + 77 * log.rng.randrange(
                                        SECOND // 100) // MICRO * MICRO
            for i in range(log.rng.choice([1, 1, 4, 15])):
                t = when + i * 13 * MICRO
                if probing:
                    log.refused(t, anonymous(), client)
                else:
                    log.failure(t, client)


@scenario
def one_instant(log):
    """Many failures and refusals that bear the same stamp."""
    for _ in range(5):
        client = log.outside()
        begin = log.start + log.rng.randrange(0, 600) * SECOND
        for i in range(log.rng.choice([9, 10, 11, 99, 100, 120])):
            log.failure(begin, client, paths(9)[i % 9])
        other = log.outside()
        for i in range(log.rng.choice([4, 5, 9, 10, 99, 100, 250])):
            log.refused(begin, anonymous(), other, resource=f"r{i % 5}")
        log.request(begin, anonymous(), other)
        log.request(begin + log.rng.choice([0, MICRO]),
                    account("shop", "cart", log.uuid()), client)


@scenario
def addresses(log):
    """What is internal, what is not, however it is written."""
    if log.rng.random() < 0.4:
        log.config["networks"] = {"internal": [
            "198.51.100.0/24", "2001:db8:aaaa::/48"]}
    for ips in ("127.0.0.1", "127.8.9.9", "::1", "169.254.1.1", "fe80::1",
                "FE80::ABCD", "10.1.2.3", "172.16.0.1", "172.31.255.255",
                "172.32.0.1", "192.168.1.1", "192.169.1.1", "100.64.0.1",
                "100.127.255.255", "100.128.0.1", "fc00::1", "fdff::1",
                "fe00::1", "2001:DB8::1", "2001:db8:0:0:0:0:0:2",
                "::ffff:10.1.1.1", "::ffff:203.0.113.1", "198.51.100.7",
                "2001:db8:aaaa:1::5", "8.8.8.8", "::", "0.0.0.0"):
        if log.rng.random() < 0.6:
            begin = log.start + log.rng.randrange(180, 900) * SECOND
            log.request(begin, account("shop", "cart", "a"), ips)
            if log.rng.random() < 0.3:
                for i in range(log.rng.choice([9, 10, 11])):
                    log.failure(begin + i * SECOND, ips, agent=AGENT)
            log.request(begin + MINUTE, {
                "username": "system:apiserver",
                "groups": ["system:authenticated", "system:masters"]}, ips)


@scenario
def forgotten_nodes(log):
    """An address stays the cluster's own for 24 h after its kubelets."""
    log.prelude = False
    log.noise(log.start)
    for _ in range(4):
        client = log.outside()
        seen = [log.start + 5 * MINUTE + i * MINUTE for i in range(2)]
        for i, t in enumerate(seen):
            log.request(t, node(f"n{i}", log.fingerprint()), client, "get")
        if log.rng.random() < 0.5:  # One of them again.
            log.request(seen[0] + 12 * HOUR, node("n0", log.fingerprint()),
                        client, "get")
        for hours in log.rng.sample([1, 23, 25, 30, 37], 3):
            log.request(seen[0] + hours * HOUR + 7 * MINUTE,
                        account("shop", f"app{hours % 2}", log.uuid()), client)


@scenario
def stamps(log):
    """Every way to write a time: digits, zones, null, absent."""
    for one in ("burst-edges", "account-flags", "anonymous-let-in"):
        SCENARIOS[one](log)

    def rewrite(line):
        event = json.loads(line)
        time = event["stageTimestamp"]
        kind = log.rng.randrange(6)
        if kind == 0:  # Hours ahead, and nanoseconds.
            whole = datetime.datetime.fromisoformat(time[:19])
            whole += datetime.timedelta(hours=5, minutes=30)
            time = f"{whole:%Y-%m-%dT%H:%M:%S}{time[19:26]}000+05:30"
        elif kind == 1:
            time = time[:26].rstrip("0").rstrip(".") + "Z"
        elif kind == 2:
            event["requestReceivedTimestamp"] = time
            time = None
        elif kind == 3:
            event["requestReceivedTimestamp"] = time
        event["stageTimestamp"] = time
        if kind == 2 and log.rng.random() < 0.5:
            del event["stageTimestamp"]
        if event["stage"] != "RequestReceived" and log.rng.random() < 0.2:
            event["stage"] = log.rng.choice(["", "Done", "responsestarted"])
            if log.rng.random() < 0.5:
                del event["stage"]
        if kind == 4 and len(event.get("sourceIPs", "")) == 1:
            event["sourceIPs"] = event["sourceIPs"][0]
        if kind == 5:  # As an exporter sorts the keys.
            event = dict(sorted(event.items()))
        return go_json(event)
    log.lines = [(time, rewrite(line)) for time, line in log.lines]


@scenario
def issued_late(log):
    """A certificate is decoded after it, or its elder, was used."""
    for i in range(5):
        minute = (log.start // MINUTE + log.rng.randrange(5, 60)) * MINUTE
        user = f"eli{i}"
        ages = log.rng.sample([10, 40, 100, 400], 2)
        made = [certificate_of(log, user, age * DAY, 800 * DAY, False, minute)
                for age in ages]
        client = log.inside()
        for credential, _ in made:
            log.request(minute, by_certificate(user, ["dev"], credential),
                        client)
        for n, (_, bytes_) in enumerate(made):
            if log.rng.random() < 0.8:
                status = {"certificate":
                          base64.b64encode(pem(bytes_).encode()).decode()}
                body = {"kind": "CertificateSigningRequest", "status": status}
                issued = minute + (5 + n) * MINUTE + 10 * SECOND
                for seconds in log.rng.sample([-5, 5, 7], 2):
                    log.request(issued + seconds * SECOND,
                                by_certificate(user, ["dev"], made[n][0]),
                                client)
                log.request(issued, account(
                    "kube-system", "certificate-controller", "jc"),
                    "127.0.0.1", "update", "certificatesigningrequests", "",
                    name=f"csr{i}{n}", subresource="status",
                    query=log.rng.choice(
                        ["", "", "", "?dryRun=All"]),
                    code=log.rng.choice([200, 201, 200, 409]),
                    group="certificates.k8s.io", **{log.rng.choice(
                        ["request", "response"]): body})
        for hours in log.rng.sample([1, 23, 25, 26, 49], 3):
            for credential, _ in made:
                if log.rng.random() < 0.7:
                    log.request(minute + hours * HOUR + 7 * MINUTE,
                                by_certificate(user, ["dev"], credential),
                                client)


@scenario
def daily_and_prefix(log):
    """Low and slow of a /64 whose addresses burst now and then."""
    prefix = log.prefix()
    begin = log.start
    for i in range(log.rng.choice([31, 40, 60])):
        begin += log.rng.choice([61, 70, 130]) * SECOND
        address = log.rng.choice([1, 1, 2, 3])
        log.failure(begin, f"{prefix}::{address}", log.rng.choice(paths(7)))
        if log.rng.random() < 0.06:
            for j in range(11):
                log.failure(begin + j * 999 * MICRO, f"{prefix}::{address}",
                            log.rng.choice(paths(7)))


@scenario
def chaos(log):
    """A few clients and users, everything at random within half an hour."""
    clients = [log.outside(), log.inside(), log.outside()]
    prefix = log.prefix()
    clients += [f"{prefix}::1", f"{prefix}::2", f"{prefix}::3"]
    users = [account("shop", "cart", "c1", "cart-0", "w1"),
             account("shop", "cart", "c2"), account("kube-system", "x", "c3"),
             node("w1", log.fingerprint()), node("w2", log.fingerprint()),
             by_certificate("eli", ["dev"], log.fingerprint()),
             by_certificate("system:serviceaccount:shop:cart", [],
                            log.fingerprint()), anonymous()]
    centres = [log.start + log.rng.randrange(1800) * SECOND
               for _ in range(12)]
    agents = [CURL, AGENT, KUBECTL, "other/v1", ""]
    for _ in range(log.rng.choice([100, 250])):
        when = (log.rng.choice(centres)
                + log.rng.choice([1, 20, 90]) * log.rng.randrange(SECOND)
                // MICRO * MICRO)
        client = log.rng.choice(clients)
        agent = log.rng.choice(agents)
        if log.rng.random() < 0.55:
            log.failure(when, client, log.rng.choice(paths(4)), agent)
        elif log.rng.random() < 0.5:
            log.request(when, log.rng.choice(users), client, log.rng.choice(
                ["get", "list", "create"]), log.rng.choice(
                    ["pods", "secrets", "nodes"]), agent=agent)
        else:
            log.refused(when, log.rng.choice(users), client, verb="list",
                        resource=log.rng.choice(["pods", "a", "b", "c", "d"]),
                        agent=agent)


@scenario
def mixed(log):
    """Several scenarios in one stream."""
    names = [n for n in SCENARIOS if n not in (
        "mixed", "duplicates", "proxies", "allow-list", "spray",
        "key-rotation", "first-seen", "thresholds", "spans", "addresses",
        "stamps")]
    for one in log.rng.sample(names, 5):
        SCENARIOS[one](log)


def generate(seed, scenario_name, events):
    """(lines, configuration, PEM text) of a seed."""
    log = Log(f"{seed}/{scenario_name}/{events}")
    SCENARIOS[scenario_name](log)
    lines = log.finish(events)
    if log.certificates:
        log.config.setdefault("detectors", {})["old-certificate"] = {
            "inventory": ["certs.pem"]}
    return lines, log.config, "".join(log.certificates)


def write(folder, seed, scenario_name, events):
    """Writes the three files; returns the path of the log."""
    lines, config, certificates_text = generate(seed, scenario_name, events)
    files = {"log.ndjson": "\n".join(lines) + "\n",
             "config.json": json.dumps(config),
             "certs.pem": certificates_text}
    for file_name, text in files.items():
        with open(os.path.join(folder, file_name), "w",
                  encoding="utf-8") as file:
            file.write(text)
    return os.path.join(folder, "log.ndjson")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS),
                        default="mixed")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--out", help="folder for log, configuration, PEM")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        for scenario_name, function in SCENARIOS.items():
            print(f"{scenario_name:18}{function.__doc__}")
    elif arguments.out:
        os.makedirs(arguments.out, exist_ok=True)
        write(arguments.out, arguments.seed, arguments.scenario,
              arguments.events)
    else:
        lines, _, _ = generate(arguments.seed, arguments.scenario,
                               arguments.events)
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
