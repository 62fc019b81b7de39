#!/usr/bin/env python3
"""make.py: writes the golden cases. make.py --check: tests them.

cases_*.py hold every case as a few lines of text: what happened (the language
of audit_log.py), and the verdict that detections.md demands of it, worked out
by hand. Each becomes a folder: input.log, perhaps config.yaml and inventory.pem.

expected.ndjson, the alerts byte for byte, is what the binary printed when
somebody last read it (KLAXON_UPDATE_GOLDEN=1 ctest -R golden). --check holds it
against the verdict, so that nobody can accept a wrong answer unread, and tells
whether the folders are what the texts make of them.

A verdict is one line an alert, in any order:

    SEVERITY DETECTOR/RULE KEY=VALUE... xCOUNT FIRST..LAST [STATUS] [MORE...]

times count from the case's start; STATUS is firing unless it says resolved;
MORE: user:, claimed:, confidence:, cluster:, credential: (LABEL of a
certificate), explain.NAME: each with the value of that field; title: summary: a
text that stands in it. `quiet` is the whole verdict of an innocent case.
"""
import importlib
import json
import os
import re
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import audit_log  # noqa: E402

MODULES = ["cases_anonymous", "cases_burst", "cases_spray", "cases_accounts",
           "cases_certificates", "cases_forged", "cases_input"]
START = "2026-01-02T03:00:00Z"


class Case:
    def __init__(self, name, story, events, verdict, start=START, config="",
                 certificates=None, inventory=(), order=None):
        self.name, self.story, self.start = name, story, start
        self.log = audit_log.Log(start, certificates or {})
        for line in events.strip().splitlines():
            if line.strip():
                self.log.add(line)
        if order:  # As they stand in the file; any order is right.
            self.log.lines = order(self.log.lines)
        self.verdict = [] if verdict.strip() == "quiet" else [
            line.strip() for line in verdict.strip().splitlines()]
        self.files = {"input.log": "".join(
            line + "\n" for line in self.log.lines)}
        if inventory:
            self.files["inventory.pem"] = "".join(
                audit_log.pem_of(self.log.certificate(i)) for i in inventory)
            config = config or ("detectors:\n  old-certificate:\n"
                                "    inventory: [inventory.pem]\n")
        if config:
            self.files["config.yaml"] = config.lstrip("\n")

    def path(self, name=""):
        return os.path.join(HERE, self.name, name)

    # ------------------------------------------------------------- verdicts

    def time(self, text):
        return audit_log.stamp(self.start, audit_log.micros(text))

    def expected_alert(self, line):
        """Dotted field names of an alert, and what they must be."""
        severity, rule, *words = re.findall(r'(?:[^\s"]|"[^"]*")+', line)
        want = {"severity": severity, "status": "firing", "key": {}}
        want["detector"], want["rule"] = rule.split("/")
        for word in words:
            word = word.replace('"', "")
            if re.fullmatch(r"x\d+", word):
                want["count"] = int(word[1:])
            elif re.fullmatch(r"\d[^:=]*\.\.\d\S*", word):
                first, last = word.split("..")
                want["first_seen"], want["last_seen"] = (self.time(first),
                                                         self.time(last))
            elif word == "resolved":
                want["status"] = word
            elif re.match(r"[a-z_]+=", word):
                name, value = word.split("=", 1)
                want["key"][name] = self.resolve(name, value)
            else:
                name, value = word.split(":", 1)
                want[name] = self.resolve(name, value)
        return want

    def resolve(self, name, value):
        labelled = name in ("credential", "credential_id", "explain.credentials",
                            "explain.superseded_by")
        if labelled and value and not re.search(r"[=:]", value):
            return self.log.fingerprint(value)
        return value

    def mismatch(self, alert, want):
        """Names of the fields that are not as they must be."""
        wrong = []
        for name, value in want.items():
            have = alert
            for part in {"credential": "credential_id", "claimed":
                         "claimed_ips"}.get(name, name).split("."):
                have = (have or {}).get(part, "")
            if name in ("title", "summary"):
                if value not in have:
                    wrong.append(f"{name} without {value!r}")
            elif name in ("count", "key"):
                if (have or {}) != value:
                    wrong.append(f"{name} {have}, not {value}")
            elif (",".join(have) if isinstance(have, list)
                  else str(have)) != value:
                wrong.append(f"{name} {have}, not {value}")
        return wrong

    def problems(self):
        for name, content in self.files.items():
            try:
                with open(self.path(name), encoding="utf-8") as file:
                    current = file.read() == content
            except OSError:
                current = False
            if not current:
                yield f"{name} is not what make.py writes; run it"
        try:
            with open(self.path("expected.ndjson"), encoding="utf-8") as file:
                alerts = [json.loads(line) for line in file]
        except OSError:
            yield "no expected.ndjson"
            return
        for line in self.verdict:
            want = self.expected_alert(line)
            best = min(alerts, default=None,
                       key=lambda a: len(self.mismatch(a, want)))
            if best is None:
                yield f"missing: {line}"
                continue
            wrong = self.mismatch(best, want)
            if wrong:
                yield f"missing: {line}\n    nearest: {'; '.join(wrong)}"
            else:
                alerts.remove(best)
                yield from self.broken_evidence(best)
        for alert in alerts:
            yield ("not in the verdict: {severity} {detector}/{rule} {key} "
                   "x{count} {first_seen}..{last_seen} {status}"
                   .format(**{"key": {}, **alert}))

    def broken_evidence(self, alert):
        """What must hold of every alert's sample events."""
        evidence = alert.get("evidence", [])
        times = [e["time"] for e in evidence]
        events = {(e["auditID"], e["stageTimestamp"]
                   or e["requestReceivedTimestamp"])
                  for e in map(json.loads, self.log.lines)}
        if not 1 <= len(evidence) <= 5 or times != sorted(times):
            yield f"{alert['rule']}: {len(evidence)} sample events"
        if len({t[:16] for t in times}) != len(times):
            yield f"{alert['rule']}: two sample events of one minute"
        for sample in evidence:
            if (sample["audit_id"], sample["time"]) not in events:
                yield f"{alert['rule']}: {sample['audit_id']} never happened"
        # A sighting has one sample, the earliest of its minute.
        if times and not (alert["first_seen"][:16] <= times[0][:16]
                          and times[0] <= alert["last_seen"]):
            yield f"{alert['rule']}: the sample is of another time"


def all_cases():
    cases = []
    for module in MODULES:
        for arguments in importlib.import_module(module).CASES:
            cases.append(Case(**arguments))
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases of one name"
    return cases


def write(cases):
    for case in cases:
        os.makedirs(case.path(), exist_ok=True)
        for name, content in case.files.items():
            with open(case.path(name), "w", encoding="utf-8") as file:
                file.write(content)
        for name in ("config.yaml", "inventory.pem"):
            if name not in case.files and os.path.exists(case.path(name)):
                os.remove(case.path(name))
    with open(os.path.join(HERE, "README.md"), "w", encoding="utf-8") as file:
        file.write(readme(cases))


def readme(cases):
    out = ["# Golden cases\n\n"
           "A log, perhaps a configuration, and the alerts expected of it, byte "
           "for byte. Written by make.py\nout of cases_*.py; read make.py "
           "first. `ctest -R golden`.\n"]
    for title, wanted in (("Must be found", True), ("Must stay silent", False)):
        out.append(f"\n## {title}\n\n| case | what happens |\n| --- | --- |\n")
        for case in cases:
            if bool(case.verdict) == wanted:
                out.append(f"| {case.name} | {case.story} |\n")
    return "".join(out)


def check(cases):
    found = 0
    known = {case.name for case in cases}
    for name in sorted(os.listdir(HERE)):
        if os.path.isdir(os.path.join(HERE, name)) and name not in known | {
                "__pycache__"}:
            print(f"{name}: a folder of no case")
            found += 1
    for case in cases:
        for problem in case.problems():
            print(f"{case.name}: {problem}")
            found += 1
    print(f"{len(cases)} cases, {found} problems")
    return 1 if found else 0


def main():
    cases = all_cases()
    if sys.argv[1:] == ["--check"]:
        return check(cases)
    if sys.argv[1:]:
        sys.exit(__doc__)
    write(cases)
    print(f"{len(cases)} cases written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
