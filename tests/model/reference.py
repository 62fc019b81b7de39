#!/usr/bin/env python3
"""A slow, obvious model of the detectors: reads audit logs, prints the alerts.

    reference.py LOG... [-c CONFIG.json]

It shares nothing with the C++ code but the text of the rules. Everything is
kept in memory, sorted, and walked through once, one step at a time:

    events -> sightings, refusals, deeds -> steps in event-time order
           -> detectors -> episodes

Times are integers, nanoseconds since 1970. Standard library only.
README.md beside this file says what it covers and how it reads the rules
where they leave a choice.
"""
import argparse
import base64
import calendar
import collections
import datetime
import glob
import gzip
import hashlib
import ipaddress
import json
import os
import re
import sys
import threading
import urllib.parse

MICRO = 1_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SEVERITIES = ["info", "low", "medium", "high", "critical"]
INFO, LOW, MEDIUM, HIGH, CRITICAL = range(5)

# ------------------------------------------------------------------- times

TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)"
                  r"(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:?\d\d)")


def parse_time(text):
    """RFC 3339 to nanoseconds; None where there is no time."""
    match = TIME.fullmatch(text) if isinstance(text, str) else None
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    seconds = calendar.timegm((int(year), int(month), int(day), int(hour),
                               int(minute), int(second)))
    nanos = int((fraction or "").ljust(9, "0"))
    if zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * SECOND + nanos


def format_time(nanos):
    whole = datetime.datetime.fromtimestamp(nanos // SECOND,
                                            datetime.timezone.utc)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanos % SECOND // MICRO:06d}Z"


UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def parse_duration(text):
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", str(text))
    return int(match[1]) * UNITS[match[2]]


# ------------------------------------------------------------ configuration


class Config:
    """The part of the configuration that changes what is found."""

    def __init__(self, raw, folder="."):
        self.cluster = raw.get("cluster", "default")
        networks = raw.get("networks") or {}
        self.internal = [ipaddress.ip_network(n) for n in networks.get(
            "internal", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                         "100.64.0.0/10", "fc00::/7"])]
        self.trusted = [ipaddress.ip_network(n)
                        for n in networks.get("trusted_proxies", [])]
        detectors = raw.get("detectors") or {}
        burst = detectors.get("unauthorized-burst") or {}
        self.threshold = burst.get("threshold", 10)
        self.window = parse_duration(burst.get("window", "60s"))
        self.high = self.threshold * burst.get("high_factor", 10)
        self.slow_minutes = burst.get("slow_minutes", 30)
        self.slow_window = parse_duration(burst.get("slow_window", "24h"))
        probing = detectors.get("anonymous-probing") or {}
        self.probing_window = parse_duration(probing.get("window", "60s"))
        self.probing_medium = probing.get("threshold_medium", 100)
        self.quiets = {name: parse_duration(options["quiet"])
                       for name, options in detectors.items()
                       if "quiet" in options}
        accounts = detectors.get("service-account-external") or {}
        self.allow = [AllowEntry(a) for a in accounts.get("allow", [])]
        certificates = detectors.get("old-certificate") or {}
        self.inventory = {}
        for entry in certificates.get("inventory", []):
            if isinstance(entry, dict):
                self.inventory[entry["credential_id"]] = (
                    parse_time(entry["not_before"]),
                    parse_time(entry["not_after"]))
            else:
                for path in glob.glob(os.path.join(folder, entry)):
                    with open(path, "rb") as file:
                        self.inventory.update(certificates_in(file.read()))

    def quiet(self, detector):
        return self.quiets.get(detector, 10 * MINUTE)


class AllowEntry:
    def __init__(self, raw):
        self.account = raw["account"]
        self.cidr = ipaddress.ip_network(raw["cidr"])
        until = raw["until"]
        if re.fullmatch(r"\d{4}-\d\d-\d\d", until):  # To that day's end.
            self.until = parse_time(until + "T00:00:00Z") + DAY
        else:
            self.until = parse_time(until)

    def excuses(self, account, client, time):
        return (self.account == account and client.address is not None
                and client.address in self.cidr and time < self.until)


# ------------------------------------------------------------- certificates


def tlv(data, at):
    """One DER element: tag, where its content begins, where it ends."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7f
        length = int.from_bytes(data[at:at + size], "big")
        at += size
    return tag, at, at + length


def validity(der):
    """(notBefore, notAfter) of an X.509 certificate."""
    _, at, _ = tlv(der, 0)  # Certificate
    _, at, _ = tlv(der, at)  # TBSCertificate
    tag, _, end = tlv(der, at)
    if tag == 0xa0:  # version
        at = end
    for _ in range(3):  # serialNumber, signature, issuer
        _, _, at = tlv(der, at)
    _, at, _ = tlv(der, at)  # validity
    times = []
    for _ in range(2):
        tag, begin, at = tlv(der, at)
        text = der[begin:at].decode()
        if tag == 23:  # UTCTime: two digits of a year
            text = ("19" if int(text[:2]) >= 50 else "20") + text
        parts = [int(text[:4])] + [int(text[i:i + 2]) for i in range(4, 14, 2)]
        times.append(calendar.timegm(tuple(parts)) * SECOND)
    return times[0], times[1]


PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)"
                 rb"-----END CERTIFICATE-----", re.S)


def certificates_in(pem):
    """credential id -> (notBefore, notAfter), of all in a PEM text."""
    found = {}
    for match in PEM.finditer(pem):
        try:
            der = base64.b64decode(match[1])
            name = "X509SHA256=" + hashlib.sha256(der).hexdigest()
            found[name] = validity(der)
        except (ValueError, IndexError):
            pass
    return found


# ------------------------------------------------------------------- events


class Client:
    """Who sent a request: 'peer' and 'client' of detections.md."""

    def __init__(self, source_ips, config):
        addresses = [parse_address(text) for text in source_ips]
        at = len(addresses) - 1
        while at > 0 and within(addresses[at], config.trusted):
            at -= 1
        self.address = addresses[at] if addresses else None
        known = self.address is not None
        self.name = str(self.address) if known else "unknown"
        self.trusted_proxy = known and within(self.address, config.trusted)
        self.loopback = known and self.address.is_loopback
        self.internal = known and (self.loopback or self.address.is_link_local
                                   or within(self.address, config.internal))
        self.external = known and not self.internal
        peer = addresses[-1] if addresses else None
        self.peer_not_loopback = peer is not None and not peer.is_loopback
        self.prefix = None  # The /64 of an IPv6 client.
        if known and self.address.version == 6:
            self.prefix = str(ipaddress.ip_network((self.address, 64), False))


def parse_address(text):
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def within(address, networks):
    return address is not None and any(
        address.version == n.version and address in n for n in networks)


def normal_path(uri):
    """Without query, percent-decoded once, '//' and dot segments collapsed."""
    path = urllib.parse.unquote(uri.split("?", 1)[0], errors="replace")
    kept = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(kept) + slash


PUBLIC = {"/healthz", "/livez", "/readyz", "/version", "/healthz/", "/livez/",
          "/readyz/", "/version/", "/openid/v1/jwks",
          "/.well-known/openid-configuration",
          "/.well-known/oauth-authorization-server"}
EXTRA = "authentication.kubernetes.io/"
LEGACY = "authentication.k8s.io/legacy-token"


class Event:
    def __init__(self, raw, clients, config):
        self.audit_id = raw.get("auditID") or ""
        self.stage = raw.get("stage") or ""
        self.uri = raw.get("requestURI") or ""
        self.path = normal_path(self.uri)
        self.verb = raw.get("verb") or ""
        user = raw.get("user") or {}
        self.user = user.get("username") or ""
        self.groups = user.get("groups") or []
        extra = user.get("extra") or {}
        self.credential = (extra.get(EXTRA + "credential-id") or [""])[0]
        self.pod = (extra.get(EXTRA + "pod-name") or [""])[0]
        self.node = (extra.get(EXTRA + "node-name") or [""])[0]
        source_ips = raw.get("sourceIPs") or []
        if isinstance(source_ips, str):
            source_ips = [source_ips]
        source_ips = tuple(source_ips)
        if source_ips not in clients:
            clients[source_ips] = Client(source_ips, config)
        self.client = clients[source_ips]
        self.agent = raw.get("userAgent") or ""
        ref = raw.get("objectRef") or {}
        self.resource = ref.get("resource") or ""
        self.subresource = ref.get("subresource") or ""
        self.namespace = ref.get("namespace") or ""
        self.name = ref.get("name") or ""
        self.api_group = ref.get("apiGroup") or ""
        self.code = int((raw.get("responseStatus") or {}).get("code") or 0)
        self.annotations = raw.get("annotations") or {}
        if not self.credential and LEGACY in self.annotations:
            self.credential = self.legacy_credential()
        self.received = parse_time(raw.get("requestReceivedTimestamp"))
        self.time = parse_time(raw.get("stageTimestamp"))
        if self.time is None:
            self.time = self.received
        self.bodies = [raw.get("requestObject"), raw.get("responseObject")]
        # One request, whatever stages were kept of it.
        self.request = (self.audit_id, self.received, self.verb, self.uri)
        self.public = self.path in PUBLIC
        self.long_running = (
            self.verb in ("watch", "proxy") or self.subresource in
            ("attach", "exec", "proxy", "log", "portforward")
            or self.path.startswith("/debug/pprof/"))
        self.ended = self.long_running and self.stage != "ResponseStarted"
        decision = self.annotations.get("authorization.k8s.io/decision") or ""
        if decision:
            self.let_in = decision == "allow"
        else:
            self.let_in = 0 < self.code < 400
        self.anonymous = (self.user == "system:anonymous"
                          or "system:unauthenticated" in self.groups)
        self.oauth_failure = (
            self.code == 401 and self.user == "system:anonymous"
            and "authentication.openshift.io/username" in self.annotations)
        self.failed = self.code == 401 and not self.user or self.oauth_failure
        self.tried_name = self.annotations.get(
            "authentication.openshift.io/username", "")

    def legacy_credential(self):
        """The Secret that a legacy token lies in, if it is named."""
        secret = (self.annotations.get(LEGACY + "-manual-secret")
                  or self.annotations.get(LEGACY + "-autogenerated-secret"))
        if not secret or not self.account():
            return "legacy"
        return f"secret:{self.account().split('/')[0]}/{secret}"

    def account(self):
        """'namespace/name' of a service account, else None."""
        parts = self.user.split(":")
        if len(parts) == 4 and parts[:2] == ["system", "serviceaccount"]:
            return f"{parts[2]}/{parts[3]}"
        return None


def read_lines(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.split(b"\n")


def is_event(raw):
    """A stage may be missing, or one of which nobody has heard."""
    return isinstance(raw, dict) and (
        "stage" in raw or raw.get("kind") == "Event"
        and str(raw.get("apiVersion")).startswith("audit.k8s.io/"))


def parse_line(line):
    """The event of a line, or None. A half line may have the next event glued
    to it: a head counts if its value ends exactly at the newline."""
    text = line.decode("utf-8", "replace").strip()
    head = '{"kind":"Event"'
    at = 0
    while at >= 0:
        try:
            raw = json.loads(text[at:])
            return raw if is_event(raw) else None
        except ValueError:
            at = text.find(head, at + 1)
    return None


def files_under(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in os.walk(path):
                yield from (os.path.join(folder, name) for name in names)
        else:
            yield path


def read_events(paths, config):
    clients, events = {}, []
    for path in files_under(paths):
        for line in read_lines(path):
            raw = parse_line(line) if line.strip() else None
            if raw is not None:
                event = Event(raw, clients, config)
                if event.time is not None:
                    events.append(event)
    events.sort(key=lambda e: (e.time, e.request, e.stage))
    return events


# ------------------------------------------------------------- observations


FAMILIES = {"kubectl": "kubectl", "curl": "curl",
            "go-http-client": "go-http-client", "kubelet": "kubelet",
            "kube-apiserver": "control-plane", "kube-proxy": "control-plane",
            "kube-controller-manager": "control-plane",
            "kube-scheduler": "control-plane", "helm": "helm",
            "terraform": "terraform", "mozilla": "browser", "wget": "wget",
            "oc": "openshift"}


def family(agent):
    word = agent.split("/", 1)[0].lower()
    if word.startswith("python"):
        return "python"
    if word.startswith("openshift-"):
        return "openshift"
    return FAMILIES.get(word, "other" if word else "none")


class Sighting:
    """An identity with its credential, seen from a client within a minute."""

    def __init__(self, event):
        self.user, self.credential = event.user, event.credential
        self.account = event.account()
        self.client = event.client
        self.family = family(event.agent)
        self.minute = event.time // MINUTE
        self.audit_id = event.audit_id
        self.requests = 0
        self.excused = None  # Decided once: by its own egress or not.
        self.first = self.last = event.time
        self.flags = {}  # name -> [first, last]
        self.agents = {}  # user agent -> first time

    def add(self, event):
        """Returns whether the sighting is new or a flag first appears."""
        self.last = event.time
        fresh = False
        for flag in flags_of(event):
            if flag not in self.flags:
                self.flags[flag] = [event.time, event.time]
                fresh = True
            self.flags[flag][1] = event.time
        self.agents.setdefault(event.agent, event.time)
        if event.long_running:
            self.requests += event.stage == "ResponseStarted"
        else:
            self.requests += event.stage != "ResponseStarted"
        return fresh

    def take(self):
        """The requests since it was last asked."""
        taken, self.requests = self.requests, 0
        return taken

    def has(self, flag, time):
        """Whether the flag had appeared by then."""
        return flag in self.flags and self.flags[flag][0] <= time


def flags_of(event):
    """What a sighting remembers of one event; `who` is always there."""
    yield "who"
    if "system:serviceaccounts" in event.groups:
        yield "account_group"
    if "system:nodes" in event.groups:
        yield "nodes_group"
    if "system:masters" in event.groups:
        yield "masters"
    if event.groups and not has_own_groups(event):
        yield "without_groups"
    if event.client.peer_not_loopback:
        yield "peer_not_loopback"
    if LEGACY in event.annotations:
        yield "legacy"
    yield "let_in" if event.let_in else "refused"
    if event.resource == "secrets":
        yield "secrets"
    if event.api_group == "rbac.authorization.k8s.io":
        yield "rbac"
    if event.subresource in ("exec", "attach", "portforward", "proxy"):
        yield "exec"
    if not event.ended:  # A mere end says who and from where, not when.
        yield "used"
        if not event.public and not event.anonymous:
            yield "beyond_public"


SHAPE = ("account_group", "nodes_group", "masters", "without_groups",
         "peer_not_loopback")


def shape_of(event):
    """What the user is, whatever it does: the same of a whole sighting."""
    return tuple(flag for flag in flags_of(event) if flag in SHAPE)


def has_own_groups(event):
    if event.user.startswith("system:node:"):
        return "system:nodes" in event.groups
    if event.user.startswith("system:serviceaccount:"):
        namespace = event.user.split(":")[2]
        return ("system:serviceaccounts" in event.groups
                and "system:serviceaccounts:" + namespace in event.groups)
    return True


# At one instant: totals of the minute that is over, `seen`, refusals, deeds.
TOTAL, SEEN, REFUSAL, DEED = range(4)


def steps_of(events):
    """All that is judged, in order: (time, kind, event, sighting, requests).

    A sighting's requests are given with its steps, each once: with a `seen`
    those up to it, with the `total` what came since.
    """
    steps, sightings = [], {}
    refused, done = set(), {}
    for event in events:  # By time: the earlier stamp of a request wins.
        if event.stage == "RequestReceived":
            continue
        if event.user:
            key = (event.user, event.credential, event.client.name,
                   family(event.agent), event.pod, event.node,
                   shape_of(event), event.time // MINUTE)
            if key not in sightings:
                sightings[key] = Sighting(event)
            sighting = sightings[key]
            if sighting.add(event):
                steps.append((event.time, SEEN, event, sighting,
                              sighting.take()))
        denied = (event.anonymous and not event.let_in
                  and event.code in (401, 403))
        if event.failed or denied:
            if event.request not in refused:
                refused.add(event.request)
                steps.append((event.time, REFUSAL, event, None, 0))
        elif (event.anonymous and event.let_in and not event.public
              or issued_certificates(event)):
            before = done.get(event.request)
            if before is None or event.time - before > DAY:
                done[event.request] = event.time
                steps.append((event.time, DEED, event, None, 0))
    for sighting in sightings.values():
        end = (sighting.minute + 1) * MINUTE
        steps.append((end, TOTAL, None, sighting, sighting.take()))
    steps.sort(key=lambda s: (s[0], s[1]))
    return steps, sightings.values()


def issued_certificates(event):
    if (event.resource != "certificatesigningrequests"
            or not 200 <= event.code < 300 or "dryRun=All" in event.uri):
        return {}
    found = {}
    for body in event.bodies:
        status = body.get("status") if isinstance(body, dict) else None
        text = status.get("certificate") if isinstance(status, dict) else None
        if isinstance(text, str):
            try:
                found.update(certificates_in(base64.b64decode(text)))
            except ValueError:
                pass
    return found


# ----------------------------------------------------------------- episodes


class Episode:
    def __init__(self, detector, rule, key, severity, time, day):
        self.detector, self.rule, self.key = detector, rule, key
        self.severity = severity
        self.first = self.last = time
        self.count = 0
        self.day = day  # Of a daily episode, else None.
        self.seen = {"client": set(), "user": set(), "credential_id": set()}
        self.evidence = {}  # minute -> audit id
        self.notes = {}

    def observe(self, time, count, severity, client="", user="",
                credential="", audit_id=""):
        self.first = min(self.first, time)
        self.last = max(self.last, time)
        self.count += count
        self.severity = max(self.severity, severity)
        for name, value in (("client", client), ("user", user),
                            ("credential_id", credential)):
            if value:
                self.seen[name].add(value)
        if audit_id and len(self.evidence) < 5:
            self.evidence.setdefault(time // MINUTE, audit_id)


class Episodes:
    """All of them: one per (detector, kind of episode, key) at a time."""

    def __init__(self, config):
        self.config = config
        self.newest = {}  # (detector, kind, key) -> its newest episode
        self.all = []

    def open(self, detector, kind, key, time):
        """The episode to which something at `time` would belong, or None."""
        episode = self.newest.get((detector, kind, tuple(key.items())))
        if episode is None:
            return None
        if episode.day is not None:
            return episode if episode.day == time // DAY else None
        quiet = self.config.quiet(detector)
        return episode if time - episode.last <= quiet else None

    def begin(self, detector, kind, rule, key, severity, time, daily=False):
        episode = Episode(detector, rule, key, severity, time,
                          time // DAY if daily else None)
        self.newest[detector, kind, tuple(key.items())] = episode
        self.all.append(episode)
        return episode

    def open_or_begin(self, detector, rule, key, severity, time, daily=False):
        episode = self.open(detector, rule, key, time)
        return episode or self.begin(detector, rule, rule, key, severity, time,
                                     daily)

    def alerts(self, newest_time):
        for episode in self.all:
            if episode.day is not None:
                over = newest_time >= (episode.day + 1) * DAY
            else:
                quiet = self.config.quiet(episode.detector)
                over = newest_time > episode.last + quiet
            alert = {"detector": episode.detector, "rule": episode.rule,
                     "severity": SEVERITIES[episode.severity],
                     "status": "resolved" if over else "firing",
                     "cluster": self.config.cluster, "key": episode.key}
            for name, values in episode.seen.items():
                shared = next(iter(values)) if len(values) == 1 else ""
                alert[name] = episode.key.get(name, shared)
            alert["count"] = max(1, episode.count)
            alert["first_seen"] = format_time(episode.first)
            alert["last_seen"] = format_time(episode.last)
            alert["evidence"] = [{"audit_id": a}
                                 for a in episode.evidence.values()]
            alert["explain"] = episode.notes
            yield alert


# ---------------------------------------------------------------- detectors


class AnonymousAccess:
    READ = {"get", "list", "watch", "head"}
    CONNECT = {"exec", "attach", "portforward", "proxy"}

    def __init__(self, episodes):
        self.episodes = episodes
        self.targets = collections.defaultdict(set)  # client, day -> keys

    def deed(self, event):
        if not event.anonymous or not event.let_in or event.public:
            return
        kind, target = self.verb_class(event), self.target(event)
        known = self.targets[event.client.name, event.time // DAY]
        if (kind, target) not in known and len(known) >= 32:
            kind = target = "other"
        else:
            known.add((kind, target))
        key = {"client": event.client.name, "class": kind, "target": target}
        episode = self.episodes.open_or_begin("anonymous-access", "let_in",
                                              key, INFO, event.time)
        episode.observe(event.time, 1, self.severity(event),
                        event.client.name, event.user, event.credential,
                        event.audit_id)

    def verb_class(self, event):
        if event.subresource in self.CONNECT:
            return "connect"
        return "read" if event.verb in self.READ else "write"

    def target(self, event):
        if event.resource:
            return event.resource
        return "/" + "/".join(event.path.split("/")[1:3])

    def severity(self, event):
        if (event.verb == "get" and event.resource == "configmaps"
                and event.name == "cluster-info" and not event.subresource
                and event.namespace == "kube-public"):
            return INFO
        if not event.resource:
            return MEDIUM
        kind = self.verb_class(event)
        if event.resource == "secrets" or kind == "write":
            return CRITICAL
        mild = (event.verb == "get" and event.subresource == "proxy"
                and event.resource in ("pods", "services"))
        return CRITICAL if kind == "connect" and not mild else HIGH


class AnonymousProbing:
    def __init__(self, episodes, config):
        self.episodes, self.config = episodes, config
        self.windows = collections.defaultdict(collections.deque)

    def refusal(self, event):
        if event.failed:
            return
        window = self.windows[event.client.name]
        window.append(event)
        while event.time - window[0].time > self.config.probing_window:
            window.popleft()
        key = {"client": event.client.name}
        severity = (MEDIUM if len(window) >= self.config.probing_medium
                    else LOW)
        episode = self.episodes.open("anonymous-probing", "probing", key,
                                     event.time)
        if episode:
            fresh = [event]
        elif len(window) >= 10 or len({e.path for e in window}) >= 5:
            episode = self.episodes.begin("anonymous-probing", "probing",
                                          "probing", key, severity,
                                          window[0].time)
            fresh = window
        else:
            return
        for one in fresh:
            episode.observe(one.time, 1, severity, one.client.name, one.user,
                            "", one.audit_id)


class UnauthorizedBurst:
    """Bursts, workloads and successes after them; low and slow; sprays.

    `key` is a client's address or, as '.../64', its prefix.
    """
    NAME = "unauthorized-burst"
    GRAVITY = {"workload": 0, "burst": 1, "success_after_burst": 2}
    AFTER = 10 * MINUTE

    def __init__(self, episodes, config, sightings):
        self.episodes, self.config = episodes, config
        self.windows = collections.defaultdict(collections.deque)
        self.days = collections.defaultdict(collections.deque)  # 24 h
        self.minutes = collections.defaultdict(collections.Counter)
        self.in_prefix = set()  # (prefix, address) that count there now
        self.tried = collections.defaultdict(collections.deque)  # 10 min
        self.spray = collections.deque()
        self.sprayers = {}  # client -> Counter of its user agents
        self.seen_from = collections.defaultdict(list)
        for sighting in sightings:
            if "used" in sighting.flags and self.is_named(sighting):
                self.seen_from[sighting.client.name].append(sighting)

    # Failures.

    def refusal(self, event):
        if not event.failed:
            return
        client = event.client
        self.judge_burst(client.name, event)
        self.judge_low_and_slow(client.name, event)
        if client.prefix:
            if self.has_alert(client.name, event.time):
                if (client.prefix, client.name) in self.in_prefix:
                    self.forget(client.prefix, client.name)
            else:
                self.in_prefix.add((client.prefix, client.name))
                self.judge_burst(client.prefix, event)
                self.judge_low_and_slow(client.prefix, event)
        self.judge_spray(event)
        if event.oauth_failure:
            self.judge_names(event)

    def has_alert(self, key, time):
        return any(self.episodes.open(self.NAME, kind, {"client": key}, time)
                   for kind in ("burst", "low_and_slow"))

    def forget(self, prefix, name):
        """An address with an alert of its own does not count in its /64."""
        self.in_prefix.remove((prefix, name))
        for table in (self.windows, self.days):
            table[prefix] = collections.deque(
                e for e in table[prefix] if e.client.name != name)
        self.minutes[prefix] = collections.Counter(
            e.time // MINUTE for e in self.days[prefix])

    def judge_burst(self, key, event):
        window = self.windows[key]
        window.append(event)
        while event.time - window[0].time > self.config.window:
            window.popleft()
        episode = self.episodes.open(self.NAME, "burst", {"client": key},
                                     event.time)
        fresh = [event]
        if not episode:
            if len(window) < self.config.threshold:
                return
            episode = self.episodes.begin(self.NAME, "burst", "workload",
                                          {"client": key}, LOW,
                                          window[0].time)
            episode.fired = event.time
            episode.agents, episode.paths = set(), set()
            fresh = window
        for one in fresh:
            episode.observe(one.time, 1, LOW, key, "", "", one.audit_id)
            episode.agents.add(one.agent)
            episode.paths.add(one.path)
        episode.last_failure = event.time
        if (event.client.internal and len(episode.agents) == 1
                and len(episode.paths) <= 5 and self.is_steady(window)):
            return
        self.rise(episode, "burst")
        tenfold = len(window) >= self.config.high
        episode.severity = max(episode.severity, HIGH if tenfold else MEDIUM)

    def rise(self, episode, rule):
        if self.GRAVITY[rule] > self.GRAVITY[episode.rule]:
            episode.rule = rule

    @staticmethod
    def is_steady(window):
        times = [e.time for e in window]
        gaps = sorted(b - a for a, b in zip(times, times[1:]))
        if not gaps:
            return True
        half = len(gaps) // 2
        twice_median = gaps[half] + gaps[-1 - half]
        return 2 * gaps[-1] <= 10 * twice_median

    def judge_low_and_slow(self, key, event):
        day, minutes = self.days[key], self.minutes[key]
        day.append(event)
        minutes[event.time // MINUTE] += 1
        while event.time - day[0].time > self.config.slow_window:
            gone = day.popleft().time // MINUTE
            minutes[gone] -= 1
            if not minutes[gone]:
                del minutes[gone]
        episode = self.episodes.open(self.NAME, "low_and_slow",
                                     {"client": key}, event.time)
        fresh = [event]
        if not episode:
            if len(minutes) < self.config.slow_minutes:
                return
            episode = self.episodes.begin(self.NAME, "low_and_slow",
                                          "low_and_slow", {"client": key},
                                          LOW, event.time, daily=True)
            fresh = day
        for one in fresh:
            episode.observe(one.time, 1, LOW, key, "", "", one.audit_id)

    def judge_names(self, event):
        key, tried = event.client.name, self.tried[event.client.name]
        tried.append(event)
        while event.time - tried[0].time > 10 * MINUTE:
            tried.popleft()
        names = len({e.tried_name for e in tried})
        severity = HIGH if names >= 20 else MEDIUM
        episode = self.episodes.open(self.NAME, "password_spray",
                                     {"client": key}, event.time)
        fresh = [event]
        if not episode:
            if names < 5:
                return
            episode = self.episodes.begin(self.NAME, "password_spray",
                                          "password_spray", {"client": key},
                                          severity, event.time)
            fresh = tried
        for one in fresh:
            episode.observe(one.time, 1, severity, key, "", "", one.audit_id)

    def judge_spray(self, event):
        self.spray.append(event)
        name = event.client.prefix or event.client.name
        self.sprayers.setdefault(name, collections.Counter())[event.agent] += 1
        while event.time - self.spray[0].time > 5 * MINUTE:
            gone = self.spray.popleft()
            name = gone.client.prefix or gone.client.name
            self.sprayers[name][gone.agent] -= 1
            self.sprayers[name] += collections.Counter()  # Drops zeros.
            if not self.sprayers[name]:
                del self.sprayers[name]
        if len(self.sprayers) < 20:
            return
        episode = self.episodes.open(self.NAME, "spray", {}, event.time)
        if episode and episode.severity == MEDIUM:
            severity = MEDIUM  # It cannot become less.
        else:
            severity = LOW if self.looks_like_rotation() else MEDIUM
        fresh = [event]
        if not episode:
            episode = self.episodes.begin(self.NAME, "spray", "spray", {},
                                          severity, event.time)
            fresh = self.spray
        for one in fresh:
            episode.observe(one.time, 1, severity, one.client.name, "", "",
                            one.audit_id)
        most = max(len(self.sprayers), episode.notes.get("clients", 0))
        episode.notes = {"clients": most, "looks": "key rotation"
                         if episode.severity == LOW else "attack"}

    def looks_like_rotation(self):
        clients = len(self.sprayers)
        internal = {e.client.prefix or e.client.name for e in self.spray
                    if e.client.internal}
        single = sum(len(a) == 1 for a in self.sprayers.values())
        return (100 * len(internal) >= 80 * clients
                and 100 * single >= 80 * clients)

    # Successes.

    @staticmethod
    def is_named(sighting):
        return sighting.user not in ("", "system:anonymous")

    def seen(self, time, sighting):
        span = sighting.flags.get("beyond_public")
        if span and span[0] == time:  # It begins now.
            for episode in self.bursts_of(sighting, time):
                if sighting.minute > episode.fired // MINUTE:
                    self.judge_success(episode, sighting, time)

    def total(self, sighting):
        span = sighting.flags.get("beyond_public")
        if span:
            for episode in self.bursts_of(sighting, span[1]):
                if sighting.minute == episode.fired // MINUTE:
                    self.judge_success(episode, sighting, span[1])
                elif episode.rule == "workload":
                    # When it began it was taken for the new token.
                    for agent, first in sighting.agents.items():
                        if agent not in episode.agents:
                            self.judge_success(episode, sighting,
                                               max(first, span[0]))
                            break

    def bursts_of(self, sighting, time):
        for key in (sighting.client.name, sighting.client.prefix):
            episode = self.episodes.open(self.NAME, "burst", {"client": key},
                                         time)
            if episode and key:
                yield episode

    def judge_success(self, episode, sighting, time):
        if (time <= episode.fired or not self.is_named(sighting)
                or time - episode.last_failure > self.AFTER
                or sighting.client.trusted_proxy):
            return
        users = {s.user for s in self.seen_from[sighting.client.name]
                 if s.flags["used"][0] <= time
                 and s.flags["used"][1] >= time - self.AFTER}
        if len(users) >= 5:  # A shared address.
            return
        agents = {a for a, first in sighting.agents.items() if first <= time}
        if episode.rule == "workload" and agents == episode.agents:
            return  # Its new token.
        self.rise(episode, "success_after_burst")
        episode.observe(time, 0, CRITICAL, "", sighting.user,
                        sighting.credential, sighting.audit_id)


class Egress:
    """Shared knowledge: external addresses from which kubelets come."""

    def __init__(self):
        self.nodes = collections.defaultdict(dict)  # client -> node -> last

    def learn(self, time, sighting):
        if (sighting.has("nodes_group", time) and sighting.client.external
                and sighting.user.startswith("system:node:")):
            self.nodes[sighting.client.name][sighting.user] = time

    def is_own(self, client, time):
        nodes = self.nodes[client.name] if client.name in self.nodes else {}
        return sum(time - last <= DAY for last in nodes.values()) >= 2


class ServiceAccountExternal:
    NAME = "service-account-external"

    def __init__(self, episodes, config, start):
        self.episodes, self.config = episodes, config
        self.hold_end = start + 2 * MINUTE
        self.held = []

    def seen(self, time, count, sighting, egress):
        self.consider(time, time, count, sighting, egress)

    def total(self, count, sighting, egress):
        self.consider((sighting.minute + 1) * MINUTE, sighting.last, count,
                      sighting, egress)

    def consider(self, now, time, count, sighting, egress):
        """`now`: when it is judged; `time`: of what was observed."""
        if (sighting.account is None or not sighting.client.external
                or not sighting.has("account_group", time)):
            return
        # What was first seen in the first two minutes is judged after them.
        if now < self.hold_end:
            self.held.append((time, count, sighting))
            return
        self.judge(now, time, count, sighting, egress)

    def release(self, now, egress):
        for time, count, sighting in self.held:
            self.judge(now, time, count, sighting, egress)
        self.held = []

    def judge(self, now, time, count, sighting, egress):
        client = sighting.client
        if any(a.excuses(sighting.account, client, time)
               for a in self.config.allow):
            return
        if sighting.excused is None:
            sighting.excused = egress.is_own(client, now)
        if sighting.excused:
            episode = self.episodes.open_or_begin(
                self.NAME, "own_egress", {"client": client.name}, MEDIUM,
                time, daily=True)
            severity = MEDIUM
        else:
            severity = self.severity(sighting, time)
            episode = self.episodes.open_or_begin(
                self.NAME, "external",
                {"account": sighting.account, "client": client.name},
                severity, time)
        episode.observe(time, count, severity, client.name, sighting.user,
                        sighting.credential, sighting.audit_id)

    @staticmethod
    def severity(sighting, time):
        if (sighting.family in ("kubectl", "curl", "python")
                or any(sighting.has(flag, time)
                       for flag in ("legacy", "secrets", "rbac", "exec"))):
            return CRITICAL
        return HIGH if sighting.has("let_in", time) else MEDIUM


class OldCertificate:
    NAME = "old-certificate"
    LIMITS = ((365 * DAY, HIGH), (90 * DAY, MEDIUM), (30 * DAY, LOW))

    def __init__(self, episodes, config):
        self.episodes = episodes
        self.known = dict(config.inventory)  # id -> notBefore, notAfter
        self.learned = {}  # id -> since when, if not from the start
        self.first_seen = {}  # fingerprint -> time
        self.first_used = collections.defaultdict(dict)  # user -> id -> time

    def deed(self, event):
        for name, dates in issued_certificates(event).items():
            if name not in self.known:
                self.known[name] = dates
                self.learned[name] = event.time

    def dates(self, name, time):
        """notBefore and notAfter, as far as known at that time."""
        if time < self.learned.get(name, time):
            return None, None
        return self.known.get(name, (None, None))

    def seen(self, time, count, sighting, egress):
        self.judge(time, count, sighting)

    def total(self, count, sighting, egress):
        self.judge(sighting.last, count, sighting)

    def judge(self, time, count, sighting):
        credential, user = sighting.credential, sighting.user
        if not credential.startswith("X509SHA256="):
            if credential or not sighting.has("masters", time):
                return
        identity = credential or user
        self.first_seen.setdefault(identity, time)
        if sighting.has("used", time) and credential:
            self.first_used[user].setdefault(credential,
                                             sighting.flags["used"][0])
        kubelet = user.startswith("system:node:")
        control_plane = (sighting.client.loopback
                         and (user.startswith("system:kube-")
                              or user == "system:apiserver"))
        begin, end = self.dates(credential, time)
        if not kubelet and not control_plane:
            age = time - (self.first_seen[identity] if begin is None
                          else begin)
            for limit, severity in self.LIMITS:
                if age >= limit:
                    self.fire("age", severity, time, count, sighting)
                    break
        if not kubelet and end is not None and end - time < 30 * DAY:
            self.fire("expiring", INFO, time, count, sighting)
        if sighting.has("used", time) and credential:
            used = min(time, sighting.flags["used"][1])
            if self.is_superseded(user, credential, used):
                self.fire("superseded", HIGH, time, count, sighting)

    def is_superseded(self, user, credential, time):
        if user.startswith("system:kube-"):
            return False
        mine = self.dates(credential, time)[0]
        came = self.first_used[user]
        for other, first in came.items():
            if other == credential or time - first <= DAY:
                continue
            begin = self.dates(other, time)[0]
            if mine is not None and begin is not None:
                newer = begin > mine
            else:
                newer = first - came[credential] >= DAY
            if newer:
                return True
        return False

    def fire(self, rule, severity, time, count, sighting):
        key = {"user": sighting.user, "credential_id": sighting.credential}
        episode = self.episodes.open_or_begin(self.NAME, rule, key, severity,
                                              time, daily=True)
        episode.observe(time, count, severity, sighting.client.name,
                        sighting.user, sighting.credential, sighting.audit_id)


class ForgedIdentity:
    NAME = "forged-identity"

    def __init__(self, episodes):
        self.episodes = episodes

    def seen(self, time, count, sighting, egress):
        self.judge(time, count, sighting)

    def total(self, count, sighting, egress):
        self.judge(sighting.last, count, sighting)

    def judge(self, time, count, sighting):
        user = sighting.user
        account = user.startswith("system:serviceaccount:")
        node = user.startswith("system:node:")
        without = sighting.has("without_groups", time)
        rules = []
        if account and sighting.credential.startswith("X509SHA256="):
            rules.append("certificate_for_account")
        if node and without:
            rules.append("node_without_group")
        if account and without:
            rules.append("account_without_groups")
        if user == "system:apiserver" and sighting.has("peer_not_loopback",
                                                       time):
            rules.append("apiserver_not_loopback")
        key = {"user": user, "credential_id": sighting.credential}
        for rule in rules:
            episode = self.episodes.open_or_begin(self.NAME, rule, key,
                                                  CRITICAL, time)
            episode.observe(time, count, CRITICAL, sighting.client.name, user,
                            sighting.credential, sighting.audit_id)


# --------------------------------------------------------------------- main


def judge(events, config):
    """The final alerts, one per episode."""
    if not events:
        return []
    steps, sightings = steps_of(events)
    episodes = Episodes(config)
    egress = Egress()
    anonymous = AnonymousAccess(episodes)
    probing = AnonymousProbing(episodes, config)
    burst = UnauthorizedBurst(episodes, config, sightings)
    accounts = ServiceAccountExternal(episodes, config, events[0].time)
    certificates = OldCertificate(episodes, config)
    forged = ForgedIdentity(episodes)
    newest = events[-1].time
    for time, kind, event, sighting, count in steps:
        # Totals go before the timers of their instant, all else after them.
        if time > accounts.hold_end or (time == accounts.hold_end
                                        and kind != TOTAL):
            accounts.release(accounts.hold_end, egress)
        if kind == SEEN:
            egress.learn(time, sighting)
            burst.seen(time, sighting)
            for detector in (accounts, certificates, forged):
                detector.seen(time, count, sighting, egress)
        elif kind == TOTAL:
            egress.learn(sighting.last, sighting)
            burst.total(sighting)
            for detector in (accounts, certificates, forged):
                detector.total(count, sighting, egress)
        elif kind == REFUSAL:
            probing.refusal(event)
            burst.refusal(event)
        else:
            anonymous.deed(event)
            certificates.deed(event)
    accounts.release(newest, egress)
    return list(episodes.alerts(newest))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("logs", nargs="+", metavar="LOG")
    parser.add_argument("-c", "--config", help="the configuration, as JSON")
    arguments = parser.parse_args()
    raw, folder = {}, "."
    if arguments.config:
        folder = os.path.dirname(os.path.abspath(arguments.config))
        with open(arguments.config, encoding="utf-8") as file:
            raw = json.load(file)
    config = Config(raw, folder)
    for alert in judge(read_events(arguments.logs, config), config):
        print(json.dumps(alert))


def run_deep(function):
    """Patch bodies may be nested 10 000 deep: that needs a larger stack."""
    sys.setrecursionlimit(200_000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


if __name__ == "__main__":
    run_deep(main)
