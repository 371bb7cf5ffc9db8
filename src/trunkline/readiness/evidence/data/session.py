"""Asking about rows: with a bound on time, and a note of whatever the server did not answer."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from trunkline.readiness.evidence.asking import ask, refused
from trunkline.readiness.report import NotChecked

TIMEOUT_MS = 3_000
"""For one question, unless the analysis is deep."""


@dataclass(frozen=True)
class Session:
    """The connection of this analysis, and where it notes what it could not look at."""

    connection: psycopg.Connection
    note: list[NotChecked]
    is_deep: bool

    def ask(self, query: sql.Composable) -> list[TupleRow]:
        """All rows of the answer.

        Raises:
            psycopg.Error: the server refuses, or takes too long.
        """
        return ask(self.connection, query, timeout_ms=None if self.is_deep else TIMEOUT_MS)

    def ask_or_note(self, query: sql.Composable, what: str, code: str) -> list[TupleRow] | None:
        """All rows of the answer; None where there is none, which is noted: `what` could not be checked."""
        try:
            return self.ask(query)
        except psycopg.Error as error:
            self.note.append(refused(self.connection, error, what, codes=(code,)))
            return None

    def skip(self, what: str, why: str, how: str, *codes: str) -> None:
        """Note that something was not even tried."""
        self.note.append(NotChecked(what=what, why=why, how=how, codes=codes))
