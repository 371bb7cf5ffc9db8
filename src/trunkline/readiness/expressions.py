"""Reads policies' expressions, as the server writes them out: what is always true, what is called for every row."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ALWAYS = {
    "true",
    "1=1",
    "auth.uid()isnotnull",
    "(selectauth.uid()asuid)isnotnull",
    "auth.role()='authenticated'::text",
}
_CALL = re.compile(r"\b(auth\.(?:uid|jwt|role|email)\(\)|current_setting\()")
_NULL_CALLER = re.compile(
    r"^\(*(?:\( ?select )?\(*(?:auth\.(?:uid|jwt|role)\(\)|current_setting\([^()]*, true\))[^()]*\)*"
    r"(?:::\w+)?(?: as \w+)?\)* is null\)*$"
)


def is_always_true(expression: str | None) -> bool:
    """Whether an expression admits every row to everybody who is signed in."""
    if expression is None:
        return False
    plain = re.sub(r"\s+", "", expression.lower())
    while plain.startswith("(") and _closing(plain, 0) == len(plain) - 1:
        plain = plain[1:-1]
    return plain in _ALWAYS


def calls_per_row(expression: str | None) -> list[str]:
    """Calls of functions that tell who asks, made for each row: outside of a sub-select that reads no table."""
    text = expression or ""
    return sorted({found[1].rstrip("(") for found in _CALL.finditer(text) if not _is_asked_once(text, found.start())})


def admits_null_caller(expression: str | None) -> bool:
    """Whether a part of a top-level OR is true wherever nobody is signed in."""
    return any(_NULL_CALLER.match(each.strip().lower()) for each in _alternatives(expression or ""))


def _alternatives(expression: str) -> Iterator[str]:
    text = expression.strip()
    while text.startswith("(") and _closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    depth = start = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and text[position : position + 4].upper() == " OR ":
            yield text[start:position]
            start = position + 4
    if start:
        yield text[start:]


def _is_asked_once(text: str, position: int) -> bool:
    """Whether the nearest sub-select around a position reads no table; then it is run once for the statement."""
    opened: list[int] = []
    for index, character in enumerate(text[:position]):
        if character == "(":
            opened.append(index)
        elif character == ")" and opened:
            opened.pop()
    for start in reversed(opened):
        inside = text[start + 1 : _closing(text, start)]
        if re.match(r"\s*select\b", inside, re.IGNORECASE):
            return not re.search(r"\bfrom\b", inside, re.IGNORECASE)
    return False


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if depth == 0:
            return index
    return len(text)
