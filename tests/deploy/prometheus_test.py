#!/usr/bin/env python3
"""A real Prometheus scrapes a running daemon, a real Alertmanager gets what
klaxon's own rules find. Debian packages: prometheus, prometheus-alertmanager."""
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

from deployment import DEPLOY, SOURCE, DeployTest, main, needs

sys.path.insert(0, os.path.join(SOURCE, "tests", "cli"))
from daemon import Daemon  # noqa: E402
from runner import anonymous_read, burst, event  # noqa: E402

PATIENCE = 120


class Server:
    """A program that listens on a port of the system's choice."""

    def __init__(self, folder, *command):
        self.log = open(os.path.join(folder, command[0] + ".log"), "wb")
        self.process = subprocess.Popen(command, cwd=folder, stdout=self.log,
                                        stderr=subprocess.STDOUT)

    def port(self):
        ports = set()
        deadline = time.monotonic() + PATIENCE
        while len(ports) != 1 and time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError("it ended: see " + self.log.name)
            ports = self.ports()
        return ports.pop()

    ports = Daemon.ports

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()


def ask(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}",
                                timeout=30) as answer:
        return json.load(answer)


class RealPrometheus(DeployTest):
    def wait(self, what, look):
        deadline = time.monotonic() + PATIENCE
        result = None
        while time.monotonic() < deadline:
            try:
                result = look()
            except OSError:  # It does not listen yet.
                continue
            if result:
                return result
        self.fail("never: %s; last: %r" % (what, result))

    def start(self, folder):
        """klaxon, Alertmanager and Prometheus, each pointed to the next."""
        def write(name, text):
            with open(os.path.join(folder, name), "a", encoding="utf-8") as file:
                file.write(text)

        write("audit.log", "".join(line + "\n" for line in burst()))
        write("klaxon.yaml",
              "sources: [{file: {path: audit.log}}]\n"
              "sinks: [{file: {path: alerts.ndjson}}]\n"
              "state: {dir: state}\nhttp: {listen: '127.0.0.1:0'}\n")
        klaxon = Daemon(folder, "run", "-c", "klaxon.yaml")
        self.addCleanup(klaxon.kill)
        write("alertmanager.yaml",
              "route: {receiver: none}\nreceivers: [{name: none}]\n")
        alertmanager = Server(
            folder, "prometheus-alertmanager",
            "--config.file=alertmanager.yaml", "--storage.path=am",
            "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
        self.addCleanup(alertmanager.stop)
        shutil.copy(os.path.join(DEPLOY, "prometheus", "klaxon.rules.yaml"),
                    folder)
        write("prometheus.yaml", """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [klaxon.rules.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:%d"]}]}]}
scrape_configs: [{job_name: klaxon, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
""" % (alertmanager.port(), klaxon.endpoint()))
        prometheus = Server(folder, "prometheus",
                            "--config.file=prometheus.yaml",
                            "--storage.tsdb.path=tsdb",
                            "--web.listen-address=127.0.0.1:0")
        self.addCleanup(prometheus.stop)
        return klaxon, alertmanager.port(), prometheus.port()

    @needs("prometheus")
    @needs("prometheus-alertmanager")
    def test_rules_fire_on_what_happens(self):
        folder = self.folder()
        klaxon, alertmanager, prometheus = self.start(folder)

        def query(expression):
            return ask(prometheus, "/api/v1/query?query=" +
                       urllib.request.quote(expression))["data"]["result"]

        self.wait("the target is up", lambda: query(
            'up{job="klaxon"} == 1 and on () klaxon_ready == 1'))
        groups = ask(prometheus, "/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 15)
        self.wait("rules are evaluated", lambda: all(
            rule["health"] == "ok" for group in
            ask(prometheus, "/api/v1/rules")["data"]["groups"]
            for rule in group["rules"]))
        # A rise takes two scrapes before it.
        self.wait("it was scraped twice", lambda: query(
            "count_over_time(klaxon_ready[1m]) >= 2"))
        with open(os.path.join(folder, "audit.log"), "a",
                  encoding="utf-8") as log:
            log.write("this is no JSON\n" + anonymous_read(300) + "\n" +
                      event(900) + "\n")
        names = {"KlaxonInputUnreadable", "KlaxonFoundCritical"}
        self.wait("the rules fire", lambda: names <= {
            alert["labels"]["alertname"]
            for alert in ask(alertmanager, "/api/v2/alerts")})
        fired = {alert["labels"]["alertname"]: alert["labels"]
                 for alert in ask(alertmanager, "/api/v2/alerts")}
        self.assertEqual(fired["KlaxonFoundCritical"]["detector"],
                         "anonymous-access")
        self.assertEqual(fired["KlaxonInputUnreadable"]["reason"], "text")
        self.assertLessEqual(set(fired), names | {"KlaxonSilence"})
        self.assertEqual(klaxon.stop(), 0, klaxon.err)


if __name__ == "__main__":
    main()
