#!/usr/bin/env python3
"""Holds the alerts of `klaxon scan` against those of the reference.

    compare.py KLAXON [--seeds A-B] [--scenario S] [--events M]
    compare.py KLAXON [-c CONFIG.json] FILE...

Without files: generates logs (every scenario, or S, for every seed), and says
for each difference which seed shows it again. With files: compares on these.
Exit 1 on any difference. Standard library only.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # The source tree stays as it is.
import generate  # noqa: E402
import reference  # noqa: E402

DETECTORS = {"anonymous-access", "anonymous-probing", "unauthorized-burst",
             "service-account-external", "old-certificate", "forged-identity"}
FIELDS = ("rule", "severity", "status", "client", "user", "credential_id",
          "count", "first_seen", "last_seen")


def scan(klaxon, config_path, paths, more=()):
    command = [klaxon, "scan", "--output", "ndjson", "--summary", "none",
               "--progress", "never", *more]
    if config_path:
        command += ["-c", config_path]
    done = subprocess.run([*command, *paths], capture_output=True, text=True,
                          errors="replace", check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def expect(config_path, paths):
    raw, folder = {}, "."
    if config_path:
        folder = os.path.dirname(os.path.abspath(config_path))
        with open(config_path, encoding="utf-8") as file:
            raw = json.load(file)
    config = reference.Config(raw, folder)
    return reference.judge(reference.read_events(paths, config), config)


def shape(alert):
    """What is compared: (whose alert it is, what it says)."""
    key = json.dumps(alert.get("key") or {}, sort_keys=True)
    return ((alert["detector"], key),
            tuple(alert.get(field) or "" for field in FIELDS))


def differences(have, want):
    """Readable lines, none where the two are equal."""
    have = [shape(a) for a in have if a["detector"] in DETECTORS]
    want = [shape(a) for a in want]
    extra, missing = list(have), []
    for one in want:
        if one in extra:
            extra.remove(one)
        else:
            missing.append(one)
    lines = []
    for (detector, key), values in sorted(missing):
        lines.append(f"  {detector} {key}")
        lines.append("    reference: " + " ".join(map(str, values)))
        twins = [e for e in extra if e[0] == (detector, key)]
        near = [e for e in twins if e[1][0] == values[0]] or twins
        if near:
            extra.remove(near[0])
            lines.append("    klaxon:    " + " ".join(map(str, near[0][1])))
        else:
            lines.append("    klaxon:    no such alert")
    for (detector, key), values in sorted(extra):
        lines.append(f"  {detector} {key}")
        lines.append("    reference: no such alert")
        lines.append("    klaxon:    " + " ".join(map(str, values)))
    return lines


def compare_seed(klaxon, seed, scenario, events):
    with tempfile.TemporaryDirectory() as folder:
        path = generate.write(folder, seed, scenario, events)
        config = os.path.join(folder, "config.json")
        want = expect(config, [path])
        lines = differences(scan(klaxon, config, [path]), want)
    if lines:
        lines.insert(0, f"differs: --seed {seed} --scenario {scenario} "
                        f"--events {events}")
    return lines, len(want)


def seeds_of(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def run():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("klaxon")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("1-5"))
    parser.add_argument("--scenario", choices=sorted(generate.SCENARIOS))
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("-c", "--config", help="JSON; with files only")
    arguments = parser.parse_args()
    if arguments.files:
        have = scan(arguments.klaxon, arguments.config, arguments.files)
        want = expect(arguments.config, arguments.files)
        lines = differences(have, want)
        print("\n".join(lines + [f"{len(want)} alerts, "
                                 f"{'different' if lines else 'equal'}"]))
        return bool(lines)
    scenarios = ([arguments.scenario] if arguments.scenario
                 else list(generate.SCENARIOS))
    plan = [(arguments.klaxon, seed, scenario, arguments.events)
            for seed in arguments.seeds for scenario in scenarios]
    logs = different = alerts = 0
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        for lines, count in pool.map(compare_seed, *zip(*plan)):
            logs += 1
            alerts += count
            if lines:
                different += 1
                print("\n".join(lines), flush=True)
    print(f"{logs} logs, {alerts} alerts, {different} logs differ")
    return different > 0 or alerts == 0


def main():
    result = []
    reference.run_deep(lambda: result.append(run()))
    sys.exit(1 if not result or result[0] else 0)


if __name__ == "__main__":
    main()
