"""Runs the app on a socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
from fastapi import FastAPI

from trunkline.errors import SetupError
from trunkline.web.app import Readiness

GRACE_S = 12
"""How long running answers may take to finish after the signal to stop, in seconds."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def bind(host: str, port: int) -> socket.socket:
    """A listening address; port 0 takes any free one.

    Raises:
        SetupError: the port is taken or not allowed, or the host isn't this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise SetupError(f"{host!r} is not an address of this machine. Set TRUNKLINE_HOST to one.") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise SetupError(_explain(error, host, port)) from None
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Host and port of a bound socket, the host as a URL has it."""
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port


def run(app: FastAPI, listener: socket.socket, *, on_ready: Callable[[], None], access_log: bool = False) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; `on_ready` is called once a turn can be taken.

    Answers that run get `GRACE_S` seconds to finish.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=access_log, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    server = _Server(config)

    async def main() -> None:
        announcing = asyncio.create_task(_announce(app.state.readiness, on_ready))
        try:
            await server.serve(sockets=[listener])
        finally:
            announcing.cancel()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())


class _Server(uvicorn.Server):
    """Uvicorn's own raises the signal again when it has stopped, which would end the process before it cleans up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def _announce(readiness: Readiness, on_ready: Callable[[], None]) -> None:
    await readiness.warm.wait()
    on_ready()


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken. Stop what uses it, or choose another: TRUNKLINE_PORT=0 is any free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose one above 1023: TRUNKLINE_PORT=8711."
    return f"{host}:{port} can't be listened on: {error.strerror}. Set TRUNKLINE_HOST and TRUNKLINE_PORT."
