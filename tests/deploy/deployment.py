"""What the tests of deploy/ share: where things are, and visible skips.

KLAXON_BINARY and KLAXON_SOURCE_DIR as in tests/cli; KLAXON_BUILD_DIR.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

KLAXON = os.path.abspath(os.environ["KLAXON_BINARY"])
SOURCE = os.environ["KLAXON_SOURCE_DIR"]
BUILD = os.environ.get("KLAXON_BUILD_DIR", os.path.dirname(KLAXON))
DEPLOY = os.path.join(SOURCE, "deploy")
SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def run(*command, env=None, check=True, **more):
    """Runs a command; returns its standard output and error, joined."""
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=dict(os.environ, **(env or {})), timeout=300, check=False, **more)
    if check and result.returncode != 0:
        raise AssertionError("%s: %d\n%s" % (" ".join(command),
                                             result.returncode, result.stdout))
    return result.stdout


def needs(program):
    """Skips a test where a program is not installed."""
    return unittest.skipUnless(shutil.which(program),
                               program + " is not installed")


class DeployTest(unittest.TestCase):
    maxDiff = None

    def folder(self):
        path = tempfile.mkdtemp(prefix="klaxon_deploy_")
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path


def main():
    """Exits with 77 where all tests were skipped; says so of each anyhow."""
    result = unittest.main(exit=False, verbosity=2).result
    if not result.wasSuccessful():
        sys.exit(1)
    for test, why in result.skipped:
        print("SKIPPED %s: %s" % (test.id(), why), file=sys.stderr)
    sys.exit(SKIPPED if len(result.skipped) == result.testsRun else 0)
