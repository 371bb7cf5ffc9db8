"""The command `trunkline`, run as people run it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "TRUNKLINE_PORT": "0",
    "COLUMNS": "300",
    "PYTHONDONTWRITEBYTECODE": "",  # or each process would compile every library anew
}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Command:
    """`trunkline` with settings of its own."""

    settings: Mapping[str, str]
    folder: Path

    async def run(self, *arguments: str, typed: str = "", **settings: str) -> Ran:
        """Run it to its end."""
        process = await self.start(*arguments, **settings)
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate(typed.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Ran(process.returncode, out.decode(), " ".join(err.decode().split()))

    async def works(self, *arguments: str, typed: str = "", **settings: str) -> str:
        """Run it to its good end; what it printed."""
        ran = await self.run(*arguments, typed=typed, **settings)
        assert ran.status == 0, ran
        return ran.out

    async def fails(self, *arguments: str, says: str, typed: str = "", **settings: str) -> None:
        """Run it to an end that says in a sentence what to mend."""
        ran = await self.run(*arguments, typed=typed, **settings)
        assert (ran.status, "should not happen" in ran.err) == (1, False), ran
        assert says in ran.err, ran
        assert ran.err.startswith("trunkline: ")
        assert ran.err[-1] in ".)", ran

    async def start(self, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
        """Start it, in a session of its own as a terminal would."""
        with _heeding_signals():
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "trunkline", *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **ENVIRONMENT, **self.settings, **settings},
                cwd=self.folder,
                start_new_session=True,
            )


@contextmanager
def _heeding_signals() -> Generator[None]:
    """Under nohup, or in the background of a script, the tests ignore signals, and so would what they start."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
