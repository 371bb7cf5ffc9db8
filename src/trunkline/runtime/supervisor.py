"""Keeps the bundled model's process running: starts it on demand, notices its end, starts it again."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx2
from pydantic import SecretStr

from trunkline.errors import ProviderFailed
from trunkline.outgoing import OutgoingPolicy, guarded_client

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
"""How long the process may take to load the model, in seconds; under one on a warm machine."""
STOP_TIMEOUT_S = 2.0
"""How long it may take to end by itself before it is killed, in seconds."""
HEALTH_INTERVAL_S = 5.0
"""Between two questions whether it still answers, in seconds."""
HEALTH_FAILURES = 3
"""Questions in a row without an answer before it is killed and started again."""
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 30.0
_STEADY_AFTER_S = 60.0  # a process that ran this long may be started again without a pause

COMMAND = (sys.executable, "-m", "trunkline.runtime.local_model")


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running process of the bundled model."""

    pid: int
    base_url: str
    """Without `/v1`."""
    api_key: SecretStr
    client: httpx2.AsyncClient
    """Reaches this machine. The supervisor closes it, when it is closed itself."""


class LocalModelSupervisor:
    """Owns at most one process. Belongs to one event loop."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._client = guarded_client(OutgoingPolicy(allow=frozenset({"127.0.0.1"})))
        # The model's server closes an idle connection after five seconds, whether or not a request is on its way.
        self._client.headers["Connection"] = "close"
        self._task: asyncio.Task[None] | None = None
        self._server: LocalServer | None = None
        self._failure: ProviderFailed | None = None
        self._settled = asyncio.Event()  # set while there is a server, or a failure to tell

    async def server(self) -> LocalServer:
        """The running process; starts it, or waits for it to be back.

        Raises:
            ProviderFailed: it cannot be started; says why.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._supervise())
        while self._server is None:
            await self._settled.wait()
            if self._failure is not None:
                raise ProviderFailed(self._failure.detail)
        return self._server

    async def close(self) -> None:
        """End the process, and wait until it is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._failure = ProviderFailed("The bundled model has ended with its server.")
            self._settled.set()
        await self._client.aclose()

    async def _supervise(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            started_at = time.monotonic()
            try:
                await self._run()
            except ProviderFailed as failure:
                _log.error("%s", failure.detail)
                self._failure = failure
                self._settled.set()
            if time.monotonic() - started_at > _STEADY_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._forget()

    async def _run(self) -> None:
        """Start the process and stay until it has ended."""
        process = await _spawn(self._command)
        try:
            server = await _greet(process, self._client)
            _log.info("The bundled model serves in process %d.", server.pid)
            self._server = server
            self._settled.set()
            try:
                await _until_gone(process, server)
            finally:
                self._forget()
        finally:
            await _end(process)

    def _forget(self) -> None:
        self._server = None
        self._failure = None
        self._settled.clear()


async def _spawn(command: Sequence[str]) -> Process:
    # Our own settings hold secrets, and this process reads none of them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    try:
        # A session of its own: Ctrl-C in a terminal reaches every process of the foreground, and turns that are being
        # finished still need this one.
        return await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
        )
    except OSError as error:
        raise ProviderFailed(f"The bundled model's process cannot be started: {error.strerror}.") from None


async def _greet(process: Process, client: httpx2.AsyncClient) -> LocalServer:
    """Tell a new process its key and read its address."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("The process needs pipes.")
    api_key = secrets.token_urlsafe(32)
    try:
        process.stdin.write(json.dumps({"api_key": api_key, "parent": os.getpid()}).encode() + b"\n")
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise ProviderFailed(f"The bundled model did not start within {START_TIMEOUT_S:g} s. Try again.") from None
    answer = json.loads(line or "{}")
    if "address" not in answer:
        reason = answer.get("error", "its process ended at once, see the server's log.")
        raise ProviderFailed(f"The bundled model cannot be started: {reason}")
    return LocalServer(process.pid, str(answer["address"]), SecretStr(api_key), client)


async def _until_gone(process: Process, server: LocalServer) -> None:
    """Return when the process has ended, or no longer answers."""
    ended = asyncio.create_task(process.wait())
    deaf = asyncio.create_task(_until_deaf(server))
    try:
        await asyncio.wait({ended, deaf}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        deaf.cancel()
    _log.warning("The bundled model's process %d %s; a new one is started.", server.pid, _fate(process))


def _fate(process: Process) -> str:
    if process.returncode is None:
        return "does not answer"
    return f"ended with status {process.returncode}"


async def _until_deaf(server: LocalServer) -> None:
    failures = 0
    while failures < HEALTH_FAILURES:
        await asyncio.sleep(HEALTH_INTERVAL_S)
        try:
            response = await server.client.get(f"{server.base_url}/health", timeout=HEALTH_INTERVAL_S)
            failures = 0 if response.is_success else failures + 1
        except httpx2.HTTPError:
            failures += 1


async def _end(process: Process) -> None:
    """Close its stdin, which tells it to end, and kill it where it doesn't."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
