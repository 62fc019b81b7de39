#!/usr/bin/env python3
"""`klaxon scan`: streams, exit codes, messages."""
import gzip
import json
import os
import pty
import signal
import subprocess
import unittest

from runner import (KLAXON, KlaxonTest, anonymous_read, burst, event)


class Streams(KlaxonTest):
    def test_stdout_carries_alerts_and_nothing_else(self):
        log = self.write("a.log", burst() + [anonymous_read(100)])
        result = self.run_klaxon("scan", log)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(sorted(self.detectors_of(result)),
                         ["anonymous-access", "unauthorized-burst"])
        for alert in result.alerts:
            self.assertEqual(list(alert)[:6],
                             ["schema", "id", "revision", "status", "detector",
                              "rule"])
        self.assertIn("2 alerts: 1 critical, 1 medium", result.err)

    def test_nothing_is_said_when_there_is_nothing_to_say(self):
        log = self.write("a.log", [event(0)])
        result = self.scan(log)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))

    def test_summary_json_is_the_last_line_in_the_order_of_the_interface(self):
        log = self.write("a.log", burst() + ["garbage"])
        result = self.run_klaxon("scan", log, "--summary", "json")
        summary = json.loads(result.err.splitlines()[-1])
        self.assertEqual(list(summary), [
            "schema", "bytes", "lines", "events", "observations",
            "quarantined", "gaps", "late", "future", "evicted", "shed",
            "reconfigured", "alerts", "seconds", "bytes_per_second",
            "events_per_second", "first_event", "last_event"])
        self.assertEqual(summary["schema"], "klaxon.summary/v1")
        self.assertEqual(summary["bytes"], os.path.getsize(self.path(log)))
        self.assertEqual(summary["lines"], 13)
        self.assertEqual(summary["events"], 12)
        self.assertEqual(summary["quarantined"], 1)
        self.assertEqual(summary["alerts"]["by_detector"],
                         {"unauthorized-burst": 1})
        self.assertEqual(summary["alerts"]["by_severity"]["medium"], 1)
        self.assertEqual(summary["first_event"], "2026-01-02T03:04:05.001000Z")
        self.assertEqual(summary["last_event"], "2026-01-02T03:04:16.001000Z")

    def test_messages_as_json_are_one_object_a_line(self):
        log = self.write("a\n\x1b.log", burst() + ["garbage"])
        result = self.scan(log, "missing.log", "--log-format", "json")
        lines = [json.loads(line) for line in result.err.splitlines()]
        self.assertTrue(all({"time", "level", "message"} <= set(line)
                            for line in lines))
        quarantined = [line for line in lines if line.get("line") == 13]
        self.assertEqual(quarantined[0]["source"], "a\n\x1b.log")

    def test_what_an_attacker_wrote_reaches_no_terminal_raw(self):
        log = self.write("a\x1b[2J.log", ["\x1b]0;owned\x07 garbage"])
        result = self.run_klaxon("scan", log, "--output", "text")
        self.assertNotIn("\x1b", result.err + result.out)

    def test_the_log_level_hides_warnings_and_no_errors(self):
        log = self.write("a.log", burst() + ["garbage"])
        result = self.scan(log, "missing", "--log-level", "error")
        self.assertNotIn("garbage", result.err)
        self.assertNotIn("a.log:13", result.err)
        self.assertIn("missing", result.err)

    def test_reads_stdin(self):
        data = ("\n".join(burst()) + "\n").encode()
        result = self.scan("-", stdin=data)
        self.assertEqual(self.detectors_of(result), ["unauthorized-burst"])
        result = self.scan("-", stdin=gzip.compress(data))
        self.assertEqual(self.detectors_of(result), ["unauthorized-burst"])

    def test_alerts_do_not_depend_on_threads_or_the_order_of_arguments(self):
        a = self.write("a.log", burst(30) + [anonymous_read(40)])
        b = self.write("b.log", burst(30, start=20, ip="203.0.113.77"))
        self.write("c.log.gz", gzip.compress(
            ("\n".join(burst(20, start=25, ip="2001:db8::1")) + "\n").encode()))
        want = self.scan(a, b, "c.log.gz").raw_out
        self.assertEqual(len(want.splitlines()), 4)
        for threads in ("1", "2", "4", "8"):
            for paths in ([a, b, "c.log.gz"], ["c.log.gz", b, a], ["."]):
                got = self.scan("--threads", threads, *paths)
                self.assertEqual(got.raw_out, want)

    def test_progress_where_it_was_asked_for(self):
        log = self.write("a.log", burst())
        result = self.scan(log, "--progress", "always")
        self.assertIn("events/s", result.err)
        result = self.scan(log)
        self.assertEqual(result.err, "")


class ExitCodes(KlaxonTest):
    def test_fail_on(self):
        log = self.write("a.log", burst())  # medium
        for severity, code in (("info", 3), ("low", 3), ("medium", 3),
                               ("high", 0), ("critical", 0)):
            self.assertEqual(self.scan(log, "--fail-on", severity).code, code)

    def test_fail_on_counts_what_is_not_shown(self):
        log = self.write("a.log", burst())
        result = self.scan(log, "--fail-on", "low", "--min-severity", "high")
        self.assertEqual((result.code, result.out), (3, ""))

    def test_a_missing_input_is_1_and_the_rest_is_processed(self):
        log = self.write("a.log", burst())
        result = self.scan("missing.log", log)
        self.assertEqual(result.code, 1)
        self.assertEqual(len(result.alerts), 1)
        self.assertIn("missing.log: ", result.err)

    def test_3_goes_before_1(self):
        log = self.write("a.log", burst())
        self.assertEqual(
            self.scan("missing.log", log, "--fail-on", "low").code, 3)

    def test_2_goes_before_all_and_nothing_is_processed(self):
        log = self.write("a.log", burst())
        for bad in (["--fail-on", "hgih"], ["--set", "netwroks={}"],
                    ["-c", "missing.yaml"], ["--state-dir", "d"],
                    ["--output", "ocsf"], ["--nonsense"], ["--threads", "x"],
                    ["--since", "2026-01-03", "--until", "2026-01-01"],
                    ["--set", "sinks=[{kafka: {brokers: b}}]"]):
            result = self.scan("missing.log", log, *bad)
            self.assertEqual((result.code, result.out), (2, ""), bad)
            self.assertNotEqual(result.err, "", bad)

    def test_all_inputs_missing(self):
        result = self.scan("x.log", "y.log")
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("x.log", result.err)

    def test_quarantined_lines_alone_do_not_change_it(self):
        log = self.write("a.log", ["garbage", event(0), "{\"half"])
        self.assertEqual(self.scan(log).code, 0)

    def test_an_input_of_which_nothing_could_be_read_is_1(self):
        good = self.write("good.log", burst())
        bad = self.write("bad.log", ["garbage", "more of it"])
        result = self.scan(good, bad)
        self.assertEqual(result.code, 1)
        self.assertEqual(len(result.alerts), 1)

    def test_an_empty_file_is_no_error(self):
        self.assertEqual(self.scan(self.write("empty.log", "")).code, 0)

    def test_a_folder_without_logs_is_said(self):
        os.mkdir(self.path("nothing"))
        result = self.scan("nothing")
        self.assertEqual(result.code, 1)
        self.assertIn("nothing", result.err)

    def test_a_truncated_gz_is_1_and_what_it_holds_is_judged(self):
        data = ("\n".join(burst() + [event(i) for i in range(20, 900)])
                + "\n").encode()
        self.write("cut.log.gz", gzip.compress(data)[:-2000])
        result = self.scan("cut.log.gz")
        self.assertEqual(result.code, 1)
        self.assertEqual(len(result.alerts), 1)
        self.assertIn("cut.log.gz", result.err)

    def test_no_subcommand_and_no_path(self):
        for arguments in ([], ["scan"], ["scna", "x"], ["doctor", "x"]):
            result = self.run_klaxon(*arguments)
            self.assertEqual((result.code, result.out), (2, ""), arguments)
            self.assertIn("klaxon", result.err)

    def test_stdout_that_is_full(self):
        log = self.write("a.log", burst())
        with open("/dev/full", "wb") as full:
            result = self.scan(log, stdout=full)
        self.assertEqual(result.code, 1)
        self.assertEqual(result.err.count("standard output"), 1)

    def test_stdout_whose_reader_has_gone(self):
        log = self.write("a.log", burst())
        reader, writer = os.pipe()
        os.close(reader)
        result = self.scan(log, stdout=writer)
        os.close(writer)
        self.assertEqual(result.code, 1)
        self.assertEqual(result.err.count("standard output"), 1)

    def test_stdout_that_is_closed(self):
        log = self.write("a.log", burst())
        shell = subprocess.run(
            ["sh", "-c", "\"$0\" scan \"$1\" --summary none >&-", KLAXON, log],
            cwd=self.dir, capture_output=True, timeout=60)
        self.assertEqual(shell.returncode, 1)
        self.assertIn(b"standard output", shell.stderr)


class BadInput(KlaxonTest):
    def reasons(self, *lines):
        log = self.write("bad.log", b"\n".join(lines) + b"\n")
        result = self.scan(log, "--quarantine", "q.ndjson")
        records = [json.loads(line)
                   for line in self.read("q.ndjson").splitlines()]
        return result, records

    def test_messages_have_path_line_and_column(self):
        result, records = self.reasons(event(0).encode(),
                                       b'{"kind":"Event",,}')
        self.assertEqual(result.code, 0)
        self.assertRegex(result.err, r"^bad\.log:2:\d+: not_json: ")
        self.assertEqual(records[0]["line"], 2)
        self.assertEqual(records[0]["offset"], len(event(0)) + 1)
        self.assertEqual(records[0]["bytes"], '{"kind":"Event",,}')

    def test_the_record_has_the_fields_of_the_schema(self):
        _, records = self.reasons(event(0).encode(), b"nonsense \xff\x00")
        self.assertEqual(list(records[0]), [
            "schema", "source", "offset", "line", "column", "reason",
            "message", "bytes_base64"])
        self.assertEqual(records[0]["schema"], "klaxon.quarantine/v1")

    def test_what_it_looks_like_is_said(self):
        cases = {
            b'10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 '
            b'612 "-" "curl/8"': "access_log",
            b"I0102 03:04:05.000000       1 server.go:150] Version: v1.30.0":
                "klog",
            b"\x00\x00\x00\x00\x00\x00": "binary",
            b"once upon a time": "text",
            event(0).encode()[:200]: "half_line",
            b'{"a": 1}': "not_audit_event",
        }
        for line, reason in cases.items():
            _, records = self.reasons(event(0).encode(), line,
                                      event(1).encode())
            self.assertEqual([r["reason"] for r in records], [reason], line)

    def test_only_ten_messages_of_a_reason_but_all_in_the_file(self):
        result, records = self.reasons(event(0).encode(), *[b"garbage"] * 25)
        self.assertEqual(len(records), 25)
        lines = result.err.splitlines()
        self.assertEqual(len(lines), 11)
        self.assertIn("… and 15 more", lines[-1])

    def test_a_quarantine_file_that_cannot_be_made_is_2(self):
        log = self.write("a.log", burst())
        result = self.scan(log, "--quarantine", "no/such/folder/q")
        self.assertEqual((result.code, result.out), (2, ""))
        # A log named by mistake is not overwritten.
        before = self.read(log)
        result = self.scan(log, "--quarantine", log)
        self.assertEqual((result.code, self.read(log)), (2, before))

    def test_a_pipe_whose_reader_left_is_said_and_the_rest_goes_on(self):
        log = self.write("a.log", burst() + ['{"half": '] * 20_000)
        os.mkfifo(os.path.join(self.dir, "q"))
        reader = subprocess.Popen(["head", "-c", "1", "q"], cwd=self.dir,
                                  stdout=subprocess.PIPE)
        result = self.scan(log, "--quarantine", "q")
        self.assertEqual(reader.communicate(timeout=60)[0], b"{")
        self.assertEqual(result.alerts[0]["count"], 12)
        self.assertRegex(result.err, r"q: .*; what could not be read is "
                         r"counted, but no longer kept")

    def test_one_bad_line_hides_no_other(self):
        lines = []
        for line in burst():
            lines += [line, '{"unclosed": "', "\x00\x01", "[", "}" * 50]
        result = self.scan(self.write("a.log", lines))
        self.assertEqual(result.alerts[0]["count"], 12)

    def test_a_long_line_is_judged_by_its_head(self):
        log = self.write("a.log", burst() + [
            anonymous_read(100)[:-1] + ',"requestObject":{"x":"'
            + "y" * 200_000 + '"},"requestReceivedTimestamp":'
            '"2026-01-02T03:05:45.000000Z","stageTimestamp":'
            '"2026-01-02T03:05:45.000000Z"}'])
        result = self.scan(log, "--set", "limits.line_max=8KiB",
                           "--quarantine", "q.ndjson")
        self.assertEqual(result.code, 0)
        record = json.loads(self.read("q.ndjson").splitlines()[0])
        self.assertEqual(record["reason"], "oversize")
        self.assertLessEqual(len(record.get("bytes", "")), 64 << 10)


class TimesAndFilters(KlaxonTest):
    def test_since_and_until_are_event_time(self):
        log = self.write("a.log", burst(12) + burst(12, start=86400))
        count = {}
        for name, arguments in {
                "all": [], "second": ["--since", "2026-01-03"],
                "first": ["--until", "2026-01-02"],
                "none": ["--since", "2026-01-04"],
                "exact": ["--since", "2026-01-02T03:04:05Z", "--until",
                          "2026-01-02T03:04:10Z"]}.items():
            result = self.run_klaxon("scan", log, "--summary", "json",
                                     *arguments)
            self.assertEqual(result.code, 0, (name, result.err))
            summary = json.loads(result.err.splitlines()[-1])
            count[name] = summary["events"]
        self.assertEqual(count, {"all": 24, "second": 12, "first": 12,
                                 "none": 0, "exact": 5})

    def test_min_severity(self):
        log = self.write("a.log", burst() + [anonymous_read(100)])
        result = self.scan(log, "--min-severity", "critical")
        self.assertEqual(self.detectors_of(result), ["anonymous-access"])

    def test_the_cluster_is_that_of_flag_file_and_field(self):
        log = self.write("clusters/c7/a.log",
                         burst() + burst(12, 5000, "203.0.113.8"))
        def clusters(*arguments):
            return {a["cluster"] for a in self.scan(log, *arguments).alerts}
        self.assertEqual(clusters(), {"default"})
        self.assertEqual(clusters("--cluster", "x"), {"x"})
        self.assertEqual(clusters("--set", "cluster=y"), {"y"})
        self.write("k.yaml", 'cluster: {path_regex: "clusters/([^/]+)/"}\n')
        self.assertEqual(clusters("-c", "k.yaml"), {"c7"})
        self.assertEqual(clusters("-c", "k.yaml", "--cluster", "z"), {"z"})
        field = self.write("f.log", [line[:-1] + ',"site":"s1"}'
                                     for line in burst()])
        result = self.scan(field, "--set", "cluster={json_field: site}")
        self.assertEqual([a["cluster"] for a in result.alerts], ["s1"])

    def test_an_overlay_holds_for_its_cluster_alone(self):
        self.write("a/a.log", burst())
        self.write("b/b.log", burst())
        self.write("k.yaml", 'cluster: {path_regex: "([ab])/"}\n'
                   "clusters:\n"
                   "  b: {detectors: {unauthorized-burst: {threshold: 50}}}\n")
        result = self.scan("-c", "k.yaml", "a", "b")
        self.assertEqual([a["cluster"] for a in result.alerts], ["a"])

    def test_a_disabled_detector_is_silent(self):
        log = self.write("a.log", burst())
        result = self.scan(
            log, "--set", "detectors.unauthorized-burst.enabled=false")
        self.assertEqual((result.code, result.out), (0, ""))


class Sinks(KlaxonTest):
    def test_a_file_sink_gets_the_alerts_and_each_once(self):
        log = self.write("a.log", burst() + [anonymous_read(100)])
        self.write("k.yaml", "sinks:\n  - file: {path: alerts.ndjson}\n"
                   "  - stdout: {}\n    min_severity: critical\n")
        result = self.scan("-c", "k.yaml", log)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.detectors_of(result), ["anonymous-access"])
        self.assertEqual(len(self.read("alerts.ndjson").splitlines()), 2)
        self.scan("-c", "k.yaml", log)
        self.assertEqual(len(self.read("alerts.ndjson").splitlines()), 2)

    def test_output_asks_for_stdout_besides(self):
        log = self.write("a.log", burst())
        self.write("k.yaml", "sinks: [{file: {path: alerts.ndjson}}]\n")
        self.assertEqual(self.scan("-c", "k.yaml", log).out, "")
        result = self.scan("-c", "k.yaml", log, "--output", "ndjson")
        self.assertEqual(len(result.alerts), 1)

    def test_nothing_read_is_1_blank_lines_or_not(self):
        line = '10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1\n'
        for name, text in (("a", line), ("b", line + "\n"), ("c", "\n" + line)):
            self.write(name, text)
            self.assertEqual(self.scan(name).code, 1, name)

    def test_an_empty_file_is_said(self):
        self.write("empty.log", "")
        result = self.scan("empty.log")
        self.assertEqual(result.code, 0)
        self.assertIn("empty.log", result.err)
        self.assertIn("is empty", result.err)

    def test_a_sink_that_cannot_be_reached_is_1_and_the_others_go_on(self):
        log = self.write("a.log", burst())
        self.write("k.yaml", "sinks: [{file: {path: no/such/folder/a}}, "
                   "{stdout: {}}]\n")
        result = self.scan("-c", "k.yaml", log)
        self.assertEqual((result.code, len(result.alerts)), (1, 1))
        self.assertIn("sink file: no/such/folder/a", result.err)
        self.assertNotIn("written", result.err)

    def test_sinks_filter_by_detector_and_cluster(self):
        log = self.write("a.log", burst() + [anonymous_read(100)])
        self.write("k.yaml", "sinks:\n"
                   "  - stdout: {}\n    detectors: [anonymous-access]\n"
                   "  - file: {path: other}\n    clusters: [nowhere]\n")
        result = self.scan("-c", "k.yaml", log)
        self.assertEqual(self.detectors_of(result), ["anonymous-access"])
        self.assertEqual(self.read("other"), "")


class Terminal(KlaxonTest):
    def on_terminal(self, *arguments, env=None):
        """What a scan prints to a terminal, as text."""
        leader, follower = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"}, **env or {})
        process = subprocess.Popen(
            [KLAXON, "scan", "--summary", "none", *arguments], cwd=self.dir,
            stdin=subprocess.DEVNULL, stdout=follower,
            stderr=subprocess.PIPE, env=environment)
        os.close(follower)
        text = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux: the other side is closed.
                break
            if not piece:
                break
            text += piece
        process.communicate(timeout=60)
        os.close(leader)
        return text.decode()

    def test_a_terminal_gets_coloured_text(self):
        log = self.write("a.log", burst())
        text = self.on_terminal(log)
        self.assertIn("unauthorized-burst", text)
        self.assertIn("\x1b[", text)
        self.assertNotIn("{\"schema\"", text)

    def test_colour_can_be_declined(self):
        log = self.write("a.log", burst())
        for arguments, env in ((["--no-colour"], {}), (["--no-color"], {}),
                               ([], {"NO_COLOR": "1"})):
            text = self.on_terminal(log, *arguments, env=env)
            self.assertIn("unauthorized-burst", text)
            self.assertNotIn("\x1b[", text)

    def test_ndjson_can_be_asked_for(self):
        log = self.write("a.log", burst())
        text = self.on_terminal(log, "--output", "ndjson")
        self.assertTrue(text.startswith("{\"schema\""))


class Signals(KlaxonTest):
    def start(self):
        process = subprocess.Popen(
            [KLAXON, "scan", "-", "--output", "ndjson"], cwd=self.dir,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        # Many times what a pipe holds: when flush returns, all but its last
        # 64 KiB have been read, several batches.
        lines = burst() + [event(100 + i / 1000) for i in range(20_000)]
        process.stdin.write(("\n".join(lines) + "\n").encode())
        process.stdin.flush()
        return process

    def test_an_interrupt_judges_what_was_read(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            process.send_signal(number)
            process.wait(timeout=30)
            out, err = process.stdout.read(), process.stderr.read()
            process.stdin.close()
            process.stdout.close()
            process.stderr.close()
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(json.loads(out)["detector"], "unauthorized-burst")
            self.assertIn(b"interrupted", err)


if __name__ == "__main__":
    unittest.main()
