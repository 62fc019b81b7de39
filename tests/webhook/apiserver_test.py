#!/usr/bin/env python3
"""A real kube-apiserver sends to a receiver that is killed again and again.

Each request is of a client of its own (an address of loopback) that needs no
credential: one alert each. The apiserver's log is the truth. What a scan of it
finds of these clients, the receiver must have told, once; short of what the
apiserver says that it dropped.

Opt-in: KLAXON_APISERVER=1 (tests/apiserver/bed.py).
KLAXON_WEBHOOK_KILLS: how many (default 20).
"""
import collections
import http.client
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "apiserver")]
from bed import KubeApiserver, why_not  # noqa: E402
from receiver import Receiver, last_contents, scan  # noqa: E402

KILLS = int(os.environ.get("KLAXON_WEBHOOK_KILLS", "20"))
SEED = int(os.environ.get("KLAXON_TEST_SEED", "0")) or int.from_bytes(
    os.urandom(4), "big")
BACKOFF = 1  # Seconds; the apiserver's pauses are 1, 1.5, 2.2 and 3.4 s.


class Clients(threading.Thread):
    """One request after the other, each from an address of its own."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.over = threading.Event()
        self.answers = collections.Counter()
        self.audit_ids = {}  # By client.

    def run(self):
        number = 0
        context = ssl._create_unverified_context()
        while not self.over.is_set():
            number += 1
            client = f"127.77.{number >> 8}.{number & 255}"
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=30, context=context,
                source_address=(client, 0))
            try:
                connection.request("GET",
                                   "/api/v1/namespaces/default/configmaps")
                answer = connection.getresponse()
                answer.read()
                self.answers[answer.status] += 1
                self.audit_ids[client] = answer.getheader("Audit-Id")
            finally:
                connection.close()
            self.over.wait(0.01)  # A hundred a second at most.


@unittest.skipIf(why_not(), why_not())
class Apiserver(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="klaxon_webhook_apiserver_")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.receiver = Receiver(
            os.path.join(self.dir, "receiver"),
            ", resend_wait: %ds" % (9 * BACKOFF),
            ", snapshot_interval: 1s")
        self.addCleanup(self.receiver.end)
        self.receiver.start()
        port = self.receiver.wait_until(self.receiver.port, "it listens")
        # The apiserver knows one address: it comes back there.
        self.receiver.listen = f"127.0.0.1:{port}"
        self.apiserver = KubeApiserver(
            os.path.join(self.dir, "bed"), "--audit-webhook-batch-max-wait",
            "500ms", "--audit-webhook-initial-backoff", f"{BACKOFF}s",
            webhook=f"http://127.0.0.1:{port}/audit/c1/server-0")
        self.addCleanup(self.apiserver.stop)
        self.apiserver.start()

    def kube(self, *arguments):
        return self.apiserver.kubectl(*arguments).stdout

    def dropped(self):
        """Events that the apiserver says it could not send."""
        metrics = self.kube("get", "--raw", "/metrics")
        return sum(float(line.split()[-1]) for line in metrics.splitlines()
                   if line.startswith("apiserver_audit_error_total")
                   and 'plugin="webhook"' in line)

    def kill_all(self, rng):
        for _ in range(KILLS):
            try:
                self.receiver.process.wait(timeout=rng.uniform(0.1, 3))
                self.fail("it ended by itself:\n" + self.receiver.errors())
            except subprocess.TimeoutExpired:
                self.receiver.kill()
            self.receiver.start()

    def mine(self, alerts):
        """The alerts of our clients: how often each."""
        return collections.Counter(
            alert["client"] for alert in alerts.values()
            if alert["detector"] == "anonymous-access"
            and alert["client"].startswith("127.77."))

    def test_no_alert_is_missing_or_doubled(self):
        print(f"seed {SEED}")
        self.kube("create", "clusterrole", "everybody", "--verb=list",
                  "--resource=configmaps")
        self.kube("create", "clusterrolebinding", "everybody",
                  "--clusterrole=everybody", "--user=system:anonymous")
        clients = Clients(self.apiserver.port)
        clients.start()
        self.kill_all(random.Random(SEED))
        clients.over.set()
        clients.join()
        dropped = self.dropped()
        self.apiserver.stop()  # Sends what it still has.
        want = self.mine(scan(self.apiserver.log, "--cluster", "c1"))
        let_in = [client for client in clients.audit_ids if client in want]
        self.assertGreater(len(let_in), 100, clients.answers)
        deadline = time.monotonic() + 120
        got = collections.Counter()
        while time.monotonic() < deadline and got != want:
            time.sleep(0.2)
            got = self.mine(last_contents(self.receiver.alert_lines()))
        missing = want - got
        print(f"{KILLS} kills; {sum(clients.answers.values())} requests, "
              f"{len(want)} alerts in a scan of the log, {len(got)} of the "
              f"webhook, {len(missing)} missing; the apiserver says that it "
              f"dropped {dropped:g} events")
        self.assertEqual(got - want, collections.Counter())
        self.assertLessEqual(sum(missing.values()), dropped,
                             json.dumps(missing)[:500])


if __name__ == "__main__":
    if why_not():
        print(why_not())
        sys.exit(77)
    sys.exit(unittest.main())
