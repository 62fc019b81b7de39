"""What /metrics says of a running daemon is what docs/METRICS.md promises."""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

from daemon import DaemonTest, samples, total
from runner import anonymous_read, burst, event

SOURCE = os.environ["KLAXON_SOURCE_DIR"]
BAD_LINES = ["this is no JSON", '{"kind":"Event","half']


def documented():
    """name -> (type, labels), of the tables of docs/METRICS.md."""
    found = {}
    with open(os.path.join(SOURCE, "docs", "METRICS.md"),
              encoding="utf-8") as page:
        for line in page:
            row = re.match(r"\| `(\w+)` \| (\w+) \|([^|]*)\|", line)
            if row:
                found[row[1]] = (row[2], set(re.findall(r"`(\w+)`", row[3])))
    return found


def emitted(text):
    """The same, of a scrape."""
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    found = {name: (kind, set()) for name, kind in types.items()}
    for name, labels in samples(text):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        base = base if types.get(base) == "histogram" else name
        found[base][1].update({label for label, _ in labels} - {"le"})
    return found


def unbalanced(metrics):
    """Sums of docs/METRICS.md that do not hold in a scrape."""
    for (name, labels), value in metrics.items():
        own = dict(labels)
        if name == "klaxon_input_bytes_total":
            parts = sum(total(metrics, "klaxon_input_" + part, **own)
                        for part in ("processed_bytes_total",
                                     "quarantined_bytes_total",
                                     "repeated_bytes_total", "gap_bytes_total",
                                     "in_flight_bytes"))
        elif name == "klaxon_sink_pending":
            value = total(metrics, "klaxon_alerts_raised_total")
            parts = sum(total(metrics, "klaxon_sink_" + part, **own)
                        for part in ("delivered_total", "pending",
                                     "dead_lettered_total", "filtered_total",
                                     "shed_total"))
        else:
            continue
        if value != parts:
            yield "%s%s: %s, its parts %s" % (name, own, value, parts)


class Metrics(DaemonTest):
    maxDiff = None

    def configure(self, **parts):
        super().configure(state=", snapshot_interval: 1ms", **parts)

    def certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        self.path("key.pem"), "-out", self.path("cert.pem"),
                        "-days", "30", "-subj", "/CN=localhost"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return ("- webhook: {listen: '127.0.0.1:0', tls: {cert: %s, key: %s}}"
                % (json.dumps(self.path("cert.pem")),
                   json.dumps(self.path("key.pem"))))

    def test_every_family_is_there_with_its_type_and_labels(self):
        self.write("a.log", burst() + BAD_LINES[:1] +
                   [anonymous_read(30), event(300)])
        self.configure(sources=self.certificate(),
                       sinks="- stdout: {}\n- file: {path: alerts.ndjson}")
        daemon = self.start()
        port = daemon.endpoint()
        daemon.wait_for_alert(detector="anonymous-access")
        daemon.wait_until(lambda m: total(m, "klaxon_snapshots_total"), port)
        text = daemon.get("/metrics", port)[1]
        self.assertEqual(emitted(text), documented())
        self.check_with_promtool(text)
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_every_rule_and_panel_asks_for_something_that_is_there(self):
        """A rule over a series that nobody fills can never fire."""
        self.write("a.log", burst() + [event(300)])
        self.configure(sources=self.certificate())
        daemon = self.start()
        port = daemon.endpoint()
        daemon.wait_for_alert(detector="unauthorized-burst")
        metrics = daemon.wait_until(
            lambda m: total(m, "klaxon_snapshots_total") and m, port)
        expressions = []
        for name in ("prometheus/klaxon.rules.yaml", "grafana/klaxon.json"):
            with open(os.path.join(SOURCE, "deploy", name),
                      encoding="utf-8") as page:
                expressions += re.findall(r'^\s*"?expr"?: (.*)$', page.read(),
                                          re.M)
        self.assertGreater(len(expressions), 50)
        asked = {(name, matchers) for expression in expressions
                 for name, matchers in re.findall(
                     r"\b((?:klaxon|process)_\w+)(?:\{([^}]*)\})?",
                     expression)}
        missing = [
            (name, matchers) for name, matchers in sorted(asked)
            if not any(series == name and set(re.findall(
                r'(\w+)="(\w+)"', matchers.replace("\\", ""))) <= set(labels)
                       for series, labels in metrics)]
        self.assertEqual(missing, [])
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def check_with_promtool(self, text):
        if not shutil.which("promtool"):
            print("SKIPPED: promtool (package prometheus) is not installed",
                  file=sys.stderr)
            return
        result = subprocess.run(["promtool", "check", "metrics"], input=text,
                                stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_numbers_are_those_of_the_input(self):
        lines = burst() + BAD_LINES[:1] + [anonymous_read(30)] + [
            event(40 + i, ip="10.0.0.9") for i in range(20)] + [event(600)]
        self.write("a.log", lines)
        size = os.path.getsize(self.path("a.log"))
        self.configure(sinks="- stdout: {}\n- file: {path: f.ndjson}\n"
                             "  min_severity: critical")
        daemon = self.start()
        port = daemon.endpoint()
        daemon.wait_for_alert(detector="anonymous-access")
        metrics = daemon.wait_until(
            lambda m: total(m, "klaxon_input_events_total") == len(lines) - 1
            and not total(m, "klaxon_sink_pending") and m, port)
        source = "file:" + self.path("a.log")
        expect = {
            ("klaxon_input_bytes_total", ("source", source)): size,
            ("klaxon_input_lines_total", ("lane", source)): len(lines),
            ("klaxon_input_quarantined_bytes_total", ()): len(BAD_LINES[0]),
            ("klaxon_input_quarantined_total", ("reason", "text")): 1,
            ("klaxon_input_quarantined_total", ()): 1,
            ("klaxon_input_gaps_total", ("reason", "truncated")): 0,
            ("klaxon_alerts_raised_total", ("severity", "critical")): 1,
            ("klaxon_alerts_raised_total", ("severity", "info")): 0,
            ("klaxon_alerts_raised_total", ("rule", "let_in")): 1,
            ("klaxon_sink_delivered_total", ("sink", "file")): 1,
            ("klaxon_sink_delivered_total", ("sink", "stdout")):
                len(daemon.alerts()),
            ("klaxon_input_lag_bytes", ()): 0,
            ("klaxon_input_lag_seconds", ()): 0,
            ("klaxon_ready", ()): 1,
            ("klaxon_open_episodes", ()):
                len({a["id"] for a in daemon.alerts()}) -
                len([a for a in daemon.alerts() if a["status"] == "resolved"]),
        }
        found = {key: total(metrics, key[0], **dict([key[1]] if key[1] else []))
                 for key in expect}
        self.assertEqual(found, expect)
        self.assertGreater(total(metrics, "klaxon_table_keys"), 0)
        self.assertGreater(total(metrics, "klaxon_observations_total",
                                 kind="sighting"), 0)
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_the_sums_hold_at_every_scrape_and_counters_never_fall(self):
        self.write("a.log", [])
        self.configure(sinks="- stdout: {}\n- webhook: {url: 'http://"
                             "127.0.0.1:9'}\n- file: {path: f.ndjson}\n"
                             "  detectors: [anonymous-access]")
        daemon = self.start()
        port = daemon.endpoint()
        counters = {n for n, (kind, _) in documented().items()
                    if kind == "counter"}
        before = {}
        with open(self.path("a.log"), "a", encoding="utf-8") as log:
            for i in range(60):
                lines = burst(start=200 * i, ip="203.0.113.%d" % i) + BAD_LINES
                log.write("\n".join(lines) + "\n")
                log.flush()
                metrics = samples(daemon.get("/metrics", port)[1])
                self.assertEqual(list(unbalanced(metrics)), [])
                fallen = [key for key, value in before.items()
                          if key[0] in counters and metrics.get(key, -1) < value]
                self.assertEqual(fallen, [])
                before = metrics
        daemon.wait_until(
            lambda m: total(m, "klaxon_input_bytes_total") ==
            os.path.getsize(self.path("a.log")) and
            total(m, "klaxon_sink_pending", sink="webhook") > 9 and
            total(m, "klaxon_sink_retries_total", sink="webhook") > 0, port)
        self.assertEqual(daemon.stop(), 0, daemon.err)
        # What the run before left undelivered counts as raised.
        daemon = self.start()
        port = daemon.endpoint()
        metrics = daemon.wait_until(
            lambda m: total(m, "klaxon_sink_pending", sink="webhook") > 9 and m,
            port)
        self.assertEqual(list(unbalanced(metrics)), [])
        # A sink that comes later.
        self.configure(sinks="- stdout: {}\n- file: {path: g.ndjson}\n"
                             "  name: later")
        daemon.reload()
        metrics = daemon.wait_until(
            lambda m: ("klaxon_sink_pending", (("sink", "later"),)) in m and m,
            port)
        self.assertEqual(list(unbalanced(metrics)), [])
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_readyz_says_why_not(self):
        self.write("a.log", burst())
        os.mkdir(self.path("b.log"))
        self.configure(logs=("a.log", "b.log"))
        daemon = self.start()
        port = daemon.endpoint()
        daemon.wait_until(lambda _: daemon.get("/readyz", port) == (
            503, "file:%s: nothing was read yet\n" % self.path("b.log")), port)
        self.assertEqual(daemon.get("/healthz", port)[0], 200)
        self.assertEqual(
            total(samples(daemon.get("/metrics", port)[1]), "klaxon_ready"), 0)
        os.rmdir(self.path("b.log"))
        self.write("b.log", [event(20)])
        daemon.wait_until(lambda m: total(m, "klaxon_ready") == 1, port)
        self.assertEqual(daemon.get("/readyz", port), (200, "ok\n"))
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.assertEqual(daemon.stop(), 0, daemon.err)


if __name__ == "__main__":
    sys.exit(unittest.main())
