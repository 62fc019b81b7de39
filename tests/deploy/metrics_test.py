#!/usr/bin/env python3
"""Dashboard and rules speak of metrics that docs/METRICS.md promises, with the
labels that it gives them."""
import json
import os
import re
import unittest

from deployment import DEPLOY, SOURCE, DeployTest, main, needs, read, run

RULES = os.path.join(DEPLOY, "prometheus", "klaxon.rules.yaml")
HISTOGRAM = ("_bucket", "_sum", "_count")
# What Prometheus itself puts on every series.
SCRAPE_LABELS = {"job", "instance"}
METRIC = r"\b((?:klaxon|process)_[a-z0-9_]+)"


def families():
    """name -> (type, labels), of the tables of docs/METRICS.md."""
    found = {}
    for line in read(SOURCE, "docs", "METRICS.md").splitlines():
        row = re.match(r"\| `(\w+)` \| (\w+) \|([^|]*)\|", line)
        if row:
            found[row[1]] = (row[2], set(re.findall(r"`(\w+)`", row[3])))
    return found


def problems(expression, known):
    """What docs/METRICS.md does not know of a PromQL expression."""
    for name in re.findall(METRIC, expression):
        if base_name(name, known) is None:
            yield "no metric " + name
    for name, matchers in re.findall(METRIC + r"\{([^}]*)\}", expression):
        base = base_name(name, known)
        labels = known[base][1] if base else set()
        for label in re.findall(r"(\w+)\s*(?:=|!)", matchers):
            if label not in labels | SCRAPE_LABELS:
                yield "%s has no label %s" % (name, label)
    names = [base_name(name, known) for name in re.findall(METRIC, expression)]
    every = set().union(*[known[n][1] for n in names if n], SCRAPE_LABELS)
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        for label in re.findall(r"\w+", group):
            if label not in every | {"le"}:
                yield "nothing has a label " + label
    for name in re.findall(r"(?:rate|increase)\(" + METRIC, expression):
        kind = known.get(base_name(name, known), ("", ()))[0]
        if kind not in ("counter", "histogram"):
            yield "%s is no counter" % name


def base_name(name, known):
    if name in known:
        return name
    for suffix in HISTOGRAM:
        base = name[:-len(suffix)]
        if name.endswith(suffix) and known.get(base, ("",))[0] == "histogram":
            return base
    return None


def dashboard_expressions():
    board = json.loads(read(DEPLOY, "grafana", "klaxon.json"))
    found = [target["expr"] for panel in board["panels"]
             for target in panel.get("targets", [])]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found.append(variable["query"]["query"])
    return board, found


class Metrics(DeployTest):
    def check(self, expressions):
        known = families()
        self.assertGreater(len(known), 50)
        bad = ["%s: %s" % (problem, expression) for expression in expressions
               for problem in problems(expression, known)]
        self.assertEqual(bad, [])

    def test_the_check_itself(self):
        known = families()
        for wrong in ("klaxon_nothing > 0", "rate(klaxon_ready[5m])",
                      "klaxon_sink_pending{source='x'}", "klaxon_ready_bucket",
                      "sum by (user) (klaxon_sink_pending)"):
            self.assertTrue(list(problems(wrong, known)), wrong)

    def test_dashboard(self):
        board, expressions = dashboard_expressions()
        self.assertGreater(len(expressions), 20)
        self.check(expressions)
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in dashboard_expressions()[0]["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells

    def test_rules(self):
        try:
            import yaml
        except ImportError:
            raise unittest.SkipTest("python3-yaml is not installed") from None
        groups = yaml.safe_load(read(RULES))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 10)
        self.check([rule["expr"] for rule in rules])
        for rule in rules:
            self.assertIn(rule["labels"]["severity"],
                          ("critical", "warning", "info"))
            self.assertTrue(rule["annotations"]["summary"])

    def test_everything_that_must_page_has_a_rule(self):
        """METRICS.md says `page`: a rule says critical."""
        paged = re.findall(r"^\| `(\w+)` .*: page \|$",
                           read(SOURCE, "docs", "METRICS.md"), re.M)
        self.assertGreaterEqual(len(paged), 3)
        text = read(RULES)
        for name in paged:
            self.assertRegex(text, name + r"\b[^\n]*\n\s+labels: "
                             r"\{severity: critical\}")

    @needs("promtool")
    def test_promtool(self):
        self.assertIn("SUCCESS", run("promtool", "check", "rules", RULES))


if __name__ == "__main__":
    main()
