#!/usr/bin/env python3
"""Man page and completions have every command and flag of --help, and none
besides. The completions are asked through the shells themselves."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from deployment import DEPLOY, KLAXON, DeployTest, main, needs, read, run


def help_of(*command):
    return run(KLAXON, *command, "--help")


def commands():
    return sorted(set(re.findall(r"^  klaxon ([a-z]+)\b", help_of(), re.M)))


def flags(command):
    """Long and short flags, of the column that begins with a dash."""
    table = help_of(command).split("\nOptions:\n")[1].split("\n\n")[0]
    columns = re.findall(r"^  (-\S+)", table, re.M)
    return sorted(name for column in columns for name in column.split(","))


class Pages(DeployTest):
    @classmethod
    def setUpClass(cls):
        cls.pages = tempfile.mkdtemp(prefix="klaxon_pages_")
        cls.addClassCleanup(shutil.rmtree, cls.pages, ignore_errors=True)
        run(sys.executable, "-B", os.path.join(DEPLOY, "help_pages.py"),
            KLAXON, os.path.join(DEPLOY, "man", "klaxon.1.in"), cls.pages)

    def page(self, name):
        return os.path.join(self.pages, name)

    def test_help_itself_is_read(self):
        self.assertIn("scan", commands())
        self.assertIn("--fail-on", flags("scan"))
        self.assertIn("-c", flags("run"))

    # ---------------------------------------------------------------- man

    def rendered(self):
        page = run("man", "--warnings", "-l", self.page("klaxon.1"),
                   env={"MANWIDTH": "80", "LC_ALL": "C", "MAN_KEEP_FORMATTING":
                        "", "MANPAGER": "cat", "PAGER": "cat"})
        self.assertNotIn("warning:", page)
        return page

    @needs("man")
    def test_man_page_has_all(self):
        page = self.rendered()
        for command in commands():
            part = page.split("\n   klaxon %s\n" % command)
            self.assertEqual(len(part), 2, command)
            end = re.search(r"\n(   klaxon [a-z]+|[A-Z]+)\n", part[1])
            words = part[1][:end.start()] + page.split("COMMON OPTIONS")[1] \
                .split("\nCOMMANDS")[0]
            for flag in flags(command):
                self.assertRegex(words, r"(?m)(^ +|, )%s\b" % re.escape(flag),
                                 command)

    @needs("mandoc")
    def test_mandoc_finds_nothing(self):
        out = run("mandoc", "-T", "lint", "-W", "style",
                  self.page("klaxon.1"), check=False)
        ours = [line for line in out.splitlines() if "mandoc.db" not in line]
        self.assertEqual(ours, [])

    # ------------------------------------------------------------- shells

    def bash(self, *words):
        script = ('source "$1"; shift; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$(($# - 1)); _klaxon; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return run("bash", "-c", script, "bash", self.page("klaxon.bash"),
                   *words, cwd=self.pages).split()

    @needs("bash")
    def test_bash(self):
        self.assertEqual(sorted(self.bash("klaxon", "")),
                         sorted(commands() + ["--help", "--version"]))
        for command in commands():
            self.assertEqual(sorted(self.bash("klaxon", command, "-")),
                             flags(command), command)
        self.assertEqual(self.bash("klaxon", "scan", "--fail-on", "h"),
                         ["high"])
        self.assertEqual(self.bash("klaxon", "state", "s"), ["show"])
        self.assertIn("klaxon.1", self.bash("klaxon", "run", "-c", "klax"))
        self.assertIn("klaxon.1", self.bash("klaxon", "scan", "klax"))
        self.assertEqual(self.bash("klaxon", "scan", "--threads", ""), [])

    def fish(self, line):
        out = run("fish", "--no-config", "-c",
                  "source %s; complete -C '%s'" % (self.page("klaxon.fish"),
                                                   line),
                  env={"HOME": self.pages}, cwd=self.pages)
        return sorted(entry.split("\t")[0] for entry in out.splitlines())

    @needs("fish")
    def test_fish(self):
        self.assertEqual(self.fish("klaxon "), commands())
        for command in commands():
            long = [flag for flag in flags(command) if flag[:2] == "--"]
            self.assertEqual(self.fish("klaxon %s --" % command), long)
        self.assertEqual(self.fish("klaxon scan --fail-on h"), ["high"])

    def zsh(self, line):
        """What zsh offers, by the capture trick: _describe and _arguments do
        their work, compadd tells what they add."""
        script = r'''
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PROMPT=; fpath=('$1' $fpath); autoload -Uz compinit; compinit -D'
zpty -w z 'zstyle ":completion:*" list-grouped false
zstyle ":completion:*" verbose no; zstyle ":completion:*" format ""
null-line () { zle kill-buffer }
compadd () {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a __found
  builtin compadd -O __found "$@"
  print -l -- "<"${^__found}">"
}
done-line () { zle .kill-whole-line; print "<<end>>" }
zle -N done-line; bindkey "^X" done-line; bindkey "^I" complete-word
zle -C complete-word complete-word _main_complete
print "<<"ready">>"'
zpty -r -m z line '*<<ready>>*' || exit 1
zpty -w -n z "$2"$'\t\x18'
zpty -r -m z line '*<<end>>*'
print -r -- "$line"
zpty -d z
'''
        folder = os.path.join(self.pages, "functions")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(self.page("klaxon.zsh"), os.path.join(folder, "_klaxon"))
        out = subprocess.run(["zsh", "-f", "-c", script, "zsh", folder, line],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, timeout=60, cwd=self.pages,
                             env=dict(os.environ, TERM="dumb"), check=False)
        return sorted(set(re.findall(r"<([\w./-]+)>", out.stdout)) - {"end"})

    @needs("zsh")
    def test_zsh(self):
        self.assertEqual([word for word in self.zsh("klaxon ")
                          if word[0] != "-"], commands())
        for command in commands():
            self.assertEqual(self.zsh("klaxon %s -" % command),
                             sorted(flags(command)), command)
        self.assertEqual(self.zsh("klaxon scan --fail-on h"), ["high"])


if __name__ == "__main__":
    main()
