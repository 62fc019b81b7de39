#!/usr/bin/env python3
"""`klaxon observe | klaxon judge` says what `klaxon scan` says."""
import json
import os
import random
import subprocess
import unittest

from runner import KLAXON, KlaxonTest, anonymous_read, burst, event


class TwoHalves(KlaxonTest):
    def setUp(self):
        super().setUp()
        self.write("a.log", burst(30) + [anonymous_read(40)])
        self.write("b.log", burst(30, start=20, ip="203.0.113.77")
                   + [event(i) for i in range(60, 300)])
        self.write("c.log", burst(40, start=25, ip="2001:db8::1")
                   + [event(70, ip="203.0.113.77")])
        self.logs = ["a.log", "b.log", "c.log"]
        self.want = self.scan(*self.logs).raw_out
        self.assertGreaterEqual(len(self.want.splitlines()), 4)

    def observe(self, *arguments):
        result = self.run_klaxon("observe", "--summary", "none", *arguments)
        self.assertEqual((result.code, result.err), (0, ""))
        return result.raw_out

    def judge(self, observations, *arguments):
        result = self.run_klaxon("judge", "--summary", "none", *arguments,
                                 stdin=observations)
        self.assertEqual(result.code, 0, result.err)
        return result.raw_out

    def test_a_pipe_is_a_scan(self):
        self.assertEqual(self.judge(self.observe(*self.logs)), self.want)

    def test_observations_are_ndjson(self):
        for line in self.observe("a.log").splitlines():
            self.assertEqual(json.loads(line)["schema"],
                             "klaxon.observation/v3")

    def test_parts_may_be_joined_in_any_order(self):
        parts = [self.observe(log) for log in self.logs]
        lines = b"".join(parts).splitlines(keepends=True)
        seed = int(os.environ.get("KLAXON_TEST_SEED", "20260102"))
        shuffle = random.Random(seed)
        for _ in range(5):
            shuffle.shuffle(parts)
            self.assertEqual(self.judge(b"".join(parts)), self.want, seed)
            shuffle.shuffle(lines)
            self.assertEqual(self.judge(b"".join(lines)), self.want, seed)

    def test_reads_files_and_stdin(self):
        for log in self.logs:
            self.write(log + ".obs", self.observe(log))
        self.assertEqual(
            self.judge(b"", "a.log.obs", "c.log.obs", "b.log.obs"), self.want)
        self.assertEqual(
            self.judge(self.observe("b.log"), "a.log.obs", "-", "c.log.obs"),
            self.want)

    def test_a_file_without_a_last_newline(self):
        self.assertEqual(self.judge(self.observe(*self.logs).rstrip(b"\n")),
                         self.want)


class Judge(KlaxonTest):
    def test_what_is_no_observation_is_quarantined_with_its_place(self):
        self.write("a.log", burst())
        self.write("one.obs", self.run_klaxon("observe", "a.log").raw_out)
        self.write("two.obs", b"garbage\n\xff\xfe\n" + b"x" * (17 << 20))
        result = self.run_klaxon("judge", "--summary", "none", "one.obs",
                                 "two.obs", "--quarantine", "q.ndjson")
        self.assertEqual(len(result.alerts), 1)
        self.assertIn("two.obs:1:", result.err)
        self.assertIn("two.obs:3:", result.err)
        records = [json.loads(line)
                   for line in self.read("q.ndjson").splitlines()]
        self.assertEqual([(r["source"], r["line"], r["offset"])
                          for r in records],
                         [("two.obs", 1, 0), ("two.obs", 2, 8),
                          ("two.obs", 3, 11)])
        self.assertLess(len(self.read("q.ndjson")), 200_000)

    def test_a_file_that_cannot_be_read_is_1(self):
        self.write("a.log", burst())
        self.write("one.obs", self.run_klaxon("observe", "a.log").raw_out)
        for missing in ("missing.obs", "."):
            result = self.run_klaxon("judge", missing, "one.obs")
            self.assertEqual((result.code, len(result.alerts)), (1, 1))
            self.assertIn(f"{missing}: cannot be read", result.err)

    def test_a_log_given_to_judge_is_not_silently_empty(self):
        self.write("a.log", burst())
        result = self.run_klaxon("judge", "a.log")
        self.assertIn("a.log:1:", result.err)
        self.assertEqual(result.out, "")

    def test_fail_on(self):
        self.write("a.log", burst())
        observations = self.run_klaxon("observe", "a.log").raw_out
        result = self.run_klaxon("judge", "--fail-on", "medium",
                                 stdin=observations)
        self.assertEqual(result.code, 3)


class Observe(KlaxonTest):
    def test_a_reader_that_goes_away_ends_it(self):
        self.write("a.log", [event(i, user=f"u{i}", ip=f"10.0.{i // 250}.{i % 250}")
                             for i in range(60_000)])
        process = subprocess.Popen(
            [KLAXON, "observe", "a.log", "--summary", "none"], cwd=self.dir,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 1)
        self.assertEqual(err.count("standard output"), 1)


if __name__ == "__main__":
    unittest.main()
