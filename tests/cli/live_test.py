"""The daemon as its users see it: tail, run, serve, state."""
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

from daemon import listening_ports
from runner import KLAXON, KlaxonTest, anonymous_read, burst, event


def last_contents(text):
    """What each alert says in its last revision."""
    last = {}
    for line in text.splitlines():
        alert = json.loads(line)
        revision = alert.pop("revision")
        if alert["id"] not in last or last[alert["id"]][0] < revision:
            last[alert["id"]] = (revision, alert)
    return {key: alert for key, (_, alert) in last.items()}


class Live(KlaxonTest):
    def lines(self):
        return burst() + [anonymous_read(30)] + [event(i) for i in
                                                 range(40, 400, 3)]

    def scanned(self, log):
        result = self.run_klaxon("scan", log, "--output", "ndjson",
                                 "--summary", "none")
        return last_contents(result.out)

    def start(self, *arguments):
        return subprocess.Popen([KLAXON, *arguments], cwd=self.dir,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def test_tail_until_the_end_says_what_a_scan_says(self):
        log = self.write("audit.log", self.lines())
        result = self.run_klaxon("tail", log, "--until-end", "--state-dir",
                                 "state", "--output", "ndjson")
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(last_contents(result.out), self.scanned(log))
        # All was told: a second run has nothing to add.
        again = self.run_klaxon("tail", log, "--until-end", "--state-dir",
                                "state", "--output", "ndjson")
        self.assertEqual((again.code, again.out), (0, ""))
        shown = self.run_klaxon("state", "show", "state")
        self.assertEqual(shown.code, 0, shown.err)
        self.assertIn("audit.log", shown.out)
        self.assertEqual(self.run_klaxon("state", "verify", "state").code, 0)

    def test_an_unreadable_log_is_said_and_the_rest_is_processed(self):
        log = self.write("good.log", self.lines())
        os.mkdir(self.path("folder.log"))
        os.mkdir(self.path("closed"), mode=0o300)
        for bad, message in (("folder.log", "folder.log: "),
                             ("nowhere.log", "nowhere.log: not there"),
                             ("closed/*.log", "closed/*.log: no file"),
                             ("none/audit.log", "none/audit.log: not there")):
            with self.subTest(bad):
                self.write("klaxon.yaml", "sources:\n"
                           "  - file: {path: %s}\n  - file: {path: %s}\n"
                           % (json.dumps(self.path(bad)), json.dumps(log)))
                result = self.run_klaxon("run", "-c", "klaxon.yaml",
                                         "--until-end", "--output", "ndjson")
                self.assertEqual(result.code, 1, result.err)
                self.assertIn(message, result.err)
                self.assertEqual(last_contents(result.out), self.scanned(log))

    def test_a_sink_that_refuses_alerts_is_said_in_the_end(self):
        class Refuse(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        log = self.write("good.log", self.lines())
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                             Refuse) as server:
            threading.Thread(target=server.serve_forever).start()
            self.write("klaxon.yaml", "sources: [{file: {path: %s}}]\n"
                       "sinks: [{webhook: {url: 'http://127.0.0.1:%d'}}]\n"
                       % (json.dumps(log), server.server_address[1]))
            result = self.run_klaxon("run", "-c", "klaxon.yaml", "--until-end",
                                     "--output", "ndjson")
            server.shutdown()
        self.assertEqual(result.code, 1, result.err)
        self.assertIn("sink webhook: ", result.err)
        self.assertEqual(last_contents(result.out), self.scanned(log))

    def test_of_several_places_for_a_log_one_is_enough(self):
        log = self.write("good.log", self.lines())
        result = self.run_klaxon("tail", log, "nowhere.log", "--until-end",
                                 "--output", "ndjson")
        self.assertEqual(result.code, 0, result.err)

    def test_what_is_written_between_two_runs_is_read_by_the_second(self):
        lines = self.lines()
        log = self.write("audit.log", lines[:8])
        told = self.run_klaxon("tail", log, "--until-end", "--state-dir",
                               "state", "--output", "ndjson").out
        path = os.path.join(self.dir, "audit.log")
        os.rename(path, os.path.join(self.dir,
                                     "audit-2026-01-02T03-04-59.000.log"))
        self.write("audit.log", lines[8:])
        told += self.run_klaxon("tail", log, "--until-end", "--state-dir",
                                "state", "--output", "ndjson").out
        alerts = last_contents(told)
        self.assertTrue(any(a["detector"] == "anonymous-access"
                            for a in alerts.values()))

    def two_sources(self, first, second):
        self.write("klaxon.yaml", "sources:\n"
                   "  - file: {path: %s}\n  - file: {path: %s}\n"
                   % (json.dumps(self.path(first)),
                      json.dumps(self.path(second))))
        return ("run", "-c", "klaxon.yaml", "--output", "ndjson")

    def test_a_log_that_two_sources_lead_to_is_refused(self):
        os.symlink(self.write("audit.log", self.lines()), self.path("a.link"))
        run = self.two_sources("audit.log", "*.link")
        result = self.run_klaxon(*run, "--until-end")
        self.assertEqual(result.code, 2, result.err)
        self.assertIn("klaxon.yaml:3:5: ", result.err)
        self.assertIn("is followed by another source already", result.err)

    def test_a_log_that_two_sources_come_to_lead_to_ends_the_run(self):
        self.write("a.log", self.lines())
        process = self.start(*self.two_sources("a*.log", "*x.log"))
        self.assertIn('"klaxon.alert/v1"', process.stdout.readline())
        self.write("ax.log", self.lines())
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn("ax.log comes from two sources, ", err)
        self.assertIn("name each log once", err)

    def test_a_damaged_state_is_refused(self):
        log = self.write("audit.log", self.lines())
        self.run_klaxon("tail", log, "--until-end", "--state-dir", "state")
        path = os.path.join(self.dir, "state", "klaxon.db")
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            f.write(b"\xff" * 64)
        self.assertEqual(self.run_klaxon("state", "verify", "state").code, 1)

    def test_serve_answers_when_it_is_durable_and_drains_on_sigterm(self):
        log = self.write("audit.log", self.lines())
        process = self.start("serve", "--listen", "127.0.0.1:0", "--state-dir",
                             "state", "--output", "ndjson", "--log-level",
                             "info")
        try:
            port = None
            deadline = time.monotonic() + 60
            while port is None and time.monotonic() < deadline:
                port = next(iter(listening_ports(process.pid)), None)
            self.assertIsNotNone(port)
            items = [json.loads(line) for line in self.lines()]
            body = json.dumps({"kind": "EventList",
                               "apiVersion": "audit.k8s.io/v1",
                               "items": items}).encode()
            for _ in range(2):  # The second is the same batch sent again.
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/audit/default/a", data=body,
                    headers={"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.assertEqual(answer.status, 200)
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        told = self.run_klaxon("state", "show", "state", "--json")
        self.assertIn("webhook:/audit/default/a", told.out)
        self.assertTrue(set(last_contents(out)) <= set(self.scanned(log)), out)


if __name__ == "__main__":
    sys.exit(unittest.main())
