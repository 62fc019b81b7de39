#!/usr/bin/env python3
"""deploy/klaxon.service and deploy/klaxon.yaml fit each other."""
import os
import re

from deployment import DEPLOY, KLAXON, DeployTest, main, read, run


def settings(unit):
    """Every Key=value of a unit, in its order."""
    return [tuple(line.split("=", 1)) for line in unit.splitlines()
            if re.match(r"[A-Za-z]+=", line)]


class Unit(DeployTest):
    def setUp(self):
        self.settings = settings(read(DEPLOY, "klaxon.service"))
        self.unit = dict(self.settings)

    def test_it_is_started_watched_and_started_again(self):
        self.assertEqual(self.unit["Type"], "notify")
        self.assertEqual(self.unit["Restart"], "on-failure")
        self.assertEqual(self.unit["ExecReload"], "/bin/kill -HUP $MAINPID")
        # The daemon beats at half of it; its core goes round every 200 ms.
        self.assertGreaterEqual(int(self.unit["WatchdogSec"]), 10)
        self.assertEqual(self.unit["StartLimitIntervalSec"], "0")

    def test_one_capability_alone(self):
        for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
            self.assertEqual([v for k, v in self.settings if k == key],
                             ["CAP_DAC_READ_SEARCH"])
        self.assertEqual(self.unit["DynamicUser"], "yes")

    def test_it_may_write_where_the_configuration_says(self):
        config = read(DEPLOY, "klaxon.yaml")
        for directory, key in (("/var/lib", "StateDirectory"),
                               ("/var/log", "LogsDirectory")):
            self.assertIn(os.path.join(directory, self.unit[key]), config)
        self.assertEqual(self.unit["ExecStart"].split()[1:],
                         ["run", "-c", "/etc/klaxon/klaxon.yaml"])

    def test_the_default_configuration_is_valid(self):
        out = run(KLAXON, "check", "-c", os.path.join(DEPLOY, "klaxon.yaml"))
        self.assertTrue(out.endswith("klaxon.yaml: ok\n"), out)

    def test_the_man_page_names_the_usual_paths(self):
        code = read(DEPLOY, "..", "ingest", "file_follower.cc")
        usual = code[code.index("UsualAuditLogPaths() {"):]
        usual = re.findall(r'"(/[^"]+)"', usual[:usual.index("}\n")])
        page = read(DEPLOY, "man", "klaxon.1.in").split("usual audit logs")[1]
        self.assertGreaterEqual(len(usual), 5)
        self.assertEqual(re.findall(r"^\.Pa (\S+) [,.]$", page, re.M), usual)


if __name__ == "__main__":
    main()
