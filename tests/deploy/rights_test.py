#!/usr/bin/env python3
"""With the unit's rights and no others: a log that is root's is read, state
and alerts are written, the service manager is told."""
import os
import re
import shutil
import socket
import subprocess
import unittest

from deployment import DEPLOY, KLAXON, DeployTest, main, needs, read

NOBODY = 65534
CAP_DAC_READ_SEARCH = 2


def event(seconds):
    return ('{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",'
            '"auditID":"a%d","stage":"ResponseStarted","requestURI":"/api",'
            '"verb":"get","user":{},"sourceIPs":["203.0.113.9"],'
            '"responseStatus":{"code":401},'
            '"requestReceivedTimestamp":"2026-01-02T03:04:%02d.000000Z",'
            '"stageTimestamp":"2026-01-02T03:04:%02d.001000Z"}\n' %
            (seconds, seconds, seconds))


def has_it():
    """Docker's root, for one, has not got it to give."""
    bounding = re.search(r"CapBnd:\s+(\w+)", read("/proc/self/status"))[1]
    return bool(int(bounding, 16) & 1 << CAP_DAC_READ_SEARCH)


@unittest.skipUnless(os.geteuid() == 0, "only root can give rights away")
@unittest.skipUnless(has_it(), "this root lacks CAP_DAC_READ_SEARCH")
@needs("setpriv")
class Rights(DeployTest):
    def setUp(self):
        self.root = self.folder()
        os.chmod(self.root, 0o755)
        self.binary = shutil.copy(KLAXON, os.path.join(self.root, "klaxon"))
        for name in ("state", "log"):
            os.mkdir(os.path.join(self.root, name))
            os.chown(os.path.join(self.root, name), NOBODY, NOBODY)
        logs = os.path.join(self.root, "kubernetes")
        os.mkdir(logs, 0o700)
        with open(os.path.join(logs, "audit.log"), "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), 0o600)
            f.writelines(event(second) for second in range(12))
        config = read(DEPLOY, "klaxon.yaml")
        for old, new in (("/var/log/kubernetes", logs),
                         ("/var/log/klaxon", self.root + "/log"),
                         ("/var/lib/klaxon", self.root + "/state"),
                         ("127.0.0.1:9440", "127.0.0.1:0")):
            self.assertIn(old, config)
            config = config.replace(old, new)
        self.config = os.path.join(self.root, "klaxon.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(config)

    def run_as_nobody(self, capabilities, env=None):
        only = "-all" + (",+" + capabilities if capabilities else "")
        return subprocess.run(
            ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
             "--clear-groups", "--no-new-privs", "--bounding-set", only,
             "--inh-caps", only, "--ambient-caps", only, self.binary, "run", "-c", self.config, "--until-end"],
            env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120, check=False)

    def alerts(self):
        try:
            return read(self.root, "log", "alerts.ndjson").splitlines()
        except FileNotFoundError:
            return []

    def test_the_one_capability_is_enough(self):
        name = os.path.join(self.root, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(name)
            os.chmod(name, 0o777)
            manager.settimeout(10)
            done = self.run_as_nobody("dac_read_search",
                                      {"NOTIFY_SOCKET": name})
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(manager.recv(100), b"READY=1")
        self.assertGreaterEqual(len(self.alerts()), 1, done.stdout)
        self.assertIn('"detector":"unauthorized-burst"', self.alerts()[0])

    def test_and_it_is_needed(self):
        self.run_as_nobody("")
        self.assertEqual(self.alerts(), [])


if __name__ == "__main__":
    main()
