"""SIGHUP: what a running daemon takes over, and what it refuses."""
import json
import os
import ssl
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

from daemon import DaemonTest, total
from runner import anonymous_read, burst, event

LATER = 300  # Seconds of event time: what came before is over.


class Reload(DaemonTest):
    def append(self, name, lines):
        with open(self.path(name), "a", encoding="utf-8") as log:
            log.write("".join(line + "\n" for line in lines))

    def test_a_source_that_is_added_is_read_from_its_beginning(self):
        self.write("a.log", burst())
        self.write("b.log", [anonymous_read(30)])
        self.configure()
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.configure(logs=("a.log", "b.log"))
        daemon.reload()
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_source_that_is_added_is_read_by_the_new_configuration(self):
        """Observed by the old one, where nobody counts, it would be lost."""
        self.write("a.log", [event(0)])
        self.write("b.log", burst() + [event(LATER)])
        off = "detectors: {%s}\n" % ", ".join(
            name + ": {enabled: false}" for name in (
                "unauthorized-burst", "anonymous-probing"))
        self.configure(more="cluster: old\n" + off)
        daemon = self.start()
        daemon.wait_until(lambda m: total(m, "klaxon_input_events_total") == 1,
                          daemon.endpoint())
        self.configure(logs=("a.log", "b.log"), more="cluster: new")
        daemon.reload()
        alert = daemon.wait_for_alert(detector="unauthorized-burst")
        self.assertEqual(alert["cluster"], "new")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_source_that_is_gone_is_read_no_more_and_holds_nobody_up(self):
        self.write("a.log", burst())
        self.write("b.log", [event(5)])
        self.configure(logs=("a.log", "b.log"))
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.configure(logs=("a.log",))
        daemon.reload()
        self.append("b.log", [anonymous_read(LATER)])
        self.append("a.log", burst(start=LATER, ip="203.0.113.77") +
                    [event(2 * LATER)])
        daemon.wait_for_alert(client="203.0.113.77")
        self.assertFalse([a for a in daemon.alerts()
                          if a["detector"] == "anonymous-access"])
        # It comes back where it was left.
        self.configure(logs=("a.log", "b.log"))
        daemon.reload()
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_source_that_was_busy_when_it_went_comes_back(self):
        self.write("a.log", burst())
        self.write("b.log", [event(5)])
        self.configure(logs=("a.log", "b.log"))
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        endpoint = daemon.endpoint()
        self.append("b.log", [event(6)])
        daemon.wait_until(lambda m: total(m, "klaxon_input_events_total") == 14,
                          endpoint)
        self.configure(logs=("a.log",))
        daemon.reload()
        self.append("a.log", burst(start=LATER, ip="203.0.113.77") +
                    [event(2 * LATER)])
        daemon.wait_for_alert(client="203.0.113.77")
        self.append("b.log", [anonymous_read(LATER)])
        self.configure(logs=("a.log", "b.log"))
        daemon.reload()
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_sinks_are_added_changed_and_taken_away(self):
        self.write("a.log", burst())
        self.configure(sinks="- stdout: {}\n- file: {path: one.ndjson}\n"
                             "  name: kept")
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.configure(sinks="- stdout: {}\n- file: {path: two.ndjson}\n"
                             "  name: kept\n- file: {path: three.ndjson}\n"
                             "  name: added\n  min_severity: critical")
        daemon.reload()
        self.append("a.log", [anonymous_read(LATER), event(2 * LATER)])
        daemon.wait_for_alert(detector="anonymous-access")
        self.configure(sinks="- stdout: {}")
        daemon.reload()
        self.append("a.log", burst(start=3 * LATER, ip="203.0.113.78") +
                    [event(4 * LATER)])
        daemon.wait_for_alert(client="203.0.113.78")
        self.assertEqual(daemon.stop(), 0, daemon.err)
        detectors = {}
        for name in ("one", "two", "three"):
            detectors[name] = {json.loads(line)["detector"] for line in
                               self.read(name + ".ndjson").splitlines()}
        self.assertEqual(detectors["one"], {"unauthorized-burst"})
        self.assertIn("anonymous-access", detectors["two"])
        self.assertEqual(detectors["three"], {"anonymous-access"})
        self.assertNotIn("203.0.113.78", self.read("two.ndjson"))

    def test_detectors_that_did_not_change_keep_what_they_know(self):
        self.write("a.log", burst(count=6))
        self.configure()
        daemon = self.start()
        port = daemon.endpoint()
        daemon.wait_until(
            lambda m: total(m, "klaxon_input_events_total") == 6, port)
        self.configure(more="detectors: {anonymous-access: {quiet: 30m}}")
        daemon.reload()
        self.append("a.log", burst(count=6, start=6) + [event(20)])
        self.assertEqual(
            daemon.wait_for_alert(detector="unauthorized-burst")["count"], 10)
        # One that did change begins anew.
        self.append("a.log", burst(count=6, start=LATER, ip="203.0.113.78"))
        daemon.wait_until(
            lambda m: total(m, "klaxon_input_events_total") == 19, port)
        self.configure(more="detectors: {unauthorized-burst: {threshold: 9}}")
        daemon.reload()
        self.append("a.log", burst(count=6, start=LATER + 6,
                                   ip="203.0.113.78") + [event(2 * LATER),
                                                         anonymous_read(601)])
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertFalse([a for a in daemon.alerts()
                          if a.get("client") == "203.0.113.78"])
        self.assertEqual(total(daemon.wait_until(lambda m: m, port),
                               "klaxon_reconfigured_total"), 3)
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_bad_configuration_is_refused_as_a_whole(self):
        self.write("a.log", burst())
        self.write("b.log", [anonymous_read(30)])
        self.configure()
        daemon = self.start()
        port = daemon.endpoint()
        daemon.wait_for_alert(detector="unauthorized-burst")
        taken = "webhook: {listen: '127.0.0.1:%d'}" % port
        bad = (
            ({"more": "detectors: {unauthorized-burst: {threshold: -1}}"},
             "klaxon.yaml:"),
            ({"more": "state: {dir: elsewhere}"}, "state"),
            ({"sinks": "- webhook: {url: 'http://127.0.0.1:1', "
                       "hmac: {file: missing}}"}, "missing"),
            ({"sources": "- file: {path: [%s, c.log]}" % json.dumps(
                self.path("a.log"))}, "is followed by another source already"),
            ({"sources": "- " + taken}, "127.0.0.1:%d" % port))
        for number, (changes, why) in enumerate(bad, 1):
            with self.subTest(why):
                more = changes.pop("more", "")
                self.configure(logs=("a.log", "b.log"), **changes)
                if more.startswith("state"):
                    text = self.read("klaxon.yaml")
                    self.write("klaxon.yaml", text.replace("/state", "/other"))
                elif more:
                    self.write("klaxon.yaml",
                               self.read("klaxon.yaml") + more + "\n")
                daemon.reload("is refused")
                self.assertIn(why, "".join(daemon.err))
                daemon.wait_until(lambda m: total(
                    m, "klaxon_config_reloads_total", result="failed")
                                  == number, port)
        # Nothing was taken over, and all goes on.
        self.assertFalse([a for a in daemon.alerts()
                          if a["detector"] == "anonymous-access"])
        self.append("a.log", burst(start=LATER, ip="203.0.113.78") +
                    [event(2 * LATER)])
        daemon.wait_for_alert(client="203.0.113.78")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_source_that_cannot_be_replaced_comes_back(self):
        self.write("a.log", burst())
        self.configure(sources="- webhook: {listen: '127.0.0.1:0'}")
        daemon = self.start()
        port = daemon.endpoint()
        self.configure(sources="- webhook: {listen: '127.0.0.1:%d'}" % port)
        daemon.reload("is refused")
        self.post(self.webhook_port(daemon), [anonymous_read(40)])
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_webhook_that_is_gone_holds_nobody_up(self):
        self.write("a.log", burst())
        self.configure(sources="- webhook: {listen: '127.0.0.1:0'}")
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.post(self.webhook_port(daemon), [event(20)])
        self.assertEqual(daemon.stop(), 0, daemon.err)
        # Its sender may come back with what it could not send meanwhile.
        daemon = self.start()
        daemon.wait_until(lambda m: total(m, "klaxon_input_held"),
                          daemon.endpoint())
        self.configure()
        daemon.reload()
        self.append("a.log", [anonymous_read(LATER), event(2 * LATER)])
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_sink_that_cannot_be_opened_is_said(self):
        self.write("a.log", burst())
        self.configure(sinks="- file: {path: nowhere/alerts.ndjson}")
        daemon = self.start()
        daemon.wait_for("sink file: ")
        os.mkdir(self.path("nowhere"))
        daemon.wait_for("sink file: it is well again")
        self.assertEqual(daemon.stop(), 0, daemon.err)
        self.assertIn("unauthorized-burst", self.read("nowhere/alerts.ndjson"))

    def certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        self.path("key.pem"), "-out", self.path("cert.pem"),
                        "-days", "30", "-subj", "/CN=" + name], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_certificates_and_secrets_are_read_again(self):
        self.write("a.log", [event(1)])
        self.write("token", "the-first-token")
        self.certificate("first")
        self.configure(
            sources="- webhook: {listen: '127.0.0.1:0', tls: {cert: cert.pem, "
                    "key: key.pem}, bearer_token: {file: token}}")
        daemon = self.start()
        port = self.webhook_port(daemon)

        def offered():
            return ssl.get_server_certificate(("127.0.0.1", port))

        def answer(token):
            context = ssl._create_unverified_context()
            request = urllib.request.Request(
                f"https://127.0.0.1:{port}/audit/default/a", data=b"no list",
                headers={"Content-Type": "application/json",
                         "Authorization": "Bearer " + token})
            try:
                with urllib.request.urlopen(request, timeout=30,
                                            context=context) as reply:
                    return reply.status
            except urllib.error.HTTPError as error:
                return error.code

        self.assertEqual(offered(), self.read("cert.pem"))
        self.assertEqual(answer("the-first-token"), 400)
        self.certificate("second")
        self.write("token", "another-token")
        daemon.reload()
        self.assertEqual(offered(), self.read("cert.pem"))
        self.assertEqual(answer("the-first-token"), 401)
        self.assertEqual(answer("another-token"), 400)
        # A reload that fails half-way brings back the webhook, and no token
        # that was revoked.
        webhook = self.read("klaxon.yaml").split("- webhook")[1].split("\n")[0]
        self.configure(
            sources="- webhook%s\n- webhook: {listen: '127.0.0.1:%d'}"
            % (webhook, daemon.endpoint()), more="limits: {line_max: 8MiB}")
        daemon.reload("is refused")
        port = self.webhook_port(daemon)
        self.assertEqual(answer("the-first-token"), 401)
        self.assertEqual(answer("another-token"), 400)
        self.configure(sources="- webhook" + webhook)
        # Certificates of another path; the old ones are gone.
        for name in ("cert.pem", "key.pem"):
            os.rename(self.path(name), self.path("moved-" + name))
        self.configure(sources="- webhook" + webhook.replace(
            "cert.pem", "moved-cert.pem").replace("key.pem", "moved-key.pem"))
        daemon.reload()
        for name in ("cert.pem", "key.pem"):
            os.rename(self.path("moved-" + name), self.path(name))
        self.configure(sources="- webhook" + webhook)
        daemon.reload()
        port = self.webhook_port(daemon)
        # What cannot be used is refused; what there is goes on.
        good = self.read("cert.pem")
        self.write("cert.pem", "no certificate")
        daemon.reload("is refused")
        self.assertEqual(offered(), good)
        self.assertEqual(self.webhook_port(daemon), port)
        self.assertEqual(daemon.stop(), 0, daemon.err)

    @staticmethod
    def webhook_port(daemon):
        endpoint = daemon.endpoint()
        ports = set()
        while not ports:  # It is opened behind the endpoint.
            ports = daemon.ports() - {endpoint}
        return ports.pop()

    def post(self, port, lines):
        body = json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1",
                           "items": [json.loads(line) for line in lines]})
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/audit/default/a", data=body.encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.assertEqual(answer.status, 200)

    def test_a_required_sink_that_hangs_can_be_taken_away(self):
        """What a reload is needed for most: nothing moves, and it says why."""
        self.write("a.log", burst())
        self.configure(sinks="- stdout: {}\n"
                       "- webhook: {url: 'http://127.0.0.1:9'}\n"
                       "  required: true")
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.configure()
        daemon.reload()
        self.append("a.log", [anonymous_read(LATER), event(2 * LATER)])
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_a_log_of_the_run_before_holds_nobody_up(self):
        self.write("a.log", burst())
        self.write("b.log", [event(5)])
        self.configure(logs=("a.log", "b.log"))
        daemon = self.start()
        daemon.wait_for_alert(detector="unauthorized-burst")
        self.assertEqual(daemon.stop(), 0, daemon.err)
        os.remove(self.path("b.log"))
        self.configure()
        daemon = self.start()
        self.append("a.log", [anonymous_read(LATER), event(2 * LATER)])
        daemon.wait_for_alert(detector="anonymous-access")
        self.assertEqual(daemon.stop(), 0, daemon.err)


if __name__ == "__main__":
    sys.exit(unittest.main())
