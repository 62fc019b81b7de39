#!/usr/bin/env python3
"""The shipped samples give just the alerts written down beside them, and the
run that README.md shows is a real one.

KLAXON_UPDATE_GOLDEN=1 writes samples/expected/ anew; read the diff before you
commit it.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ.get("KLAXON_SOURCE_DIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KLAXON = os.path.abspath(os.environ.get("KLAXON_BINARY", "build/dev/klaxon"))
UPDATE = os.environ.get("KLAXON_UPDATE_GOLDEN") == "1"
SCAN = ["scan", "-c", "samples/klaxon.yaml", "--progress", "never"]


def run(*arguments):
    """As from a shell in the source tree, on no terminal."""
    return subprocess.run([KLAXON, *arguments], cwd=ROOT, capture_output=True,
                          text=True, timeout=120,
                          env=dict(os.environ, LC_ALL="C.UTF-8"))


def logs():
    names = sorted(os.listdir(os.path.join(ROOT, "samples", "logs")))
    return [(name, name.split(".log")[0]) for name in names]


def without_status(line):
    """Whether an episode is over depends on how far the input goes on."""
    alert = json.loads(line)
    del alert["status"]
    return json.dumps(alert)


def readme_blocks(pattern):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(pattern, file.read())


class SamplesTest(unittest.TestCase):
    maxDiff = None

    def scan(self, *arguments):
        result = run(*SCAN, "--summary", "none", "--output", "ndjson",
                     *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def expected(self, name):
        path = os.path.join(ROOT, "samples", "expected", name + ".ndjson")
        with open(path, encoding="utf-8") as file:
            return file.read()

    def test_each_log_gives_its_alerts(self):
        self.assertGreater(len(logs()), 0)
        for log, name in logs():
            with self.subTest(log):
                got = self.scan(f"samples/logs/{log}")
                if UPDATE:
                    path = os.path.join(ROOT, "samples", "expected",
                                        name + ".ndjson")
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(got)
                self.assertEqual(self.expected(name), got)

    def test_nothing_is_expected_of_no_log(self):
        self.assertEqual(
            sorted(os.listdir(os.path.join(ROOT, "samples", "expected"))),
            [name + ".ndjson" for _, name in logs()])

    def test_all_logs_at_once_give_the_same(self):
        want = [without_status(line) for _, name in logs()
                for line in self.expected(name).splitlines()]
        got = [without_status(line)
               for line in self.scan("samples/logs").splitlines()]
        self.assertEqual(sorted(want), sorted(got))

    def test_readme_shows_a_real_run(self):
        shown = readme_blocks(r"```console\n\$ klaxon (scan .*)\n([^`]*)```")
        self.assertTrue(shown, "README.md shows no run")
        for command, output in shown:
            result = run(*command.split(), "--output", "text", "--summary",
                         "none")
            # What is left out is shown by a line of three dots.
            parts = re.split(r"^…\n", output, flags=re.M)
            at = 0
            for part in parts:
                found = result.stdout.find(part, at)
                self.assertGreaterEqual(found, 0, f"klaxon {command} does not "
                                        f"print:\n{part}\nbut:\n"
                                        f"{result.stdout}")
                at = found + len(part)

    def test_readme_configures_what_can_be_configured(self):
        files = readme_blocks(r"```yaml\n([^`]*)```")
        self.assertTrue(files, "README.md shows no configuration")
        for text in files:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(text)
                file.flush()
                result = run("check", "-c", file.name)
                self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
