"""PostgreSQL's client programs (psql, pg_dump, pg_restore) against any server, the password never on a command line."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trunkline.errors import DatabaseUnavailable, SetupError
from trunkline.postgres.binaries import bundled_prefix

CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class Target:
    """A database, its address apart from its secret."""

    parameters: Mapping[str, str]
    """libpq's connection parameters, without the password."""
    password: str | None = field(repr=False)

    @property
    def database(self) -> str:
        """Name of the database."""
        return self.parameters["dbname"]

    @property
    def address(self) -> str:
        """Host and port, to show."""
        return f"{self.parameters.get('host', 'localhost')}:{self.parameters.get('port', '5432')}"

    def on(self, database: str) -> Target:
        """Another database of the same server."""
        return replace(self, parameters={**self.parameters, "dbname": database})

    def url(self) -> str:
        """All of it for a driver, the password too."""
        return make_conninfo(**self.parameters, password=self.password)

    def argument(self) -> str:
        """How each client program is told where to connect."""
        return f"--dbname={make_conninfo(**self.parameters)}"

    def environment(self) -> dict[str, str]:
        """Our own environment and the password: other users of the machine can't read that."""
        secret = {"PGPASSWORD": self.password} if self.password is not None else {}
        return {**os.environ, **secret, "LC_MESSAGES": "C"}


def target_of(url: str) -> Target:
    """Take a database URL apart. SQLAlchemy's form (`postgresql+psycopg://`) is understood too.

    Raises:
        SetupError: it is no URL of a PostgreSQL database.
    """
    try:
        parts = conninfo_to_dict(re.sub(r"^postgres(?:ql)?\+\w+://", "postgresql://", url))
    except psycopg.ProgrammingError:
        raise SetupError(
            "The database URL can't be read. It looks like postgresql://user:password@host:5432/database; "
            "special characters in it are written as %XX."
        ) from None
    parameters = {"connect_timeout": str(CONNECT_TIMEOUT_S)}
    parameters |= {name: str(value) for name, value in parts.items() if value is not None}
    password = parameters.pop("password", None)
    if "dbname" not in parameters:
        raise SetupError("The database URL names no database: postgresql://user:password@host:5432/DATABASE.")
    return Target(parameters=parameters, password=password)


@contextlib.contextmanager
def connected(target: Target) -> Generator[psycopg.Connection]:
    """An autocommit connection.

    Raises:
        DatabaseUnavailable: the server does not answer, or refuses us.
    """
    try:
        connection = psycopg.connect(target.url(), autocommit=True)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            f"The database at {target.address} does not let us in: {connection_failure(error)}."
        ) from None
    with contextlib.closing(connection):
        yield connection


def connection_failure(error: psycopg.OperationalError) -> str:
    """The reason alone, out of libpq's lines of addresses tried and hints."""
    lines = str(error).strip().splitlines()
    told = [line for line in lines if "failed: " in line] or lines
    return told[-1].rpartition("failed: ")[2].removeprefix("FATAL:").strip().rstrip(".")


def server_major(connection: psycopg.Connection) -> int:
    """Major version of the server, like 18."""
    return connection.info.server_version // 10_000


def client_program(name: str, *, at_least: int) -> str:
    """A client program of this major version or a later one: the bundled one if it will do, else the one on PATH.

    Raises:
        SetupError: there is none.
    """
    found: list[str] = []
    for path in _candidates(name):
        version = _major(path)
        if version is not None and version >= at_least:
            return path
        found.append(f"{path} ({version or 'does not run'})")
    seen = f" Found only {', '.join(found)}." if found else ""
    raise SetupError(
        f"{name} {at_least} or later is needed for this server.{seen} "
        "Run `pip install 'trunkline[embedded]'`, or install PostgreSQL's client programs."
    )


def run_interactively(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program on our terminal and give its exit status. Ctrl-C is the program's alone meanwhile."""
    previous = signal.signal(signal.SIGINT, _leave_it_to_the_program)
    try:
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603  # a program of PostgreSQL
    finally:
        signal.signal(signal.SIGINT, previous)


def run_telling(command: Sequence[str], environment: Mapping[str, str]) -> Generator[str, None, list[str]]:
    """Run a program, yield the lines that it reports with, and return its errors: none only if it succeeded.

    It is ended when the caller stops listening.
    """
    name = Path(command[0]).name
    errors: list[str] = []
    with subprocess.Popen(  # noqa: S603  # a program of PostgreSQL
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stderr or ():
                said = line.rstrip().removeprefix(f"{name}: ")
                if said.startswith("error: "):
                    errors.append(said.removeprefix("error: "))
                yield said
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
    return errors or ([f"{name} ended with status {status}"] if status else [])


def _leave_it_to_the_program(_signal: int, _frame: object) -> None:
    """A handler, unlike SIG_IGN, is not inherited by the program."""


def _candidates(name: str) -> Iterator[str]:
    with contextlib.suppress(SetupError):
        bundled = bundled_prefix() / "bin" / name
        if bundled.exists():
            yield str(bundled)
    on_path = shutil.which(name)
    if on_path:
        yield on_path


def _major(program: str) -> int | None:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603  # ours
    except OSError:
        return None
    match = re.search(r"\) (\d+)", said.stdout)
    return int(match[1]) if match else None
