"""Plausible values for a column, by its type and its checks, the likeliest first; as text, for SQL literals."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from uuid import uuid4

from trunkline.postgres.catalogue.model import Column, Relation

_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w.'])-?\d+(?:\.\d+)?")
_LENGTH = re.compile(r"\((\d+)")
_TEXTS = re.compile(r"text|character|citext|name|bpchar")
_STRONGEST = ("owner", "admin", "administrator", "manager", "editor")
_INTEGERS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**53}
_PLAIN: dict[str, tuple[str, ...]] = {
    "numeric": ("1", "0", "0.5", "100"),
    "real": ("0.5", "1", "0", "100"),
    "double precision": ("0.5", "1", "0", "100"),
    "money": ("1",),
    "boolean": ("true", "false"),
    "date": ("2030-01-01", "2000-01-01"),
    "timestamp with time zone": ("2030-01-01 00:00:00+00", "2000-01-01 00:00:00+00"),
    "timestamp without time zone": ("2030-01-01 00:00:00", "2000-01-01 00:00:00"),
    "time without time zone": ("12:00",),
    "time with time zone": ("12:00+00",),
    "interval": ("1 hour", "0"),
    "json": ("{}", "[]", '"a"', "1", "null"),
    "jsonb": ("{}", "[]", '"a"', "1", "null"),
    "inet": ("192.0.2.1", "2001:db8::1"),
    "cidr": ("192.0.2.0/24",),
    "macaddr": ("08:00:2b:01:02:03",),
    "tsvector": ("",),
    "tsquery": ("a",),
    "xml": ("<a/>",),
    "point": ("(0,0)",),
    "bit": ("1",),
    "bit varying": ("1",),
    "ltree": ("a",),
    "hstore": ("",),
}


def values_for(relation: Relation, column: Column, *, is_membership: bool = False) -> list[str]:
    """Values to try, in order; empty where the type is unknown.

    Where the row makes somebody a member of an organization, the strongest role comes first: rights are tried as the
    one who should have most.
    """
    checks = [each.definition for each in relation.constraints if each.kind == "check" and column.name in each.columns]
    own = [each.definition for each in relation.constraints if each.kind == "check" and each.columns == (column.name,)]
    is_text = _TEXTS.match(column.base_type.rpartition(".")[2]) is not None
    named = [text.replace("''", "'") for definition in own if is_text for text in _LITERAL.findall(definition)]
    usual = list(_usual(column, checks))
    is_chosen = any("=" in definition for definition in own)
    found = list(column.enum_values) or ([*named, *usual] if is_chosen else [*usual, *named])
    if is_membership and column.name == "role":
        strong = [each for each in _STRONGEST if each in found or (not named and not column.enum_values)]
        found = [*strong, *found]
    return list(dict.fromkeys(found))


def random_text(limit: int | None = None) -> str:
    """A word that nobody else has written; `limit` in characters."""
    return f"trunkline{secrets.token_hex(8)}"[-limit if limit else 0 :]


def _usual(column: Column, checks: Iterable[str]) -> Iterator[str]:
    kind = column.base_type
    plain = kind.partition("(")[0].strip().rpartition(".")[2]
    if kind.endswith("[]"):
        yield "{}"
        if "text" in kind or "char" in kind:
            yield "{a}"
    elif plain == "uuid":
        yield str(uuid4())
    elif _TEXTS.match(plain):
        yield from _texts(int(found[1]) if (found := _LENGTH.search(kind)) else None)
    elif plain in _INTEGERS:
        yield str(secrets.randbelow(_INTEGERS[plain] // 2) + _INTEGERS[plain] // 2 - 1)
        numbers = {int(float(each)) for definition in checks for each in _NUMBER.findall(definition)}
        yield from map(str, [1, 0, *sorted(numbers), 100])
    elif plain == "bytea":
        yield "\\x" + secrets.token_hex(32)
        yield "\\x" + secrets.token_hex(16)
        yield "\\x"
    elif plain in ("vector", "halfvec") and (found := _LENGTH.search(kind)):
        yield "[" + ",".join(["0.5"] * int(found[1])) + "]"
    elif plain.endswith("range"):
        yield "empty"
    elif plain.startswith("time"):
        yield from _PLAIN[re.sub(r"\(\d+\)", "", kind)]
    else:
        yield from _PLAIN.get(plain, ())


def _texts(limit: int | None) -> Iterator[str]:
    word = secrets.token_hex(8)
    yield random_text(limit)
    for text in (
        f"t{word}@shop.example",
        f"https://shop.example/{word}",
        f"{word}.example",
        *("en", "UTC", "USD", "a", "A", "GET", "1", "+15550100", "#336699", "2030-01-01"),
        secrets.token_hex(32),
        str(uuid4()),
        "",
    ):
        if limit is None or len(text) <= limit:
            yield text
