"""The server's main process, as its pid file and the system tell of it; and how to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from trunkline.errors import DatabaseUnavailable
from trunkline.postgres import locks

FAST_STOP_S = 60.0
"""How long a fast shutdown (sessions end, a checkpoint is written) may take, in seconds."""
IMMEDIATE_STOP_S = 20.0
"""How long an immediate shutdown may take, in seconds. The next start recovers from the log."""


@dataclass(frozen=True)
class PidFile:
    """`postmaster.pid` (PostgreSQL's own; the lines are listed in its pidfile.h)."""

    pid: int
    started_at: int
    """Seconds since 1970."""
    port: int | None
    """None while the server is only beginning to start."""
    status: str
    """"starting", "ready", "stopping", "standby", or empty."""


def read_pid_file(cluster: Path) -> PidFile | None:
    """Read the pid file; None if there is none, or not yet a whole one."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        return PidFile(
            pid=int(lines[0]),
            started_at=int(lines[2]),
            port=int(lines[3]) if len(lines) > 3 else None,
            status=lines[7].strip() if len(lines) > 7 else "",
        )
    except (FileNotFoundError, IndexError, ValueError):
        return None


def is_postmaster(pid: int, cluster: Path) -> bool:
    """Tell whether this process is the PostgreSQL server of this cluster.

    A pid from a file alone proves nothing: it may have been given to another process since.
    """
    process = _process(pid)
    if process is None:
        return False
    owner, command = process
    return owner == cluster.stat().st_uid and "postgres" in command and f" -D {cluster} " in f"{command} "


def running_postmaster(cluster: Path) -> PidFile | None:
    """The pid file, if the process that it names is really there."""
    pid_file = read_pid_file(cluster)
    return pid_file if pid_file and is_postmaster(pid_file.pid, cluster) else None


def stop_server(cluster: Path, server_lock: Path) -> None:
    """Stop the server and wait until its last process is gone. Only under the change lock.

    Raises:
        DatabaseUnavailable: it did not stop.
    """
    if _end(cluster, server_lock, signal.SIGINT, FAST_STOP_S) or _end(
        cluster, server_lock, signal.SIGQUIT, IMMEDIATE_STOP_S
    ):
        return
    raise DatabaseUnavailable(
        f"The embedded PostgreSQL at {cluster} did not stop within {FAST_STOP_S + IMMEDIATE_STOP_S:.0f} seconds.",
        retry_after_s=10,
    )


def _end(cluster: Path, server_lock: Path, how: signal.Signals, timeout_s: float) -> bool:
    """Send a signal to the postmaster, as soon as it is known, and wait for all its processes to go."""
    deadline = time.monotonic() + timeout_s
    signalled: int | None = None
    while locks.is_held(server_lock):
        postmaster = running_postmaster(cluster)
        if postmaster and postmaster.pid != signalled:
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster.pid, how)
            signalled = postmaster.pid
        if time.monotonic() > deadline:
            return False
        time.sleep(locks.POLL_S)
    return True


def _process(pid: int) -> tuple[int, str] | None:
    """Who runs a process (a uid) and with which command line; None if there is no such process."""
    if sys.platform == "linux":
        try:
            folder = Path(f"/proc/{pid}")
            return folder.stat().st_uid, (folder / "cmdline").read_text(errors="surrogateescape").replace("\0", " ")
        except OSError:
            return None
    shown = subprocess.run(  # noqa: S603  # a fixed program, and a number
        ["/bin/ps", "-ww", "-o", "uid=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    owner, _, command = shown.stdout.strip().partition(" ")
    return (int(owner), command) if owner else None
