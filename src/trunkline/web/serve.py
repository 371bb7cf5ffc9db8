"""Runs the app on a socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Generator

import uvicorn
from fastapi import FastAPI

CONNECTIONS_S = 3
"""How long connections may take to end once no turn runs anymore, in seconds."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


async def _nothing() -> None:
    """There is nothing to wait for."""


def run(
    app: FastAPI,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    drain: Callable[[], Awaitable[None]] = _nothing,
    is_stopped: Callable[[], bool] = lambda: False,
    access_log: bool = False,
) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; `on_ready` is called once the port answers.

    A turn that is asked for before the runtime is loaded (`/readyz`) waits for it. At the signal the port is closed,
    then `drain` lets what runs come to its end. A second Ctrl-C doesn't wait for it. `is_stopped` tells of a signal
    that came before.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=access_log, server_header=False, timeout_graceful_shutdown=CONNECTIONS_S
    )
    server = _Server(config, on_ready, drain, is_stopped)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """Tells when it listens, and takes a signal as a wish to stop.

    Uvicorn's own raises the signal again when it has stopped, which would end the process before it cleans up.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
        is_stopped: Callable[[], bool],
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._drain = drain
        self._is_stopped = is_stopped

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._is_stopped():
            self.should_exit = True
        elif self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        draining = asyncio.ensure_future(self._drain())
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=0.1)
        draining.cancel()  # does nothing unless a second Ctrl-C was in a hurry
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS if not _is_nohup(number)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_nohup(number: int) -> bool:
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
