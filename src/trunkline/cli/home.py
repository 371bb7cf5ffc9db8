"""Where commands find the database: the operator's by its URLs, or the embedded one of the data folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from trunkline.errors import SetupError
from trunkline.settings import SecuritySettings, Settings, load_settings

DATABASE = "trunkline"
"""The application's database in the embedded server."""

LOGIN = "trunkline_demo"
"""The login role that commands make for themselves; a server of your own keeps the one it has."""


@dataclass(frozen=True)
class Secrets:
    """What the first start made up, kept in the data folder for its owner's eyes."""

    secret: str
    jwt_secret: str
    login_password: str


@dataclass(frozen=True)
class Home:
    """A database that is reachable, and the settings over it."""

    settings: Settings
    owner_url: str
    login_url: str


@contextmanager
def open_home() -> Generator[Home]:
    """The database that commands work on: prepared, with a login role that policies bind.

    The embedded server is started where no URL says another one, and left when the command ends.

    Raises:
        SetupError: the database can't be prepared; says what to mend.
        DatabaseUnavailable: the operator's server does not answer.
    """
    settings = load_settings()
    made_up = load_secrets(settings.data_dir)
    settings = settings.model_copy(update={"security": _security(settings, made_up)})
    if settings.database.url is not None:
        yield _own(settings, settings.database.url.get_secret_value(), made_up)
        return
    from trunkline.postgres.embedded import EmbeddedServer

    server = EmbeddedServer(settings.data_dir)
    running = server.start()
    try:
        running.ensure_database(DATABASE)
        login_url = running.url(DATABASE, LOGIN, made_up.login_password)
        owner_url = running.url(DATABASE)
        _prepare_unless_done(owner_url, login_url, made_up)
        yield Home(settings, owner_url, login_url)
    finally:
        server.release()


@contextmanager
def alone(owner_url: str) -> Generator[None]:
    """Set something up in the database while no other command does."""
    from trunkline.db.setup import connect

    with connect(owner_url) as connection:
        connection.execute("select pg_advisory_lock(hashtext('trunkline set-up'))")
        yield


def load_secrets(folder: Path) -> Secrets:
    """The made-up secrets of a data folder; made on the first call, readable by their owner only.

    Raises:
        SetupError: the folder can't be written, or the file is damaged.
    """
    file = folder / "secrets.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            fresh = {name: secrets.token_urlsafe(48) for name in Secrets.__dataclass_fields__}
            write_private(file, json.dumps(fresh), replace=False)
        return Secrets(**json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise SetupError(
            f"The data folder {folder} can't be used: {error.strerror}. Set TRUNKLINE_DATA_DIR to one that can."
        ) from None
    except (ValueError, TypeError):
        raise SetupError(f"{file} is damaged. Restore it, or delete it to make new secrets.") from None


def write_private(file: Path, text: str, *, replace: bool = True) -> None:
    """Write a file that only its owner reads; a reader finds the old one or the new one, never half of it.

    Without `replace`, one that another process has written meanwhile stays.
    """
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    if replace:
        fresh.replace(file)
        return
    with suppress(FileExistsError):
        os.link(fresh, file)
    fresh.unlink()


def _security(settings: Settings, made_up: Secrets) -> SecuritySettings:
    """The operator's secrets where there are some, else the made-up ones."""
    security = settings.security
    return security.model_copy(
        update={
            "secret": security.secret or SecretStr(made_up.secret),
            "jwt_secret": security.jwt_secret or SecretStr(made_up.jwt_secret),
        }
    )


def _own(settings: Settings, url: str, made_up: Secrets) -> Home:
    """The operator's server: with both URLs as they are; with an owner's alone by a login role that is made."""
    from trunkline.db.safety import check_login
    from trunkline.db.setup import prepare
    from trunkline.errors import DatabaseUnavailable

    if settings.database.direct_url is not None:
        check_login(url)
        return Home(settings, settings.database.direct_url.get_secret_value(), url)
    try:
        check_login(url)
    except DatabaseUnavailable:
        raise
    except SetupError:
        if not _may_prepare(url):
            raise
        return Home(settings, url, prepare(url, login=LOGIN, password=made_up.login_password))
    return Home(settings, url, url)


def _may_prepare(url: str) -> bool:
    """Whether the URL is an owner's: one that can make schemas in the database."""
    from trunkline.db.setup import connect

    with connect(url) as connection:
        row = connection.execute("select has_database_privilege(current_database(), 'create')").fetchone()
    return row == (True,)


def _prepare_unless_done(owner_url: str, login_url: str, made_up: Secrets) -> None:
    from trunkline.db.safety import check_login
    from trunkline.db.setup import prepare

    with suppress(SetupError):
        check_login(login_url)
        return
    with alone(owner_url):
        try:
            check_login(login_url)  # another process may have been faster
        except SetupError:
            prepare(owner_url, login=LOGIN, password=made_up.login_password)
            check_login(login_url)
