"""What PostgreSQL says when it can't start, put in a sentence. The outputs are real ones."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trunkline.errors import SetupError
from trunkline.postgres.failures import explain_failure, explain_os_error, port_is_taken

CLUSTER = Path("/data/postgres/data")

TAKEN = """\
LOG:  could not bind IPv4 address "127.0.0.1": Address already in use
HINT:  Is another postmaster already running on port 5433? If not, wait a few seconds and retry.
WARNING:  could not create listen socket for "127.0.0.1"
FATAL:  could not create any TCP/IP sockets
"""
FULL = """\
running bootstrap script ... 2026-01-01 10:00:00.000 UTC [7] FATAL:  could not write to file "pg_wal/xlogtemp.7": \
No space left on device
2026-01-01 10:00:00.001 UTC [7] PANIC:  cannot abort transaction 1, it was already committed
child process exited with exit code 1
initdb: removing contents of data directory "/data/postgres/new-1/data"
"""
MEMORY = """\
FATAL:  could not map anonymous shared memory: Cannot allocate memory
HINT:  This error usually means that PostgreSQL's request for a shared memory segment exceeded available memory.
LOG:  database system is shut down
"""


@pytest.mark.parametrize(
    ("output", "cause", "advice"),
    [
        (FULL, 'could not write to file "pg_wal/xlogtemp.7": No space left on device', "free some space"),
        (MEMORY, "could not map anonymous shared memory: Cannot allocate memory", "more memory"),
        ("initdb: error: could not access directory: Permission denied\n", "could not access directory", "access"),
        ("Killed\n", "Killed", ""),
        ("", "it said nothing", ""),
    ],
)
def test_the_cause_and_what_to_do_are_told(output: str, cause: str, advice: str) -> None:
    said = explain_failure(output, CLUSTER, port=0).detail
    assert said.startswith(f"The embedded PostgreSQL at {CLUSTER} did not start: {cause}")
    assert advice in said
    assert "\n" not in said


def test_a_taken_port_is_told_from_other_failures() -> None:
    assert port_is_taken(TAKEN)
    assert not port_is_taken(FULL)
    assert "Port 5433 on 127.0.0.1 is taken" in explain_failure(TAKEN, CLUSTER, port=5433).detail


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "is not accessible for you"),
        (errno.ENOSPC, "The disk that has /data/x is full"),
        (errno.EROFS, "the file system is read-only"),
        (errno.ENOLCK, "has no locks"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_refusals_of_the_system_are_told(number: int, said: str) -> None:
    with pytest.raises(SetupError) as caught, explain_os_error(CLUSTER):
        raise OSError(number, os.strerror(number), "/data/x")
    assert said in caught.value.detail
