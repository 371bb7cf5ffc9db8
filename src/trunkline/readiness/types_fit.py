"""Whether a column's type serves the code that wants another.

The question is always: would reads and writes of the code work? Wider is fine (text for varchar(255), bigint for
integer). Narrower works until a value is too long or too large. All else is another type: drivers return other values
(Decimal for float, str for UUID), operators are missing (json for jsonb), moments shift (timestamp without a zone),
or writes that the code makes are refused (an enum or domain where text is wanted).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trunkline.postgres.catalogue.model import Column

Fit = Literal["same", "narrower", "other"]
"""same: equal, or wider · narrower: works for values that are short or small enough · other: doesn't fit."""

_INTEGERS = ("smallint", "integer", "bigint")
_FLOATS = ("real", "double precision")
_TEXTS = ("character varying", "text")
_TIMES = (
    "timestamp with time zone",
    "timestamp without time zone",
    "time with time zone",
    "time without time zone",
    "interval",
)
_FAMILIES = {
    **dict.fromkeys((*_TEXTS, "character", "citext"), "text"),
    **dict.fromkeys((*_INTEGERS, *_FLOATS, "numeric"), "number"),
    **dict.fromkeys((*_TIMES, "date"), "time"),
    **dict.fromkeys(("json", "jsonb"), "json"),
}
_WRITTEN = re.compile(r"(?P<head>[^(\[]+)(\((?P<arguments>[^)]*)\))?(?P<tail>[^\[]*)(?P<array>(\[\])*)")


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    """Without its schema: where an extension was put is not the code's concern."""
    arguments: tuple[int, ...]
    is_array: bool


def family(written: str) -> str | None:
    """What kind of values a type has: `text`, `number`, `time`, `json`; None for all others, and for arrays."""
    kind = _parse(written)
    if kind.is_array:
        return None
    return _FAMILIES.get(kind.name)


def fit(wanted: str, column: Column) -> Fit:
    """How a column serves code that wants a type, both as `format_type` writes them."""
    if column.type == wanted or _without_schema(column.type) == _without_schema(wanted):
        return "same"
    if column.type != column.base_type:
        return "other"  # a domain refuses what its base type takes
    want, have = _parse(wanted), _parse(column.type)
    if want.is_array != have.is_array:
        return "other"
    return _fit(want, have)


def _fit(want: _Type, have: _Type) -> Fit:
    for family in (_INTEGERS, _FLOATS):
        if want.name in family and have.name in family:
            return "same" if family.index(have.name) >= family.index(want.name) else "narrower"
    if want.name in _TEXTS and have.name in _TEXTS:
        return _by_size(want, have)
    if want.name != have.name:
        return "other"
    if want.name in _TIMES:
        return _by_size(want, have)
    # numeric(10,2) for numeric(18,9) would round in silence, vector(3) for vector(384) refuse everything.
    return "other" if have.arguments else "same"


def _by_size(want: _Type, have: _Type) -> Fit:
    """No size means no bound."""
    if not have.arguments or have.arguments == want.arguments:
        return "same"
    return "same" if want.arguments and have.arguments >= want.arguments else "narrower"


def _parse(written: str) -> _Type:
    parts = _WRITTEN.fullmatch(written)
    if parts is None:
        return _Type(written, (), is_array=False)
    name = _without_schema(parts["head"].strip() + parts["tail"])
    arguments = tuple(int(each) for each in (parts["arguments"] or "").split(",") if each.strip().isdigit())
    return _Type(name, arguments, bool(parts["array"]))


def _without_schema(written: str) -> str:
    """`extensions.vector(384)` → `vector(384)`; quoted names keep their quotes."""
    return re.sub(r'^("([^"]|"")*"|\w+)\.', "", written)
