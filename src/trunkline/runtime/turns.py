"""Runs turns between their two short transactions, while no database connection is held.

A turn belongs to the server, not to the request that asked for it: a client may leave, and come back on another
replica. What keeps it honest is its row: a lease that is renewed while it runs, and the text said so far, written at
most four times a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar
from uuid import UUID

from pydantic import SecretStr

from trunkline.agents.settings import AgentSettings
from trunkline.db.base import new_id
from trunkline.db.principals import Service
from trunkline.db.tenant import Database, TenantSession
from trunkline.errors import DatabaseUnavailable, ProviderFailed, TrunklineError
from trunkline.organizations import service as organizations
from trunkline.organizations.vault import Vault
from trunkline.runtime.agent import AgentRuntime
from trunkline.runtime.definition import AgentDefinition, HistoryMessage, TurnInput
from trunkline.runtime.events import Finished, TextDelta
from trunkline.runtime.live import LiveTurn
from trunkline.sessions import service
from trunkline.sessions.schemas import MessageView, TurnView, UsageView
from trunkline.sessions.service import Admission, VersionCache

FLUSH_S = 0.25
"""How often what was said is written to the turn's row at most, in seconds."""

RENEW_S = 4.0
"""How often the lease is renewed while the model is silent, in seconds."""

RETRY_S = 30.0
"""How long an answer is offered to a database that is away, in seconds. Then the turn's lease passes, and it fails."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class TurnLost(TrunklineError):
    """The turn's row is no longer this run's: it was cancelled elsewhere, or its lease passed."""


class Turns:
    """All turns that run in this process."""

    def __init__(self, database: Database, runtime: AgentRuntime, vault: Vault) -> None:
        self._database = database
        self._runtime = runtime
        self._vault = vault
        self._versions = VersionCache()
        self._live: dict[UUID, LiveTurn] = {}

    async def take(self, principal: Service, handle: str, content: str, key: str) -> tuple[UUID, LiveTurn | None]:
        """Admit a message and let its turn run. Without a live turn, it runs elsewhere or ended before.

        Raises:
            TrunklineError: as `sessions.service.admit`.
        """
        api_key: SecretStr | None = None
        async with self._database.tenant(principal) as session:
            admission = await service.admit(session, handle, content, key, self._versions)
            if admission.settings is not None and admission.settings.llm_credential_id is not None:
                credential_id = admission.settings.llm_credential_id
                api_key = await organizations.open_credential(
                    session, admission.organization_id, credential_id, self._vault
                )
        if admission.settings is None or admission.user_message is None:
            return admission.turn_id, self._live.get(admission.turn_id)
        live = LiveTurn(admission.turn_id, handle, admission.user_message)
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
            live.task.cancel()
            await asyncio.wait([live.task])
        async with self._database.tenant(principal) as session:
            await service.cancel_turn(session, turn_id)
            return (await service.turn_status(session, handle, turn_id)).status

    async def close(self, grace_s: float = 10.0) -> None:
        """Let running turns finish for `grace_s` seconds, then stop the rest; each keeps what it said."""
        tasks = [live.task for live in self._live.values() if live.task is not None]
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=grace_s)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)

    async def fail_expired(self) -> None:
        """Mark turns failed whose server died: their leases have passed."""
        await service.fail_expired_turns(self._database)

    async def _run(
        self, live: LiveTurn, principal: Service, admission: Admission, settings: AgentSettings, key: SecretStr | None
    ) -> None:
        keeper = asyncio.create_task(self._keep(live, principal, admission, asyncio.current_task()))
        try:
            finished = await self._ask(live, admission, settings, key)
            outcome = await self._complete(live, principal, admission, settings, finished)
        except asyncio.CancelledError:
            outcome = await self._stop(live, principal, admission, settings)
        except TrunklineError as error:
            outcome = await self._fail(principal, admission, error)
        except Exception:  # noqa: BLE001  whatever it was, the turn must end and be said to have failed
            _log.exception("turn %s failed", live.turn_id)
            outcome = await self._fail(principal, admission, TrunklineError("The turn failed. Send the message again."))
        finally:
            keeper.cancel()
            self._live.pop(live.turn_id, None)
        live.finish(outcome)

    async def _ask(
        self, live: LiveTurn, admission: Admission, settings: AgentSettings, key: SecretStr | None
    ) -> Finished:
        """Let the model speak; no connection is held here."""
        definition = definition_of(admission, settings)
        messages = service.fitting([*admission.history, ("user", admission.content)], settings)
        turn = TurnInput(history=[HistoryMessage(role, content) for role, content in messages], api_key=key)
        finished: Finished | None = None
        async with aclosing(self._runtime.stream(definition, turn)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    live.append(event.text)
                else:
                    finished = event
        if finished is None:
            raise ProviderFailed(f"Agent '{settings.name}' got no answer. Send the message again.")
        return finished

    async def _keep(
        self, live: LiveTurn, principal: Service, admission: Admission, run: asyncio.Task[None] | None
    ) -> None:
        """Renew the lease and write what was said; stop the run when the row is no longer its own."""
        written, silent_s = 0, 0.0
        while True:
            await asyncio.sleep(FLUSH_S)
            silent_s += FLUSH_S
            if live.length == written and silent_s < RENEW_S:
                continue
            text = live.text()
            try:
                async with self._database.tenant(principal) as session:
                    is_ours = await service.extend_turn(session, admission, text[written:], len(text))
            except DatabaseUnavailable:
                continue  # the lease gives it some seconds; completion says the last word
            if not is_ours:
                if run is not None:
                    run.cancel()
                return
            written, silent_s = len(text), 0.0

    async def _complete(
        self, live: LiveTurn, principal: Service, admission: Admission, settings: AgentSettings, finished: Finished
    ) -> TurnView:
        answer = MessageView(
            id=new_id(),
            turn_id=live.turn_id,
            role="assistant",
            content=finished.text,
            status="complete",
            tokens_used=finished.output_tokens,
            latency_ms=finished.latency_ms,
            model_used=finished.model,
            citations=[],
            created_at=live.user_message.created_at,
        )
        usage = UsageView(input_tokens=finished.input_tokens, output_tokens=finished.output_tokens)

        async def write(session: TenantSession) -> MessageView | None:
            return await service.complete_turn(session, admission, answer, settings.llm_provider, usage)

        message = await self._write(principal, write)
        if message is None:
            raise TurnLost("The turn was stopped or taken over. Look at the session's messages.")
        return TurnView(turn_id=live.turn_id, session_id=live.handle, status="complete", message=message, usage=usage)

    async def _stop(
        self, live: LiveTurn, principal: Service, admission: Admission, settings: AgentSettings
    ) -> TurnView | TrunklineError:
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

        async def write(session: TenantSession) -> TurnView:
            # Where another server cancelled it, that one wrote what it knew.
            await service.interrupt_turn(session, admission, answer)
            return await service.outcome(session, live.handle, live.turn_id)

        try:
            return await self._write(principal, write)
        except TrunklineError as error:
            return error

    async def _fail(self, principal: Service, admission: Admission, error: TrunklineError) -> TrunklineError:
        _log.warning("turn %s failed: %s", admission.turn_id, error.detail)
        try:
            await self._write(principal, lambda session: service.fail_turn(session, admission, error.detail))
        except TrunklineError:
            _log.warning("turn %s could not be marked failed; its lease will pass", admission.turn_id)
        return error

    async def _write(self, principal: Service, write: Callable[[TenantSession], Awaitable[Result]]) -> Result:
        """A last word on a turn in its own transaction, said again while the database is away."""
        deadline = asyncio.get_running_loop().time() + RETRY_S
        while True:
            try:
                async with self._database.tenant(principal) as session:
                    return await write(session)
            except DatabaseUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.5)


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
