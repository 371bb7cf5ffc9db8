"""The one way to tenant rows: `async with database.tenant(principal) as session`.

The session's transaction acts as the principal's role and carries its claims, both local to the transaction: after
commit or rollback the pooled connection is nobody again, also behind a transaction-pooling PgBouncer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row
from sqlalchemy import Row, TextClause, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, MultipleResultsFound, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from trunkline.db.driver import NoAnswer, bounded, connection_options
from trunkline.db.principals import Principal
from trunkline.db.urls import sqlalchemy_url
from trunkline.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql.psycopg import AsyncAdapt_psycopg_connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

_BEGIN_AS = sql.SQL(
    "begin; set local role {role}; set local request.jwt.claims = {claims}; set local statement_timeout = {timeout}"
)


def begin_as(principal: Principal, statement_timeout_ms: int) -> str:
    """SQL that begins a transaction and says whose it is, in one message to the server and back.

    A message of several statements takes no parameters: the values are literals in it.
    """
    role = sql.Identifier(principal.role)
    return _BEGIN_AS.format(role=role, claims=principal.claims(), timeout=statement_timeout_ms).as_string()


class TenantSession(AsyncSession):
    """A transaction of one principal. Services accept nothing else: forgetting the tenant does not type-check."""

    principal: Principal

    async def row(self, statement: TextClause, values: Mapping[str, Any]) -> Any | None:
        """The one row that a statement gives, its columns as attributes; None where it gives none.

        Goes to the driver past SQLAlchemy, whose layers take several times as long as a turn's statement itself.

        Raises:
            DBAPIError: as `execute`.
            MultipleResultsFound: the statement gives several rows.
        """
        connection = await self.connection()
        driver = await _driver_of(connection)
        try:
            cursor = await driver.cursor(row_factory=namedtuple_row).execute(_driver_sql(statement), values)
        except psycopg.Error as error:
            if driver.closed:
                await connection.invalidate(error)
            raise _as_sqlalchemy(error, statement, is_lost=driver.closed) from error
        if cursor.rowcount > 1:
            raise MultipleResultsFound(f"One row was expected, {cursor.rowcount} were found.")
        return None if cursor.description is None else await cursor.fetchone()


class Database:
    """The pool of connections of the login role.

    `statement_timeout_ms` bounds each statement of a request, in milliseconds; `pool_timeout_s` bounds the wait for a
    connection, in seconds. A server that is silent for `answer_grace_s` seconds more than a statement may take is given
    up, whatever it was asked.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout_s: float = 5.0,
        statement_timeout_ms: int = 15_000,
        answer_grace_s: float = 3.0,
    ) -> None:
        limit_s = statement_timeout_ms / 1000 + answer_grace_s
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            # The driver begins no transaction by itself: `begin_as` does, and a lookup's one statement needs none.
            connect_args={
                "prepare_threshold": None,
                "autocommit": True,
                "async_creator_fn": bounded(limit_s),
                **connection_options(limit_s),
            },
        )
        event.listen(self._engine.sync_engine, "connect", _prepare_where_direct)
        self._timeout_ms = statement_timeout_ms

    @asynccontextmanager
    async def tenant(self, principal: Principal) -> AsyncGenerator[TenantSession]:
        """A transaction that sees what `principal` may see; commits at the end, rolls back on any error.

        Raises:
            DatabaseUnavailable: the server does not answer, or all connections stayed busy; says so where it is
                unknown whether the transaction was stored.
        """
        session = await self._open(principal)
        told = _GONE
        try:
            yield session
            told = _UNKNOWN
            await session.commit()
        except (OperationalError, InterfaceError) as error:
            await _roll_back(session)
            if _is_gone(error):
                raise DatabaseUnavailable(told, retry_after_s=1) from error
            raise
        except BaseException:
            await _roll_back(session)
            raise
        finally:
            await session.close()

    async def ask(self, statement: TextClause, values: Mapping[str, Any]) -> Row[Any] | None:
        """One row of a call that has no principal yet, as the login role itself: it may run only what `prepare` grants.

        Raises:
            DatabaseUnavailable: the server does not answer, or all connections stayed busy.
        """
        for attempt in (1, 2):
            try:
                async with self._engine.connect() as connection:
                    return (await connection.execute(statement, values)).one_or_none()
            except PoolTimeout as error:
                raise DatabaseUnavailable(_BUSY, retry_after_s=1) from error
            except (OperationalError, InterfaceError) as error:
                if attempt == 2 or not _was_dead_before(error):
                    raise DatabaseUnavailable(_GONE, retry_after_s=1) from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()

    async def _open(self, principal: Principal) -> TenantSession:
        """Begin as the principal; once more on a fresh connection if the pooled one turns out to be dead."""
        begin = begin_as(principal, self._timeout_ms)
        for attempt in (1, 2):
            session = TenantSession(self._engine, expire_on_commit=False, autoflush=False)
            session.principal = principal
            try:
                await _begin(await session.connection(), begin)
            except PoolTimeout as error:
                await session.close()
                raise DatabaseUnavailable(_BUSY, retry_after_s=1) from error
            except (OperationalError, InterfaceError) as error:
                await session.close()
                if attempt == 2 or not _was_dead_before(error):
                    raise DatabaseUnavailable(_GONE, retry_after_s=1) from error
            except BaseException:
                await session.close()
                raise
            else:
                return session
        raise AssertionError("unreachable")


async def _roll_back(session: TenantSession) -> None:
    """End a transaction that failed; the failure is told, and not that its connection is lost as well."""
    with suppress(DBAPIError):
        await session.rollback()


async def _begin(connection: AsyncConnection, begin: str) -> None:
    """Send what `begin_as` made: several statements in one message, which no server prepares."""
    driver = await _driver_of(connection)
    try:
        await driver.execute(begin.encode(), prepare=False)
    except psycopg.Error as error:
        if driver.closed:
            await connection.invalidate(error)
        raise _as_sqlalchemy(error, _BEGIN, is_lost=driver.closed) from error


_BEGIN = text("begin")
"""What errors show of the message that begins a transaction: no claims."""


def _prepare_where_direct(connection: DBAPIConnection, record: object) -> None:
    """Have the driver prepare statements that come again, unless that could fail or let rows through."""
    del record
    cast("AsyncAdapt_psycopg_connection", connection).run_async(_decide_on_preparing)


async def _decide_on_preparing(connection: psycopg.AsyncConnection) -> None:
    """Planning policies costs more than running them (docs/decisions/turn-cost.md).

    A transaction pooler hands every transaction another of its connections, where nothing of ours is prepared; it
    also answers for the server, with a process id of its own. Servers without the fix of CVE-2024-10976 may run a
    plan that was made for another role.
    """
    row = await (await connection.execute("select pg_catalog.pg_backend_pid()")).fetchone()
    is_direct = row == (connection.info.backend_pid,)
    version = connection.info.server_version
    if is_direct and version >= _KEEPS_PLANS_APART.get(version // 10_000, version):
        connection.prepare_threshold = PREPARE_AFTER


PREPARE_AFTER = 2
"""How often a statement is sent on one connection before the server is told to remember it."""

_KEEPS_PLANS_APART = {15: 15_00_09, 16: 16_00_05, 17: 17_00_01}
"""First minor releases, as `server_version` numbers, whose cached plans follow the role through every sub-query."""


async def _driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection:
    return cast("psycopg.AsyncConnection", (await connection.get_raw_connection()).driver_connection)


@cache
def _driver_sql(statement: TextClause) -> LiteralString:
    """The statement with its parameters as psycopg writes them; kept, for statements are constants of the code."""
    return cast("LiteralString", str(statement.compile(dialect=PGDialect_psycopg())))


def _as_sqlalchemy(error: psycopg.Error, statement: TextClause, *, is_lost: bool) -> DBAPIError:
    """The driver's error as `execute` would raise it, without the values: they are people's words."""
    found = DBAPIError.instance(str(statement), None, error, psycopg.Error, connection_invalidated=is_lost)
    return cast("DBAPIError", found)


_BUSY = "All database connections are busy. Try again in a moment."
_GONE = "The database does not answer. Nothing was written; try again in a moment."
_UNKNOWN = (
    "The database stopped to answer while this was being stored: it may be stored, or not. Look before you do it again;"
    " a message can be sent again with the same Idempotency-Key."
)


def _was_dead_before(error: DBAPIError) -> bool:
    """Whether a pooled connection had broken meanwhile, so that a fresh one may do; not where the server is silent."""
    return error.connection_invalidated and not isinstance(error.orig, NoAnswer)


def _is_gone(error: DBAPIError) -> bool:
    """Whether the connection is lost, as opposed to a statement that the server refused."""
    refused = isinstance(error.orig, psycopg.Error) and error.orig.sqlstate is not None
    shutting_down = refused and str(getattr(error.orig, "sqlstate", "")).startswith("57P")
    return error.connection_invalidated or not refused or shutting_down
