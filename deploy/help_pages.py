#!/usr/bin/env python3
"""Makes man page and completions of what `klaxon --help` says.

    help_pages.py KLAXON MAN_TEMPLATE OUT_DIR

Writes klaxon.1, klaxon.bash, klaxon.zsh and klaxon.fish. Whatever command or
flag the binary has is in them, so that nobody has to remember to add it.
"""
import os
import re
import subprocess
import sys
import textwrap

SEVERITIES = "info low medium high critical"
# What a flag or an argument takes, where it is one of a few words.
CHOICES = {
    "--fail-on": SEVERITIES, "--min-severity": SEVERITIES,
    "--from": "begin end", "--log-format": "text json",
    "--log-level": "debug info warn error", "--output": "ndjson text auto",
    "--progress": "auto always never", "--summary": "text json none",
    "state": "show verify",
}
FILES = ("FILE", "FILE.html")
FOLDERS = ("DIR",)
OUTER = ("--help", "--version")


class Flag:
    def __init__(self, names, value, text):
        self.names = names  # "-c", "--config"
        self.value = value  # "FILE"; empty: takes none
        self.text = text

    @property
    def long(self):
        return [name for name in self.names if name.startswith("--")]

    def choices(self):
        for name in self.names:
            if name in CHOICES:
                return CHOICES[name].split()
        return []


class Command:
    def __init__(self, name, summary, text):
        self.name = name
        self.summary = summary
        lines = text.splitlines()
        self.text = lines[0]
        usage = next(line for line in lines if line.startswith("Usage: "))
        self.usage = usage.split("[OPTIONS]", 1)[1].strip()
        self.flags = list(read_flags(lines))
        options = lines.index("Options:")
        # Behind the options: examples, and what else there is to say.
        blank = options + lines[options:].index("")
        self.epilogue = "\n".join(lines[blank:]).strip("\n")


def read_flags(lines):
    """CLI11's table: two spaces, names, perhaps TYPE, then the text."""
    for line in lines[lines.index("Options:") + 1:]:
        if not line:
            return
        match = re.match(r"  (-\S+)(?: ([A-Z][\w.=:]*))?\s+(.*)", line)
        if not match:
            raise ValueError("cannot read: " + line)
        names, value, text = match.groups()
        yield Flag(names.split(","), value or "", text)


def read_commands(klaxon):
    def ask(*arguments):
        return subprocess.run([klaxon, *arguments], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    commands = []
    for line in ask("--help").splitlines():
        match = re.match(r"  klaxon ([a-z]+)\b.*?  +(\S.*)", line)
        if match and match[1] not in [c.name for c in commands]:
            name, summary = match.groups()
            commands.append(Command(name, summary, ask(name, "--help")))
    detectors = [line.split()[0] for line in ask("detectors").splitlines()
                 if line]
    return commands, detectors


# --------------------------------------------------------------- man page


def roff(text):
    """Text lines of mdoc, a sentence a line."""
    lines = []
    for sentence in re.split(r"(?<=[.;:]) (?=[A-Z])", " ".join(text.split())):
        lines += textwrap.wrap(sentence, 76, break_on_hyphens=False,
                               break_long_words=False)
    return "\n".join(roff_line(line) for line in lines)


def roff_line(line):
    line = line.replace("\\", "\\e").replace("`", "\\(ga").replace("'", "\\(aq")
    return "\\&" + line if line[:1] == "." else line


def man_usage(command):
    words = []
    for word in command.usage.split():
        optional = word.startswith("[")
        many = word.endswith("...]") or word.endswith("...")
        name = word.strip("[].")
        words.append(("Op " if optional else "") + "Ar " + name +
                     (" ..." if many else ""))
    return words


def man_synopsis(command):
    lines = [".Nm", ".Cm " + command.name, ".Op Ar options"]
    return lines + ["." + word for word in man_usage(command)]


def man_flag(flag):
    names = " , ".join("Fl " + name[1:] for name in flag.names)
    value = " Ar " + flag.value if flag.value else ""
    return [".It " + names + value, roff(flag.text) + "."]


def man_command(command, everywhere):
    lines = [".Ss klaxon " + command.name, roff(command.text)]
    own = [flag for flag in command.flags if flag.names[-1] not in everywhere]
    if own:
        lines += [".Bl -tag -width Ds"]
        for flag in own:
            lines += man_flag(flag)
        lines += [".El"]
    if command.epilogue:
        lines += [".Bd -literal"]
        lines += [roff_line(line) for line in command.epilogue.splitlines()]
        lines += [".Ed"]
    return lines


def shared_flags(commands):
    names = [{flag.names[-1] for flag in c.flags} for c in commands]
    return set.intersection(*names)


def man_page(commands, detectors, template):
    shared = shared_flags(commands)
    synopsis, own, common = [], [], []
    for command in commands:
        synopsis += man_synopsis(command)
        own += man_command(command, shared)
    for flag in commands[0].flags:
        if flag.names[-1] in shared:
            common += man_flag(flag)
    parts = {"SYNOPSIS": synopsis, "COMMANDS": own, "COMMON": common,
             "DETECTORS": [".Bl -bullet -compact"] +
             [line for name in detectors for line in (".It", name)] + [".El"]}
    return re.sub(r"^@(\w+)@$", lambda m: "\n".join(parts[m[1]]), template,
                  flags=re.MULTILINE)


# ------------------------------------------------------------ completions


def words_behind(command, detectors):
    """What may stand where a command takes no file."""
    if command.name in CHOICES:
        return CHOICES[command.name].split()
    return detectors if command.name == "detectors" else []


def takes_files(command):
    return "PATH" in command.usage or "DIR" in command.usage


def bash(commands, detectors):
    out = ["# bash completion for klaxon; made by deploy/help_pages.py.",
           "_klaxon() {",
           "  local cur=${COMP_WORDS[COMP_CWORD]}",
           "  local prev=${COMP_WORDS[COMP_CWORD-1]} words= files=",
           "  COMPREPLY=()",
           "  if ((COMP_CWORD == 1)); then",
           "    words='%s'" % " ".join([c.name for c in commands] +
                                       list(OUTER)),
           "  else",
           "    case ${COMP_WORDS[1]}:$prev in"]
    seen = set()
    for flag in [flag for c in commands for flag in c.flags]:
        key = tuple(flag.names)
        if not flag.value or key in seen:
            continue
        seen.add(key)
        pattern = "|".join("*:" + name for name in flag.names)
        if flag.choices():
            act = "words='%s'" % " ".join(flag.choices())
        elif flag.value in FOLDERS:
            act = "files=-d"
        else:
            act = "files=-f" if flag.value in FILES else "return"
        out.append("      %s) %s ;;" % (pattern, act))
    for command in commands:
        flags = " ".join(n for flag in command.flags for n in flag.names)
        behind = " ".join(words_behind(command, detectors))
        out.append("      %s:*)" % command.name)
        if takes_files(command):
            out.append("        files=-f")
        out += ["        words='%s'" % behind,
                "        if [[ $cur == -* ]]; then files=; words='%s'; fi ;;" %
                flags]
    out += ["    esac", "  fi",
            "  if [[ -n $files ]]; then",
            "    compopt -o filenames 2>/dev/null",
            "    mapfile -t COMPREPLY < <(compgen $files -- \"$cur\")",
            "  fi",
            "  local word",
            "  for word in $words; do",
            "    if [[ $word == \"$cur\"* ]]; then COMPREPLY+=(\"$word\"); fi",
            "  done",
            "}", "complete -F _klaxon klaxon", ""]
    return "\n".join(out)


def zsh_quote(text):
    return text.replace("'", "'\\''").replace("[", "(").replace("]", ")")


def zsh_value(flag):
    if not flag.value:
        return ""
    name = flag.value.lower().replace(":", " ")
    if flag.choices():
        return ":%s:(%s)" % (name, " ".join(flag.choices()))
    if flag.value in FOLDERS:
        return ":%s:_files -/" % name
    return ":%s:%s" % (name, "_files" if flag.value in FILES else " ")


def zsh(commands, detectors):
    out = ["#compdef klaxon", "# Made by deploy/help_pages.py.",
           "_klaxon() {", "  local -a commands", "  commands=("]
    for c in commands:
        out.append("    '%s:%s'" % (c.name, zsh_quote(c.summary)))
    out += ["  )", "  if ((CURRENT == 2)); then",
            "    _describe command commands",
            "    _values option %s" % " ".join("'%s'" % f for f in OUTER),
            "    return", "  fi",
            "  local command=$words[2]", "  words=(klaxon ${words[3,-1]})",
            "  ((CURRENT--))", "  case $command in"]
    for command in commands:
        out += ["    %s)" % command.name, "      _arguments -s -S \\"]
        for flag in command.flags:
            for name in flag.names:
                many = "*" if "repeatable" in flag.text else ""
                out.append("        '%s%s[%s]%s' \\" % (
                    many, name, zsh_quote(flag.text), zsh_value(flag)))
        behind = words_behind(command, detectors)
        if behind:
            out.append("        '1:what:(%s)' \\" % " ".join(behind))
        out.append("        '*:file:%s' ;;" %
                   ("_files" if takes_files(command) else " "))
    out += ["  esac", "}", "_klaxon \"$@\"", ""]
    return "\n".join(out)


def fish_quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(commands, detectors):
    out = ["# fish completion for klaxon; made by deploy/help_pages.py.",
           "complete -c klaxon -f"]
    for c in commands:
        out.append("complete -c klaxon -n __fish_use_subcommand -a %s -d %s" %
                   (c.name, fish_quote(c.summary)))
    for name in OUTER:
        out.append("complete -c klaxon -n __fish_use_subcommand -l " + name[2:])
    for command in commands:
        head = ("complete -c klaxon -n '__fish_seen_subcommand_from %s' " %
                command.name)
        if takes_files(command):
            out.append(head + "-F")
        behind = words_behind(command, detectors)
        if behind:
            out.append(head + "-a " + fish_quote(" ".join(behind)))
        for flag in command.flags:
            names = " ".join("-l " + name[2:] if name.startswith("--")
                             else "-s " + name[1:] for name in flag.names)
            value = ""
            if flag.choices():
                value = " -x -a " + fish_quote(" ".join(flag.choices()))
            elif flag.value in FILES + FOLDERS:
                value = " -r -F"
            elif flag.value:
                value = " -x"
            out.append(head + names + value + " -d " + fish_quote(flag.text))
    return "\n".join(out) + "\n"


def main(klaxon, template, out_dir):
    commands, detectors = read_commands(klaxon)
    with open(template, encoding="utf-8") as file:
        page = man_page(commands, detectors, file.read())
    os.makedirs(out_dir, exist_ok=True)
    for name, text in (("klaxon.1", page),
                       ("klaxon.bash", bash(commands, detectors)),
                       ("klaxon.zsh", zsh(commands, detectors)),
                       ("klaxon.fish", fish(commands, detectors))):
        with open(os.path.join(out_dir, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
