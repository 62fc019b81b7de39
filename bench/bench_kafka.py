#!/usr/bin/env python3
"""Klaxon's whole job on a Kafka topic against a consumer that only counts.

    bench_kafka.py BUILD_DIR [--mib 400] [--partitions 6] [--codec lz4]
                   [--rounds 5]

One broker on this machine (tests/kafka/broker.sh), both readers take turns on
the same topic, the answers are compared first. Klaxon's job is `run
--until-end` with journal and a file of alerts, from the start of the process
to its end. The counter is librdkafka's fastest way to read
(tests/kafka/kafka_tool.cc). Wall time is what a machine shared with the broker
gives; CPU time is the reader's own.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "kafka"))

import broker as kafka  # noqa: E402
from run import Failure, run  # noqa: E402

TARGET = 0.8


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.klaxon = os.path.join(options.build_dir, "klaxon")
        self.tool = os.path.join(options.build_dir, "tests", "kafka_tool")
        os.environ["KAFKA_TOOL"] = self.tool
        self.log = os.path.join(folder, "audit.log")
        self.broker = kafka.Broker()
        self.events = 0

    def fill(self):
        # Not through our memory: a child's peak begins at what we hold.
        with open(self.log, "wb") as out:
            subprocess.run([
                os.path.join(self.options.build_dir, "bench",
                             "klaxon-generate"),
                "metadata", str(self.options.mib << 20), "1"],
                stdout=out, stderr=subprocess.DEVNULL, check=True)
        with open(self.log, "rb") as lines:
            self.events = sum(1 for _ in lines)
        self.broker.create("bench", self.options.partitions)
        with open(self.log, "rb") as lines:
            run([self.tool, self.broker.address, "produce", "bench", "all",
                 self.options.codec], stdin=lines)

    def count(self):
        done = run([self.tool, self.broker.address, "count", "bench"])
        if int(done.stdout.split()[0]) != self.events:
            raise Failure("the counter missed some: " + done.stdout.decode())
        return done

    def judge(self):
        state = os.path.join(self.folder, "state")
        shutil.rmtree(state, ignore_errors=True)
        return run([self.klaxon, "kafka", "--brokers", self.broker.address,
                    "--topic", "bench", "--until-end", "--state-dir", state,
                    "--output", "ndjson"])

    def compare(self):
        scanned = run([self.klaxon, "scan", self.log, "--output", "ndjson",
                       "--summary", "none"])
        told = set(self.judge().alert_ids())
        if told != set(scanned.alert_ids()):
            raise Failure("the topic's alerts are not those of a scan")
        print(f"{self.events} events of {self.options.mib << 20} bytes, "
              f"{self.options.partitions} partitions, {self.options.codec}: "
              f"{len(told)} alerts, the same as of a scan", flush=True)

    def measure(self):
        rounds = [(self.count(), self.judge())
                  for _ in range(self.options.rounds)]
        million = self.events / 1e6

        def median(values):
            return statistics.median(values)

        for name, runs in zip(("count only", "klaxon"), zip(*rounds)):
            seconds = [r.seconds for r in runs]
            print(f"{name:>10}: {million / median(seconds):.2f} M events/s "
                  f"(seconds {min(seconds):.2f} to {max(seconds):.2f}), "
                  f"CPU {median(r.cpu_seconds for r in runs) / million:.2f} s "
                  f"a million, peak {max(r.peak_mib for r in runs):.0f} MiB")
        ratio = median(c.seconds / k.seconds for c, k in rounds)
        print(f"     ratio: {ratio:.2f} (target {TARGET})")
        return ratio >= TARGET

    def all(self):
        self.broker.up()
        try:
            self.fill()
            self.compare()
            return self.measure()
        finally:
            self.broker.down()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build_dir")
    parser.add_argument("--mib", type=int, default=400)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--codec", default="lz4")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="klaxon-bench-kafka-")
    try:
        sys.exit(0 if Bench(options, folder).all() else 1)
    except Failure as failure:
        sys.exit(str(failure))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
