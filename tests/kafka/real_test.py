#!/usr/bin/env python3
"""Klaxon and a real Apache Kafka: what a topic says is what a scan says.

KLAXON_KAFKA_KILLS (15) and KLAXON_KAFKA_BROKER_KILLS (2) say how often;
KLAXON_KAFKA_SEED repeats a run. Skipped, saying what to install, where there is
no Java or Maven; with CI=true that is a failure.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import broker as kafka

KLAXON = os.environ["KLAXON_BINARY"]
SAMPLES = os.path.join(os.environ["KLAXON_SOURCE_DIR"], "samples", "logs")
KILLS = int(os.environ.get("KLAXON_KAFKA_KILLS", "15"))
BROKER_KILLS = int(os.environ.get("KLAXON_KAFKA_BROKER_KILLS", "2"))
SEED = int(os.environ.get("KLAXON_KAFKA_SEED",
                          int.from_bytes(os.urandom(4), "big")))
# A run that takes longer hangs.
TIMEOUT = 180
BROKER = kafka.Broker()


def sanitized():
    with open(KLAXON, "rb") as binary:
        return b"__asan_init" in binary.read()


def attacked_hour():
    path = os.path.join(SAMPLES, "attacked-hour.log.zst")
    return subprocess.run(["zstd", "-dqc", path], check=True,
                          stdout=subprocess.PIPE).stdout.splitlines(True)


STAMP = re.compile(rb"2026-11-24T")


def days_earlier(lines, days):
    return [STAMP.sub(b"2026-11-%02dT" % (24 - days), line) for line in lines]


def revisions(text, what):
    """Every line of alerts, once each, by (id, revision)."""
    seen = {}
    for line in text.splitlines():
        alert = json.loads(line)
        key = (alert["id"], alert["revision"])
        if key in seen:
            raise AssertionError(f"{what}: delivered twice: {line[:300]}")
        seen[key] = line
    return seen


def last_contents(seen):
    last = {}
    for (key, revision), line in sorted(seen.items()):
        alert = json.loads(line)
        del alert["revision"]
        last[key] = alert
    return last


class Bed:
    """One state directory, one file of alerts, sources and sinks."""
    all = []

    def __init__(self, topic, more="", sinks=(), snapshot="10m",
                 sources=None):
        self.topic = topic
        self.folder = tempfile.mkdtemp(prefix="klaxon-kafka-bed-")
        self.path = os.path.join(self.folder, "klaxon.yaml")
        sources = sources or [f"{{brokers: '{BROKER.address}', "
                              f"topic: '{topic}'{more}}}"]
        sinks = [f"{{file: {{path: {self.folder}/alerts.ndjson}}}}", *sinks]
        with open(self.path, "w") as out:
            out.write("sources:\n")
            out.writelines(f"  - kafka: {source}\n" for source in sources)
            out.write("sinks:\n")
            out.writelines(f"  - {sink}\n" for sink in sinks)
            out.write(f"state: {{dir: {self.folder}/state, commit_interval: "
                      f"5ms, snapshot_interval: {snapshot}}}\n")
        self.peak_mib = 0
        self.processes = []
        Bed.all.append(self)

    def remove(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *more):
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            process = subprocess.Popen(
                [KLAXON, "run", "-c", self.path, "--log-level", "info", *more],
                stdout=subprocess.DEVNULL, stderr=err)
        self.processes.append(process)
        return process

    def finish(self, code=0):
        """Reads to the end. With a gap it ends with code 1."""
        process = self.start("--until-end")
        killer = threading.Timer(TIMEOUT, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.peak_mib = usage.ru_maxrss / 1024
        assert process.returncode == code, \
            f"run --until-end: {process.returncode}\n{self.said()}"

    def stop(self, process):
        """As an operator does."""
        process.terminate()
        assert process.wait(timeout=TIMEOUT) == 0, self.said()

    def said(self):
        with open(os.path.join(self.folder, "stderr"), errors="replace") as f:
            return f.read()

    def delivered(self, what):
        try:
            with open(os.path.join(self.folder, "alerts.ndjson")) as f:
                return revisions(f.read(), what)
        except FileNotFoundError:
            return {}


class KafkaTest(unittest.TestCase):
    maxDiff = 2000

    def bed(self, *arguments, **more):
        bed = Bed(*arguments, **more)
        self.addCleanup(bed.remove)
        return bed

    def fill(self, topic, lines, partitions=1, codec="lz4"):
        BROKER.create(topic, partitions)
        BROKER.produce(topic, lines, codec=codec)

    def scan(self, lines):
        """What a scan of the same events says."""
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            log.writelines(lines)
            log.flush()
            done = subprocess.run(
                [KLAXON, "scan", log.name, "--output", "ndjson", "--summary",
                 "none"], capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return last_contents(revisions(done.stdout, "scan"))

    def same(self, want, got, what):
        missing = [want[k] for k in want if k not in got]
        added = [got[k] for k in got if k not in want]
        differ = [(want[k], got[k]) for k in want
                  if k in got and want[k] != got[k]]
        if missing or added or differ:
            self.fail(f"{what}: {len(missing)} missing, {len(added)} too many, "
                      f"{len(differ)} differ of {len(want)}\n"
                      + "\n".join(str(x)[:800] for x in
                                  (missing[:2] + added[:2] + differ[:2])))
        self.assertGreater(len(want), 0, what)

    def await_read(self, bed, process, offset, partition=0):
        """Until the group's offset of the partition says so."""
        end = time.monotonic() + TIMEOUT
        while BROKER.committed("klaxon", bed.topic, partition) < offset:
            self.assertIsNone(process.poll(), bed.said())
            self.assertLess(time.monotonic(), end, bed.said())

    def await_words(self, bed, words, process):
        end = time.monotonic() + TIMEOUT
        while words not in bed.said():
            self.assertIsNone(process.poll(), bed.said())
            self.assertLess(time.monotonic(), end, bed.said())
            time.sleep(0.02)


class RealTest(KafkaTest):
    """In the order of their names; what takes a minute is begun first."""

    @classmethod
    def setUpClass(cls):
        cls.rng = random.Random(SEED)
        cls.lines = attacked_hour()
        BROKER.create("owners", 2)
        BROKER.produce("owners", cls.lines[:500])
        cls.owners = [Bed("owners"), Bed("owners")]
        for bed in cls.owners:
            cls.addClassCleanup(bed.remove)
            bed.start()
        BROKER.create("growing", 1)
        BROKER.produce("growing", cls.lines[:300])
        cls.growing = Bed("growing")
        cls.addClassCleanup(cls.growing.remove)
        cls.growing.start()

    def test_0_a_topic_grows(self):
        self.await_read(self.growing, self.growing.processes[0], 300)
        BROKER.tool("grow", "growing", 2)
        BROKER.produce("growing", self.lines[300:1000], partition=1)

    def test_1_same_answer_whatever_partitions_and_codec(self):
        want = self.scan(self.lines)
        for partitions in (1, 6):
            for codec in ("none", "lz4", "zstd"):
                with self.subTest(partitions=partitions, codec=codec):
                    topic = f"same-{partitions}-{codec}"
                    self.fill(topic, self.lines, partitions, codec)
                    bed = self.bed(topic)
                    bed.finish()
                    self.same(want, last_contents(bed.delivered(topic)), topic)
                    self.assertNotIn("came late", bed.said())

    def test_2_partitions_a_day_apart(self):
        BROKER.create("days", 6)
        everything = []
        for p in range(6):
            day = days_earlier(self.lines, p)
            BROKER.produce("days", day, partition=p, codec="zstd")
            everything += day
        bed = self.bed("days")
        bed.finish()
        self.same(self.scan(everything), last_contents(bed.delivered("days")),
                  "days")
        self.assertNotIn("came late", bed.said())
        if not sanitized():  # Its memory is mostly the sanitizer's.
            self.assertLess(bed.peak_mib, 300)
        print(f"a day apart: peak {bed.peak_mib:.0f} MiB", file=sys.stderr)

    def test_3_two_clusters_with_equal_topics(self):
        """Two sources, one cluster each as far as Klaxon can know."""
        self.fill("equal", self.lines, 2)
        bed = self.bed("", sources=[
            f"{{name: {name}, brokers: '{BROKER.address}', topic: equal, "
            f"group: {name}}}" for name in ("east", "west")])
        bed.finish()
        # Each event came twice, which only some of the counts show.
        told = bed.delivered("equal")
        self.assertEqual(set(last_contents(told)), set(self.scan(self.lines)))
        bed.finish()
        self.assertEqual(bed.delivered("equal"), told)
        shown = subprocess.run(
            [KLAXON, "state", "show", os.path.join(bed.folder, "state")],
            capture_output=True, text=True, check=True).stdout
        for lane in ("east/equal/0", "east/equal/1", "west/equal/0",
                     "west/equal/1"):
            self.assertIn(f"kafka:{lane}", shown)

    def test_4_alerts_go_to_a_topic(self):
        self.fill("in", self.lines, 2)
        BROKER.create("out", 3)
        bed = self.bed("in", sinks=[
            f"{{kafka: {{brokers: '{BROKER.address}', topic: out}}}}"])
        bed.finish()
        wanted = bed.delivered("in")
        partition_of = {}
        got = {}
        for record in BROKER.dump("out"):
            alert = json.loads(record["value"])
            self.assertEqual(record["key"], alert["id"])
            self.assertEqual(record["headers"], {
                name: alert[name]
                for name in ("severity", "detector", "cluster")})
            self.assertEqual(partition_of.setdefault(alert["id"],
                                                     record["partition"]),
                             record["partition"])
            key = (alert["id"], alert["revision"])
            self.assertNotIn(key, got)
            got[key] = record["value"]
        self.same(wanted, got, "topic of alerts")

    # ---------------------------------------------------------------- crashes

    def writer(self, topic, seconds):
        """A thread that writes all lines, spread over `seconds`."""
        def write():
            tool = BROKER.producer(topic, codec="lz4")
            pause = seconds / len(self.lines) * 100
            for number, line in enumerate(self.lines):
                tool.stdin.write(line)
                if number % 100 == 99:
                    tool.stdin.flush()
                    time.sleep(pause)
            tool.communicate(timeout=TIMEOUT)
            assert tool.returncode == 0
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        return thread

    def uninterrupted(self, topic):
        bed = self.bed(topic)
        bed.finish()
        got = bed.delivered(topic)
        self.same(self.scan(self.lines), last_contents(got), topic)
        return got

    def test_5_consumer_killed(self):
        BROKER.create("killed", 6)
        bed = self.bed("killed", snapshot="200ms")
        life = 0.8
        writer = self.writer("killed", KILLS * life / 2)
        for _ in range(KILLS):
            process = bed.start()
            try:
                process.wait(timeout=self.rng.uniform(0.0, life))
                self.fail("it ended by itself: " + bed.said())
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        writer.join()
        bed.finish()
        self.same(self.uninterrupted("killed"), bed.delivered("killed"),
                  f"killed {KILLS} times")
        self.assertNotIn("came late", bed.said())
        self.assertNotIn("recreated", bed.said())

    def test_6_broker_killed(self):
        BROKER.create("outage", 6)
        BROKER.create("outage-alerts", 1)
        bed = self.bed("outage", sinks=[
            f"{{kafka: {{brokers: '{BROKER.address}', topic: outage-alerts}}}}"
        ])
        process = bed.start()
        rounds = BROKER_KILLS + 1
        for i in range(rounds):
            tool = BROKER.producer("outage", codec="lz4")
            tool.stdin.writelines(
                self.lines[len(self.lines) * i // rounds:
                           len(self.lines) * (i + 1) // rounds])
            tool.stdin.close()
            if i < BROKER_KILLS:
                time.sleep(self.rng.uniform(0.0, 0.5))
                BROKER.kill()
                BROKER.start()
            self.assertEqual(tool.wait(timeout=TIMEOUT), 0)
            self.assertIsNone(process.poll(), bed.said())
        bed.stop(process)
        bed.finish()
        told = bed.delivered("outage")
        self.same(self.uninterrupted("outage"), told,
                  f"broker killed {BROKER_KILLS} times")
        # A sink may be told twice over a crash, and says by what it is known.
        sent = {}
        for record in BROKER.dump("outage-alerts"):
            alert = json.loads(record["value"])
            sent[(alert["id"], alert["revision"])] = record["value"]
        self.same(told, sent, "topic of alerts")

    # ------------------------------------------------------------ lost ranges

    def test_7_retention_is_a_gap_with_its_extent(self):
        self.fill("kept", self.lines[:300])
        bed = self.bed("kept")
        bed.finish()
        BROKER.produce("kept", self.lines[300:])
        BROKER.tool("delete-records", "kept", 0, 500)
        bed.finish(code=1)
        self.assertIn("kafka:kept/0@300: 200 records were deleted before they "
                      "were read", bed.said())
        self.same(self.scan(self.lines[:300] + self.lines[500:]),
                  last_contents(bed.delivered("kept")), "kept")

    def test_7_recreated_topic_that_has_grown(self):
        self.fill("anew", self.lines[:300])
        bed = self.bed("anew")
        bed.finish()
        BROKER.tool("delete", "anew")
        self.fill("anew", self.lines[300:1000])
        bed.finish(code=1)
        self.assertIn("kafka:anew/0@300: the partition is not the one that "
                      "was read", bed.said())
        self.same(self.scan(self.lines[:1000]),
                  last_contents(bed.delivered("anew")), "anew")

    def test_7_recreated_under_a_running_klaxon(self):
        self.fill("under", self.lines[:300])
        bed = self.bed("under")
        process = bed.start()
        self.await_read(bed, process, 300)
        BROKER.tool("delete", "under")
        self.await_words(bed, "the topic was deleted; all that was known",
                         process)
        self.fill("under", self.lines[300:1000])
        self.await_words(bed, "the partition is not the one that was read",
                         process)
        bed.stop(process)
        bed.finish()
        self.same(self.scan(self.lines[:1000]),
                  last_contents(bed.delivered("under")), "under")

    def test_8_poison_batch_is_stepped_over(self):
        for codec, mend_crc in (("none", False), ("lz4", False),
                                ("lz4", True), ("zstd", True)):
            with self.subTest(codec=codec, mend_crc=mend_crc):
                self.poison(f"poison-{codec}-{mend_crc}", codec, mend_crc)

    def poison(self, topic, codec, mend_crc):
        BROKER.create(topic, 1)
        for i in range(3):
            BROKER.produce(topic, self.lines[400 * i:400 * (i + 1)],
                           codec=codec)
        segment = BROKER.segment(topic, 0)
        batches = kafka.batches_of(segment)
        self.assertEqual(batches[-1].last, 1199)
        batch = self.dispensable(batches)
        kafka.damage(segment, batch, mend_crc)
        bed = self.bed(topic)
        bed.finish(code=1)
        count = batch.last + 1 - batch.first
        self.assertIn(f"kafka:{topic}/0@{batch.first}: {count} records cannot "
                      "be decoded", bed.said())
        self.same(self.scan(self.without(batch)),
                  last_contents(bed.delivered(topic)), topic)

    def without(self, batch):
        return self.lines[:batch.first] + self.lines[batch.last + 1:1200]

    def dispensable(self, batches):
        """One in the midst, as large as possible, without which there still is
        something to tell: a busy producer cuts its batches anywhere."""
        for batch in sorted(batches[1:-1], key=lambda b: b.first - b.last):
            if self.scan(self.without(batch)):
                return batch
        self.fail("no batch in the midst can be spared")

    # ---------------------------------------------------- what takes a minute

    def test_9_a_partition_that_was_added_is_read(self):
        process = self.growing.processes[0]
        self.await_read(self.growing, process, 700, partition=1)
        self.growing.stop(process)
        self.growing.finish()
        self.same(self.scan(self.lines[:1000]),
                  last_contents(self.growing.delivered("growing")), "growing")
        self.assertNotIn("came late", self.growing.said())

    def test_9_second_owner_is_noticed(self):
        end = time.monotonic() + TIMEOUT
        while not any("a second Klaxon" in bed.said() for bed in self.owners):
            for bed in self.owners:
                self.assertIsNone(bed.processes[0].poll(), bed.said())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)


def end(*_):
    """SIGTERM: nothing may go on without us."""
    for bed in Bed.all:
        bed.remove()
    BROKER.down()
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    print(f"seed {SEED}", file=sys.stderr, flush=True)
    BROKER.up()
    try:
        unittest.main()
    finally:
        BROKER.down()
