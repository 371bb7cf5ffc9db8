"""Where an embedded server keeps its things, and which account it runs as.

`DATA_DIR/postgres` is the state folder: locks, password, port, and the cluster in `data`. PostgreSQL refuses to run as
root; then an unprivileged account runs it, and where that account can't enter the state folder (a home of root, a
private temporary folder) the cluster lies in a system folder, and a file `location` tells where. The permissions of
the user's folders are never changed.
"""

from __future__ import annotations

import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from trunkline.errors import SetupError
from trunkline.postgres.processes import Account, run_as

SYSTEM_FOLDER = Path("/var/lib/trunkline-postgres")
"""Clusters and programs that the unprivileged account could not reach elsewhere.

Not /var/lib/trunkline: that is root's data folder, and may itself be closed.
"""

UNPRIVILEGED = ("postgres", "_postgres", "nobody")
"""Accounts that run the server for root, best first."""


@dataclass(frozen=True)
class Place:
    """The folders of one embedded server."""

    state: Path
    cluster: Path
    """PostgreSQL's data folder (PGDATA)."""


def find_place(data_dir: Path) -> Place | None:
    """The place of an existing server; None if nothing was decided yet.

    Raises:
        SetupError: the folder is a copy of another one, whose cluster it must not share.
    """
    state = state_folder(data_dir)
    if (state / "data").exists():
        return Place(state=state, cluster=state / "data")
    try:
        home = Path((state / "location").read_text())
    except FileNotFoundError:
        return None
    _claim(home, state)
    return Place(state=state, cluster=home / "data")


def make_place(data_dir: Path) -> Place:
    """Find the place, or decide on one. Only under the change lock.

    Raises:
        SetupError: as `find_place`; or no account can run the server.
    """
    place = find_place(data_dir)
    if place is not None:
        return place
    state = state_folder(data_dir)
    account = server_account(None)
    if account is None or _can_enter(account, state):
        return Place(state=state, cluster=state / "data")
    home = SYSTEM_FOLDER / "clusters" / secrets.token_hex(8)
    home.mkdir(parents=True, mode=0o711)
    home.chmod(0o711)  # whatever the umask is: the account passes through, and lists nothing
    for folder in (SYSTEM_FOLDER, home.parent):
        folder.chmod(0o755)
    (home / "origin").write_text(str(state))
    write_whole(state / "location", str(home))
    return Place(state=state, cluster=home / "data")


def state_folder(data_dir: Path) -> Path:
    """The folder of locks and secrets inside a data folder."""
    return data_dir.expanduser().resolve() / "postgres"


def make_state_folder(data_dir: Path) -> Path:
    """Make the state folder; for root one that the server's account may pass through."""
    state = state_folder(data_dir)
    if not state.exists():
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o711 if os.geteuid() == 0 else 0o700)
    (state / "users").mkdir(mode=0o700, exist_ok=True)
    return state


def server_account(cluster: Path | None) -> Account | None:
    """The account that runs the server; None if it is our own.

    The owner of an existing cluster goes on running it, even if an account that would be preferred has appeared since.

    Raises:
        SetupError: we are root, and there is no unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    if cluster and cluster.exists() and cluster.stat().st_uid != 0:
        owner = cluster.stat()
        return Account(name=str(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise SetupError(
        f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(UNPRIVILEGED)} exists here. "
        "Run Trunkline as an ordinary user, or set TRUNKLINE_DATABASE_URL to a PostgreSQL server of your own."
    )


def _claim(home: Path, state: Path) -> None:
    """See that a cluster in the system folder is this state folder's own; follow a folder that was moved."""
    origin = home / "origin"
    if not origin.exists():
        raise SetupError(
            f"The database of {state.parent} should be at {home}, and is gone. "
            f"Bring it back, or delete {state} to begin with an empty one."
        )
    owner = Path(origin.read_text())
    if owner == state:
        return
    if (owner / "location").exists() and (owner / "location").read_text() == str(home):
        raise SetupError(
            f"{state.parent} is a copy of {owner.parent}, and its database is still the one of that folder, at {home}. "
            f"Delete {state} to begin with an empty database; bring data over with `trunkline db dump` and `restore`."
        )
    write_whole(origin, str(state))


def _can_enter(account: Account, folder: Path) -> bool:
    """Ask the system itself: only it knows all its rules."""
    return run_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]).returncode == 0


def write_whole(path: Path, text: str) -> None:
    """Write a private file that is seen whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
