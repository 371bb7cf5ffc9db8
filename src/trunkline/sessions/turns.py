"""The two ends of a turn, and how it stands in between.

KeyReused, TurnOvertaken ⊂ Conflict; UnknownTurn ⊂ NotFound; TurnDied ⊂ TrunklineError
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from trunkline.agents import service as agents
from trunkline.agents.settings import AgentSettings
from trunkline.db.base import new_id
from trunkline.db.tenant import Database, TenantSession
from trunkline.errors import (
    Conflict,
    NotFound,
    ProviderFailed,
    TrunklineError,
)
from trunkline.sessions import repository
from trunkline.sessions.schemas import MessageView, TurnStatus, TurnView, UsageView
from trunkline.sessions.service import SessionBusy, UnknownSession, ended, passed_limit

TURN_DIED = "The server that ran this turn stopped. Send the message again."


WINDOW_BYTES = 1024
"""Most text in `conversation_history`. It is rewritten with each turn, so its size is what a turn costs; the model is
given the messages themselves, up to the agent's `history_max_messages` and `history_max_tokens`."""


WINDOW_MESSAGES = 50
"""Most messages in `conversation_history` where they are read again to fill it."""


_CHARACTERS_PER_TOKEN = 4


Said = tuple[Literal["user", "assistant"], str]
"""Who said what."""


class UnknownTurn(NotFound):
    """There is no such turn in the session."""

    code: ClassVar[str] = "unknown_turn"


class KeyReused(Conflict):
    """The idempotency key belongs to another message."""

    code: ClassVar[str] = "idempotency_key_reused"


class TurnOvertaken(Conflict):
    """The turn failed, and the conversation went on without its answer."""

    code: ClassVar[str] = "turn_overtaken"


class TurnDied(TrunklineError):
    """The turn's server stopped, or lost its lease; the same message with the same key gets its answer."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "turn_died"
    title: ClassVar[str] = "The turn's server stopped"


class Raced(Exception):
    """Another turn was admitted at the same moment. Asking once more, in a new transaction, tells how it stands."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A turn that may run, with all that the runtime needs; or one that ran before (`settings` is then None)."""

    turn_id: UUID
    attempt: int
    organization_id: UUID
    handle: str
    session_row: UUID
    agent_id: UUID
    user_id: UUID | None
    content: str
    user_message: MessageView | None = None
    version: int = 0
    settings: AgentSettings | None = None
    history: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What an attempt of a turn has used of its model: one row of the meter, however often it is written."""

    id: UUID
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    is_estimated: bool
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a turn has come."""

    attempt: int
    piece: str
    has_ended: bool
    """It is complete, or was cancelled."""
    failure: TrunklineError | None


class VersionCache:
    """Settings of published versions, which never change; the newest few hundred that this process met."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._known: dict[UUID, tuple[int, AgentSettings]] = {}

    async def get(self, session: TenantSession, version_id: UUID) -> tuple[int, AgentSettings]:
        """The number and settings of a version that the session's row pins."""
        known = self._known.get(version_id)
        if known is None:
            known = await agents.published_settings(session, version_id)
            if len(self._known) >= self._size:
                self._known.pop(next(iter(self._known)))
            self._known[version_id] = known
        return known


async def admit(
    session: TenantSession, handle: str, content: str, key: str, versions: VersionCache, lease_s: float
) -> Admission:
    """The first end of a turn: everything is checked, the user's message stands, the turn is this server's.

    It stays this server's for `lease_s` seconds, unless `extend_turn` renews them.

    With a key that was used before the same turn is returned: to be followed where it runs or ended well (`settings`
    is None), to be run once more where it failed and nothing was said since.

    Raises:
        Raced: another request was faster.
        UnknownSession: there is none for the caller.
        SessionBusy: another turn runs.
        WrongWebsite: the agent serves the session's website no longer.
        SessionEnded: it was ended, or its time is over.
        KeyReused: the key was used for another message.
        TurnOvertaken: the key's turn failed, and later messages stand: its answer would come behind theirs.
        SessionFull: the agent's max_messages_per_session is reached.
    """
    row = await session.row(repository.LOCK_FOR_TURN, {"handle": handle, "key": key})
    if row is None:
        raise UnknownSession("There is no such session. Start one with POST /v1/sessions.")
    if row.turn_id is not None and row.asked != content:
        raise KeyReused("This Idempotency-Key was used for another message. Use a fresh key for each message.")
    turn = Admission(
        turn_id=row.turn_id or new_id(),
        attempt=row.attempt or 0,
        organization_id=row.organization_id,
        handle=handle,
        session_row=row.id,
        agent_id=row.agent_id,
        user_id=row.user_id,
        content=content,
    )
    is_busy = row.busy_id is not None and (row.busy_s is None or row.busy_s > 0)
    if row.turn_status in ("complete", "cancelled") or (is_busy and row.busy_id == row.turn_id):
        return turn
    if is_busy:
        raise SessionBusy("The session is answering another message. Wait for it, or cancel it.", retry_after_s=1)
    if row.busy_id is not None:
        await session.execute(repository.EXPIRE_TURN, {"turn_id": row.busy_id, "error": TURN_DIED})
    if row.is_overtaken:
        raise TurnOvertaken(
            "This message was not answered, and the conversation went on. Send it again with a fresh Idempotency-Key."
        )
    pinned, published = _versions_of(row)
    if row.website_domain is not None:
        agents.check_website((await versions.get(session, published))[1], row.website_domain)
    version, settings = await versions.get(session, pinned)
    _check_open(row, settings)
    return await _begin(session, turn, key, version, settings, lease_s)


async def outcome(session: TenantSession, handle: str, turn_id: UUID) -> TurnView:
    """A turn that ended well, with its answer.

    Raises:
        UnknownTurn: the session has no such turn.
        ProviderFailed: the turn failed.
        TurnDied: its server stopped.
        SessionBusy: the turn is being answered.
    """
    values = {"turn_id": turn_id, "handle": handle}
    row = await session.row(repository.TURN_OUTCOME, values)
    if row is None:
        raise UnknownTurn(f"The session has no turn {turn_id}.")
    if row.turn_status == "failed":
        raise _failure(row.error)
    if row.turn_status not in ("complete", "cancelled"):
        raise SessionBusy("The turn is being answered. Follow its stream.", retry_after_s=1)
    message = None if row.id is None else MessageView.model_validate(row)
    usage = UsageView(input_tokens=row.input_tokens, output_tokens=row.output_tokens, is_estimated=row.is_estimated)
    return TurnView(turn_id=turn_id, session_id=handle, status=row.turn_status, message=message, usage=usage)


async def extend_turn(session: TenantSession, turn: Admission, piece: str, offset: int, lease_s: float) -> bool:
    """Renew the lease; `piece` was said behind the first `offset` characters. False: the turn is no longer ours."""
    values = {
        "turn_id": turn.turn_id,
        "attempt": turn.attempt,
        "piece": piece,
        "offset": offset,
        "lease_s": lease_s,
    }
    return await session.row(repository.EXTEND_TURN, values) is not None


async def complete_turn(
    session: TenantSession, turn: Admission, answer: MessageView, used: ModelUsage
) -> MessageView | None:
    """The second end of a turn: answer, usage, window and counters at once. None: the turn is no longer ours."""
    values = {**_usage_values(turn, used), **_answer_values(turn, answer, "complete")}
    row = await session.row(repository.COMPLETE_TURN, values)
    return None if row is None else answer.model_copy(update={"created_at": row.created_at})


async def meter_turn(session: TenantSession, turn: Admission, used: ModelUsage) -> None:
    """Write what an attempt without a whole answer has used, whoever has the turn by now."""
    await session.row(repository.METER_TURN, _usage_values(turn, used))


async def interrupt_turn(session: TenantSession, turn: Admission, answer: MessageView) -> bool:
    """End a turn that was stopped: what was said stands, interrupted. False: the turn is no longer ours."""
    values = _answer_values(turn, answer, "cancelled")
    return await session.row(repository.CANCEL_TURN, values) is not None


async def cancel_turn(session: TenantSession, handle: str, turn_id: UUID) -> None:
    """Stop a turn that another server runs; one that has ended stays as it is."""
    values = {"handle": handle, "turn_id": turn_id, "message_id": new_id()}
    stopped = await session.row(repository.CANCEL_ELSEWHERE, values)
    if stopped is None:
        return
    said = await session.row(repository.SAID, {"session_row": stopped.session_row, "limit": WINDOW_MESSAGES})
    conversation: list[Said] = [] if said is None else [(role, content) for role, content in said.history]
    await session.execute(repository.WRITE_WINDOW, {"session_row": stopped.session_row, "window": window(conversation)})


async def fail_turn(session: TenantSession, turn: Admission, reason: str) -> None:
    """Mark a turn failed; its message can be sent again with the same key."""
    values = {"session_row": turn.session_row, "turn_id": turn.turn_id, "attempt": turn.attempt, "error": reason[:1000]}
    await session.execute(repository.FAIL_TURN, values)


async def fail_expired_turns(database: Database) -> None:
    """Mark turns failed whose server died, in all organizations: their leases have passed."""
    await database.ask(repository.FAIL_EXPIRED, {})


async def watch_turn(session: TenantSession, handle: str, turn_id: UUID, offset: int) -> Progress:
    """What was said behind `offset` (characters), and whether the turn has ended.

    Raises:
        UnknownTurn: the session has no such turn.
    """
    values = {"turn_id": turn_id, "handle": handle, "offset": offset}
    row = await session.row(repository.WATCH_TURN, values)
    if row is None:
        raise UnknownTurn(f"The session has no turn {turn_id}.")
    failure = _failure(row.error) if row.status == "failed" or row.expired else None
    return Progress(row.attempt, row.piece, row.status in ("complete", "cancelled"), failure)


async def turn_status(session: TenantSession, handle: str, turn_id: UUID) -> TurnStatus:
    """How a turn stands.

    Raises:
        UnknownTurn: the session has no such turn.
    """
    values = {"turn_id": turn_id, "handle": handle, "offset": 0}
    row = await session.row(repository.WATCH_TURN, values)
    if row is None:
        raise UnknownTurn(f"The session has no turn {turn_id}.")
    return TurnStatus(turn_id=turn_id, status=row.status)


async def fallback_message(session: TenantSession, handle: str) -> str | None:
    """What the agent of a session wants visitors to be told when it can't answer."""
    row = await repository.find_whole_session(session, handle)
    if row is None or row.agent_version_id is None:
        return None
    return (await agents.published_settings(session, row.agent_version_id))[1].fallback_message


async def user_message(session: TenantSession, handle: str, turn_id: UUID) -> MessageView:
    """The message that a turn answers.

    Raises:
        UnknownTurn: the session has no such turn.
    """
    values = {"turn_id": turn_id, "handle": handle}
    row = await session.row(repository.USER_MESSAGE, values)
    if row is None:
        raise UnknownTurn(f"The session has no turn {turn_id}.")
    return MessageView.model_validate(row)


def window(history: Sequence[Said]) -> str:
    """The latest messages as `conversation_history` holds them: whole ones, the newest that fit in `WINDOW_BYTES`."""
    kept: list[dict[str, str]] = []
    room = WINDOW_BYTES
    for role, content in reversed(history):
        room -= len(content.encode())
        if room < 0:
            break
        kept.append({"role": role, "content": content})
    return json.dumps(kept[::-1], ensure_ascii=False)


def fitting(history: Sequence[Said], settings: AgentSettings) -> list[Said]:
    """The messages that the model is given: the newest within the agent's limits of messages and tokens."""
    if settings.memory_strategy == "none":
        return list(history[-1:])
    room = settings.history_max_tokens * _CHARACTERS_PER_TOKEN
    kept: list[Said] = []
    for role, content in reversed(history[-settings.history_max_messages :]):
        room -= len(content)
        if room < 0 and kept:
            break
        kept.append((role, content))
    return kept[::-1]


def _answer_values(turn: Admission, answer: MessageView, status: str) -> dict[str, Any]:
    conversation: list[Said] = [*turn.history, ("user", turn.content)]
    if answer.content:
        conversation.append(("assistant", answer.content))
    return {
        "turn_id": turn.turn_id,
        "session_row": turn.session_row,
        "attempt": turn.attempt,
        "turn_status": status,
        "message_id": answer.id,
        "content": answer.content,
        "status": answer.status,
        "output_tokens": answer.tokens_used,
        "latency_ms": answer.latency_ms,
        "model": answer.model_used,
        "window": window(conversation),
    }


def _usage_values(turn: Admission, used: ModelUsage) -> dict[str, Any]:
    return {
        "turn_id": turn.turn_id,
        "attempt": turn.attempt,
        "agent_id": turn.agent_id,
        "user_id": turn.user_id,
        "usage_id": used.id,
        "provider": used.provider,
        "model": used.model,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "is_estimated": used.is_estimated,
        "latency_ms": used.latency_ms,
    }


def _failure(reason: str | None) -> TrunklineError:
    """What a turn's row says about its failure."""
    if reason in (None, TURN_DIED):
        return TurnDied(TURN_DIED, retry_after_s=1)
    return ProviderFailed(reason)


def _versions_of(row: Any) -> tuple[UUID, UUID]:
    """The version that the session pins, which answers, and the published one, which says which websites are served."""
    if row.agent_version_id is None or row.published_version_id is None or not row.is_active:
        raise agents.NotPublished("The agent is switched off, or its version is gone. Start a new session later.")
    return row.agent_version_id, row.published_version_id


def _check_open(row: Any, settings: AgentSettings) -> None:
    """Refuse what a session takes no more. A message that stands already was within the limits when it came."""
    if row.status != "active":
        raise ended(row.status)
    if row.turn_id is not None:
        return
    passed = passed_limit(settings, age_s=row.age_s, idle_s=row.idle_s, messages=row.message_count)
    if passed is not None:
        raise passed


async def _begin(
    session: TenantSession, turn: Admission, key: str, version: int, settings: AgentSettings, lease_s: float
) -> Admission:
    """Write what a turn begins with, or begin a failed one anew; fills in what the runtime needs."""
    message_id = new_id()
    values = {
        "turn_id": turn.turn_id,
        "organization_id": turn.organization_id,
        "session_row": turn.session_row,
        "key": key,
        "message_id": message_id,
        "content": turn.content,
        "attempt": turn.attempt,
        "lease_s": lease_s,
        "window": settings.history_max_messages - 1,
    }
    again = turn.attempt > 0
    statement = repository.RETRY_TURN if again else repository.BEGIN_TURN
    try:
        done = await session.row(statement, values)
    except IntegrityError as error:
        raise Raced from error
    if done is None:
        raise Raced
    message = MessageView(
        id=done.message_id if again else message_id,
        turn_id=turn.turn_id,
        role="user",
        content=turn.content,
        status="complete",
        tokens_used=None,
        latency_ms=None,
        model_used=None,
        citations=[],
        created_at=done.created_at,
    )
    return replace(
        turn,
        attempt=turn.attempt + 1,
        user_message=message,
        version=version,
        settings=settings,
        history=tuple((role, content) for role, content in done.history),
    )
