"""`trunkline serve`: the server over a database of your own."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.console import out
from trunkline.cli.signals import until_interrupted
from trunkline.errors import SetupError
from trunkline.settings import load_settings


def serve(access_log: Annotated[bool, typer.Option(help="Log every request.")] = False) -> None:
    """Serve the API over TRUNKLINE_DATABASE_URL, the login role's, which policies bind."""
    settings = load_settings()
    if settings.database.url is None:
        raise SetupError("TRUNKLINE_DATABASE_URL is not set. Set it to the login role's URL, or run `trunkline demo`.")
    from trunkline.cli.logs import log_to_stderr
    from trunkline.db.safety import check_login
    from trunkline.web.app import create_app, drain
    from trunkline.web.listen import address_of, bind
    from trunkline.web.serve import run

    def announce() -> None:
        out.print(f"ready http://{host}:{port}", soft_wrap=True)

    log_to_stderr()
    url = settings.database.url.get_secret_value()
    with until_interrupted() as stop:
        check_login(url)
        app = create_app(settings, url)
        listener = bind(settings.host, settings.port)
        host, port = address_of(listener)
        run(
            app,
            listener,
            on_ready=announce,
            drain=lambda: drain(app),
            is_stopped=lambda: stop.is_wanted,
            access_log=access_log,
        )
