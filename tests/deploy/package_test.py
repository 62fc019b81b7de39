#!/usr/bin/env python3
"""The Debian package: what is in it, what lintian says, that it installs.

KLAXON_CHROOT=DIR (opt-in, root): a bare Debian with apt's lists. A copy-free
overlay of it gets the package and all that it depends on.
"""
import glob
import gzip
import os
import re
import shutil
import subprocess
import unittest

from deployment import BUILD, DEPLOY, DeployTest, main, needs, read, run

FILES = """
/etc/klaxon/klaxon.yaml
/usr/bin/klaxon
/usr/lib/systemd/system/klaxon.service
/usr/share/bash-completion/completions/klaxon
/usr/share/doc/klaxon/README.md
/usr/share/doc/klaxon/METRICS.md
/usr/share/doc/klaxon/changelog.Debian.gz
/usr/share/doc/klaxon/changelog.gz
/usr/share/doc/klaxon/copyright
/usr/share/doc/klaxon/examples/grafana/klaxon.json
/usr/share/doc/klaxon/examples/kubernetes/daemonset.yaml
/usr/share/doc/klaxon/examples/prometheus/klaxon.rules.yaml
/usr/share/fish/vendor_completions.d/klaxon.fish
/usr/share/man/man1/klaxon.1.gz
/usr/share/zsh/vendor-completions/_klaxon
""".split()
# Tags of lintian that do not concern a package that Debian does not carry.
NOT_OURS = ("initial-upload-closes-no-bugs", "bogus-mail-host",
            "national-encoding")
SCRIPTS = ("postinst", "prerm", "postrm")


def why_not():
    if not os.path.exists(os.path.join(BUILD, "pages", "klaxon.1.gz")):
        return "this build has no target `pages`, or was not built whole"
    for program in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "file"):
        if not shutil.which(program):
            return program + " is not installed"
    return None


@unittest.skipIf(why_not(), why_not())
class Package(DeployTest):
    @classmethod
    def setUpClass(cls):
        cls.out = os.path.join(BUILD, "package_test")
        shutil.rmtree(cls.out, ignore_errors=True)
        cls.addClassCleanup(shutil.rmtree, cls.out, ignore_errors=True)
        old = os.umask(0o022)
        try:
            run("cpack", "-B", cls.out, cwd=BUILD)
        finally:
            os.umask(old)
        (cls.deb,) = glob.glob(os.path.join(cls.out, "klaxon_*.deb"))
        cls.root = os.path.join(cls.out, "root")
        cls.control = os.path.join(cls.out, "control")
        run("dpkg-deb", "-x", cls.deb, cls.root)
        run("dpkg-deb", "-e", cls.deb, cls.control)

    def field(self, name):
        return run("dpkg-deb", "-f", self.deb, name).strip()

    def test_files(self):
        listing = run("dpkg-deb", "-c", self.deb).splitlines()
        names = {line.split()[5].lstrip(".") for line in listing}
        self.assertEqual([name for name in FILES if name not in names], [])
        for line in listing:
            mode, owner = line.split()[:2]
            self.assertEqual(owner, "root/root", line)
            self.assertNotRegex(mode, "^.....w|^........w|[sS]", line)

    def test_dependencies(self):
        depends = self.field("Depends")
        for library in ("libc6", "libsqlite3-0", "libcurl4", "libssl3"):
            self.assertRegex(depends, r"\b%s\w* " % re.escape(library))
        self.assertNotRegex(depends, r"-dev\b")

    def test_configuration_is_the_administrators(self):
        self.assertEqual(read(self.control, "conffiles"),
                         "/etc/klaxon/klaxon.yaml\n")

    def test_unpacked_it_runs(self):
        binary = os.path.join(self.root, "usr/bin/klaxon")
        version = re.split("[-~]", self.field("Version"))[0]
        self.assertIn(version, run(binary, "--version"))
        config = os.path.join(self.root, "etc/klaxon/klaxon.yaml")
        self.assertIn("ok", run(binary, "check", "-c", config))

    def test_man_page_is_this_versions(self):
        path = os.path.join(self.root, "usr/share/man/man1/klaxon.1.gz")
        with gzip.open(path, "rt") as file:
            self.assertIn(".Ss klaxon scan", file.read())

    @needs("lintian")
    def test_lintian(self):
        out = run("lintian", "--allow-root", "--suppress-tags",
                  ",".join(NOT_OURS), self.deb, check=False)
        bad = [line for line in out.splitlines() if line[:3] in ("E: ", "W: ")]
        self.assertEqual(bad, [])

    def test_installed_with_its_dependencies(self):
        base = os.environ.get("KLAXON_CHROOT")
        if not base:
            self.skipTest("KLAXON_CHROOT=DIR names no bare Debian")
        script = os.path.join(self.out, "install.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(INSTALL)
        # A mount namespace: nothing of it stays.
        out = run("unshare", "--mount", "sh", "-eu", script, base, self.deb)
        self.assertIn("installed: ", out)
        self.assertIn("enabled: ", out)
        self.assertIn("kept: ", out)
        self.assertIn("purged", out)


INSTALL = r"""
work=$(dirname "$2")/overlay
mkdir "$work"
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
cp "$2" "$root/tmp/"
cp /etc/resolv.conf "$root/etc/resolv.conf" || true
in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
[ -n "$(ls "$root/var/lib/apt/lists" 2>/dev/null | grep Packages)" ] || in_root apt-get update
in_root apt-get install -y --no-install-recommends "/tmp/$(basename "$2")"
echo "installed: $(in_root klaxon --version)"
in_root klaxon check -c /etc/klaxon/klaxon.yaml
echo "enabled: $(ls "$root/etc/systemd/system/multi-user.target.wants/klaxon.service")"
in_root apt-get remove -y klaxon
echo "kept: $(ls "$root/etc/klaxon/klaxon.yaml")"
mkdir -p "$root/var/lib/private/klaxon"
ln -s private/klaxon "$root/var/lib/klaxon"
in_root dpkg --purge klaxon
for gone in /etc/klaxon/klaxon.yaml /var/lib/klaxon /var/lib/private/klaxon \
  /etc/systemd/system/multi-user.target.wants/klaxon.service; do
  if [ -e "$root$gone" ] || [ -L "$root$gone" ]; then echo "left: $gone"; exit 1; fi
done
echo purged
"""


class Scripts(DeployTest):
    """The maintainer's scripts, with the systemd helpers played."""

    def run_script(self, name, *arguments):
        folder = self.folder()
        for helper in ("deb-systemd-helper", "deb-systemd-invoke",
                       "systemctl"):
            path = os.path.join(folder, helper)
            with open(path, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\necho "%s $*" >>"%s/calls"\n' %
                           (helper, folder))
            os.chmod(path, 0o755)
        script = read(DEPLOY, "debian", name)
        # What only systemd's machines have, and what is not to be removed.
        script = script.replace("/run/systemd/system", folder)
        script = script.replace("/var/l", folder + "/var/l")
        self.assertNotRegex(script, r"(?<!%s)/(var|etc)\b" % re.escape(folder))
        subprocess.run(["sh", "-eu", "-c", script.replace("$2", "${2-}"), name,
                        *arguments], check=True, timeout=60,
                       env=dict(os.environ,
                                PATH=folder + ":" + os.environ["PATH"]))
        try:
            return read(folder, "calls").replace("klaxon.service", "U")
        except FileNotFoundError:
            return ""

    def test_they_are_shell(self):
        for name in SCRIPTS:
            path = os.path.join(DEPLOY, "debian", name)
            run("sh", "-n", path)
            self.assertTrue(os.access(path, os.X_OK))
            if shutil.which("shellcheck"):
                run("shellcheck", path)

    def test_first_installation_starts_an_upgrade_restarts(self):
        first = self.run_script("postinst", "configure")
        self.assertIn("deb-systemd-helper enable U\n", first)
        self.assertIn("deb-systemd-invoke start U\n", first)
        later = self.run_script("postinst", "configure", "0.0.9-1")
        self.assertIn("deb-systemd-invoke restart U\n", later)

    def test_an_upgrade_does_not_stop_it(self):
        self.assertEqual(self.run_script("prerm", "upgrade"), "")
        self.assertEqual(self.run_script("prerm", "remove"),
                         "deb-systemd-invoke stop U\n")

    def test_removal_keeps_the_choice_purge_forgets_it(self):
        self.assertIn("deb-systemd-helper mask U",
                      self.run_script("postrm", "remove"))
        self.assertIn("deb-systemd-helper purge U",
                      self.run_script("postrm", "purge"))


if __name__ == "__main__":
    main()
