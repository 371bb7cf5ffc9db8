"""Queries of sessions, messages and turns. A turn costs the same at its first message and at its thousandth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, Select, func, select, text, update
from sqlalchemy.orm import load_only

from trunkline.db.principals import Member
from trunkline.db.tenant import TenantSession
from trunkline.sessions.models import AgentMessage, AgentSession, AgentTurn

_SESSION_FACE = load_only(
    AgentSession.id,
    AgentSession.organization_id,
    AgentSession.session_id,
    AgentSession.agent_id,
    AgentSession.website_domain,
    AgentSession.channel,
    AgentSession.message_count,
    AgentSession.status,
    AgentSession.started_at,
    AgentSession.last_activity_at,
    AgentSession.ended_at,
    raiseload=True,
)
_MESSAGE_FACE = load_only(
    AgentMessage.id,
    AgentMessage.turn_id,
    AgentMessage.role,
    AgentMessage.content,
    AgentMessage.status,
    AgentMessage.tokens_used,
    AgentMessage.latency_ms,
    AgentMessage.model_used,
    AgentMessage.citations,
    AgentMessage.created_at,
    raiseload=True,
)

Values = Mapping[str, Any]


async def add_session(session: TenantSession, values: Values) -> bool:
    """Insert a session; False where the client_reference names an open one already."""
    columns = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    statement = text(f"insert into agent_sessions ({columns}) values ({marks}) on conflict do nothing")
    result = cast("CursorResult[Any]", await session.execute(statement, values))
    return result.rowcount == 1


async def find_session(session: TenantSession, handle: str) -> AgentSession | None:
    """A session by its public handle: what a visitor may see of it."""
    return await _one(session, _by_handle(handle).options(_SESSION_FACE))


async def find_whole_session(session: TenantSession, handle: str) -> AgentSession | None:
    """A session by its public handle, every column."""
    return await _one(session, _by_handle(handle))


async def open_session_by_reference(
    session: TenantSession, values: Values
) -> tuple[AgentSession, timedelta, timedelta] | None:
    """The open session of the caller's own name on the same agent, channel and website, locked; its age and idleness.

    None where there is none, or the one that there was has been closed by whoever held the lock.
    """
    query = (
        select(AgentSession, func.now() - AgentSession.started_at, func.now() - AgentSession.last_activity_at)
        .where(
            AgentSession.organization_id == values["organization_id"],
            AgentSession.agent_id == values["agent_id"],
            AgentSession.channel == values["channel"],
            AgentSession.website_domain.is_not_distinct_from(values["website_domain"]),
            AgentSession.client_reference == values["client_reference"],
            AgentSession.status == "active",
        )
        .with_for_update(key_share=True)
    )
    found = (await session.execute(query)).one_or_none()
    return None if found is None else (found[0], found[1], found[2])


async def page_of_sessions(
    session: TenantSession, limit: int, after: UUID | None, agent_id: UUID | None
) -> Sequence[AgentSession]:
    """Sessions by id, newest first.

    Policies ask for the caller's organizations too, but the planner has no idea of those: told them, it reads the one
    index that has them in this order.
    """
    organizations = await _organizations_of(session)
    query = select(AgentSession).where(AgentSession.organization_id.in_(organizations))
    query = query.order_by(AgentSession.id.desc()).limit(limit)
    if after is not None:
        query = query.where(AgentSession.id < after)
    if agent_id is not None:
        query = query.where(AgentSession.agent_id == agent_id)
    return (await session.execute(query)).scalars().all()


async def lock_session(session: TenantSession, handle: str) -> None:
    """Keep turns from being admitted until this transaction ends."""
    await session.execute(select(AgentSession.id).where(AgentSession.session_id == handle).with_for_update())


async def _organizations_of(session: TenantSession) -> Sequence[UUID]:
    if isinstance(session.principal, Member):
        found = await session.row(_MY_ORGANIZATIONS, {})
        return () if found is None else found.ids
    return () if session.principal.organization_id is None else (session.principal.organization_id,)


_MY_ORGANIZATIONS = text("select app.organization_ids() as ids")


async def end_session(session: TenantSession, handle: str, status: str) -> None:
    """Close a session that is open; a closed one stays as it is."""
    await session.execute(
        update(AgentSession)
        .where(AgentSession.session_id == handle, AgentSession.status == "active")
        .values(status=status, ended_at=func.now())
    )


async def running_turn(session: TenantSession, session_row: UUID) -> UUID | None:
    """The turn that is being answered."""
    query = select(AgentTurn.id).where(
        AgentTurn.session_id == session_row, AgentTurn.status.in_(("running", "waiting"))
    )
    return (await session.execute(query)).scalar_one_or_none()


async def page_of_messages(
    session: TenantSession, session_row: UUID, limit: int, after: UUID | None
) -> Sequence[AgentMessage]:
    """Messages of a session, oldest first, from behind one of them."""
    query = select(AgentMessage).options(_MESSAGE_FACE).where(AgentMessage.session_id == session_row)
    if after is not None:
        behind = select(AgentMessage.sequence).where(AgentMessage.id == after).scalar_subquery()
        query = query.where(AgentMessage.sequence > behind)
    return (await session.execute(query.order_by(AgentMessage.sequence).limit(limit))).scalars().all()


LOCK_FOR_TURN = text("""
select s.id, s.organization_id, s.agent_id, s.agent_version_id, s.status, s.message_count,
  extract(epoch from now() - s.started_at) as age_s, extract(epoch from now() - s.last_activity_at) as idle_s,
  s.user_id, s.website_domain, a.is_active, a.published_version_id,
  same.id as turn_id, same.status as turn_status, same.attempt, asked.content as asked,
  asked.id is not null and exists (
    select from agent_messages later where later.session_id = s.id and later.sequence > asked.sequence) as is_overtaken,
  busy.id as busy_id, extract(epoch from busy.lease_until - now()) as busy_s
from agent_sessions s
join agents a on a.id = s.agent_id
left join agent_turns same on same.session_id = s.id and same.idempotency_key = :key
left join agent_messages asked on asked.turn_id = same.id and asked.role = 'user'
left join agent_turns busy on busy.session_id = s.id and busy.status in ('running', 'waiting')
where s.session_id = :handle
for update of s
""")
"""The session, locked, with the turn of the same idempotency key and the one that runs: all that admission asks.

Where it waited for the lock, the turns are still those from before the wait: what is then written may collide with
what was written meanwhile, and admission is asked once more (`Raced`).
"""

BEGIN_TURN = text("""
with turn as (
  insert into agent_turns (id, organization_id, session_id, idempotency_key, status, lease_until)
  values (:turn_id, :organization_id, :session_row, :key, 'running', now() + make_interval(secs => :lease_s))),
message as (
  insert into agent_messages (id, organization_id, session_id, turn_id, role, content)
  values (:message_id, :organization_id, :session_row, :turn_id, 'user', :content)),
touched as (
  update agent_sessions set message_count = message_count + 1 where id = :session_row)
select now() as created_at, (
  select coalesce(json_agg(json_build_array(recent.role, recent.content) order by recent.sequence), '[]')
  from (select role, content, sequence from agent_messages
        where session_id = :session_row and role in ('user', 'assistant') and status <> 'failed'
        order by sequence desc limit :window) recent) as history
""")
"""The turn, the user's message and the session's count of messages; returns the conversation before it.

`last_activity_at` waits for the turn's end: it is in three indexes, and a row that changes in none of its indexed
columns is written in place of its old version (HOT), without a new entry in each of the table's indexes. `now()` is
the message's default for `created_at`: read back by RETURNING, it would bring the policy for SELECT along.
"""

RETRY_TURN = text("""
with asked as (
  select id, sequence, created_at from agent_messages
  where session_id = :session_row and turn_id = :turn_id and role = 'user'),
turn as (
  update agent_turns t set status = 'running', attempt = attempt + 1, partial_text = '', answer_offset = 0,
    error = null, ended_at = null, lease_until = now() + make_interval(secs => :lease_s)
  from asked
  where t.id = :turn_id and t.status = 'failed' and t.attempt = :attempt and not exists (
    select from agent_messages later where later.session_id = :session_row and later.sequence > asked.sequence)
  returning t.id),
touched as (update agent_sessions set last_activity_at = now() where id = :session_row)
select asked.created_at, asked.id as message_id, (
  select coalesce(json_agg(json_build_array(recent.role, recent.content) order by recent.sequence), '[]')
  from (select m.role, m.content, m.sequence from agent_messages m
        where m.session_id = :session_row and m.sequence < asked.sequence
          and m.role in ('user', 'assistant') and m.status <> 'failed'
        order by m.sequence desc limit :window) recent) as history
from turn, asked
""")
"""A failed turn once more: its message stands already. No row: it is no longer what it was, or not the latest."""

EXPIRE_TURN = text("""
update agent_turns set status = 'failed', ended_at = now(), lease_until = null, error = :error
where id = :turn_id and status = 'running' and lease_until < now()
""")

EXTEND_TURN = text("""
update agent_turns set partial_text = left(partial_text, :offset) || :piece,
  answer_offset = :offset + char_length(:piece), lease_until = now() + make_interval(secs => :lease_s)
where id = :turn_id and status = 'running' and attempt = :attempt
returning id
""")
"""Keeps the lease and what was said so far, also where it is said twice, as word of the first time was lost. No row:
the turn was cancelled, failed or taken over."""

# Who ends a turn locks its session first, as admission does. The other way round the two would deadlock: a new turn
# waits for the end of the one whose place it takes.
_LOCKED = """
with locked as (
  select id from agent_sessions where id = :session_row for no key update),
"""

_ANSWER = (
    _LOCKED
    + """
turn as (
  update agent_turns t set status = :turn_status, ended_at = now(), lease_until = null,
    partial_text = '', answer_offset = char_length(:content)
  from locked
  where t.session_id = locked.id and t.id = :turn_id and t.status = 'running' and t.attempt = :attempt
  returning t.id, t.organization_id, t.session_id),
message as (
  insert into agent_messages
    (id, organization_id, session_id, turn_id, role, content, tokens_used, latency_ms, model_used, status)
  select :message_id, organization_id, session_id, id, 'assistant', :content, :output_tokens, :latency_ms, :model,
    :status
  from turn where char_length(:content) > 0),
touched as (
  update agent_sessions s set message_count = s.message_count + (char_length(:content) > 0)::integer,
    last_activity_at = now(), conversation_history = cast(:window as jsonb)
  from turn where s.id = turn.session_id)
"""
)

COMPLETE_TURN = text(
    _ANSWER
    + """,
metered as (
  insert into usage_logs (id, organization_id, agent_id, session_id, message_id, user_id, kind, provider, model,
    tokens_used, input_tokens, output_tokens, is_estimated, latency_ms)
  select :usage_id, organization_id, :agent_id, session_id, :message_id, :user_id, 'llm', :provider, :model,
    :input_tokens + :output_tokens, :input_tokens, :output_tokens, :is_estimated, :latency_ms
  from turn where char_length(:content) > 0)
select id, now() as created_at from turn
"""
)
"""The answer, its usage, the window and the counters in one statement; no row: the turn is no longer ours."""

METER_TURN = text("""
insert into usage_logs (id, organization_id, agent_id, session_id, message_id, user_id, kind, provider, model,
  tokens_used, input_tokens, output_tokens, is_estimated, latency_ms)
select :usage_id, t.organization_id, :agent_id, t.session_id, (
    select m.id from agent_messages m where m.turn_id = t.id and m.role = 'assistant' and t.attempt = :attempt),
  :user_id, 'llm', :provider, :model,
  :input_tokens + :output_tokens, :input_tokens, :output_tokens, :is_estimated, :latency_ms
from agent_turns t where t.id = :turn_id
on conflict do nothing
""")
"""The usage of an attempt that did not end with a whole answer, whoever has the turn by now; said twice, it stands
once. Its message is the part of the answer that was kept, if any."""

CANCEL_TURN = text(_ANSWER + "select id from turn")
"""As `COMPLETE_TURN`, for the part that was said when the turn was stopped."""

CANCEL_ELSEWHERE = text("""
with locked as (
  select id from agent_sessions where session_id = :handle for no key update),
turn as (
  update agent_turns t set status = 'cancelled', ended_at = now(), lease_until = null
  from locked where t.session_id = locked.id and t.id = :turn_id and t.status in ('running', 'waiting')
  returning t.id, t.organization_id, t.session_id, t.partial_text),
message as (
  insert into agent_messages (id, organization_id, session_id, turn_id, role, content, status)
  select :message_id, organization_id, session_id, id, 'assistant', partial_text, 'interrupted'
  from turn where partial_text <> ''
  returning session_id),
touched as (
  update agent_sessions s set message_count = s.message_count + 1, last_activity_at = now()
  from message where s.id = message.session_id)
select session_id as session_row from turn
""")
"""Stops a turn that another server runs: that one finds its row taken and falls silent. No row: it has ended."""

SAID = text("""
select coalesce(json_agg(json_build_array(recent.role, recent.content) order by recent.sequence), '[]') as history
from (select role, content, sequence from agent_messages
      where session_id = :session_row and role in ('user', 'assistant') and status <> 'failed'
      order by sequence desc limit :limit) recent
""")
"""The newest messages of a session, for who didn't run its turn."""

WRITE_WINDOW = text("update agent_sessions set conversation_history = cast(:window as jsonb) where id = :session_row")

FAIL_TURN = text("""
with touched as (update agent_sessions set last_activity_at = now() where id = :session_row returning id)
update agent_turns t set status = 'failed', ended_at = now(), lease_until = null, error = :error
from touched where t.session_id = touched.id and t.id = :turn_id and t.status = 'running' and t.attempt = :attempt
""")

WATCH_TURN = text("""
select t.status, t.attempt, t.error, substr(t.partial_text, :offset + 1) as piece, t.answer_offset,
  t.lease_until < now() as expired
from agent_turns t join agent_sessions s on s.id = t.session_id
where t.id = :turn_id and s.session_id = :handle
""")
"""How a turn stands and what was said behind an offset: for streams that follow it from elsewhere."""

TURN_OUTCOME = text("""
select t.id as turn_id, t.status as turn_status, s.session_id as handle, t.error,
  m.id, m.role, m.content, m.status, m.tokens_used, m.latency_ms, m.model_used, m.citations, m.created_at,
  u.input_tokens, u.output_tokens, coalesce(u.is_estimated, false) as is_estimated
from agent_turns t
join agent_sessions s on s.id = t.session_id
left join agent_messages m on m.turn_id = t.id and m.role = 'assistant'
left join usage_logs u on u.message_id = m.id and u.kind = 'llm'
where t.id = :turn_id and s.session_id = :handle
""")
"""A turn that ended, with its answer."""

FAIL_EXPIRED = text("select app.fail_expired_turns()")
"""For all organizations at once: it tells nothing but how many there were."""

USER_MESSAGE = text("""
select m.id, m.turn_id, m.role, m.content, m.status, m.tokens_used, m.latency_ms, m.model_used, m.citations,
  m.created_at
from agent_messages m join agent_sessions s on s.id = m.session_id
where m.turn_id = :turn_id and m.role = 'user' and s.session_id = :handle
""")


def _by_handle(handle: str) -> Select[AgentSession]:
    return select(AgentSession).where(AgentSession.session_id == handle)


async def _one(session: TenantSession, query: Select[AgentSession]) -> AgentSession | None:
    return (await session.execute(query)).scalar_one_or_none()
