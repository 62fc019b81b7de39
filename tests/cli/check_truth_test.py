#!/usr/bin/env python3
"""Holds the binary against recordings of a real kube-apiserver whose truth is
known: every attack found, no false alarm.

The recordings lie in a folder beside the source tree (../shared/recordings) or
in $KLAXON_SHARED/recordings; where they are not, the test is skipped.
"""
import os
import subprocess
import sys

SKIPPED = 77
DETECTORS = ("anonymous-access,anonymous-probing,unauthorized-burst,"
             "service-account-external,old-certificate,forged-identity")


def main():
    shared = os.environ.get("KLAXON_SHARED") or os.path.join(
        os.environ["KLAXON_SOURCE_DIR"], "..", "shared")
    recordings = os.path.join(shared, "recordings")
    script = os.path.join(recordings, "check_truth.py")
    if not os.path.exists(script):
        print(f"SKIP: no recordings in {recordings}")
        return SKIPPED
    try:
        import yaml  # noqa: F401  (check_truth.py needs it)
    except ImportError:
        print("SKIP: check_truth.py needs python3-yaml")
        return SKIPPED
    return subprocess.run([sys.executable, script, os.environ["KLAXON_BINARY"],
                           recordings, "--only", DETECTORS]).returncode


if __name__ == "__main__":
    sys.exit(main())
