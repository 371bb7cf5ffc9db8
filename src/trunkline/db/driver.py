"""A connection that gives a silent server up: whatever is asked of it ends, answered or not.

A server that is stopped, or behind a network that swallows packets, keeps its connections open and says nothing.
`statement_timeout` is the server's own and then of no use.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from typing_extensions import override

Answer = TypeVar("Answer")

CONNECT_S = 5
"""Longest time for a new connection, for each address of the server, in seconds. libpq knows none below 2."""


class NoAnswer(psycopg.OperationalError):
    """The server has said nothing for too long. The connection is closed; what was asked may have been done."""


class BoundedConnection(psycopg.AsyncConnection):
    """A connection of which every answer, also to COMMIT and ROLLBACK, comes within `limit_s` seconds or never."""

    limit_s: float = 30.0
    _is_given_up = False

    @override
    async def wait(self, gen: PQGen[Answer], *args: Any, **kwargs: Any) -> Answer:
        """Whatever is asked of the server passes here (psycopg's own loop around libpq)."""
        giving_up = asyncio.get_running_loop().call_later(self.limit_s, self._give_up)
        try:
            return await super().wait(gen, *args, **kwargs)
        except psycopg.OperationalError as error:
            if self._is_given_up:
                raise NoAnswer(f"the server has not answered for {self.limit_s:g} seconds") from error
            raise
        finally:
            giving_up.cancel()

    def _give_up(self) -> None:
        """Let the wait see a broken connection. Cancelling it would ask the silent server to cancel, and wait again."""
        if not self.closed:
            self._is_given_up = True
            with socket.socket(fileno=os.dup(self.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)


def bounded(limit_s: float) -> Callable[..., Awaitable[BoundedConnection]]:
    """What SQLAlchemy makes connections with."""

    async def connect(*args: Any, **kwargs: Any) -> BoundedConnection:
        connection = await BoundedConnection.connect(*args, **kwargs)
        connection.limit_s = limit_s
        return connection

    return connect


def connection_options(limit_s: float) -> dict[str, int]:
    """What libpq is told, so that also idle connections to a server that is gone are noticed by the kernel."""
    return {
        "connect_timeout": max(2, min(CONNECT_S, round(limit_s))),
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": round(limit_s * 1000),
    }
