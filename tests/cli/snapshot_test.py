"""Snapshots of a running daemon."""
import signal
import unittest

from daemon import DaemonTest, total
from runner import burst


class Snapshot(DaemonTest):
    def test_is_taken_also_where_who_started_us_ignores_its_children(self):
        self.write("a.log", burst())
        self.configure(state=", snapshot_interval: 1s")
        daemon = self.start(
            before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        daemon.wait_for_alert(detector="unauthorized-burst")
        daemon.wait_until(lambda m: total(m, "klaxon_snapshots_total") >= 1,
                          daemon.endpoint())
        self.assertEqual(daemon.stop(), 0, daemon.err)

    def test_is_taken_when_a_replay_would_take_too_long(self):
        self.write("a.log", [event for client in range(500) for event in
                             burst(ip="10.0.%d.%d" % divmod(client, 250))])
        self.configure(state=", snapshot_interval: 1d, snapshot_replay: 1ms")
        daemon = self.start()
        daemon.wait_until(lambda m: total(m, "klaxon_snapshots_total") >= 1,
                          daemon.endpoint())
        self.assertEqual(daemon.stop(), 0, daemon.err)


if __name__ == "__main__":
    unittest.main()
