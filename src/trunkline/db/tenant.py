"""The one way to tenant rows: `async with database.tenant(principal) as session`.

The session's transaction acts as the principal's role and carries its claims, both local to the transaction: after
commit or rollback the pooled connection is nobody again, also behind a transaction-pooling PgBouncer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from trunkline.db.principals import Principal
from trunkline.db.urls import sqlalchemy_url
from trunkline.errors import DatabaseUnavailable

_BECOME = text(
    "select set_config('role', :role, true), set_config('request.jwt.claims', :claims, true),"
    " set_config('statement_timeout', :timeout, true)"
)


class TenantSession(AsyncSession):
    """A transaction of one principal. Services accept nothing else: forgetting the tenant does not type-check."""

    principal: Principal


class Database:
    """The pool of connections of the login role.

    `statement_timeout_ms` bounds each statement of a request, in milliseconds; `pool_timeout_s` bounds the wait for a
    connection, in seconds.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, pool_timeout_s: float = 5.0, statement_timeout_ms: int = 15_000
    ) -> None:
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            # A transaction pooler hands every transaction another connection: nothing may be prepared on one.
            connect_args={"prepare_threshold": None, "connect_timeout": 5},
        )
        # Shares the pool; a single statement needs no BEGIN and COMMIT around it.
        self._lookups = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._timeout = str(statement_timeout_ms)

    @asynccontextmanager
    async def tenant(self, principal: Principal) -> AsyncGenerator[TenantSession]:
        """A transaction that sees what `principal` may see; commits at the end, rolls back on any error.

        Raises:
            DatabaseUnavailable: the server does not answer, or all connections stayed busy.
        """
        session = await self._open(principal)
        try:
            yield session
            await session.commit()
        except (OperationalError, InterfaceError) as error:
            await session.rollback()
            if _is_gone(error):
                raise DatabaseUnavailable(_GONE, retry_after_s=1) from error
            raise
        except BaseException:
            await session.rollback()
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
                async with self._lookups.connect() as connection:
                    return (await connection.execute(statement, values)).one_or_none()
            except PoolTimeout as error:
                raise DatabaseUnavailable(_BUSY, retry_after_s=1) from error
            except (OperationalError, InterfaceError) as error:
                if attempt == 2 or not error.connection_invalidated:
                    raise DatabaseUnavailable(_GONE, retry_after_s=1) from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()

    async def _open(self, principal: Principal) -> TenantSession:
        """Begin as the principal; once more on a fresh connection if the pooled one turns out to be dead."""
        for attempt in (1, 2):
            session = TenantSession(self._engine, expire_on_commit=False, autoflush=False)
            session.principal = principal
            try:
                await session.execute(
                    _BECOME, {"role": principal.role, "claims": principal.claims(), "timeout": self._timeout}
                )
            except PoolTimeout as error:
                await session.close()
                raise DatabaseUnavailable(_BUSY, retry_after_s=1) from error
            except (OperationalError, InterfaceError) as error:
                await session.close()
                if attempt == 2 or not error.connection_invalidated:
                    raise DatabaseUnavailable(_GONE, retry_after_s=1) from error
            except BaseException:
                await session.close()
                raise
            else:
                return session
        raise AssertionError("unreachable")


_BUSY = "All database connections are busy. Try again in a moment."
_GONE = "The database does not answer. Nothing was written; try again in a moment."


def _is_gone(error: DBAPIError) -> bool:
    """Whether the connection is lost, as opposed to a statement that the server refused."""
    refused = isinstance(error.orig, psycopg.Error) and error.orig.sqlstate is not None
    shutting_down = refused and str(getattr(error.orig, "sqlstate", "")).startswith("57P")
    return error.connection_invalidated or not refused or shutting_down
