#!/usr/bin/env python3
"""A real kube-apiserver's log, rotated at 1 MB under load, followed live.

Attacks are planted in the load, from addresses of loopback, while the daemon
that follows the log is killed again and again. Each attack must be found, and
all alerts must be those of a scan of what the apiserver wrote.

Opt-in: KLAXON_APISERVER=1 (tests/apiserver/bed.py). KLAXON_TAIL_KILLS (10),
KLAXON_TAIL_MEGABYTES (8), KLAXON_TEST_SEED.
"""
import http.client
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "apiserver"))
from bed import TOKEN, KubeApiserver, why_not  # noqa: E402
from live_bed import LiveBed, compare, last_contents, scan  # noqa: E402

KILLS = int(os.environ.get("KLAXON_TAIL_KILLS", "10"))
MEGABYTES = int(os.environ.get("KLAXON_TAIL_MEGABYTES", "8"))
SEED = int(os.environ.get("KLAXON_TEST_SEED", "0")) or int.from_bytes(
    os.urandom(4), "big")
WORKERS = 3
# Detector, and how often it is planted. Client 127.(80 + kind).0.n.
ATTACKS = ("anonymous-access", "unauthorized-burst", "anonymous-probing")
PLANTED = 15


def client_of(kind, number):
    return f"127.{80 + kind}.0.{number + 1}"


class Load:
    """Ordinary requests on a few connections, and attacks in between."""

    def __init__(self, apiserver):
        self.apiserver = apiserver
        self.over = threading.Event()
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(work,),
                                         daemon=True)
                        for work in [self.ordinary] * WORKERS + [self.attacks]]

    def connect(self, source="127.0.0.1"):
        return http.client.HTTPSConnection(
            "127.0.0.1", self.apiserver.port, timeout=60,
            context=ssl._create_unverified_context(),
            source_address=(source, 0))

    def ask(self, connection, path, token=None):
        headers = {"Authorization": "Bearer " + token} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def run(self, work):
        try:
            work()
        except Exception as failure:  # Told by the test.
            self.failures.append(repr(failure))
            self.over.set()

    def ordinary(self):
        connection = self.connect()
        while not self.over.is_set():
            self.ask(connection, "/api/v1/namespaces/default/pods", TOKEN)
        connection.close()

    def attacks(self):
        for number in range(PLANTED):
            for kind in range(len(ATTACKS)):
                connection = self.connect(client_of(kind, number))
                for i in range((1, 12, 6)[kind]):
                    self.attack(connection, kind, i)
                connection.close()
                if self.over.wait(0.2):
                    return

    def attack(self, connection, kind, number):
        if kind == 0:
            status = self.ask(connection,
                              "/api/v1/namespaces/default/configmaps")
        elif kind == 1:
            status = self.ask(connection, "/api/v1/secrets", "not-a-token")
        else:
            status = self.ask(connection, f"/api/v1/namespaces/n{number}/pods")
        if status != (200, 401, 403)[kind]:
            raise AssertionError(f"{ATTACKS[kind]}: answered {status}")


@unittest.skipIf(why_not(), why_not())
class Apiserver(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="klaxon_tail_apiserver_")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.apiserver = KubeApiserver(
            os.path.join(self.dir, "bed"), "--audit-log-maxsize", "1",
            "--audit-log-maxbackup", "1000", "--audit-log-compress")
        self.addCleanup(self.apiserver.stop)
        self.apiserver.start()
        self.bed = LiveBed(os.path.join(self.dir, "klaxon"),
                           name=self.apiserver.log)

    def written(self):
        """Rotations so far."""
        return len(os.listdir(os.path.dirname(self.apiserver.log))) - 1

    def kill_all(self, load, rng):
        kills = 0
        while kills < KILLS or self.written() < MEGABYTES:
            self.assertFalse(load.failures)
            process = self.bed.start()
            try:
                process.wait(timeout=rng.uniform(0.05, 2))
                self.fail("it ended by itself:\n" + self.bed.errors())
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            kills += 1
        return kills

    def test_all_attacks_are_found(self):
        print(f"seed {SEED}")
        self.apiserver.kubectl("create", "clusterrole", "everybody",
                               "--verb=list", "--resource=configmaps")
        self.apiserver.kubectl("create", "clusterrolebinding", "everybody",
                               "--clusterrole=everybody",
                               "--user=system:anonymous")
        load = Load(self.apiserver)
        for thread in load.threads:
            thread.start()
        kills = self.kill_all(load, random.Random(SEED))
        load.threads[-1].join()  # All were planted.
        load.over.set()
        for thread in load.threads:
            thread.join()
        self.assertFalse(load.failures)
        self.apiserver.stop()
        self.bed.finish()
        got = last_contents(self.bed.delivered())
        summary, want = scan(os.path.dirname(self.apiserver.log))
        compare(want, got, "followed")
        found = {(alert["detector"], alert["client"])
                 for alert in got.values()}
        for kind, detector in enumerate(ATTACKS):
            for number in range(PLANTED):
                self.assertIn((detector, client_of(kind, number)), found)
        print(f"{kills} kills, {self.written()} rotations, "
              f"{summary['events']} events, {len(got)} alerts: as a scan")


if __name__ == "__main__":
    if why_not():
        print(why_not())
        sys.exit(77)
    sys.exit(unittest.main())
