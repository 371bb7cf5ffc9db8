"""A file of SQL, taken apart into the statements in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\* )
    | (?P<literal>
        [eE]'(?:[^'\\]|\\.|'')*'
        | '(?:[^']|'')*'
        | "(?:[^"]|"")*"
        | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)
      )
    | (?P<parameter> (?<![:\w\])]):[A-Za-z_]\w* | %\([A-Za-z_]\w*\)s | %s\b )
    | (?P<word> [A-Za-z_][\w$]* )
    | (?P<end> ; )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass
class _Statement:
    """A statement while it is read."""

    line: int = 0
    text: str = ""
    depth: int = 0
    """Of `case` and `begin atomic`, whose `end` is still to come."""
    parameters: dict[str, int] = field(default_factory=dict[str, int])
    last_word: str = ""

    def add(self, kind: str, piece: str) -> None:
        """Take the next token in."""
        if kind == "parameter":
            piece = f"${self._number(piece)}"
        elif kind == "word":
            word = piece.lower()
            if word == "case" or (word == "atomic" and self.last_word == "begin"):
                self.depth += 1
            elif word == "end":
                self.depth = max(0, self.depth - 1)
            self.last_word = word
        self.text += piece

    def _number(self, parameter: str) -> int:
        """The number of a parameter: a name's own, or the next one where it has no name."""
        nameless = f"%s {len(self.parameters)}"
        name = nameless if parameter == "%s" else "".join(_NAME.findall(parameter)[:1])
        return self.parameters.setdefault(name, len(self.parameters) + 1)


def split_statements(sql: str) -> list[tuple[int, str]]:
    """Each statement with the line that it begins on, without comments and without its semicolon.

    Parameters as drivers write them (`:name`, `%(name)s`, `%s`) become PostgreSQL's `$1`, `$2` …; one that is named
    twice is the same one. Semicolons in strings, comments, quoted names and `begin atomic … end` end no statement.
    """
    found: list[tuple[int, str]] = []
    statement = _Statement()
    for kind, piece, position in _tokens(sql):
        if kind == "end" and not statement.depth:
            found.append((statement.line, statement.text.strip()))
            statement = _Statement()
            continue
        if not statement.line and not piece.isspace():
            statement.line = sql.count("\n", 0, position) + 1
        statement.add(kind, piece)
    found.append((statement.line, statement.text.strip()))
    return [(line, text) for line, text in found if text]


def _tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and position of each token; a comment is a space."""
    position = 0
    while token := _TOKEN.match(sql, position):
        kind, start = token.lastgroup or "other", position
        position = _end_of_comment(sql, start) if token[0] == "/*" else token.end()
        yield (kind, token[0], start) if kind != "comment" else ("other", " ", start)


def _end_of_comment(sql: str, start: int) -> int:
    """Comments nest; one that isn't closed goes on to the end."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(sql)
