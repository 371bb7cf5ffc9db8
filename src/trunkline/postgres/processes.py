"""Running programs as another account, and apart from the process that starts them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


def run_as(
    account: Account | None, command: Sequence[str], *, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as this account (None: as we are), with its output caught as text.

    The environment is a bare one: nothing of ours (secrets, `PG…` variables) reaches the program.

    Raises:
        OSError: the account can't run it.
    """
    return subprocess.run(  # noqa: S603  # callers name a program of ours or of PostgreSQL
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env={**bare_environment(), **(env or {})},
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def spawn_detached(
    command: Sequence[str],
    *,
    account: Account | None = None,
    inherit: int,
    output: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Start a program that outlives this process: in a session of its own, no child of ours, deaf to our terminal.

    `inherit` is a descriptor that it gets, under the same number. What it prints goes to `output`.

    Raises:
        OSError: it could not be started.
    """
    with (output or Path(os.devnull)).open("wb") as printed:
        subprocess.run(  # noqa: S603  # callers name a program of ours or of PostgreSQL
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=[inherit],
            start_new_session=True,
            cwd="/",
            env={**bare_environment(), **(env or {})},
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def bare_environment() -> dict[str, str]:
    """What a program of PostgreSQL needs: paths of programs and libraries, messages in English."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C"}
