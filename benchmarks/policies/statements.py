"""The statements that are measured: as the product sends them, and as an owner would whom no policy binds.

The owner's have the policies' first condition written out: the organization, compared with a value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, TextClause, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from trunkline.db.principals import Service
from trunkline.db.tenant import Database, TenantSession
from trunkline.sessions import repository

PAGE = 51
"""Rows that the API asks for unless told otherwise: a page of 50, and one to know whether more follow."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as the tenant sends it, and as the owner does. Both take values of the same names."""

    name: str
    tenant: str
    owner: str | None
    """None where only a tenant has to ask."""


@dataclass(frozen=True, slots=True)
class Statements:
    """All that are measured, by the transactions that they are sent in."""

    admission: tuple[Statement, ...]
    completion: tuple[Statement, ...]
    page_of_messages: tuple[Statement, ...]
    page_of_sessions: tuple[Statement, ...]
    page_of_members_sessions: tuple[Statement, ...]


async def statements(login_url: str) -> Statements:
    """The product's own: the constants of its repository, and what its functions are seen to send."""
    find = await _sent(login_url, lambda session: repository.find_session(session, "x"))
    messages = await _sent(login_url, lambda session: repository.page_of_messages(session, uuid4(), PAGE, None))
    sessions = await _sent(login_url, lambda session: repository.page_of_sessions(session, PAGE, None, None))
    find = find.replace("session_id_1", "handle")
    messages = messages.replace("session_id_1", "session_row").replace("param_1", "limit")
    sessions = sessions.replace("param_1", "limit").replace("organization_id_1_1", "organization_id")
    complete = _plain(repository.COMPLETE_TURN)
    for name, own in (("window", "history"), ("message_id", "answer_id")):  # admission has others of these names
        complete = complete.replace(f"%({name})s", f"%({own})s")
    return Statements(
        admission=(
            _statement("LOCK_FOR_TURN", _plain(repository.LOCK_FOR_TURN), "where ", "s.session_id"),
            _statement("BEGIN_TURN", _plain(repository.BEGIN_TURN), "where ", "session_id = %(session_row)s and role"),
        ),
        completion=(_statement("COMPLETE_TURN", complete, "where ", "t.session_id = locked.id"),),
        page_of_messages=(
            _statement("find the session", find, "WHERE ", "agent_sessions.session_id"),
            _statement("page of messages", messages, "WHERE ", "agent_messages.session_id"),
        ),
        page_of_sessions=(Statement("page of sessions", sessions, sessions),),
        page_of_members_sessions=(
            Statement("my organizations", "select app.organization_ids() as ids", None),
            Statement("page of sessions", sessions, sessions),
        ),
    )


def _statement(name: str, sent: str, before: str, after: str) -> Statement:
    """The owner's form has the organization as a further condition, where `before` and `after` meet."""
    if sent.count(before + after) != 1:
        raise ValueError(f"{name} has changed: where is {before + after!r}? Tell the benchmark where its condition is.")
    table = f"{after.partition('.')[0]}." if "." in after.partition(" ")[0] else ""
    own = f"{table}organization_id = %(organization_id)s"
    return Statement(name, sent, sent.replace(before + after, f"{before}{own} and {after}"))


def _plain(statement: TextClause) -> str:
    """A constant with its parameters as psycopg writes them."""
    return str(statement.compile(dialect=PGDialect_psycopg()))


async def _sent(login_url: str, call: Callable[[TenantSession], Awaitable[Any]]) -> str:
    """The statement that a function of the repository sends."""
    caught: list[str] = []

    def catch(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        caught.append(statement)

    database = Database(login_url, pool_size=1)
    event.listen(Engine, "before_cursor_execute", catch)
    try:
        async with database.tenant(Service(uuid4())) as session:
            await call(session)
    finally:
        event.remove(Engine, "before_cursor_execute", catch)
        await database.close()
    return caught[-1]
