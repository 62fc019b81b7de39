"""The language of make.py: audit logs as a few lines of text.

One line is one event, or several alike:

    TIME | FROM | WHO | VERB URI | CODE [allow|forbid] | MORE; MORE

TIME   90s, 1m30s, 2d, 60s+1us since the case's start, at which the stage ended
       (the request was received 1 ms before); or 0s..60s x10: ten events, the
       first and last at just these times. In such a line {i} is 1, 2, 3, ...
FROM   sourceIPs, by commas; - for none at all
WHO    nobody (a failed authentication), anonymous, account NS/NAME, kubelet
       NODE, or a user name
URI    tells the objectRef too, as kube-apiserver works it out
allow  authorization.k8s.io/decision
MORE   agent=..., credential=..., certificate=LABEL, groups=A,B (or groups= for
       none), stage=... (stage= for none), id=AUDIT-ID, received=TIME, reason=..., pod=..., node=...,
       as=IMPERSONATED USER, legacy[=SECRET], note KEY=ANNOTATION, cluster=...,
       request=JSON, response=JSON, issues=LABEL (a CSR's status.certificate),
       no-stage-time, twice (the line stands in the log two times)

The fields come in the order in which kube-apiserver writes them. Certificates
are built here, byte by byte, and are signed by nobody.
"""
import base64
import calendar
import datetime
import hashlib
import json
import re

UNITS = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000,
         "h": 3_600_000_000, "d": 86_400_000_000}


def micros(text):
    """'1m30s', '60s+1us' -> microseconds."""
    total, rest = 0, text.replace("+", "")
    while rest:
        match = re.match(r"(\d+)(us|ms|s|m|h|d)", rest)
        if not match:
            raise ValueError(f"no time: {text!r}")
        total += int(match[1]) * UNITS[match[2]]
        rest = rest[match.end():]
    return total


def stamp(start, offset):
    """RFC 3339 of `start` + microseconds, as kube-apiserver prints it."""
    begin = datetime.datetime.strptime(start, "%Y-%m-%dT%H:%M:%SZ")
    time = begin + datetime.timedelta(microseconds=offset)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ------------------------------------------------------------- certificates


def der(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def name_of(common_name, organizations):
    """An X.501 Name: O=... (any number), CN=..."""
    rdns = [(b"\x55\x04\x0a", o) for o in organizations]
    rdns.append((b"\x55\x04\x03", common_name))
    return der(0x30, *(der(0x31, der(0x30, der(0x06, oid), der(
        0x0c, text.encode()))) for oid, text in rdns))


class Certificate:
    """CN, O..., and days of validity counted from the case's start."""

    def __init__(self, common_name, from_day, to_day, *organizations):
        self.common_name = common_name
        self.organizations = organizations
        self.from_day, self.to_day = from_day, to_day

    def bytes(self, start, label):
        begin = calendar.timegm(
            datetime.datetime.strptime(start, "%Y-%m-%dT%H:%M:%SZ").timetuple())
        times = [datetime.datetime.fromtimestamp(
            begin + round(day * 86400), datetime.timezone.utc)
            .strftime("%Y%m%d%H%M%SZ").encode()
            for day in (self.from_day, self.to_day)]
        serial = hashlib.sha256(label.encode()).digest()[:8]
        algorithm = der(0x30, der(0x06, bytes.fromhex("2b6570")))  # Ed25519
        tbs = der(
            0x30, der(0xa0, b"\x02\x01\x02"),
            der(0x02, b"\x01" + serial), algorithm, name_of("kubernetes", ()),
            der(0x30, *(der(0x18, time) for time in times)),
            name_of(self.common_name, self.organizations),
            der(0x30, algorithm, der(0x03, b"\x00" + bytes(32))))
        return der(0x30, tbs, algorithm, der(0x03, b"\x00" + bytes(64)))


def pem_of(certificate):
    text = base64.b64encode(certificate).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines,
                      "-----END CERTIFICATE-----", ""])


# ------------------------------------------------------------------- events


LONG_RUNNING = ("attach", "exec", "proxy", "log", "portforward")
EXTRA = "authentication.kubernetes.io/"
STATUS = {
    401: {"status": "Failure", "message": "Unauthorized",
          "reason": "Unauthorized"},
    403: {"status": "Failure", "message": "forbidden", "reason": "Forbidden"},
    404: {"status": "Failure", "message": "not found", "reason": "NotFound"},
}


def object_ref(uri):
    """What kube-apiserver reads out of a path; None: no resource."""
    parts = [p for p in uri.split("?")[0].split("/") if p]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    rest += ["", "", ""]
    ref = {"resource": rest[0], "namespace": namespace, "name": rest[1],
           "apiGroup": group, "apiVersion": version, "subresource": rest[2]}
    return {key: value for key, value in ref.items() if value}


def user_of(who):
    """User name and groups."""
    kind, _, name = who.partition(" ")
    if who == "nobody":
        return "", []
    if who == "anonymous":
        return "system:anonymous", ["system:unauthenticated"]
    if kind == "account":
        namespace, account = name.split("/")
        return (f"system:serviceaccount:{namespace}:{account}",
                ["system:serviceaccounts",
                 f"system:serviceaccounts:{namespace}",
                 "system:authenticated"])
    if kind == "kubelet":
        return f"system:node:{name}", ["system:nodes", "system:authenticated"]
    return who, ["system:authenticated"]


class Log:
    """The events of one case."""

    def __init__(self, start, certificates):
        self.start = start
        self.certificates = certificates
        self.lines = []

    def certificate(self, label):
        return self.certificates[label].bytes(self.start, label)

    def fingerprint(self, label):
        if label not in self.certificates:  # One of which nobody has a copy.
            return "X509SHA256=" + hashlib.sha256(label.encode()).hexdigest()
        return ("X509SHA256="
                + hashlib.sha256(self.certificate(label)).hexdigest())

    def add(self, text):
        times, sources, who, request, answer, *more = (
            part.strip() for part in (text + " |").split("|"))
        match = re.fullmatch(r"(\S+)\.\.(\S+) x(\d+)", times)
        if not match:
            self.add_one(micros(times), sources, who, request, answer, more[0])
            return
        first, last, count = micros(match[1]), micros(match[2]), int(match[3])
        for i in range(count):
            self.add_one(first + (last - first) * i // (count - 1),
                         *(part.replace("{i}", str(i + 1)) for part in (
                             sources, who, request, answer, more[0])))

    def add_one(self, time, sources, who, request, answer, more):
        options = dict(part.strip().partition("=")[::2]
                       for part in more.split(";") if part.strip())
        event = self.event(time, sources, who, request, answer, options)
        line = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
        self.lines += [line] * (2 if "twice" in options else 1)

    def event(self, time, sources, who, request, answer, options):
        verb, uri = request.split(" ", 1)
        ref = object_ref(uri)
        code, *decision = answer.split()
        long_running = verb in ("watch", "proxy") or (
            ref or {}).get("subresource") in LONG_RUNNING
        stage = options.get(
            "stage", "ResponseStarted" if long_running or who == "nobody"
            else "ResponseComplete")
        received = (micros(options["received"]) if "received" in options
                    else time - 1000)
        event = {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": options.get("id") or "00000000-0000-4000-8000-"
                                            f"{len(self.lines) + 1:012d}",
            "stage": stage, "requestURI": uri, "verb": verb,
            "user": self.user(who, options)}
        if not stage:
            del event["stage"]
        if "as" in options:
            name, groups = user_of(options["as"])
            event["impersonatedUser"] = {"username": name, "groups": groups}
        if sources != "-":
            event["sourceIPs"] = [s.strip() for s in sources.split(",")]
        event["userAgent"] = options.get("agent", "app/1.0")
        if ref:
            event["objectRef"] = ref
        if stage != "RequestReceived":
            event["responseStatus"] = {"metadata": {}, **STATUS.get(
                int(code), {}), "code": int(code)}
        self.add_bodies(event, options)
        event["requestReceivedTimestamp"] = stamp(self.start, received)
        event["stageTimestamp"] = (None if "no-stage-time" in options
                                   else stamp(self.start, time))
        annotations = self.annotations(event, decision, options)
        if annotations:
            event["annotations"] = annotations
        if "cluster" in options:
            event["cluster"] = options["cluster"]
        return event

    def user(self, who, options):
        username, groups = user_of(who)
        if "groups" in options:
            groups = [g for g in options["groups"].split(",") if g]
        user = {"username": username, "groups": groups}
        user = {key: value for key, value in user.items() if value}
        extra = {"credential-id": options.get("credential"),
                 "node-name": options.get("node"),
                 "pod-name": options.get("pod")}
        if "certificate" in options:
            extra["credential-id"] = self.fingerprint(options["certificate"])
        extra = {EXTRA + k: [v] for k, v in extra.items() if v}
        return {**user, "extra": extra} if extra else user

    def add_bodies(self, event, options):
        for name in ("request", "response"):
            if name in options:
                event[name + "Object"] = json.loads(options[name])
        if "issues" in options:
            text = pem_of(self.certificate(options["issues"]))
            event["requestObject"] = {
                "kind": "CertificateSigningRequest",
                "apiVersion": "certificates.k8s.io/v1",
                "status": {"certificate":
                           base64.b64encode(text.encode()).decode()}}
        if "requestObject" in event:
            event["level"] = "Request"
        if "responseObject" in event:
            event["level"] = "RequestResponse"

    @staticmethod
    def annotations(event, decision, options):
        found = {}
        if decision:
            found["authorization.k8s.io/decision"] = decision[0]
            found["authorization.k8s.io/reason"] = options.get("reason", "")
        if "legacy" in options:
            prefix = "authentication.k8s.io/legacy-token"
            found[prefix] = event["user"]["username"]
            if options["legacy"]:
                found[prefix + "-manual-secret"] = options["legacy"]
        for name, value in options.items():
            if name.startswith("note "):
                found[name[5:]] = value
        return dict(sorted(found.items()))
