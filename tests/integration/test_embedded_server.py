"""The embedded server's life: shared, restarted, stopped by whoever leaves last."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from trunkline.postgres.embedded import EmbeddedServer, RunningServer

QUICK = {"fsync": "off"}

USER_PROGRAM = """
import sys
from pathlib import Path
from trunkline.postgres.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), settings={"fsync": "off"})
print(server.start().port, flush=True)
sys.stdin.readline()
server.release()
"""


@pytest.fixture
def data_dir() -> Generator[Path]:
    """A folder that every account can enter; its server is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
    folder.chmod(0o755)
    yield folder
    EmbeddedServer(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture
def server(data_dir: Path) -> Generator[EmbeddedServer]:
    server = EmbeddedServer(data_dir, settings=QUICK)
    yield server
    server.release()


def test_it_starts_answers_and_stops_with_its_last_user(server: EmbeddedServer, data_dir: Path) -> None:
    other = EmbeddedServer(data_dir)
    running = server.start()
    assert other.start() == running
    assert server.start() == running
    server.release()
    assert query(running, "SELECT current_setting('timezone')") == "UTC"
    other.release()
    assert not server.status().running
    assert server.start().port == running.port


def query(running: RunningServer, statement: str) -> object:
    with psycopg.connect(running.url()) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]
