"""Runs turns between their two short transactions, while no database connection is held.

A turn belongs to the server, not to the request that asked for it: a client may leave, and come back on another
replica. What keeps it honest is its row: a lease that is renewed while it runs, and the text said so far, written at
most four times a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TypeVar
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from trunkline.agents.settings import AgentSettings
from trunkline.db.base import new_id
from trunkline.db.principals import Service
from trunkline.db.tenant import Database, TenantSession
from trunkline.errors import DatabaseUnavailable, NotFound, ProviderFailed, SetupError, TrunklineError
from trunkline.organizations import service as organizations
from trunkline.organizations.vault import Vault
from trunkline.runtime.agent import AgentRuntime
from trunkline.runtime.definition import AgentDefinition, HistoryMessage, TurnInput
from trunkline.runtime.events import Finished, TextDelta
from trunkline.runtime.live import LiveTurn
from trunkline.sessions import turns
from trunkline.sessions.schemas import MessageView, TurnView, UsageView
from trunkline.sessions.service import SessionBusy
from trunkline.sessions.turns import Admission, ModelUsage, Said, TurnDied, VersionCache

FLUSH_S = 0.25
"""How often what was said is written to the turn's row at most, in seconds."""

RENEWALS_PER_LEASE = 4
"""How often a lease is renewed in its own length while the model is silent."""

RETRY_S = 30.0
"""How long an answer is offered to a database that is away, in seconds. Then the turn's lease passes, and it fails."""

ADMISSIONS = 5
"""How often a message is offered that others overtake. Who overtakes holds the session, so that twice is enough."""

STOP_S = 3.0
"""The same while the server stops, for each turn that it could not finish."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Turns:
    """All turns that run in this process."""

    def __init__(self, database: Database, runtime: AgentRuntime, vault: Vault, *, lease_s: float) -> None:
        self._database = database
        self._runtime = runtime
        self._vault = vault
        self._lease_s = lease_s
        self._versions = VersionCache()
        self._live: dict[UUID, LiveTurn] = {}
        self._retry_s = RETRY_S
        self._is_closing = False

    async def take(self, principal: Service, handle: str, content: str, key: str) -> tuple[UUID, LiveTurn | None]:
        """Admit a message and let its turn run. Without a live turn, it runs elsewhere or ended before.

        Raises:
            TurnDied: this server is stopping; another one takes the turn.
            ProviderFailed: the agent's credential is gone or can't be read.
            TrunklineError: as `sessions.turns.admit`.
        """
        if self._is_closing:
            raise TurnDied("This server is stopping. Send the message again.", retry_after_s=1)
        admission, api_key = await self._admit(principal, handle, content, key)
        if admission.settings is None or admission.user_message is None:
            return admission.turn_id, self._live.get(admission.turn_id)
        live = LiveTurn(admission.turn_id, admission.attempt, handle, admission.user_message)
        self._live[live.turn_id] = live
        live.task = asyncio.create_task(self._run(live, principal, admission, admission.settings, api_key))
        return live.turn_id, live

    def live(self, handle: str, turn_id: UUID) -> LiveTurn | None:
        """The turn of this session, if it runs in this process."""
        live = self._live.get(turn_id)
        return live if live is not None and live.handle == handle else None

    async def cancel(self, principal: Service, handle: str, turn_id: UUID) -> str:
        """Stop a turn; what was said stays, as an interrupted message. Returns the status that it has now.

        Raises:
            UnknownTurn: the session has no such turn.
        """
        live = self.live(handle, turn_id)
        if live is not None and live.task is not None:
            live.stop()
            await asyncio.wait([live.task])
        async with self._database.tenant(principal) as session:
            await turns.cancel_turn(session, handle, turn_id)
            return (await turns.turn_status(session, handle, turn_id)).status

    async def close(self, grace_s: float) -> None:
        """Take no more turns; let those that run finish for `grace_s` seconds.

        The rest fail, so that another server answers them when their clients ask again.
        """
        self._is_closing = True
        tasks = [live.task for live in self._live.values() if live.task is not None]
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=grace_s)
        self._retry_s = STOP_S
        for live in list(self._live.values()):
            live.stop(TurnDied(turns.TURN_DIED, retry_after_s=1))
        if unfinished:
            await asyncio.wait(unfinished)

    async def fail_expired(self) -> None:
        """Mark turns failed whose server died: their leases have passed."""
        await turns.fail_expired_turns(self._database)

    async def _admit(
        self, principal: Service, handle: str, content: str, key: str
    ) -> tuple[Admission, SecretStr | None]:
        for _ in range(ADMISSIONS):
            with suppress(turns.Raced):
                async with self._database.tenant(principal) as session:
                    admission = await turns.admit(session, handle, content, key, self._versions, self._lease_s)
                    if admission.settings is None:
                        return admission, None
                    return admission, await self._credential(session, admission.organization_id, admission.settings)
        raise SessionBusy("The session gets many messages at once. Send one after the other.", retry_after_s=1)

    async def _credential(
        self, session: TenantSession, organization_id: UUID, settings: AgentSettings
    ) -> SecretStr | None:
        if settings.llm_credential_id is None:
            return None
        try:
            return await organizations.open_credential(
                session,
                organization_id,
                settings.llm_credential_id,
                self._vault,
                provider=settings.llm_provider,
                base_url=settings.llm_base_url,
            )
        except (NotFound, SetupError) as error:
            raise ProviderFailed(f"Agent '{settings.name}' has no usable API key. {error.detail}") from None

    async def _run(
        self, live: LiveTurn, principal: Service, admission: Admission, settings: AgentSettings, key: SecretStr | None
    ) -> None:
        asking = live.asking = asyncio.create_task(self._ask(live, admission, settings, key))
        keeper = asyncio.create_task(self._keep(live, principal, admission, asking))
        outcome: TurnView | TrunklineError = TurnDied(turns.TURN_DIED, retry_after_s=1)
        try:
            await asyncio.wait([asking])
            outcome = await self._settle(live, principal, admission, settings, asking)
        except TrunklineError as error:
            outcome = error
        except Exception:  # noqa: BLE001  whatever it was, the turn must end and be said to have failed
            _log.exception("turn %s failed", live.turn_id)
            outcome = await self._fail(live, principal, admission, settings, TrunklineError(_FAILED))
        finally:
            asking.cancel()
            keeper.cancel()
            if self._live.get(live.turn_id) is live:  # it may be another attempt's by now
                del self._live[live.turn_id]
            live.finish(outcome)

    async def _settle(
        self,
        live: LiveTurn,
        principal: Service,
        admission: Admission,
        settings: AgentSettings,
        asking: asyncio.Task[Finished],
    ) -> TurnView | TrunklineError:
        """Write the end of a turn, whichever it is."""
        if asking.cancelled():
            if live.failure is not None:
                return await self._fail(live, principal, admission, settings, live.failure)
            return await self._interrupt(live, principal, admission, settings)
        error = asking.exception()
        if error is None:
            return await self._complete(live, principal, admission, settings, asking.result())
        if isinstance(error, TrunklineError):
            return await self._fail(live, principal, admission, settings, error)
        _log.error("turn %s failed", live.turn_id, exc_info=error)
        return await self._fail(live, principal, admission, settings, TrunklineError(_FAILED))

    async def _ask(
        self, live: LiveTurn, admission: Admission, settings: AgentSettings, key: SecretStr | None
    ) -> Finished:
        """Let the model speak; no connection is held here."""
        definition = definition_of(admission, settings)
        history = [HistoryMessage(role, content) for role, content in _given(admission, settings)]
        turn = TurnInput(history=history, api_key=key)
        finished: Finished | None = None
        async with aclosing(self._runtime.stream(definition, turn)) as events:
            async for event in events:
                if not isinstance(event, TextDelta):
                    finished = event
                elif text := storable(event.text):
                    live.append(text)
        if finished is None:
            raise ProviderFailed(f"Agent '{settings.name}' got no answer. Send the message again.")
        return finished

    async def _keep(
        self, live: LiveTurn, principal: Service, admission: Admission, asking: asyncio.Task[Finished]
    ) -> None:
        """While the model speaks, renew the lease and write what was said; stop it when the row is no longer ours."""
        written, silent_s = 0, 0.0
        while True:
            await asyncio.wait([asking], timeout=FLUSH_S)
            if asking.done():
                return
            silent_s += FLUSH_S
            if live.length == written and silent_s < self._lease_s / RENEWALS_PER_LEASE:
                continue
            text = live.text()
            try:
                async with self._database.tenant(principal) as session:
                    is_ours = await turns.extend_turn(session, admission, text[written:], written, self._lease_s)
            except (DatabaseUnavailable, SQLAlchemyError) as error:
                # The lease gives it some seconds; the turn's end says the last word.
                _log.warning("turn %s could not renew its lease: %s", live.turn_id, error)
                continue
            if not is_ours:
                live.stop()
                return
            written, silent_s = len(text), 0.0

    async def _complete(
        self, live: LiveTurn, principal: Service, admission: Admission, settings: AgentSettings, finished: Finished
    ) -> TurnView:
        answer = MessageView(
            id=new_id(),
            turn_id=live.turn_id,
            role="assistant",
            content=live.text(),
            status="complete",
            tokens_used=finished.output_tokens,
            latency_ms=finished.latency_ms,
            model_used=storable(finished.model),
            citations=[],
            created_at=live.user_message.created_at,
        )
        used = _told(live, settings, finished)

        async def write(session: TenantSession) -> MessageView | None:
            message = await turns.complete_turn(session, admission, answer, used)
            if message is None:
                # It was cancelled or taken over meanwhile; or this answer stands, and only word of it was lost.
                await turns.meter_turn(session, admission, used)
            return message

        message = await self._write(principal, write)
        if message is None:
            return await self._outcome(live, principal)
        return TurnView(
            turn_id=live.turn_id,
            session_id=live.handle,
            status="complete",
            message=message,
            usage=UsageView(
                input_tokens=used.input_tokens, output_tokens=used.output_tokens, is_estimated=used.is_estimated
            ),
        )

    async def _interrupt(
        self, live: LiveTurn, principal: Service, admission: Admission, settings: AgentSettings
    ) -> TurnView:
        """The turn was cancelled: what was said stands as an interrupted message."""
        answer = MessageView(
            id=new_id(),
            turn_id=live.turn_id,
            role="assistant",
            content=live.text(),
            status="interrupted",
            tokens_used=None,
            latency_ms=None,
            model_used=settings.llm_model,
            citations=[],
            created_at=live.user_message.created_at,
        )

        async def write(session: TenantSession) -> None:
            # Where another server cancelled it, that one wrote what it knew.
            await turns.interrupt_turn(session, admission, answer)
            if live.length:
                await turns.meter_turn(session, admission, _estimated(live, admission, settings))

        await self._write(principal, write)
        return await self._outcome(live, principal)

    async def _outcome(self, live: LiveTurn, principal: Service) -> TurnView:
        """How a turn ended that somebody else has ended, or may have."""
        return await self._write(principal, lambda session: turns.outcome(session, live.handle, live.turn_id))

    async def _fail(
        self,
        live: LiveTurn,
        principal: Service,
        admission: Admission,
        settings: AgentSettings,
        error: TrunklineError,
    ) -> TrunklineError:
        _log.warning("turn %s failed: %s", admission.turn_id, error.detail)

        async def write(session: TenantSession) -> None:
            await turns.fail_turn(session, admission, error.detail)
            if live.length:
                await turns.meter_turn(session, admission, _estimated(live, admission, settings))

        try:
            await self._write(principal, write)
        except (TrunklineError, SQLAlchemyError):
            _log.warning("turn %s could not be marked failed; its lease will pass", admission.turn_id)
        return error

    async def _write(self, principal: Service, write: Callable[[TenantSession], Awaitable[Result]]) -> Result:
        """A last word on a turn in its own transaction, said again while the database is away."""
        started = asyncio.get_running_loop().time()
        while True:
            try:
                async with self._database.tenant(principal) as session:
                    return await write(session)
            except DatabaseUnavailable:
                if asyncio.get_running_loop().time() - started > self._retry_s:
                    raise
                await asyncio.sleep(0.5)


_FAILED = "The turn failed on the server, which has logged why. Send the message again."


def _given(admission: Admission, settings: AgentSettings) -> list[Said]:
    """The messages that the model is given."""
    return turns.fitting([*admission.history, ("user", admission.content)], settings)


def _told(live: LiveTurn, settings: AgentSettings, finished: Finished) -> ModelUsage:
    """What a whole answer took, as its provider told it."""
    return ModelUsage(
        live.usage_id,
        settings.llm_provider,
        storable(finished.model),
        finished.input_tokens,
        finished.output_tokens,
        finished.estimated,
        finished.latency_ms,
    )


def _estimated(live: LiveTurn, admission: Admission, settings: AgentSettings) -> ModelUsage:
    """What an answer took that came to no end: no provider told its tokens."""
    from trunkline.runtime.graph import estimate_tokens  # noqa: PLC0415  loads LangGraph

    given = len(settings.system_prompt) + sum(len(content) for _, content in _given(admission, settings))
    return ModelUsage(
        live.usage_id,
        settings.llm_provider,
        settings.llm_model,
        estimate_tokens(given),
        estimate_tokens(live.length),
        is_estimated=True,
    )


def storable(text: str) -> str:
    """What a model said, as PostgreSQL and UTF-8 can hold it: no NUL, no half of a surrogate pair."""
    if "\x00" not in text and text.isascii():
        return text
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def definition_of(admission: Admission, settings: AgentSettings) -> AgentDefinition:
    """The part of a published version that the graph reads."""
    return AgentDefinition(
        agent_id=admission.agent_id,
        version=admission.version,
        name=settings.name,
        provider=settings.llm_provider,
        model=settings.llm_model,
        system_prompt=settings.system_prompt,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        reasoning_effort=settings.reasoning_effort,
        timeout_ms=settings.llm_timeout_ms,
        base_url=settings.llm_base_url,
        response_format=settings.response_format,
        variables=settings.dynamic_variables,
    )
