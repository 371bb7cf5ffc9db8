"""A turn while it runs in this process: what was said so far, and whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

from trunkline.db.base import new_id
from trunkline.errors import TrunklineError
from trunkline.runtime.events import Finished
from trunkline.sessions.schemas import MessageView, TurnView


class LiveTurn:
    """Text grows at its end only; listeners read from any offset and are woken when there is more."""

    def __init__(self, turn_id: UUID, attempt: int, handle: str, user_message: MessageView) -> None:
        self.turn_id = turn_id
        self.attempt = attempt
        """1, and one more each time that the turn failed and was asked for again."""
        self.handle = handle
        self.user_message = user_message
        self.usage_id = new_id()
        """Of its row in the meter, so that it stands there once however often it is written."""
        self.length = 0
        """Characters said so far."""
        self.outcome: TurnView | TrunklineError | None = None
        self.task: asyncio.Task[None] | None = None
        """The whole turn, to its last word in the database; never cancelled."""
        self.asking: asyncio.Task[Finished] | None = None
        """The part of it in which the model speaks."""
        self.failure: TrunklineError | None = None
        """Why the model was stopped, where that wasn't the client's wish."""
        self._pieces: list[str] = []
        self._listeners: set[asyncio.Event] = set()

    def append(self, text: str) -> None:
        """The model said more."""
        self._pieces.append(text)
        self.length += len(text)
        for listener in self._listeners:
            listener.set()

    def stop(self, failure: TrunklineError | None = None) -> None:
        """Silence the model. What was said stands, unless `failure` says why the turn has failed instead."""
        if self.asking is None or self.asking.done() or self.asking.cancelling():
            return
        self.failure = failure
        self.asking.cancel()

    def finish(self, outcome: TurnView | TrunklineError) -> None:
        """Nothing follows."""
        self.outcome = outcome
        for listener in self._listeners:
            listener.set()

    def text(self) -> str:
        """All that was said so far."""
        return "".join(self._pieces)

    async def pieces(self, offset: int) -> AsyncGenerator[str]:
        """What was said behind `offset` (in characters), as it comes; ends when the turn has ended."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            at = 0
            if offset:
                at = len(self._pieces)
                if behind := self.text()[offset:]:
                    yield behind
            while True:
                listener.clear()
                while at < len(self._pieces):
                    at += 1
                    yield self._pieces[at - 1]
                if self.outcome is not None:
                    return
                await listener.wait()
        finally:
            self._listeners.discard(listener)

    async def ended(self) -> TurnView:
        """Wait for the answer.

        Raises:
            TrunklineError: the turn failed.
        """
        async for _ in self.pieces(self.length):
            pass
        if isinstance(self.outcome, TrunklineError):
            raise self.outcome
        if self.outcome is None:
            raise AssertionError("a turn whose pieces have ended has an outcome")
        return self.outcome
