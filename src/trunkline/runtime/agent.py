"""Runs turns. LangGraph is loaded by `warm()` or by the first turn, not by importing this."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection
from typing import TYPE_CHECKING
from uuid import UUID

from trunkline.runtime.definition import AgentDefinition, TurnInput
from trunkline.runtime.events import RuntimeEvent
from trunkline.runtime.providers import ProviderRegistry

if TYPE_CHECKING:
    from trunkline.runtime.graph import AgentGraph

MAX_CACHED_GRAPHS = 512
"""Compiled graphs kept; the one used longest ago goes first. Compiling one takes under a millisecond."""


class AgentRuntime:
    """Answers turns of any agent. Holds compiled graphs, and nothing of a request."""

    def __init__(self, providers: ProviderRegistry) -> None:
        self._providers = providers
        self._graphs: OrderedDict[tuple[UUID, int], AgentGraph] = OrderedDict()
        self._is_warm = False

    @property
    def cached_versions(self) -> list[tuple[UUID, int]]:
        """Agent and version of every graph that is kept, the one used longest ago first."""
        return list(self._graphs)

    @property
    def faults(self) -> dict[str, str]:
        """Providers that could not be loaded, each with a sentence. Agents of the others are answered."""
        return dict(self._providers.faults)

    async def warm(self, start: Collection[str] = ()) -> None:
        """Load LangGraph and the providers in a thread (about two seconds of CPU), while the port already answers.

        `start` names providers whose models are started too, so that no first turn waits for them: `{"local"}`.
        """
        await asyncio.to_thread(_load_libraries)
        await asyncio.to_thread(self._providers.load_all)
        self._is_warm = True
        await self._providers.start(start)

    async def close(self) -> None:
        """Close the providers. Turns that still run fail."""
        await self._providers.close()

    async def stream(self, definition: AgentDefinition, turn: TurnInput) -> AsyncGenerator[RuntimeEvent]:
        """Answer one turn: pieces of text as they come, then `Finished`.

        Leaving the loop early (`aclose`, cancellation) stops the model. Iterate inside `contextlib.aclosing`, so that
        it stops at once and not when the generator happens to be collected.

        Raises:
            ProviderFailed: the provider is unknown, has no key, refused, broke off, timed out or said nothing. Text
                that came before it was already passed on.
        """
        if not self._is_warm:
            await self.warm()
        events: asyncio.Queue[RuntimeEvent | None] = asyncio.Queue()
        run = asyncio.create_task(self._run(definition, turn, events))
        run.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await run
        finally:
            await _stop(run)

    async def _run(
        self, definition: AgentDefinition, turn: TurnInput, events: asyncio.Queue[RuntimeEvent | None]
    ) -> None:
        from trunkline.runtime.graph import TurnContext  # noqa: PLC0415  loads LangGraph

        # A queue of our own: LangGraph's stream writer wakes the event loop through a system call for each token.
        context = TurnContext(emit=events.put_nowait, api_key=turn.api_key, started_at=time.monotonic())
        events.put_nowait(await self._graph(definition).answer(turn, context))

    def _graph(self, definition: AgentDefinition) -> AgentGraph:
        from trunkline.runtime.graph import AgentGraph  # noqa: PLC0415  loads LangGraph

        key = (definition.agent_id, definition.version)
        graph = self._graphs.get(key)
        if graph is not None:
            self._graphs.move_to_end(key)
            return graph
        graph = AgentGraph(definition, self._providers.get(definition))
        if not definition.is_draft:
            self._graphs[key] = graph
            if len(self._graphs) > MAX_CACHED_GRAPHS:
                self._graphs.popitem(last=False)
        return graph


def _load_libraries() -> None:
    from trunkline.runtime.graph import disable_tracing  # noqa: PLC0415  loads LangGraph

    disable_tracing()


async def _stop(run: asyncio.Task[None]) -> None:
    run.cancel()
    await asyncio.wait([run])
    if not run.cancelled():
        run.exception()  # it was raised to the caller already; asyncio need not complain that nobody saw it
