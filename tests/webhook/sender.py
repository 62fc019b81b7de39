"""kube-apiserver's way of sending audit batches (k8s.io/apiserver, client-go).

Batches go out in order, over several connections that are kept. One that was
not answered 2xx goes again after a back-off that grows by half, beside newer
ones; 429 and 5xx with Retry-After are first tried again within the request, up
to ten times. Unlike the apiserver it never gives a batch up, so that all of
them are answered in the end; and it speeds time up by `haste`.

A new batch is begun when the one before it has left: at the pace of a real one
(ten a second at most) no network turns them round.

Faults are made on purpose, as a bad network or a proxy would: an answer is
lost, the client does not wait for it, a body breaks off, a batch that was
taken comes again.
"""
import collections
import heapq
import http.client
import random
import socket
import threading
import time

FAULTS = ("answer_lost", "no_patience", "half", "reset")
TRIES_WITHIN = 10


class Sender:
    """One apiserver: a path of its own. `port()` is where it sends, or None.

    `batches`: an iterator of bodies. `pace`: seconds between two new ones.
    """

    def __init__(self, port, path, batches, seed, *, connections=3, haste=100,
                 faults=0.0, again=0.0, pace=0.0, headers=None, connect=None):
        self._port, self.path = port, path
        self._batches = enumerate(batches)
        self._haste, self._faults, self._again = haste, faults, again
        self._pace, self._headers = pace, headers or {}
        self._connect = connect or self._plain
        self._seed = seed
        self._lock = threading.Condition()
        self._due = []  # (when, number, try, body)
        self._next_new = 0.0
        self._under_way = 0
        self._leaving = False  # A new batch, and it is not sent yet.
        self._exhausted = False
        self.answers = collections.Counter()  # By status, or what went wrong.
        self.seconds = []  # From the first byte to a 200 or 429.
        self.accepted = collections.Counter()  # Number: answers of 2xx.
        self._threads = [threading.Thread(target=self._work, daemon=True)
                         for _ in range(connections)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def join(self, timeout):
        """Until all batches were answered 2xx."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.01))
        if any(thread.is_alive() for thread in self._threads):
            raise AssertionError(
                f"{self.path}: not all batches were taken: {self.answers}")

    @staticmethod
    def _plain(port):
        return http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def _take(self):
        """What is to be sent now: (number, try, body); None: all is done."""
        with self._lock:
            while True:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    self._under_way += 1
                    return heapq.heappop(self._due)[1:]
                if (not self._exhausted and not self._leaving
                        and now >= self._next_new):
                    taken = next(self._batches, None)
                    if taken is not None:
                        self._next_new = max(self._next_new + self._pace,
                                             now - self._pace)
                        self._under_way += 1
                        self._leaving = True
                        return taken[0], 0, taken[1]
                    self._exhausted = True
                    self._lock.notify_all()
                if self._exhausted and not self._due and not self._under_way:
                    return None
                self._lock.wait(self._until_due(now))

    def _until_due(self, now):
        times = [1.0]  # Who is done notifies.
        if self._due:
            times.append(self._due[0][0] - now)
        if not self._exhausted and not self._leaving:
            times.append(self._next_new - now)
        return max(min(times), 0.0005)

    def _has_left(self, tries):
        if tries == 0:
            with self._lock:
                self._leaving = False
                self._lock.notify_all()

    def _put_back(self, number, tries, body, rng):
        pause = 10 * 1.5 ** min(tries, 3) * rng.uniform(0.8, 1.2) / self._haste
        with self._lock:
            heapq.heappush(self._due,
                           (time.monotonic() + pause, number, tries + 1, body))

    def _work(self):
        connection = None
        while (taken := self._take()) is not None:
            number, tries, body = taken
            rng = random.Random(f"{self._seed}/{self.path}/{number}/{tries}")
            fault = (rng.choice(FAULTS) if rng.random() < self._faults
                     else None)
            connection, status = self._try(
                connection, body, fault, rng, lambda: self._has_left(tries))
            self._has_left(tries)
            again = False
            with self._lock:
                self.answers[fault or status] += 1
                if not fault and isinstance(status, int) and status < 300:
                    self.accepted[number] += 1
                    again = rng.random() < self._again
            if again or fault or not isinstance(status, int) or status >= 300:
                self._put_back(number, tries, body, rng)
            with self._lock:
                self._under_way -= 1
                self._lock.notify_all()
        if connection:
            connection.close()

    def _try(self, connection, body, fault, rng, on_left):
        """One request with client-go's own retries: (connection, status).
        `on_left`: called when its bytes have been given away."""
        for _ in range(TRIES_WITHIN):
            try:
                if connection is None:
                    port = self._port()
                    if port is None:
                        return None, "nobody listens"
                    connection = self._connect(port)
                begin = time.monotonic()
                self._send(connection, body, fault, rng)
                on_left()
                if fault in ("half", "reset", "no_patience"):
                    self._break(connection, fault)
                    return None, fault
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                return None, type(error).__name__
            if answer.status in (200, 429):
                self.seconds.append(time.monotonic() - begin)
            if answer.will_close:
                connection.close()
                connection = None
            after = answer.getheader("Retry-After")
            if answer.status != 429 and answer.status < 500 or after is None:
                return connection, answer.status
            with self._lock:
                self.answers[f"{answer.status} within"] += 1
            time.sleep(min(float(after), 30) / self._haste)
        return connection, answer.status

    def _send(self, connection, body, fault, rng):
        connection.putrequest("POST", self.path + "?timeout=30s")
        connection.putheader("Accept", "application/json, */*")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        for name, value in self._headers.items():
            connection.putheader(name, value)
        if fault not in ("half", "reset"):
            connection.endheaders()
            connection.send(body)
            return
        # Broken off, but not before the receiver knows that it was begun: what
        # it cannot know of, it cannot wait for.
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        if not connection.sock.recv(64):
            raise ConnectionResetError
        connection.send(body[:rng.randrange(len(body))])

    @staticmethod
    def _break(connection, fault):
        if fault == "reset" and connection.sock is not None:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       b"\1\0\0\0\0\0\0\0")
        connection.close()
