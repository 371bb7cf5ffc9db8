"""Runs the app on a socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
from fastapi import FastAPI

GRACE_S = 12
"""How long running answers may take to finish after the signal to stop, in seconds."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def run(app: FastAPI, listener: socket.socket, *, on_ready: Callable[[], None], access_log: bool = False) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; `on_ready` is called once the port answers.

    A turn that is asked for before the runtime is loaded (`/readyz`) waits for it.

    Answers that run get `GRACE_S` seconds to finish.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=access_log, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    server = _Server(config, on_ready)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """Tells when it listens, and takes a signal as a wish to stop.

    Uvicorn's own raises the signal again when it has stopped, which would end the process before it cleans up.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
