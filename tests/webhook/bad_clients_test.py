#!/usr/bin/env python3
"""Clients that the receiver refuses, each for the right reason and counted,
while a good one goes on beside them.

The receiver wants TLS, a client certificate and a token. A case says what it
sends and what becomes of it: a status, or a closed connection. All are told
again by the daemon's counters in the end, where nothing else was handed on
than what the good client sent.
"""
import collections
import http.client
import os
import re
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
import unittest
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from certificates import Authority  # noqa: E402
from corpus import Corpus, read_lines  # noqa: E402
from receiver import Receiver  # noqa: E402
from sender import Sender  # noqa: E402

TOKEN = "s3cret"
CLOSED = 0
BODY = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}'
SHORT = b"Content-Length: 3\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LOG = os.path.join(HERE, "..", "..", "samples", "logs", "burst.log")


def head(fields=b"", line=b"POST /audit/c1/bad HTTP/1.1",
         token=b"Authorization: Bearer s3cret\r\n",
         content=b"Content-Type: application/json\r\n"):
    return b"%s\r\nHost: k\r\n%s%s%s\r\n" % (line, token, content, fields)


def get(line, fields=b""):
    return head(fields, line, content=b"")


# Name: (bytes, status). With a good certificate; the token is in the head.
FRAMING = {
    "both lengths": (head(SHORT + CHUNKED) + b"0\r\n\r\n", 400),
    "both lengths, turned round": (head(CHUNKED + SHORT) + b"0\r\n\r\n", 400),
    "two lengths": (head(SHORT + b"Content-Length: 4\r\n") + b"abcd", 400),
    "a length twice": (head(SHORT + SHORT) + b"abc", 400),
    "a list of lengths": (head(b"Content-Length: 3, 3\r\n") + b"abc", 400),
    "a signed length": (head(b"Content-Length: +3\r\n") + b"abc", 400),
    "a length below zero": (head(b"Content-Length: -1\r\n"), 400),
    "a hexadecimal length": (head(b"Content-Length: 0x3\r\n") + b"abc", 400),
    "a length of 2^64": (
        head(b"Content-Length: 18446744073709551619\r\n"), 400),
    "an unknown coding": (head(b"Transfer-Encoding: xchunked\r\n"), 501),
    "two codings": (head(b"Transfer-Encoding: gzip, chunked\r\n"), 501),
    "a coding twice": (head(CHUNKED + CHUNKED), 400),
    "a folded coding": (head(b"Transfer-Encoding:\r\n chunked\r\n"), 400),
    "a coding in HTTP/1.0": (
        head(CHUNKED, b"POST /audit/c1/bad HTTP/1.0"), 400),
    "space before a colon": (head(b"Content-Length : 3\r\n") + b"abc", 400),
    "a bare line feed": (head().replace(b"\r\n", b"\n"), 400),
    "a bare return": (head(b"X: a\rContent-Length: 3\r\n"), 400),
    "NUL in a field": (head(b"X: a\0b\r\n"), 400),
    "a field that Connection drops": (
        head(b"Connection: close, Content-Length\r\n" + SHORT) + b"abc", 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "no host": (b"POST /audit HTTP/1.1\r\n\r\n", 400),
    "a proxy's target": (get(b"GET http://evil/a HTTP/1.1"), 400),
    "a tunnel": (get(b"CONNECT evil:80 HTTP/1.1"), 400),
    "a gigantic header": (
        head(b"X: " + b"a" * 1_000_000 + b"\r\n"), 431),
    "a thousand fields": (
        head(b"".join(b"X%d: a\r\n" % i for i in range(1000))), 431),
    "a long target": (get(b"GET /" + b"a" * 5000 + b" HTTP/1.1"), 414),
    "an expectation": (head(b"Expect: 200-ok\r\n" + SHORT), 417),
    "two tokens": (head(b"Authorization: Bearer x\r\n" + SHORT), 400),
    "garbage": (bytes(range(128, 256)) * 9 + b"\r\n\r\n", 400),
}
# The receiver lets them begin, and gives the body up.
BODIES = {
    "an extension of a chunk": (
        head(CHUNKED) + b"3;a=b\r\nabc\r\n0\r\n\r\n", 400),
    "an overflowing chunk": (
        head(CHUNKED) + b"10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk that is longer than it says": (
        head(CHUNKED) + b"2\r\nabc\r\n0\r\n\r\n", 400),
    "a bomb of tiny chunks": (head(CHUNKED) + b"1\r\na\r\n" * 60_000, 400),
    "an endless head of a chunk": (head(CHUNKED) + b"0" * 1_000_000, 400),
    "a trailer": (head(CHUNKED) + b"0\r\nX: y\r\n\r\n", 400),
    "a gigantic length": (head(b"Content-Length: 99999999999\r\n"), 413),
    "a gigantic chunk": (head(CHUNKED) + b"7fffffff\r\nabc", 413),
}
# Of a good shape: authorization first, then what the receiver takes.
TOKENS = {
    "no token": (head(SHORT, token=b"") + b"abc", 401),
    "a wrong token": (
        head(SHORT, token=b"Authorization: Bearer S3cret\r\n") + b"abc", 401),
    "another scheme": (
        head(SHORT, token=b"Authorization: Basic s3cret\r\n") + b"abc", 401),
    "a token in the target": (
        head(SHORT, b"POST /audit?token=s3cret HTTP/1.1", b"") + b"abc", 401),
}
TARGETS = {
    "a gzip bomb": (
        head(b"Content-Encoding: gzip\r\n" + SHORT) + b"\x1f\x8b\x08", 415),
    "another type": (
        head(SHORT, content=b"Content-Type: text/plain\r\n") + b"abc", 415),
    "another method": (get(b"GET /audit/c1/bad HTTP/1.1"), 405),
    "another cluster": (
        head(SHORT, b"POST /audit/c2/bad HTTP/1.1") + b"abc", 403),
    "another path": (
        head(SHORT, b"POST /audit/../../etc HTTP/1.1") + b"abc", 404),
}
# Bodies that come whole, and are no audit events.
CONTENT = {
    "no JSON": (b"abc", 400),
    "half of it": (BODY[:-1], 400),
    "two of them": (BODY + BODY, 400),
    "a bomb of brackets": (b'{"items":' + b"[" * 500_000, 400),
    "another kind": (BODY.replace(b"EventList", b"PodList"), 400),
}


class BadClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="klaxon_bad_clients_")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.ours = Authority(cls.folder, "ours")
        cls.foreign = Authority(cls.folder, "foreign")
        cert, key = cls.ours.issue("server", "serverAuth")
        cls.ours.issue("kube-apiserver")
        cls.ours.issue("stranger")
        cls.ours.issue("ended", ended=True)
        cls.foreign.issue("kube-apiserver")
        token = os.path.join(cls.folder, "token")
        with open(token, "w", encoding="ascii") as out:
            out.write(TOKEN)
        cls.receiver = Receiver(
            os.path.join(cls.folder, "receiver"),
            ", tls: {cert: %s, key: %s, client_ca: %s}, bearer_token: "
            "{file: %s}, clients: [{common_name: kube-apiserver, cluster: c1}]"
            % (cert, key, cls.ours.path("ca.crt"), token))
        cls.receiver.start(endpoint=True)
        cls.addClassCleanup(cls.receiver.end)
        cls.cases = 0
        cls.statuses = collections.Counter()  # Expected, of all cases.
        cls.causes = collections.Counter()
        cls.results = collections.Counter()

    def tls(self, certificate="kube-apiserver", authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ours.path("ca.crt"))
        if certificate:
            authority = authority or self.ours
            context.load_cert_chain(authority.path(certificate + ".crt"),
                                    authority.path(certificate + ".key"))
        return context

    def socket(self):
        made = socket.create_connection(("127.0.0.1", self.receiver.port()),
                                        timeout=60)
        self.addCleanup(made.close)
        return made

    def connect(self, context=None):
        made = (context or self.tls()).wrap_socket(
            self.socket(), server_hostname="localhost")
        self.addCleanup(made.close)
        return made

    def case(self, name):
        type(self).cases += 1
        return self.subTest(name)

    @staticmethod
    def answer(connection, sent=b""):
        """The statuses it sends until it closes the connection."""
        got = b""
        try:
            # Refused early, it need not read on.
            connection.sendall(sent)
        except OSError:
            pass
        try:
            while piece := connection.recv(1 << 16):
                got += piece
        except OSError:
            pass
        return [int(status) for status in STATUS.findall(got)]

    def refuse(self, cases, cause=None, result=None):
        for name, (sent, status) in cases.items():
            with self.case(name):
                if b"Connection:" not in sent:
                    sent = sent.replace(b"Host: k\r\n",
                                        b"Host: k\r\nConnection: close\r\n", 1)
                self.assertEqual(self.answer(self.connect(), sent), [status])
                self.statuses[status] += 1
                if cause and status != 413:
                    self.causes[cause] += 1
                if result:
                    self.results[result] += 1

    def refuse_handshake(self, name, context):
        with self.case(name):
            # With TLS 1.3 a client believes that it is let in, and is told
            # when it reads.
            try:
                connection = self.connect(context)
            except (ssl.SSLError, OSError):
                statuses = []
            else:
                statuses = self.answer(connection, head(SHORT) + b"abc")
            self.assertEqual(statuses, [])
            self.causes["handshake"] += 1

    def old_tls(self, version):
        context = self.tls()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        return context

    def handshakes(self):
        self.refuse_handshake("no certificate", self.tls(None))
        self.refuse_handshake("another authority's",
                              self.tls(authority=self.foreign))
        self.refuse_handshake("one that has ended", self.tls("ended"))
        self.refuse_handshake("a server's", self.tls("server"))
        self.refuse_handshake("TLS 1.0", self.old_tls(ssl.TLSVersion.TLSv1))
        self.refuse_handshake("TLS 1.1", self.old_tls(ssl.TLSVersion.TLSv1_1))
        weak = self.tls()
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA:AES256-SHA:@SECLEVEL=0")
        self.refuse_handshake("a cipher without forward secrecy", weak)
        for name, sent in (("no TLS", head(SHORT) + b"abc"),
                           ("random bytes", os.urandom(4096))):
            with self.case(name):
                self.assertEqual(self.answer(self.socket(), sent), [])
                self.causes["handshake"] += 1

    def stranger(self):
        with self.case("a certificate that may not send"):
            connection = self.connect(self.tls("stranger"))
            sent = head(b"Connection: close\r\n" + SHORT) + b"abc"
            self.assertEqual(self.answer(connection, sent), [403])
            self.statuses[403] += 1
            self.results["refused_head"] += 1

    def contents(self):
        self.refuse({name: (head(b"Content-Length: %d\r\n" % len(body)) + body,
                            status)
                     for name, (body, status) in CONTENT.items()},
                    result="refused_content")

    def lengths(self):
        """What is wrong only with the length that was announced."""
        whole = head(b"Content-Length: %d\r\n" % len(BODY)) + BODY
        with self.case("more than announced"):
            self.assertEqual(
                self.answer(self.connect(), whole + b"garbage\r\n\r\n"),
                [200, 400])
            self.statuses.update([200, 400])
            self.causes["bad_request"] += 1
            self.results["delivered"] += 1
        with self.case("a request smuggled behind it"):
            self.assertEqual(
                self.answer(self.connect(), whole + FRAMING["two lengths"][0]),
                [200, 400])
            self.statuses.update([200, 400])
            self.causes["bad_request"] += 1
            self.results["repeated"] += 1
        with self.case("less than announced"):
            connection = self.connect()
            connection.sendall(head(b"Content-Length: 500\r\n") + b"abc")
            # What is read of it tells that the rest is waited for.
            self.receiver.wait_until(
                lambda: self.receiver.metric("klaxon_http_receiving_bytes",
                                             listener=self.listener()) >= 3,
                "the body has begun")
            connection.close()
            self.results["aborted"] += 1

    def slow(self):
        """All at once: each takes the seconds of its limit."""
        def drip(connection, sent, piece):
            connection.sendall(sent)
            try:
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    connection.sendall(piece)
                    time.sleep(0.2)  # As slowly as the attack is.
            except OSError:
                return

        slow = {
            "a header": (self.connect(), head()[:-2], b"X: a\r\n", [408]),
            "a body": (self.connect(), head(b"Content-Length: 99999\r\n"),
                       b"a", [408]),
            "a chunk": (self.connect(), head(CHUNKED), b"1\r\na\r\n", [408]),
            "half a handshake": (self.socket(), b"\x16\x03\x01\x02\x00", b"",
                                 []),
            "silence": (self.socket(), b"", b"", []),
            "silence in TLS": (self.connect(), b"", b"", []),
        }
        for connection, sent, piece, _ in slow.values():
            threading.Thread(target=drip, args=(connection, sent, piece),
                             daemon=True).start()
        for name, (connection, _, _, statuses) in slow.items():
            with self.case(name):
                self.assertEqual(self.answer(connection), statuses)
                self.statuses.update(statuses)
                self.causes["timeout"] += 1
        self.results["aborted"] += 2

    def listener(self):
        return "webhook:127.0.0.1:0"

    def expect(self, name, label, wanted, **labels):
        """The series of `name` by `label` are `wanted`, all others 0."""
        found = {}

        def look():
            found.clear()
            for (series, own), value in self.receiver.metrics().items():
                own = dict(own)
                if series == name and value and labels.items() <= own.items():
                    found[own[label]] = value
            return found == wanted
        self.receiver.wait_until(look, lambda: f"{name} {found}, not {wanted}",
                                 10)

    def test_they_are_refused_and_counted_and_the_good_one_goes_on(self):
        corpus = Corpus(read_lines(LOG), 1 << 30)
        over = threading.Event()

        def bodies():
            number = 0
            while not over.is_set():
                yield corpus.body(number)
                number += 1


        good = Sender(
            self.receiver.port, "/audit/c1/good", bodies(), "good",
            connections=2, pace=0.1,
            headers={"Authorization": f"Bearer {TOKEN}"},
            connect=lambda port: http.client.HTTPSConnection(
                "127.0.0.1", port, context=self.tls(), timeout=30))
        good.start()
        self.handshakes()
        self.refuse(FRAMING, "bad_request")
        self.refuse(BODIES, "bad_request", "aborted")
        self.refuse(TOKENS, "unauthorized")
        self.refuse(TARGETS, result="refused_head")
        self.stranger()
        self.contents()
        self.lengths()
        self.slow()
        over.set()
        good.join(60)
        self.check(good)

    def check(self, good):
        taken = sum(good.answers.values())
        self.assertEqual(good.answers, {200: taken})
        self.assertGreater(taken, 20)
        self.statuses[200] += taken
        self.results["delivered"] += taken
        listener = {"listener": self.listener()}
        self.expect("klaxon_http_connections_refused_total", "cause",
                    dict(self.causes), **listener)
        self.expect("klaxon_http_responses_total", "code",
                    {str(code): n for code, n in self.statuses.items()},
                    **listener)
        self.expect("klaxon_webhook_batches_total", "result",
                    dict(self.results))
        # Bodies that were looked into: the good ones', and what was whole.
        self.assertEqual(
            self.receiver.metric("klaxon_http_requests_total", **listener),
            taken + len(CONTENT) + 2)
        good.seconds.sort()
        print("%d cases refused; a good client's %d batches of 400 took "
              "%.0f ms (median), %.0f ms (99 %%)" % (
                  self.cases, taken, 1e3 * good.seconds[taken // 2],
                  1e3 * good.seconds[taken * 99 // 100]))


if __name__ == "__main__":
    if not shutil.which("openssl"):
        print("openssl is not installed")
        sys.exit(77)
    sys.exit(unittest.main())
