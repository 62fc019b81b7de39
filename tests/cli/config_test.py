#!/usr/bin/env python3
"""`klaxon check`, `config`, `detectors`, `--help`, `--version`."""
import os
import pty
import select
import subprocess
import unittest

from runner import KLAXON, KlaxonTest, burst

DAEMON = """\
cluster: prod-eu-1
networks: {internal: [10.0.0.0/8], trusted_proxies: [10.0.0.10/32]}
clusters:
  edge-7: {networks: {internal: [198.51.100.0/24]}}
sources:
  - file: {path: /var/log/kubernetes/audit.log, from: begin}
  - kafka: {brokers: "k1:9092", topic: k8s-audit, group: klaxon}
detectors:
  unauthorized-burst: {threshold: 10, window: 60s}
  token-moved: {settle: 15m}
sinks:
  - stdout: {}
state: {dir: /var/lib/klaxon, commit_interval: 50ms, reorder: {file: 500ms}}
http: {listen: "127.0.0.1:9440"}
"""


class Check(KlaxonTest):
    def check(self, yaml, *arguments):
        self.write("k.yaml", yaml)
        return self.run_klaxon("check", "-c", "k.yaml", *arguments)

    def test_the_reference_is_valid(self):
        reference = self.run_klaxon("config")
        self.assertEqual((reference.code, reference.err), (0, ""))
        result = self.check(reference.out)
        self.assertEqual((result.code, result.out), (0, "k.yaml: ok\n"))

    def test_secrets_are_looked_at_by_check_and_read_by_who_needs_them(self):
        log = self.write("a.log", burst())
        yaml = ("sources:\n  - webhook: {listen: '127.0.0.1:0', bearer_token: "
                "{file: token}}\nsinks:\n  - stdout: {}\n")
        result = self.check(yaml)
        self.assertEqual(result.code, 2)
        self.assertIn("k.yaml:2:", result.err)
        self.assertIn("token cannot be read", result.err)
        # A scan opens no source.
        scanned = self.run_klaxon("scan", "-c", "k.yaml", log)
        self.assertEqual(scanned.code, 0, scanned.err)
        started = self.run_klaxon("run", "-c", "k.yaml", "--until-end")
        self.assertEqual(started.code, 2)
        self.assertIn("token cannot be read", started.err)
        self.write("token", "secret-of-ours\n")
        result = self.check(yaml)
        self.assertEqual((result.code, result.err), (0, ""))

    def test_every_error_is_listed_with_its_place(self):
        result = self.check("netwroks: {}\n"
                            "detectors:\n"
                            "  unauthorized-burst: {window: 5, threshold: x}\n"
                            "  unautorized-burst: {}\n"
                            "networks:\n"
                            "  internal: [10.0.0.1/8, fc00::/129]\n")
        self.assertEqual((result.code, result.out), (2, ""))
        places = [line.split(": ")[0] for line in result.err.splitlines()]
        self.assertEqual(places, ["k.yaml:1:1", "k.yaml:3:32", "k.yaml:3:46",
                                  "k.yaml:4:3", "k.yaml:6:14", "k.yaml:6:26",
                                  "klaxon"])
        self.assertIn("did you mean \"networks\"?", result.err)
        self.assertIn("6 errors in the configuration", result.err)

    def test_broken_yaml_has_a_place(self):
        result = self.check("cluster: [a\ndetectors: {}\n")
        self.assertEqual(result.code, 2)
        self.assertRegex(result.err, r"^k\.yaml:\d+:\d+: this is not YAML")

    def test_an_error_of_the_command_line_is_at_the_flag(self):
        result = self.check("{}", "--set",
                            "detectors.unauthorized-burst.window=59s")
        self.assertEqual(result.code, 2)
        self.assertIn("--set detectors.unauthorized-burst.window: ", result.err)

    def test_the_configuration_of_the_daemon_serves_a_scan(self):
        self.write("k.yaml", DAEMON)
        log = self.write("a.log", burst())
        result = self.scan("-c", "k.yaml", log)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual([a["cluster"] for a in result.alerts], ["prod-eu-1"])
        self.assertIn("k.yaml:10:3: warning: ", result.err)

    def test_a_sink_of_a_later_version_is_an_error(self):
        self.write("k.yaml", DAEMON + "sinks: []\n")
        log = self.write("a.log", burst())
        daemon = DAEMON.replace("stdout: {}", "syslog: {}")
        self.write("k.yaml", daemon)
        result = self.scan("-c", "k.yaml", log)
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIn("k.yaml:12:5: the sink \"syslog\" is not in this version "
                      "yet", result.err)
        # The way out that the message names works.
        result = self.scan("-c", "k.yaml", log, "--set", "sinks=[{stdout: {}}]")
        self.assertEqual((result.code, len(result.alerts)), (0, 1))

    def test_every_command_validates_what_it_was_given(self):
        self.write("k.yaml", "cluster: [\n")
        for command in (["scan", "x"], ["observe", "x"], ["judge"],
                        ["check"]):
            result = self.run_klaxon(*command, "-c", "k.yaml")
            self.assertEqual((result.code, result.out), (2, ""), command)

    def test_inventory_is_relative_to_the_file(self):
        self.write("etc/k.yaml", "detectors:\n  old-certificate:\n"
                   "    inventory:\n      - certs/*.pem\n")
        result = self.run_klaxon("check", "-c", "etc/k.yaml")
        self.assertEqual(result.code, 2)
        self.assertTrue(result.err.startswith("etc/k.yaml:4:9: "), result.err)


class Detectors(KlaxonTest):
    def test_lists_name_and_title(self):
        result = self.run_klaxon("detectors")
        self.assertEqual(result.code, 0)
        names = [line.split()[0] for line in result.out.splitlines()]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual(
            {"anonymous-access", "anonymous-probing", "forged-identity",
             "old-certificate", "service-account-external",
             "unauthorized-burst"}, set(names))

    def test_a_page_says_everything_of_one(self):
        for line in self.run_klaxon("detectors").out.splitlines():
            page = self.run_klaxon("detectors", line.split()[0])
            self.assertEqual(page.code, 0)
            for part in ("What it means", "Rules", "Options", "Needs",
                         "False positives", "Example"):
                self.assertIn(f"\n{part}\n", page.out)

    def test_unknown_and_later_ones_are_2(self):
        result = self.run_klaxon("detectors", "unauthorised-burst")
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIn("did you mean \"unauthorized-burst\"?", result.err)
        result = self.run_klaxon("detectors", "token-moved")
        self.assertEqual(result.code, 2)
        self.assertIn("not in this version", result.err)


class Help(KlaxonTest):
    def test_help_goes_to_stdout_with_examples(self):
        for command in ("scan", "observe", "judge", "tail", "kafka",
                        "serve", "run",
                        "detectors", "check", "config", "state"):
            result = self.run_klaxon(command, "--help")
            self.assertEqual((result.code, result.err), (0, ""))
            self.assertIn("Examples:", result.out)

    def test_version(self):
        result = self.run_klaxon("--version")
        self.assertEqual(result.code, 0)
        self.assertRegex(result.out, r"^klaxon \d+\.\d+\.\d+\n$")

    def test_commands_of_later_versions_say_so(self):
        for command in ("doctor", "credentials", "alerts", "explain",
                        "outbox"):
            result = self.run_klaxon(command, "x")
            self.assertEqual((result.code, result.out), (2, ""))
            self.assertIn(f"{command} is not in this version yet", result.err)


class Progress(KlaxonTest):
    def test_a_terminal_shows_it_and_is_left_clean(self):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [KLAXON, "scan", "-", "--summary", "none"], cwd=self.dir,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=follower)
        os.close(follower)
        process.stdin.write(("\n".join(burst()) + "\n").encode())
        process.stdin.flush()
        text = ""
        while "events/s" not in text:
            self.assertTrue(select.select([leader], [], [], 60)[0], text)
            text += os.read(leader, 65536).decode()
        self.assertIsNone(process.poll(), "it must wait for the rest of stdin")
        process.stdin.close()
        process.wait(timeout=60)
        text += os.read(leader, 65536).decode()
        os.close(leader)
        self.assertTrue(text.endswith("\r\x1b[K"), repr(text[-80:]))


if __name__ == "__main__":
    unittest.main()
