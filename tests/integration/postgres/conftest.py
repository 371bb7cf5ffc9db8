"""Data folders for embedded servers of their own, apart from the one that the other tests share."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

import trunkline
from trunkline.postgres.binaries import bundled_prefix
from trunkline.postgres.embedded import EmbeddedServer

QUICK = {"fsync": "off"}

USER_PROGRAM = """
import sys
from pathlib import Path
sys.path += sys.argv[2:]
from trunkline.errors import TrunklineError
from trunkline.postgres.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), settings={"fsync": "off"})
try:
    print(server.start().port, server.status().pid, flush=True)
except TrunklineError as error:
    sys.exit(error.detail)
sys.stdin.readline()
server.release()
"""

PACKAGES = [str(Path(trunkline.__file__).parents[1]), str(bundled_prefix().parents[1])]
"""For another Python than ours: the embedded server needs nothing but the standard library and the programs."""

StartUser = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def data_dir() -> Generator[Path]:
    """A folder that every account can enter; its server is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline test's-"))
    folder.chmod(0o755)
    yield folder
    EmbeddedServer(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture
def server(data_dir: Path) -> Generator[EmbeddedServer]:
    """A server of its own, not started yet."""
    server = EmbeddedServer(data_dir, settings=QUICK)
    yield server
    server.release()


@pytest.fixture
def other(data_dir: Path) -> Generator[EmbeddedServer]:
    """A second server beside it."""
    server = EmbeddedServer(data_dir / "other", settings=QUICK)
    yield server
    server.release()


@pytest.fixture
def start_user() -> Generator[StartUser]:
    """Start processes that use the server of a folder until they read a line; all are ended."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path, *, uid: int | None = None, python: str = sys.executable) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [python, "-c", USER_PROGRAM, str(folder), *PACKAGES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
