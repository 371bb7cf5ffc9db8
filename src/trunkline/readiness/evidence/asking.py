"""One question to the server, in a savepoint of its own: a refusal spoils nothing that comes after it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, tuple_row

from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.report import NotChecked

_TEXT = re.compile(r"'(?:[^']|'')*'")
_PART = re.compile(r'\'(?:[^\']|\'\')*\'|"(?:[^"]|"")+"|\b[a-z_][a-z0-9_$]*\b(?!\s*\()', re.IGNORECASE)
_WORD = re.compile(r'"(?:[^"]|"")+"|\b[a-z_][a-z0-9_$]*\b', re.IGNORECASE)
_FUNCTION_OF_A_SCHEMA = re.compile(r'[\w"]\s*\.\s*[\w"]+\s*\(')


def ask(connection: psycopg.Connection, query: sql.Composable, *, timeout_ms: int | None = None) -> list[TupleRow]:
    """All rows of the answer. `timeout_ms` (milliseconds; None: as it is set already) bounds the server's work.

    Nothing can be written, and names without a schema are looked for in `pg_catalog` only: nobody's own function
    answers for one of PostgreSQL's.

    Raises:
        psycopg.Error: the server refuses; the transaction around goes on.
    """
    settings = {"transaction_read_only": "on", "search_path": "pg_catalog, pg_temp"}
    if timeout_ms is not None:
        settings["statement_timeout"] = f"{timeout_ms}ms"
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_set(settings).as_bytes(connection))
        cursor.execute(query.as_bytes(connection))
        return cursor.fetchall()


def _set(settings: Mapping[str, str]) -> sql.Composable:
    """All for this transaction only, in one round trip."""
    calls = [
        sql.SQL("pg_catalog.set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in settings.items()
    ]
    return sql.SQL("select {}").format(sql.SQL(", ").join(calls))


def verbatim(text: str) -> sql.SQL:
    """SQL that the target or the catalogue wrote, as it is. Never a value, never a name."""
    return sql.SQL(cast("LiteralString", text))


def table(name: Name) -> sql.Identifier:
    """A relation with its schema."""
    return sql.Identifier(name.schema, name.name)


def calls_own_function(expression: str) -> bool:
    """Whether an SQL expression calls a function by its schema: one of the database's own, which may do anything."""
    return _FUNCTION_OF_A_SCHEMA.search(_TEXT.sub("''", expression)) is not None


def mentioned(expression: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Which of these columns an SQL expression names."""
    found = (match[0] for match in _WORD.finditer(_TEXT.sub("''", expression)))
    words = {_unquoted(word) for word in found}
    return tuple(name for name in columns if name in words)


def renamed(expression: str, names: Mapping[str, str]) -> str:
    """An SQL expression with other names for columns. `names` are ready for SQL."""
    return _PART.sub(lambda part: names.get(_unquoted(part[0]), part[0]), expression)


def _unquoted(word: str) -> str:
    """A column's name as it is stored."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def is_same_condition(one: str, other: str, columns: Collection[str]) -> bool:
    """Whether two conditions say the same in different spellings: `a in ('x')` and `(a = ANY (ARRAY['x'::text]))`.

    They do when they name the same columns, values and numbers, and negate equally often.
    """
    return _gist(one, columns) == _gist(other, columns)


def _gist(condition: str, columns: Collection[str]) -> tuple[object, ...]:
    outside = _TEXT.sub("''", condition)
    return (
        frozenset(mentioned(condition, columns)),
        sorted(_TEXT.findall(condition)),
        sorted(re.findall(r"\b\d+\b", outside)),
        len(re.findall(r"\bnot\b|<>|!=", outside, re.IGNORECASE)),
    )


def words(error: psycopg.Error) -> str:
    """The server's first sentence, without its position and context."""
    return (error.diag.message_primary or str(error).partition("\n")[0]).rstrip(".")


def refused(
    connection: psycopg.Connection, error: psycopg.Error, what: str, *, how: str | None = None, codes: tuple[str, ...]
) -> NotChecked:
    """What could not be looked at, by the server's own words. `how` is advice where the words alone give none.

    Raises:
        psycopg.Error: the same error, where the connection is lost.
    """
    if connection.closed:
        raise error
    if isinstance(error, psycopg.errors.QueryCanceled):
        return NotChecked(
            what=what,
            why="it took longer than the time allowed for one question",
            how="Run it again with --deep, which allows more, or at a quiet hour.",
            codes=codes,
        )
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return NotChecked(
            what=what,
            why="another session holds a lock on it, and this analysis waits for nobody",
            how="Run it again when that session is done.",
            codes=codes,
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        how = "Connect as the owner, or grant the right that is missing."
    return NotChecked(what=what, why=f"the server said: {words(error)}", how=how or "Look at it by hand.", codes=codes)
