"""Numbers that are kept as keys of a JSON column, and don't fit the column that the target has for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeGuard

import psycopg
from psycopg import sql

from trunkline.readiness.evidence.asking import calls_own_function, mentioned, refused, table, verbatim
from trunkline.readiness.evidence.data.session import Session
from trunkline.readiness.evidence.data.source import Source, raw
from trunkline.readiness.evidence.data.values import SAMPLES, BadRows
from trunkline.readiness.matching import ColumnMatch

READ = 2_000
"""Rows that are read of a table, unless the analysis is deep: settings are long, and few rows have them."""
CODE = "DAT007"

_INTEGERS = ("smallint", "integer", "bigint")
_NUMBERS = (*_INTEGERS, "real", "double precision", "numeric")


@dataclass(frozen=True)
class _Setting:
    """The value of one row, as text."""

    key: str
    value: str


def unfit_settings(session: Session, source: Source) -> Iterator[BadRows]:
    """Rows whose JSON holds no number, or one that the target's CHECK refuses, where the target has a number.

    The key is looked for at the top, then one level down; where several there have it, it isn't known which is meant.
    """
    wanted = [each for each in source.match.columns.values() if each.how == "reshaped" and _is_number(each)]
    for holder in dict.fromkeys(each.column.name for each in wanted if each.column is not None):
        rows = _rows(session, source, holder)
        for match in wanted:
            if match.column is not None and match.column.name == holder:
                settings = [_Setting(key, value) for key, held in rows if (value := _held(held, match)) is not None]
                if bad := _unfit(session, source, match, settings):
                    yield _bad(source, holder, match, bad, len(rows))


def _is_number(match: ColumnMatch) -> bool:
    return match.wanted.type.partition("(")[0] in _NUMBERS


def _rows(session: Session, source: Source, holder: str) -> list[tuple[str, object]]:
    """Key and JSON of the rows that have any."""
    query = sql.SQL("select {}, {}::pg_catalog.text from {} as t where {} is not null{}").format(
        source.key_as_text(),
        raw(holder),
        table(source.relation.name),
        raw(holder),
        sql.SQL("" if session.is_deep else " limit {}").format(sql.Literal(READ)),
    )
    answer = session.ask_or_note(query, f"settings in {source.relation.name}.{holder}", CODE)
    return [(str(key), _parsed(held)) for key, held in answer or ()]


def _parsed(held: str) -> object:
    """Numbers stay as they are written."""
    try:
        return json.loads(held, parse_float=str, parse_int=str)
    except RecursionError:
        return None  # nested a thousand times: nobody's settings


def _held(held: object, match: ColumnMatch) -> str | None:
    """The one value under the column's keys."""
    if not _is_object(held) or match.wanted.formerly_in is None:
        return None
    keys = match.wanted.formerly_in[1]
    if top := _under(held, keys):
        return top[0]
    below = [value for each in held.values() if _is_object(each) for value in _under(each, keys)]
    return below[0] if len(below) == 1 else None


def _under(held: dict[str, object], keys: tuple[str, ...]) -> list[str]:
    """Plain values under these keys, however the words in a key are joined; the first key comes first."""
    plain = {_snake_case(key): value for key, value in held.items() if isinstance(value, str | bool)}
    return [str(plain[key]) for key in keys if key in plain]


def _snake_case(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_")


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _unfit(session: Session, source: Source, match: ColumnMatch, settings: list[_Setting]) -> list[str]:
    """Keys of the rows, in their order."""
    unfit = {each.key for each in settings if not _fits_type(each.value, match.wanted.type)}
    numbers = [each for each in settings if each.key not in unfit]
    unfit |= _refused(session, source, match, numbers)
    return [each.key for each in settings if each.key in unfit]


def _fits_type(value: str, kind: str) -> bool:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        return False
    return number.is_finite() and (kind not in _INTEGERS or number == number.to_integral_value())


def _refused(session: Session, source: Source, match: ColumnMatch, numbers: list[_Setting]) -> set[str]:
    """Keys of those that a CHECK on this column alone refuses. The server decides, as it would of a row."""
    rules = [sql.SQL("not ({})").format(verbatim(each)) for each in _checks(source, match)]
    if not rules or not numbers:
        return set()
    query = sql.SQL(
        "select key from (select key, value::pg_catalog.numeric as {} from"
        " rows from (pg_catalog.unnest({}::pg_catalog.text[]), pg_catalog.unnest({}::pg_catalog.text[]))"
        " as given (key, value)) as {} where {}"
    ).format(
        sql.Identifier(match.wanted.name),
        sql.Literal([each.key for each in numbers]),
        sql.Literal([each.value.strip() for each in numbers]),
        sql.Identifier(source.match.wanted.name.name),
        sql.SQL(" or ").join(rules),
    )
    try:
        return {str(key) for (key,) in session.ask(query)}
    except psycopg.DataError:
        return {each.key for each in numbers} if len(numbers) == 1 else _one_by_one(session, source, match, numbers)
    except psycopg.Error as error:
        what = f"settings in {source.relation.name} for {match.wanted.name}"
        session.note.append(refused(session.connection, error, what, codes=(CODE,)))
        return set()


def _one_by_one(session: Session, source: Source, match: ColumnMatch, numbers: list[_Setting]) -> set[str]:
    """A number that no column can hold spoils the question for all others."""
    return {key for each in numbers for key in _refused(session, source, match, [each])}


def _checks(source: Source, match: ColumnMatch) -> Iterator[str]:
    for check in source.match.wanted.checks:
        if mentioned(check.sql, source.match.columns) == (match.wanted.name,) and not calls_own_function(check.sql):
            yield check.sql


def _bad(source: Source, holder: str, match: ColumnMatch, keys: list[str], read: int) -> BadRows:
    is_estimate = source.rows > read
    bounds = "".join(f", {each}" for each in _checks(source, match))
    return BadRows(
        fault="unfit setting",
        relation=source.relation.name,
        columns=(holder,),
        rule=f"{match.wanted.name}: {match.wanted.type}{bounds}",
        count=round(len(keys) * source.rows / read) if is_estimate else len(keys),
        is_estimate=is_estimate,
        samples=tuple(keys[:SAMPLES]),
        rows=source.rows,
    )
