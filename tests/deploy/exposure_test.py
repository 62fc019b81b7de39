#!/usr/bin/env python3
"""What systemd itself says of the unit: exposure at most 2.0, no mistakes."""
import os
import re
import shutil

from deployment import DEPLOY, KLAXON, DeployTest, main, needs, run

UNIT = os.path.join(DEPLOY, "klaxon.service")
EXPOSURE_MAX = 2.0


@needs("systemd-analyze")
class Exposure(DeployTest):
    def test_exposure(self):
        out = run("systemd-analyze", "security", "--offline=true",
                  "--no-pager", UNIT)
        level = re.search(r"Overall exposure level for klaxon.service: (\S+)",
                          out)
        self.assertLessEqual(float(level[1]), EXPOSURE_MAX, out)

    def test_systemd_understands_every_line(self):
        root = self.folder()
        for path in ("usr/bin", "usr/lib/systemd/system", "bin"):
            os.makedirs(os.path.join(root, path))
        shutil.copy(KLAXON, os.path.join(root, "usr/bin/klaxon"))
        shutil.copy("/bin/kill", os.path.join(root, "bin/kill"))
        unit = os.path.join(root, "usr/lib/systemd/system/klaxon.service")
        shutil.copy(UNIT, unit)
        out = run("systemd-analyze", "verify", "--man=no", "--root=" + root,
                  "klaxon.service", check=False)
        # The root holds no other unit (sysinit.target), which is not our fault.
        ours = [line for line in out.splitlines() if "klaxon.service:" in line
                and not re.search(r"(Failed to|not found|not-found)", line)]
        self.assertEqual(ours, [], out)


if __name__ == "__main__":
    main()
