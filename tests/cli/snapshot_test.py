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


if __name__ == "__main__":
    unittest.main()
