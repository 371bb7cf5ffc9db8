"""A tiny process beside the embedded server that stops it when its last user is gone, even one ended by kill -9.

It waits inside the kernel for the users' locks and costs nothing meanwhile. If it is killed itself, the next start of
the server makes a new one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from trunkline.postgres import locks, postmaster
from trunkline.postgres.processes import spawn_detached

CHANGE_TIMEOUT_S = 3600.0
"""The watchdog has nothing else to do than to wait."""

END_TIMEOUT_S = 5.0
"""How long to wait for it to end, in seconds. It is harmless if it takes longer."""

_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from trunkline.postgres.watchdog import main; main(*sys.argv[2:])"


def ensure_watchdog(state: Path, cluster: Path) -> None:
    """Start a watchdog unless there is one. Only under the change lock, with a user slot taken."""
    descriptor = locks.open_lock(state / "watchdog.lock")
    try:
        if not locks.try_lock(descriptor):
            return
        package_root = Path(__file__).resolve().parents[2]
        # Isolated and without site-packages: quick to start, and nothing that the user installed can break it.
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM]
        arguments = [str(package_root), str(state), str(cluster), str(descriptor)]
        spawn_detached(command + arguments, inherit=descriptor)
    finally:
        os.close(descriptor)


def main(state: str, cluster: str, descriptor: str) -> None:
    """Watch until the server is stopped, or is to be kept without users, or the whole folder was removed."""
    with contextlib.suppress(FileNotFoundError):
        watch(Path(state), Path(cluster), own_lock=int(descriptor))


def wait_for_watchdog(state: Path) -> None:
    """Wait for the watchdog of a server without users to end, which it does at once: nothing of ours is left then."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while locks.is_held(state / "watchdog.lock") and not locks.user_slots(state / "users"):
        if time.monotonic() > deadline:
            return
        time.sleep(locks.POLL_S)


def watch(state: Path, cluster: Path, *, own_lock: int) -> None:
    """Wait for the users to leave, then stop the server.

    `own_lock` is the descriptor that shows that a watchdog is there. It is closed under the change lock, so that no
    start can take a watchdog that is about to end for one that watches.
    """
    users = state / "users"
    while True:
        locks.wait_until_unused(users)
        with locks.exclusively(state / "change.lock", timeout_s=CHANGE_TIMEOUT_S, make=False):
            locks.sweep_slots(users)
            if locks.user_slots(users):
                continue
            try:
                if not (state / "keep").exists():
                    postmaster.stop_server(cluster, state / "server.lock")
            finally:
                os.close(own_lock)
            return
