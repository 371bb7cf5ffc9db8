"""Locks between processes, by `flock`: the kernel drops them when their holder dies, however it dies.

Four kinds of files in the state folder of an embedded server:

- `change.lock`  held while the server is being started or stopped; everything below changes only under it.
- `server.lock`  inherited by the postmaster and so by all its children: held exactly as long as one of them lives.
- `watchdog.lock` inherited by the watchdog.
- `users/PID-…`  one file per user of the server, each held by that user.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Generator
from pathlib import Path

from trunkline.errors import DatabaseUnavailable, SetupError

try:
    import fcntl
except ImportError:  # Windows
    raise SetupError(
        "The embedded PostgreSQL runs on Linux and macOS only. "
        "Set TRUNKLINE_DATABASE_URL to a PostgreSQL server of your own."
    ) from None

POLL_S = 0.005
"""How often a lock or a file is looked at again, in seconds."""


def open_lock(path: Path, *, make: bool = True) -> int:
    """Open a lock file, made if missing, and return its descriptor; closing that drops whatever it locked."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock if that needs no waiting; tell whether it did."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(descriptor: int) -> None:
    """Lock exclusively, waiting as long as it takes."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def is_held(path: Path) -> bool:
    """Tell whether some process holds this lock exclusively. Makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusively(path: Path, *, timeout_s: float, make: bool = True) -> Generator[int]:
    """Hold a lock for the length of a block; gives its descriptor.

    Raises:
        FileNotFoundError: there is no such file, and none is to be made.
        DatabaseUnavailable: another process still held it after `timeout_s` seconds.
    """
    descriptor = open_lock(path, make=make)
    try:
        deadline = time.monotonic() + timeout_s
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"Another process has been starting or stopping the embedded PostgreSQL for {timeout_s:.0f} "
                    f"seconds (it holds {path}). Wait for it, or end it.",
                    retry_after_s=5,
                )
            time.sleep(POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


class UserSlot:
    """One user's claim on the server, alive until `leave` or the end of the process."""

    def __init__(self, users: Path) -> None:
        """Make the claim. Only under the change lock."""
        self._pid = os.getpid()
        self._path = users / f"{self._pid}-{secrets.token_hex(4)}"
        self._descriptor = open_lock(self._path)
        wait_for_lock(self._descriptor)

    def leave(self) -> None:
        """Give the claim up. Only under the change lock, unless the process is failing anyway."""
        if os.getpid() == self._pid:  # a forked child drops its share only: the claim is its parent's
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def user_slots(users: Path) -> list[Path]:
    """The slots whose owners live."""
    return [slot for slot in _slots(users) if is_held(slot)]


def pid_of(slot: Path) -> int:
    """The process that made a slot."""
    return int(slot.name.partition("-")[0])


def sweep_slots(users: Path) -> None:
    """Remove the slots whose owners are dead. Only under the change lock."""
    for slot in _slots(users):
        if not is_held(slot):
            slot.unlink(missing_ok=True)


def wait_until_unused(users: Path) -> None:
    """Wait until each slot that is there now has been given up, by whatever end of its owner."""
    for slot in _slots(users):
        try:
            descriptor = os.open(slot, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            wait_for_lock(descriptor)
        finally:
            os.close(descriptor)


def _slots(users: Path) -> list[Path]:
    try:
        return sorted(users.iterdir())
    except FileNotFoundError:
        return []
