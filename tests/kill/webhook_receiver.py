#!/usr/bin/env python3
"""A receiver of alerts at its worst, while the sender is killed again and again.

It answers 200, 429, 500, hangs, resets the connection after it accepted it,
closes it in the middle of the request or of its own answer. The daemon is
killed at random instants meanwhile. In the end every revision of every alert
was acknowledged; whatever came more than once had the same webhook-id and says
the same.

KLAXON_BINARY names the binary.

    webhook_receiver.py [--kills N] [--seed N] [--life SECONDS]
"""
import argparse
import collections
import json
import os
import random
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading

from damaged_state import sample
from live_bed import LiveBed, compare, last_contents, revisions, seeded

ANSWERS = ("200", "200", "200", "429", "500", "hang", "reset", "half_request",
           "half_answer", "late_reset")


class Receiver(socketserver.ThreadingTCPServer):
    """Keeps every whole request, and how it was answered."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, rng):
        super().__init__(("127.0.0.1", 0), Connection)
        self.lock = threading.Lock()
        self.rng = rng
        self.kind = True  # Until told otherwise all is answered 200.
        self.requests = []  # [webhook-id, body, answer]
        self.answered = collections.Counter()
        self.released = threading.Event()  # Those that hang.
        threading.Thread(target=self.serve_forever, args=(0.01,),
                         daemon=True).start()

    def choose(self):
        with self.lock:
            answer = "200" if self.kind else self.rng.choice(ANSWERS)
            self.answered[answer] += 1
            return answer

    def handle_error(self, request, client_address):
        """A client that is killed: not a word about it."""

    def acknowledged(self, batch):
        """Every alert of every request that was answered 200, in order."""
        lines = []
        for _, body, answer in self.requests:
            if answer == "200":
                lines += alerts_of(body, batch)
        return lines


def alerts_of(body, batch):
    content = json.loads(body)
    return [json.dumps(alert) for alert in (content if batch else [content])]


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while self.handle_one():
            pass

    def reset(self):
        """RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))

    def handle_one(self):
        answer = self.server.choose()
        if answer == "reset":
            self.reset()
            return False
        headers = {}
        if not self.rfile.readline():
            return False
        while (line := self.rfile.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        if answer == "half_request":
            self.rfile.read(length // 2)
            return False
        body = self.rfile.read(length)
        if len(body) < length:
            return False  # The sender died.
        with self.server.lock:
            self.server.requests.append([headers["webhook-id"], body, answer])
        return self.answer(answer)

    def answer(self, answer):
        if answer == "hang":
            self.server.released.wait()
            return False
        if answer == "late_reset":
            self.reset()
            return False
        if answer == "half_answer":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
            return False
        more = "Retry-After: 0\r\n" if answer == "429" else ""
        self.wfile.write(f"HTTP/1.1 {answer} x\r\n{more}"
                         "Content-Length: 0\r\n\r\n".encode())
        return True


def check_repeats(requests, batch):
    """One webhook-id, one content; one revision, one webhook-id and content."""
    bodies = {}
    ids = {}
    repeats = 0
    for name, body, _ in requests:
        alerts = alerts_of(body, batch)
        key = tuple((json.loads(a)["id"], json.loads(a)["revision"])
                    for a in alerts)
        if not batch and name != key[0][0]:
            raise SystemExit(f"webhook-id {name} of alert {key[0][0]}")
        repeats += key in ids
        for one, text in zip(key, alerts):
            if bodies.setdefault(one, text) != text:
                raise SystemExit(f"{one} came with two contents: {text}")
        if ids.setdefault(key, name) != name:
            raise SystemExit(f"{key} came with two ids: {name}, {ids[key]}")
    return repeats


def check_order(requests, batch):
    """Of one alert no older revision comes first after a newer one."""
    newest = {}
    for _, body, answer in requests:
        if answer != "200":
            continue
        for text in alerts_of(body, batch):
            alert = json.loads(text)
            known = newest.get(alert["id"], 0)
            if alert["revision"] > known + 1:
                raise SystemExit(f"revision {alert['revision']} of "
                                 f"{alert['id']} came after {known}")
            newest[alert["id"]] = max(known, alert["revision"])


def reference(folder, lines):
    bed = LiveBed(os.path.join(folder, "whole"))
    with open(bed.log, "wb") as log:
        log.writelines(lines)
    bed.finish()
    return revisions(bed.delivered(), "uninterrupted run")


def kill_round(folder, rng, options, lines, whole, batch):
    server = Receiver(random.Random(rng.getrandbits(32)))
    url = "http://127.0.0.1:%d/" % server.server_address[1]
    more = ", batch: 5" if batch else ""
    bed = LiveBed(os.path.join(folder, f"batch-{batch}"),
                  sinks=f"webhook: {{url: '{url}'{more}}}")
    server.kind = False
    kills = options.kills // 2
    with open(bed.log, "ab") as log:
        for number in range(kills):
            # Each life has something new to tell.
            log.writelines(lines[number * len(lines) // kills:
                                 (number + 1) * len(lines) // kills])
            log.flush()
            bed.up()
            try:
                bed.process.wait(timeout=rng.uniform(0, options.life))
                raise SystemExit(f"it ended: {bed.process.returncode}\n"
                                 + bed.errors())
            except subprocess.TimeoutExpired:
                bed.process.send_signal(signal.SIGKILL)
                bed.process.wait()
    server.kind = True
    server.released.set()
    bed.finish()
    server.shutdown()
    server.server_close()
    what = f"batch={batch}"
    got = {}
    for line in server.acknowledged(batch):
        alert = json.loads(line)
        got.setdefault((alert["id"], alert["revision"]), alert)
    compare({key: json.loads(line) for key, line in whole.items()}, got, what)
    repeats = check_repeats(server.requests, batch)
    check_order(server.requests, batch)
    print(f"{what}: {kills} kills, {len(server.requests)} whole requests, "
          f"{repeats} of them repeats, {len(whole)} revisions of "
          f"{len(last_contents(whole.values()))} alerts: all arrived\n  "
          + ", ".join(f"{k}: {v}" for k, v in sorted(server.answered.items())),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--life", type=float, default=0.4,
                        help="longest life of a process, seconds")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng = seeded(options.seed)
    folder = tempfile.mkdtemp(prefix="klaxon-webhook-")
    lines = sample()
    whole = reference(folder, lines)
    for batch in (False, True):
        kill_round(folder, rng, options, lines, whole, batch)
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
