"""`trunkline db`: the database that Trunkline uses, embedded or the operator's own."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from trunkline.cli.console import Format, FormatOption, out, print_json, progress
from trunkline.cli.home import DATABASE
from trunkline.errors import SetupError

if TYPE_CHECKING:
    from trunkline.postgres.embedded import EmbeddedServer
    from trunkline.postgres.tools import Target

Result = TypeVar("Result")

app = typer.Typer(name="db", help="The database: start and stop the embedded one, dump, restore, look inside.")


@app.command()
def start(
    port: Annotated[int, typer.Option(help="TCP port; 0 takes the last one, or any.", min=0, max=65_535)] = 0,
    output: FormatOption = Format.TEXT,
) -> None:
    """Start the embedded PostgreSQL and keep it up, whether used or not, until `trunkline db stop`."""
    _refuse_own_server("started")
    server = _embedded(port)
    running = server.start()
    try:
        running.ensure_database(DATABASE)
        server.keep()
    finally:
        server.release()
    if output is Format.JSON:
        print_json({"running": True, "host": running.host, "port": running.port, "data": str(running.data_folder)})
    else:
        out.print(f"PostgreSQL runs on {running.host}:{running.port} until `trunkline db stop`.")


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL now, whoever uses it."""
    _refuse_own_server("stopped")
    server = _embedded()
    was_running = server.status().running
    server.stop()
    out.print("PostgreSQL is stopped." if was_running else "PostgreSQL was not running.")


@app.command()
def status(output: FormatOption = Format.TEXT) -> None:
    """Show whether the database runs, its version, address, folder, size and users."""
    url = _own_url()
    facts = _own_facts(url) if url else _embedded_facts(_embedded())
    if output is Format.JSON:
        print_json(facts)
    else:
        _print_facts(facts)


@app.command()
def shell() -> None:
    """Open psql on Trunkline's database; its exit status is ours."""
    from trunkline.postgres.tools import client_program, run_interactively

    with _database() as target:
        program = client_program("psql", at_least=1)
        result = run_interactively([program, target.argument()], target.environment())
    raise typer.Exit(result)


@app.command()
def dump(
    file: Annotated[Path, typer.Argument(help="The file to write, in PostgreSQL's custom format.", dir_okay=False)],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write the whole database into one file."""
    from trunkline.postgres.backup import dump as write_dump

    with _database() as target:
        _show(write_dump(target, file, replace=force), f"Dumping {target.database}")
    out.print(escape(f"{file} holds the database ({decimal(file.stat().st_size)})."), soft_wrap=True)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file written by `trunkline db dump`.", dir_okay=False)],
    *,
    clean: Annotated[bool, typer.Option("--clean", help="Replace all that the database holds.")] = False,
) -> None:
    """Bring a dump back. The database is replaced once the dump is restored completely, or not at all."""
    from trunkline.postgres.backup import restore as bring_back

    with _database() as target:
        steps = bring_back(target, file, clean=clean, make_roles=_own_url() is None)
        notes = _show(steps, f"Restoring {target.database}")
    for note in notes:
        out.print(escape(note), soft_wrap=True)
    out.print(escape(f"The database {target.database} is restored from {file}."), soft_wrap=True)


@app.command()
def upgrade() -> None:
    """Bring the schema to the newest revision, as the tables' owner (TRUNKLINE_DATABASE_DIRECT_URL)."""
    from trunkline.db.setup import upgrade as upgrade_schema
    from trunkline.db.version import HEAD

    with _owner_url() as url:
        upgrade_schema(url)
    out.print(f"The schema is at revision {HEAD}.")


@app.command()
def prepare(
    *,
    login: Annotated[str | None, typer.Option(help="Name of the login role; trunkline_login if left out.")] = None,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give a role that exists another password.")
    ] = False,
) -> None:
    """Bring the schema up and make the server's login role; print its URL, the only time that it is shown.

    Needs the owner's URL in TRUNKLINE_DATABASE_DIRECT_URL.
    """
    from trunkline.db import setup

    if _own_url() is None:
        raise SetupError("The embedded database prepares itself: `trunkline demo` does, and writes its URL down.")
    role = login or setup.LOGIN_ROLE
    with _owner_url() as url:
        if setup.role_exists(url, role) and not new_password:
            raise SetupError(
                f"The role {role} exists, and servers may be using its password. `trunkline db upgrade` brings the"
                " schema up; --new-password gives the role another one, --login makes another role."
            )
        made = setup.prepare(url, login=role)
    progress.print("Set TRUNKLINE_DATABASE_URL to this. It is not shown again:")
    print(made)  # noqa: T201  for scripts, as it is


@contextlib.contextmanager
def _owner_url() -> Generator[str]:
    """The URL of the tables' owner, the embedded server up for the length of the block."""
    url = _own_url()
    if url is not None:
        yield url
        return
    server = _embedded()
    running = server.start()
    try:
        running.ensure_database(DATABASE)
        yield running.url(DATABASE)
    finally:
        server.release()


@contextlib.contextmanager
def _database() -> Generator[Target]:
    """Trunkline's database, its server up for the length of the block."""
    from trunkline.postgres.tools import target_of

    url = _own_url()
    if url:
        yield target_of(url)
        return
    server = _embedded()
    running = server.start()
    try:
        running.ensure_database(DATABASE)
        yield target_of(running.url(DATABASE))
    finally:
        server.release()


def _own_url() -> str | None:
    """The operator's server; as the tables' owner where that is given, since a dump needs to see all rows."""
    from trunkline.settings import load_settings

    database = load_settings().database
    secret = database.direct_url or database.url
    return secret.get_secret_value() if secret else None


def _refuse_own_server(done: str) -> None:
    url = _own_url()
    if url:
        from trunkline.postgres.tools import target_of

        raise SetupError(
            f"The database is the server at {target_of(url).address} (TRUNKLINE_DATABASE_URL); it is not "
            f"Trunkline's to be {done}."
        )


def _embedded(port: int = 0) -> EmbeddedServer:
    from trunkline.postgres.embedded import EmbeddedServer
    from trunkline.settings import load_settings

    return EmbeddedServer(load_settings().data_dir, port=port)


def _embedded_facts(server: EmbeddedServer) -> dict[str, Any]:
    found = server.status()
    return {
        "kind": "embedded",
        "running": found.running,
        "version": found.version,
        "pid": found.pid,
        "host": "127.0.0.1" if found.running else None,
        "port": found.port,
        "data": str(found.data_folder) if found.data_folder else None,
        "size_bytes": found.size_bytes,
        "users": list(found.users),
        "kept": found.kept,
    }


def _own_facts(url: str) -> dict[str, Any]:
    from trunkline.postgres.tools import connected, target_of

    target = target_of(url)
    with connected(target) as connection:
        row = connection.execute(
            "SELECT pg_database_size(current_database()), count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        size, connections = row or (0, 0)
        version = connection.info.parameter_status("server_version")
    return {
        "kind": "own",
        "running": True,
        "version": version,
        "address": target.address,
        "database": target.database,
        "size_bytes": size,
        "connections": connections,
    }


def _print_facts(facts: dict[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value is None:
            continue
        if name == "size_bytes":
            table.add_row("size", decimal(value))
        elif name == "users":
            table.add_row("users", f"{len(value)} ({', '.join(map(str, value))})" if value else "0")
        elif isinstance(value, bool):
            table.add_row(name, "yes" if value else "no")
        else:
            table.add_row(name, escape(str(value)))
    out.print(table)


def _show(steps: Generator[str, None, Result], title: str) -> Result:
    """Draw what an engine reports, as one line that changes (nothing where nobody watches); gives its result."""
    with contextlib.closing(steps), progress.status(title) as line:
        while True:
            try:
                line.update(escape(f"{title}: {next(steps)}"))
            except StopIteration as end:
                return end.value
