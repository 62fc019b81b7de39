#!/usr/bin/env python3
"""golden.py CASE_FOLDER: `klaxon scan` on a recorded log gives just the alerts
that are written down beside it.

A case holds input.log (or .gz, .zst …) or a folder input/, perhaps a
config.yaml, and expected.ndjson: the alerts, one JSON object a line, byte for
byte. A case whose input cannot be read wholly says so in `exit_code`.
KLAXON_UPDATE_GOLDEN=1 writes expected.ndjson anew; read the diff before you
commit it. KLAXON_BINARY names the binary.
"""
import difflib
import glob
import json
import os
import subprocess
import sys


def scan(case, threads):
    inputs = sorted(glob.glob(os.path.join(case, "input.*")))
    inputs += sorted(glob.glob(os.path.join(case, "input")))
    if len(inputs) != 1:
        sys.exit(f"{case}: one input.* or input/ is needed, found {inputs}")
    command = [os.environ["KLAXON_BINARY"], "scan", "--output", "ndjson",
               "--summary", "none", "--progress", "never",
               "--threads", str(threads)]
    if os.path.exists(os.path.join(case, "config.yaml")):
        command += ["-c", "config.yaml"]
    command.append(os.path.relpath(inputs[0], case))
    # From within the case, so that no path of this machine is in the output.
    run = subprocess.run(command, cwd=case, capture_output=True)
    want = 0
    if os.path.exists(os.path.join(case, "exit_code")):
        with open(os.path.join(case, "exit_code")) as f:
            want = int(f.read())
    if run.returncode != want:
        sys.exit(f"{case}: exit code {run.returncode}, not {want}:\n"
                 + run.stderr.decode(errors="replace"))
    return run.stdout.decode()


def brief(line):
    """The fields that tell alerts apart, for the top of a report."""
    alert = json.loads(line)
    return (f"{alert['severity']:8} {alert['detector']}/{alert['rule']} "
            f"{alert.get('client', '')} {alert['title']}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    case = os.path.abspath(sys.argv[1])
    expected_path = os.path.join(case, "expected.ndjson")
    got = scan(case, 1)
    if os.environ.get("KLAXON_UPDATE_GOLDEN") == "1":
        with open(expected_path, "w") as f:
            f.write(got)
        print(f"{expected_path}: written, {len(got.splitlines())} alerts")
        return
    if not os.path.exists(expected_path):
        sys.exit(f"{expected_path}: is missing; KLAXON_UPDATE_GOLDEN=1 makes "
                 "it, then read it")
    with open(expected_path) as f:
        want = f.read()
    again = scan(case, 4)
    if again != got:
        sys.exit(f"{case}: 1 and 4 threads do not agree")
    if got == want:
        return
    print("expected alerts:", *map(brief, want.splitlines()), sep="\n  ")
    print("got:", *map(brief, got.splitlines()), sep="\n  ")
    print(*difflib.unified_diff(want.splitlines(), got.splitlines(),
                                "expected", "got", n=0, lineterm=""), sep="\n")
    sys.exit(f"{case}: other alerts than expected")


if __name__ == "__main__":
    main()
