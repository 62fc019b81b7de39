"""C++ source as the tidy test sees it: without comments and literals.

Stripped text keeps every newline, so that offsets still tell the line.
"""

import re

_TOKEN = re.compile(
    r'//[^\n]*'
    r'|/\*.*?\*/'
    r'|R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"'
    r'|"(?:\\.|[^"\\\n])*"'
    # A digit before it makes it a separator: 1'000.
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)
_DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.MULTILINE)


def _blank(text):
    return re.sub(r'[^\n]', ' ', text)


def strip(text):
    """`text` with comments blanked and literals emptied ("" stays)."""

    def replace(match):
        token = match.group(0)
        if token.startswith('/'):
            return _blank(token)
        return '"' + _blank(token[1:-1]) + '"'

    return _TOKEN.sub(replace, text)


def comments(text):
    """(line, comment) of each comment."""
    for match in _TOKEN.finditer(text):
        if match.group(0).startswith('/'):
            yield line_of(text, match.start()), match.group(0)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


class Function:
    def __init__(self, name, line, lines):
        self.name = name
        self.line = line
        self.lines = lines


_TYPE = re.compile(r'^\s*(template\s*<.*?>\s*)?(class|struct|enum|union|namespace|extern)\b',
                   re.DOTALL)
_NAME = re.compile(r'([~\w:]+(?:\s*operator\s*[^\s(]+)?)\s*\(')


def functions(text):
    """Every function of clang-formatted source, nested lambdas counted in."""
    text = _DIRECTIVE.sub(lambda match: _blank(match.group(0)), strip(text))
    found = []
    stack = []  # Of 'function', 'block' and 'initializer'.
    begin = 0  # Where the current declaration begins.
    opened = (0, '')  # Of the function that we are in.
    for match in re.finditer(r'[{};]', text):
        at = match.start()
        inside = 'function' in stack
        if match.group(0) == '{':
            kind = _kind(text, begin, at, inside)
            stack.append(kind)
            if kind == 'function':
                opened = (begin, text[begin:at])
        elif match.group(0) == '}':
            kind = stack.pop() if stack else 'block'
            if kind == 'function':
                found.append(_function(text, opened, at))
        else:
            kind = 'statement'
        if kind != 'initializer' and 'initializer' not in stack:
            begin = at + 1
    return found


def _kind(text, begin, at, inside):
    head = text[begin:at]
    # clang-format puts a blank before the brace of a block, and none before
    # that of an initializer, unless one of these stands before it.
    if not head.strip():
        return 'block'
    if not head[-1].isspace() or re.search(r'(=|\(|,|\{|\breturn)\s*$', head):
        return 'initializer'
    if inside or _TYPE.match(head) or '(' not in head:
        return 'block'
    return 'function'


def _function(text, opened, end):
    begin, head = opened
    first = begin + len(head) - len(head.lstrip())
    name = _NAME.search(head)
    line = line_of(text, first)
    return Function(name.group(1) if name else '?', line, line_of(text, end) - line + 1)
