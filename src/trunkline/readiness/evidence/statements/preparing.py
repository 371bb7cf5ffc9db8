"""Asking the server to prepare a statement, by the protocol's Parse message: it takes one statement and runs none."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import psycopg
from psycopg import pq

from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.evidence.asking import refused, words
from trunkline.readiness.evidence.statements.composed import Composed
from trunkline.readiness.evidence.statements.values import Prepared
from trunkline.readiness.report import NotChecked

_CODES = ("CMP001", "CMP002", "CMP003", "CMP004")
_PREPARABLE = re.compile(r"[\s(]*(select|insert|update|delete|merge|values|with|table)\b", re.IGNORECASE)
_IDENTIFIER = re.compile(r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))*')
_NOT_THE_STATEMENT = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.InsufficientPrivilege,
)
"""Refusals that say something about this moment, or about the connected role."""


@dataclass(frozen=True)
class Preparer:
    """The connection of this analysis, and where it notes what could not be prepared."""

    connection: psycopg.Connection
    note: list[NotChecked]
    skipped: set[Name] = field(default_factory=set[Name])
    """Tables of which the server can't say: the others of their statements need not wait, too."""

    def prepare(self, statement: Composed) -> Prepared | None:
        """A composed statement, which names all tables with their schemas; None where the server can't say."""
        return None if statement.table in self.skipped else self._answer(statement, path=statement.search_path)

    def prepare_users(self, label: str, text: str) -> Prepared | None:
        """A user's statement; None where the server can't say, or reads it but looks at nothing that it names."""
        answer = self._answer(Composed("file", label, text, None, None), path=None)
        if answer is None or answer.error is not None or _PREPARABLE.match(_without_comments(text)):
            return answer
        self.note.append(
            NotChecked(
                what=f"{label}: {_beginning(text)}",
                why="only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES can be prepared without running them",
                how="Try it on a copy of the database.",
                codes=("CMP002",),
            )
        )
        return None

    def _answer(self, statement: Composed, *, path: str | None) -> Prepared | None:
        error = self._parse(statement.sql, path)
        if error is None:
            return Prepared(statement.origin, statement.label, statement.sql, None, None, None, statement.table)
        if isinstance(error, _NOT_THE_STATEMENT):
            self._skip(statement, error)
            return None
        return Prepared(
            origin=statement.origin,
            label=statement.label,
            sql=statement.sql,
            error=words(error),
            sqlstate=error.sqlstate,
            object=_object(error, statement.sql),
            table=statement.table,
        )

    def _parse(self, text: str, path: str | None) -> psycopg.Error | None:
        """What the server says against a statement; None where nothing.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("set local lock_timeout = '50ms'")
            if path is not None:
                self.connection.execute("select pg_catalog.set_config('search_path', %s, true)", (path,))
            result = self.connection.pgconn.prepare(b"", text.encode())
            if result.status == pq.ExecStatus.COMMAND_OK:
                return None
            error = psycopg.errors.error_from_result(result, encoding="utf-8")
        if self.connection.closed:
            raise error
        return error

    def _skip(self, statement: Composed, error: psycopg.Error) -> None:
        if statement.table is None:
            what = f"{statement.label}: {_beginning(statement.sql)}"
        else:
            what = f"statements about {statement.table}"
            self.skipped.add(statement.table)
        self.note.append(refused(self.connection, error, what, codes=_CODES))


def _object(error: psycopg.Error, text: str) -> str | None:
    """The name that the server points at in the statement."""
    position = error.diag.statement_position
    named = _IDENTIFIER.match(text, int(position) - 1) if position else None
    return named[0] if named and error.sqlstate != "42601" else None


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", text, flags=re.DOTALL)


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
