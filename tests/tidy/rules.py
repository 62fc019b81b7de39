"""The rules of the house that no compiler checks, one function a rule.

A rule takes a Tree and yields (path, line, message).
"""

import glob
import os
import re

import source

FUNCTION_LINES_MAX = 70
# The ratchet: functions that are longer, with the length that they may have.
# An entry may shrink or go; a new one needs a very good reason.
LONGER_FUNCTIONS = {}

# Whose headers a folder may include (docs/ARCHITECTURE.md): the arrows.
LAYERS = {
    'event': {'event'},
    'ingest': {'ingest', 'event'},
    'detectors': {'detectors', 'event'},
    'sinks': {'sinks', 'detectors/alert.h', 'ingest/kafka_properties.h', 'event'},
    'pipeline': {'pipeline', 'ingest', 'detectors', 'sinks', 'event'},
    'app': {'app', 'pipeline', 'ingest', 'detectors', 'sinks', 'event'},
    'bench': {'bench', 'event', 'ingest', 'detectors', 'sinks', 'pipeline'},
}

# pattern, what to do instead, folders where it is allowed.
BANNED = [
    (r'\b(strcpy|strcat|sprintf|vsprintf|gets)\s*\(', 'unbounded; use fmt or std::string', ()),
    (r'\b(atoi|atol|atoll|atof|strtok)\s*\(', 'reports no error; use std::from_chars', ()),
    (r'\bstd::sto(i|l|ul|ll|ull|f|d|ld)\b', 'throws; use std::from_chars', ()),
    (r'(?<![\w.>])s?rand\s*\(', 'not reproducible across machines; seed a generator', ()),
    (r'\bstd::random_device\b', 'not reproducible; take a seed', ('app',)),
    (r'\b(localtime|gmtime|ctime|asctime)\s*\(', 'not thread-safe', ()),
    (r'(?<![\w.>])(system|popen)\s*\(', 'starts a shell', ('tests',)),
    (r'\btime\s*\(\s*(nullptr|NULL|0)\s*\)|\bsystem_clock\b|\bgettimeofday\b|\babsl::Now\s*\(',
     'the wall clock never reaches a detector; inject it', ('app', 'ingest', 'tests')),
    (r'\bstd::(cout|cerr|clog)\b', 'only app/ talks to the terminal', ('app',)),
    (r'\busing\s+namespace\b', 'name what you use', ()),
    (r'\bstd::j?thread\b(?!::hardware_concurrency)|\bstd::async\b',
     'threads of the data path live in pipeline/', ('pipeline', 'app', 'tests')),
]

_BAD_NAME = re.compile(r'(^|[_\-./])(utils?|common|helpers?|misc)([_\-./]|$)')


class Tree:
    """The sources under `root`: path relative to it -> text."""

    FOLDERS = ('event', 'ingest', 'detectors', 'sinks', 'pipeline', 'app', 'bench', 'tests')

    def __init__(self, root):
        self.root = root
        self.files = {}
        for folder in self.FOLDERS:
            for directory, _, names in os.walk(os.path.join(root, folder)):
                for name in names:
                    if name.endswith(('.cc', '.h')):
                        path = os.path.join(directory, name)
                        with open(path, encoding='utf-8') as file:
                            self.files[os.path.relpath(path, root)] = file.read()

    def golden(self):
        """The alerts that golden cases expect."""
        return ''.join(self.read(os.path.relpath(path, self.root)) for path in sorted(
            glob.glob(os.path.join(self.root, 'tests', 'golden', '*', 'expected.ndjson'))))

    def read(self, path):
        """Text of a file beside the sources; empty where it is missing."""
        try:
            with open(os.path.join(self.root, path), encoding='utf-8') as file:
                return file.read()
        except FileNotFoundError:
            return ''


def folder_of(path):
    return path.split('/', 1)[0]


def layering(tree):
    """#includes follow the arrows of docs/ARCHITECTURE.md, never against."""
    include = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
    for path, text in tree.files.items():
        allowed = LAYERS.get(folder_of(path))
        if allowed is None:
            continue
        for match in include.finditer(text):
            header = match.group(1)
            ours = folder_of(header) in Tree.FOLDERS
            if ours and folder_of(header) not in allowed and header not in allowed:
                yield (path, source.line_of(text, match.start()),
                       '%s/ must not include %s' % (folder_of(path), header))


def banned_calls(tree):
    for path, text in tree.files.items():
        code = source.strip(text)
        for pattern, why, allowed in BANNED:
            if folder_of(path) in allowed:
                continue
            for match in re.finditer(pattern, code):
                yield (path, source.line_of(code, match.start()),
                       '%s: %s' % (match.group(0).strip(), why))


def function_length(tree):
    """The ratchet: see LONGER_FUNCTIONS."""
    unused = dict(LONGER_FUNCTIONS)
    for path, text in tree.files.items():
        for function in source.functions(text):
            key = path + ':' + function.name
            allowed = unused.pop(key, FUNCTION_LINES_MAX)
            if function.lines > allowed:
                yield (path, function.line, '%s has %d lines, at most %d' %
                       (function.name, function.lines, allowed))
            elif key in LONGER_FUNCTIONS and function.lines < allowed:
                yield (path, function.line, '%s now has %d lines: lower its entry in '
                       'LONGER_FUNCTIONS' % (function.name, function.lines))
    for key in unused:
        yield (key.split(':')[0], 1, key + ' is gone: remove it from LONGER_FUNCTIONS')


def todo_has_a_name(tree):
    for path, text in tree.files.items():
        for line, comment in source.comments(text):
            if re.search(r'\b(TODO|FIXME|XXX)\b(?!\([\w.-]+\): )', comment):
                yield path, line, 'write TODO(name): what, #issue'


def pragma_once(tree):
    for path, text in tree.files.items():
        if path.endswith('.h') and source.strip(text).strip()[:12] != '#pragma once':
            yield path, 1, 'the first line after the comment is #pragma once'


def file_names(tree):
    for path in tree.files:
        if _BAD_NAME.search(path):
            yield path, 1, 'a file is named for its one noun, not util, common or helpers'


def detector_names(tree):
    """A file of detectors/ that describes a detector is named for it."""
    return {os.path.basename(path)[:-len('.cc')].replace('_', '-')
            for path, text in tree.files.items()
            if folder_of(path) == 'detectors' and re.search(r'\bDetectorInfo\s*\{\s*\.name', text)}


def readme_rows(tree):
    """README.md's table has exactly one row for each detector."""
    names = detector_names(tree)
    if not names:
        yield 'detectors', 1, 'no detector found: does a DetectorInfo still begin with .name?'
    rows = re.findall(r'^\|\s*`?\[?`?([a-z0-9-]+)`?[^|]*\|', tree.read('README.md'), re.MULTILINE)
    for name in sorted(names):
        if rows.count(name) != 1:
            yield 'README.md', 1, 'the table has %d rows for %s' % (rows.count(name), name)


def detector_files(tree):
    """One detector = one file pair, named for it."""
    for name in sorted(detector_names(tree)):
        stem = 'detectors/' + name.replace('-', '_')
        if '"%s"' % name not in tree.files[stem + '.cc']:
            yield stem + '.cc', 1, 'the detector in it has another name'
        if stem + '.h' not in tree.files:
            yield stem + '.h', 1, 'is missing'


def golden_rules(tree):
    """Each rule of each detector fires in a golden case."""
    proven = set(re.findall(r'"detector":"([^"]+)","rule":"([^"]+)"', tree.golden()))
    for name in sorted(detector_names(tree)):
        path = 'detectors/%s.cc' % name.replace('-', '_')
        text = tree.files[path]
        table = re.search(r'\.rules =(.*?)\.options =', text, re.DOTALL)
        rules = re.findall(r'\{\s*"([a-z_]+)",', table.group(1)) if table else []
        if not rules:
            yield path, 1, 'no rules found: does .rules still stand before .options?'
        for rule in rules:
            if (name, rule) not in proven:
                line = source.line_of(text, text.index('"%s"' % rule, table.start()))
                yield path, line, 'no case of tests/golden expects rule ' + rule


ALL = [layering, banned_calls, function_length, todo_has_a_name, pragma_once, file_names,
       readme_rows, detector_files, golden_rules]
