#!/usr/bin/env python3
"""A real kube-apiserver takes the manifests, with its strictest field check.

Opt-in: KLAXON_APISERVER=DIR names the testbed (../shared/testbed/apiserver).
Needs Go; the first time it builds Kubernetes, which takes minutes.
"""
import os
import re
import shutil
import subprocess
import unittest

from deployment import DEPLOY, DeployTest, main

BED = os.environ.get("KLAXON_APISERVER", "")
FOLDER = os.path.join(DEPLOY, "kubernetes")


def why_not():
    if not BED:
        return "KLAXON_APISERVER=DIR names no testbed"
    if not os.path.exists(os.path.join(BED, "up.sh")):
        return "no up.sh in " + BED
    if not shutil.which("go"):
        return "go is not installed"
    return None


@unittest.skipIf(why_not(), why_not())
class Apiserver(DeployTest):
    @classmethod
    def setUpClass(cls):
        built = subprocess.run([os.path.join(BED, "build.sh")], check=True,
                               stdout=subprocess.PIPE, text=True)
        cls.kubectl_path = os.path.join(built.stdout.split()[-1], "kubectl")
        cls.dir = os.path.join(os.environ.get("TMPDIR", "/tmp"),
                               "klaxon_apiserver_%d" % os.getpid())
        os.mkdir(cls.dir)
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.addClassCleanup(subprocess.run,
                            [os.path.join(BED, "down.sh"), cls.dir],
                            check=False)
        subprocess.run([os.path.join(BED, "up.sh"), "--dir", cls.dir],
                       check=True, timeout=120)

    def kubectl(self, *arguments):
        done = subprocess.run(
            [self.kubectl_path, *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
            env=dict(os.environ,
                     KUBECONFIG=os.path.join(self.dir, "admin.conf")))
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
