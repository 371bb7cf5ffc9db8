"""The one connection of an analysis, and the transactions in which it looks and tries. All of them are rolled back.

Settings are made for a transaction only, so that a transaction pooler may sit between.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trunkline.errors import TrunklineError


class CouldNotCheck(TrunklineError):
    """The database could not be looked at: it doesn't answer, refuses the connection, or is no database."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "could_not_check"
    title: ClassVar[str] = "The database could not be checked"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the server may work or wait for one statement of ours."""

    statement: str = "15s"
    lock: str = "50ms"

    @staticmethod
    def of(*, deep: bool) -> Limits:
        """Deep, whole tables are read."""
        return Limits(statement="10min") if deep else Limits()


_SAFE_PATH = "pg_catalog, pg_temp"
"""Nothing that a user made answers for a built-in function; names of user's types are written with their schema."""

_READ_ONLY = {"transaction_read_only": "on"}

_PLAIN = {
    "idle_in_transaction_session_timeout": "60s",  # should this process be stopped, nothing stays open
    "row_security": "on",  # off, reading under policies is an error instead of fewer rows
    "jit": "off",  # compiling takes longer than looking
    "quote_all_identifiers": "off",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
}

_ADVICE = (
    ("password authentication failed", "Check the user and the password."),
    ("no password supplied", "Put the password into the URL, or into ~/.pgpass."),
    ("does not exist", "Check the name; psql -l lists the databases of a server."),
    ("no pg_hba.conf entry", "The server does not let this user in from here: check its pg_hba.conf, or sslmode."),
    ("could not translate host name", "Check the host's name."),
    ("resolve host", "Check the host's name."),
    ("onnection refused", "Check host and port, and that the server runs."),
    ("timeout expired", "Check host and port, and that no firewall is between."),
    ("too many", "All connections are taken: try again later, or as a role with reserved ones."),
    ("starting up", "Try again in a moment."),
)


def open_connection(url: str) -> psycopg.Connection:
    """Connect. `url` is a PostgreSQL URL (SQLAlchemy's driver names are understood) or a libpq connection string.

    Raises:
        CouldNotCheck: it can't be read, or the server doesn't answer or refuses. Never holds the password.
    """
    plain = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
    try:
        parameters = conninfo_to_dict(plain)
    except psycopg.ProgrammingError:
        raise CouldNotCheck(
            "The database URL can't be read. It looks like postgresql://user:password@host:5432/name."
        ) from None
    if not parameters:
        raise CouldNotCheck("No database URL was given. It looks like postgresql://user:password@host:5432/name.")
    whole = make_conninfo(plain, application_name="trunkline-readiness", client_encoding="utf8")
    if "connect_timeout" not in parameters:
        whole = make_conninfo(whole, connect_timeout=10)
    try:
        connection = psycopg.connect(whole, autocommit=True, prepare_threshold=None)
    except (psycopg.Error, OSError) as error:
        raise CouldNotCheck(_refusal(error)) from None
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # a server's default may be serializable
    return connection


@contextmanager
def looking(connection: psycopg.Connection, limits: Limits) -> Generator[None]:
    """A transaction that can't write, and finds no function or table but by its full name."""
    settings = _READ_ONLY | {"search_path": _SAFE_PATH}
    with _transaction(connection, limits, settings):
        yield


@contextmanager
def preparing(connection: psycopg.Connection, limits: Limits) -> Generator[None]:
    """A transaction that can't write, with the search path of the connection: a user's statements rely on it."""
    with _transaction(connection, limits, _READ_ONLY):
        yield


@contextmanager
def trying(connection: psycopg.Connection, limits: Limits) -> Generator[None]:
    """A transaction that may write, with the search path of the connection: users' functions rely on it."""
    with _transaction(connection, limits, {}):
        yield


@contextmanager
def _transaction(connection: psycopg.Connection, limits: Limits, more: dict[str, str]) -> Generator[None]:
    settings = _PLAIN | {"statement_timeout": limits.statement, "lock_timeout": limits.lock} | more
    with connection.transaction(force_rollback=True):
        one = sql.SQL("pg_catalog.set_config(%s, %s, true)")
        values = [part for setting in settings.items() for part in setting]
        connection.execute(sql.SQL("select {}").format(sql.SQL(", ").join([one] * len(settings))), values)
        yield


def _refusal(error: Exception) -> str:
    """The server's or libpq's own words, in one line, and what to do."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if "FATAL" in line), lines[0] if lines else type(error).__name__)
    advice = next((advice for sign, advice in _ADVICE if sign in str(error)), "Check the URL and the server.")
    return f"The database does not let us look: {said.rstrip('.')}. {advice}"
