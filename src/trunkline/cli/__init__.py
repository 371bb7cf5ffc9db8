"""The command `trunkline`: one module per noun. A command imports the server's libraries only when it runs."""

from __future__ import annotations

import os
import sys

import typer

from trunkline.cli import agents, chat, credentials, db, demo, keys, organizations, readiness, serve
from trunkline.cli.console import fail
from trunkline.errors import TrunklineError

app = typer.Typer(
    name="trunkline",
    help="AI agents for many organizations on one Postgres, every session isolated by the database itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("readiness")(readiness.readiness)
app.command("explain")(readiness.explain)
app.add_typer(db.app, name="db")
app.add_typer(organizations.app, name="organizations")
app.add_typer(agents.app, name="agents")
app.add_typer(keys.app, name="keys")
app.add_typer(credentials.app, name="credentials")
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("chat")(chat.chat)


def main() -> None:
    """Run the command line: 0 done, 1 failed (and what to do), 2 usage, 130 interrupted."""
    try:
        app()
    except TrunklineError as error:
        fail(error.detail)
        sys.exit(1)
    except ModuleNotFoundError as error:
        fail(f"The package {error.name!r} is not installed. Install the server: pip install 'trunkline[server]'.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("TRUNKLINE_DEBUG"):
            raise
        fail(_explain(error))
        sys.exit(1)


def _explain(error: Exception) -> str:
    """A sentence for what the libraries below us have refused."""
    from psycopg.errors import InsufficientPrivilege
    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return f"{field}: {first['msg'].removeprefix('Value error, ')}."
    if isinstance(error, InsufficientPrivilege):
        reason = _first_line(error)
        return f"This needs the tables' owner: set TRUNKLINE_DATABASE_DIRECT_URL to the owner's URL ({reason})."
    if isinstance(error, DBAPIError):
        return f"The database refused this: {_first_line(error.orig)}."
    return f"This should not happen: {type(error).__name__}: {_first_line(error)}. TRUNKLINE_DEBUG=1 shows where."


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0][:300]
