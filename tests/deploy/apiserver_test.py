#!/usr/bin/env python3
"""A real kube-apiserver takes the manifests, with its strictest field check.

Opt-in: KLAXON_APISERVER=1 (tests/apiserver/bed.py).
"""
import os
import re
import shutil
import sys
import tempfile
import unittest

from deployment import DEPLOY, DeployTest, main

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "apiserver"))
from bed import KubeApiserver, why_not  # noqa: E402

FOLDER = os.path.join(DEPLOY, "kubernetes")


@unittest.skipIf(why_not(), why_not())
class Apiserver(DeployTest):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="klaxon_apiserver_")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.apiserver = KubeApiserver(cls.dir)
        cls.addClassCleanup(cls.apiserver.stop)
        cls.apiserver.start()

    def kubectl(self, *arguments):
        done = self.apiserver.kubectl(*arguments, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_they_are_accepted(self):
        # The rest is of a namespace, which a dry run would not make.
        self.kubectl("apply", "--validate=strict", "-f",
                     os.path.join(FOLDER, "namespace.yaml"))
        tried = self.kubectl("apply", "--validate=strict", "--dry-run=server",
                             "-k", FOLDER)
        self.assertIn("daemonset.apps/klaxon created", tried)
        # What docs/DEPLOY.md says of Pod Security, and nothing else.
        said = re.search(r'would violate PodSecurity "restricted:\S+": (.*)',
                         tried)[1]
        self.assertEqual(re.sub(r" \([^)]*\)", "", said).split(", "),
                         ["unrestricted capabilities",
                          "restricted volume types", "runAsNonRoot != true",
                          "runAsUser=0"])
        self.kubectl("apply", "--validate=strict", "-k", FOLDER)
        kept = self.kubectl("-n", "klaxon", "get", "daemonset", "klaxon", "-o",
                            "jsonpath={.spec.template.spec.containers[0]"
                            ".securityContext.capabilities.add[*]}")
        self.assertEqual(kept, "DAC_READ_SEARCH")


if __name__ == "__main__":
    main()
