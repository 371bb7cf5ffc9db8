"""The command `trunkline`: one module per noun. A command imports the server's libraries only when it runs."""

from __future__ import annotations

import os
import sys

import typer

from trunkline.cli import agents, chat, credentials, db, demo, keys, organizations, serve
from trunkline.cli.console import fail
from trunkline.errors import TrunklineError

app = typer.Typer(
    name="trunkline",
    help="AI agents for many organizations on one Postgres, every session isolated by the database itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
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
        reason = str(error).strip().partition("\n")[0][:300]
        fail(f"This should not happen: {type(error).__name__}: {reason}. TRUNKLINE_DEBUG=1 shows where.")
        sys.exit(1)
