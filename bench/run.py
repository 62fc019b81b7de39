#!/usr/bin/env python3
"""Klaxon's benchmarks in one command: bench/run.py [--quick] [--large GB].

Builds the release preset, generates the corpora, compares the answers, and
only then measures. Method and what the figures mean: bench/README.md.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCAN = ["--output", "ndjson", "--summary", "json", "--progress", "never"]
MIB = 1 << 20


class Failure(Exception):
    """An answer was wrong, or a program failed: no figure can be trusted."""


class Run:
    """One finished process: wall and CPU seconds, peak memory, what it wrote."""

    def __init__(self, seconds, cpu_seconds, peak_mib, stdout, stderr):
        self.seconds = seconds
        self.cpu_seconds = cpu_seconds
        self.peak_mib = peak_mib
        self.stdout = stdout
        self.stderr = stderr

    def summary(self):
        for line in reversed(self.stderr.decode().splitlines()):
            if line.startswith('{"schema":"klaxon.summary/'):
                return json.loads(line)
        raise Failure("no summary on stderr:\n" + self.stderr.decode()[-2000:])

    def alert_ids(self):
        return [json.loads(line)["id"] for line in self.stdout.splitlines()]


def run(command, stdin=None):
    """Runs `command`, outputs into files so that no reader slows it down."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        finished = Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
                       out.read(), err.read())
    if process.returncode != 0:
        raise Failure("%s: exit %d\n%s" % (" ".join(command), process.returncode,
                                           finished.stderr.decode()[-2000:]))
    return finished


class Bench:
    def __init__(self, options, build_dir, work_dir):
        self.options = options
        self.work_dir = work_dir
        self.klaxon = os.path.join(build_dir, "klaxon")
        self.generator = os.path.join(build_dir, "bench", "klaxon-generate")
        self.inflate = os.path.join(build_dir, "bench", "klaxon-inflate-only")
        self.truth = {}
        self.rows = []
        self.missed = 0

    # ---------------------------------------------------------------- helpers

    def scan(self, path, threads, stdin=None, extra=()):
        return run([self.klaxon, "scan", "--threads", str(threads)] + SCAN + list(extra) + [path],
                   stdin)

    def row(self, name, values, unit="", target=None, at_most=True):
        """Adds a line of the table; `target` is the issue's bound on the median."""
        median = statistics.median(values)
        verdict = ""
        if target is not None:
            good = median <= target if at_most else median >= target
            self.missed += not good
            verdict = "%s %g%s: %s" % ("<=" if at_most else ">=", target, unit,
                                       "ok" if good else "MISSED")
        self.rows.append({"name": name, "median": median, "min": min(values),
                          "max": max(values), "unit": unit, "verdict": verdict})
        print("%-54s %7.3g %-5s [%.3g .. %.3g]  %s" %
              (name, median, unit, min(values), max(values), verdict), flush=True)

    def note(self, text):
        print("# " + text, flush=True)

    def expect(self, what, got, want):
        if got != want:
            raise Failure("%s: %r, expected %r" % (what, got, want))

    # ----------------------------------------------------------------- corpora

    def generate(self, kind, seed):
        path = os.path.join(self.work_dir, kind + ".log")
        with open(path, "wb") as out:
            done = subprocess.run([self.generator, kind, str(self.options.bytes), str(seed)],
                                  stdout=out, stderr=subprocess.PIPE, check=True)
        self.truth[kind] = json.loads(done.stderr)
        truth = self.truth[kind]
        self.note("%s.log: %.2f GB, %d events of %d B on average" %
                  (kind, truth["bytes"] / 1e9, truth["events"],
                   truth["bytes"] / truth["events"]))
        return path

    def warm(self, path):
        """Into the page cache. (Not by `cat` into run(): see memory().)"""
        with open(path, "rb", buffering=0) as file:
            buffer = bytearray(MIB)
            while file.readinto(buffer):
                pass

    # ----------------------------------------------------------------- answers

    def check_truth(self, kind, finished):
        truth, summary = self.truth[kind], finished.summary()
        for name in ("bytes", "events", "requests"):
            if name in summary:
                self.expect("%s: %s" % (kind, name), summary[name], truth[name])
        self.expect(kind + ": quarantined", summary["quarantined"], 0)

    def check_answers(self, kind, path):
        """Every way of reading the corpus must give the same alerts."""
        first = self.scan(path, 1)
        self.check_truth(kind, first)
        ways = [("2 threads", path, 2), ("4 threads", path, 4)]
        packed = path + ".gz"
        if os.path.exists(packed):
            ways.append((".gz", packed, 2))
        for name, where, threads in ways:
            other = self.scan(where, threads)
            self.check_truth(kind, other)
            self.expect("%s: alerts of %s" % (kind, name), other.alert_ids(), first.alert_ids())
            self.expect("%s: bytes of the alerts of %s" % (kind, name), other.stdout, first.stdout)
        self.note("%s: answers equal (1, 2, 4 threads%s): %d alerts" %
                  (kind, ", .gz" if len(ways) > 2 else "", len(first.alert_ids())))

    # ------------------------------------------------------------------- speed

    def side_by_side(self, path):
        """Seconds of two scans at once: all that a second core can give."""
        command = [self.klaxon, "scan", "--threads", "1"] + SCAN + [path]
        begin = time.perf_counter()
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for _ in range(2)]
        codes = [process.wait() for process in both]
        self.expect("exit codes of two scans at once", codes, [0, 0])
        return time.perf_counter() - begin

    def against_wc(self, kind, path, target, speedup_target):
        self.warm(path)
        wc, one, two, both = [], [], [], []
        for _ in range(self.options.rounds):
            counted = run(["wc", "-l", path])
            self.expect("wc -l", int(counted.stdout.split()[0]), self.truth[kind]["events"])
            wc.append(counted)
            one.append(self.scan(path, 1))
            two.append(self.scan(path, 2))
            both.append(self.side_by_side(path))
        size = self.truth[kind]["bytes"] / 1e9
        events = self.truth[kind]["events"] / 1e6
        for name, runs in (("wc -l", wc), ("scan, 1 thread", one), ("scan, 2 threads", two)):
            self.row("%s: %s" % (kind, name), [size / r.seconds for r in runs], "GB/s")
        self.row(kind + ": scan, 1 thread", [events / r.seconds for r in one], "M/s")
        for name, runs, bound in (("1 thread", one, target), ("2 threads", two, None)):
            self.row("%s: time of scan / wc -l, %s" % (kind, name),
                     [b.seconds / a.seconds for a, b in zip(wc, runs)], "x", bound)
            self.row("%s: CPU time of scan / wc -l, %s" % (kind, name),
                     [b.cpu_seconds / a.cpu_seconds for a, b in zip(wc, runs)], "x")
        self.row(kind + ": speed of 2 processes at once / 1",
                 [2 * a.seconds / b for a, b in zip(one, both)], "x")
        self.row(kind + ": speed of 2 threads / 1 thread",
                 [a.seconds / b.seconds for a, b in zip(one, two)], "x", speedup_target,
                 at_most=False)

    def against_inflate(self, kind, path):
        packed = path + ".gz"
        self.warm(packed)
        alone, scan = [], []
        for _ in range(self.options.rounds):
            inflated = run([self.inflate, packed])
            self.expect("inflated bytes", int(inflated.stdout), self.truth[kind]["bytes"])
            alone.append(inflated)
            scan.append(self.scan(packed, 2))
        size = self.truth[kind]["bytes"] / 1e9
        self.row(kind + ".gz: ISA-L alone", [size / r.seconds for r in alone], "GB/s")
        self.row(kind + ".gz: CPU time of scan, 2 threads / ISA-L",
                 [b.cpu_seconds / a.cpu_seconds for a, b in zip(alone, scan)], "x")
        self.row(kind + ".gz: speed of scan, 2 threads / ISA-L",
                 [a.seconds / b.seconds for a, b in zip(alone, scan)], "x", 0.7, at_most=False)

    def unauthorized_against(self, plain, unauthorized):
        for path in (plain, unauthorized):
            self.warm(path)
        wall, cpu = [], []
        scale = self.truth["unauthorized"]["bytes"] / self.truth["metadata"]["bytes"]
        for _ in range(self.options.rounds):
            base, all_401 = self.scan(plain, 1), self.scan(unauthorized, 1)
            wall.append(scale * base.seconds / all_401.seconds)
            cpu.append(scale * base.cpu_seconds / all_401.cpu_seconds)
        self.row("unauthorized: bytes per CPU second / metadata, 1 thread", cpu, "x")
        self.row("unauthorized: speed (bytes/s) / metadata, 1 thread", wall, "x", 0.3,
                 at_most=False)

    # ------------------------------------------------------------------ memory

    def stream(self, kind, size, extra=(), scan_extra=()):
        """Peak MiB of `generate … | klaxon scan -`: nothing touches the disk."""
        with tempfile.TemporaryFile() as err:
            producer = subprocess.Popen(
                [self.generator, kind, str(size), "7"] + list(extra),
                stdout=subprocess.PIPE, stderr=err)
            try:
                finished = self.scan("-", 2, stdin=producer.stdout, extra=scan_extra)
            finally:
                producer.stdout.close()
                producer.wait()
            err.seek(0)
            truth = json.loads(err.read())
        self.expect("events of the stream", finished.summary()["events"], truth["events"])
        return finished, truth

    def memory(self):
        # A child starts as a copy of this process, whose peak is its floor.
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if floor > 64:
            raise Failure("%d MiB in this script spoil the measuring of memory" % floor)
        base, _ = self.stream("metadata", self.options.bytes)
        self.row("memory: metadata, %.1f GB through a pipe" % (self.options.bytes / 1e9),
                 [base.peak_mib], "MiB", 256)
        if self.options.large:
            large, truth = self.stream("metadata", int(self.options.large * 1e9))
            name = "memory: metadata, %.0f GB through a pipe" % (truth["bytes"] / 1e9)
            self.row(name, [large.peak_mib], "MiB", 256)
            self.row("memory: %.0f GB / %.1f GB" % (truth["bytes"] / 1e9,
                                                   self.options.bytes / 1e9),
                     [large.peak_mib / base.peak_mib], "x", 1.1)
        hostile, truth = self.stream("hostile", 2 * self.options.bytes,
                                     ["--clients", str(self.options.clients)])
        self.row("memory: %d hostile clients in %.1f GB" %
                 (truth["hostile_clients"], truth["bytes"] / 1e9), [hostile.peak_mib], "MiB", 640)
        self.row("hostile: speed", [truth["bytes"] / 1e9 / hostile.seconds], "GB/s")
        # Some two minutes, each with a refusal of every client; little is remembered of them,
        # so that what a minute takes shows.
        flood, truth = self.stream("flood", self.options.bytes,
                                   ["--clients", str(self.options.clients)],
                                   ["--set", "state.keys_max=100000"])
        self.row("memory: %d clients within each minute, %.1f GB" %
                 (truth["hostile_clients"], truth["bytes"] / 1e9), [flood.peak_mib], "MiB", 256)
        self.row("flood: speed", [truth["bytes"] / 1e9 / flood.seconds], "GB/s")
        self.note("hostile: %d alerts, evicted %s" %
                  (len(hostile.alert_ids()), hostile.summary().get("evicted", "?")))

    # --------------------------------------------------------------------- all

    def all(self):
        metadata = self.generate("metadata", 1)
        mixed = self.generate("mixed", 2)
        unauthorized = self.generate("unauthorized", 3)
        for path in (metadata, mixed):
            subprocess.run(["gzip", "-6", "--keep", "--force", path], check=True)
        for kind, path in (("metadata", metadata), ("mixed", mixed),
                           ("unauthorized", unauthorized)):
            self.check_answers(kind, path)
        self.against_wc("metadata", metadata, 3, 1.7)
        self.against_wc("mixed", mixed, 3, 1.7)
        self.against_inflate("metadata", metadata)
        self.against_inflate("mixed", mixed)
        self.unauthorized_against(metadata, unauthorized)
        self.memory()


def build():
    for command in (["cmake", "--preset", "release", "-DKLAXON_BENCH=ON"],
                    ["cmake", "--build", "--preset", "release", "--target", "klaxon",
                     "klaxon-generate", "klaxon-inflate-only"]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise Failure("build failed:\n" + done.stdout.decode()[-4000:])
    return os.path.join(ROOT, "build", "release")


def machine():
    model = "unknown processor"
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return "%s, %d cores, %.0f GiB, Linux %s, load %.1f" % (
        model, os.cpu_count(), memory, platform.release(), os.getloadavg()[0])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="corpora of 200 MB, 3 rounds")
    parser.add_argument("--large", type=float, metavar="GB",
                        help="also stream this many GB and compare the peak memory")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each command (7)")
    parser.add_argument("--build-dir", help="measure this build, do not build")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    options = parser.parse_args()
    options.bytes = 1_000_000_000
    options.clients = 1_000_000
    if options.quick:
        options.bytes, options.clients = 200_000_000, 100_000
        options.rounds = min(options.rounds, 3)
    return options


def main():
    options = parse_arguments()
    work_dir = tempfile.mkdtemp(prefix="klaxon-bench-")
    try:
        print("# " + machine())
        if os.getloadavg()[0] > 1:
            print("# busy machine: what 2 threads gain cannot show")
        bench = Bench(options, options.build_dir or build(), work_dir)
        bench.all()
        if options.json:
            with open(options.json, "w", encoding="utf-8") as out:
                json.dump({"machine": machine(), "rows": bench.rows}, out, indent=1)
        print("# %d of %d targets missed" %
              (bench.missed, sum(1 for row in bench.rows if row["verdict"])))
        return 1 if options.check and bench.missed else 0
    except Failure as failure:
        print("bench/run.py: " + str(failure), file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
