"""One URL for libpq, psql and SQLAlchemy: people write `postgresql://`, SQLAlchemy wants the driver's name in it."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from trunkline.errors import SetupError


def sqlalchemy_url(url: str) -> URL:
    """The URL with psycopg 3 as its driver.

    Raises:
        SetupError: it isn't a PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SetupError(
            "The database URL can't be read. It looks like postgresql://user:password@host:5432/name."
        ) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SetupError(
            f"The database URL is for {parsed.get_backend_name()}; Trunkline needs PostgreSQL 15 or newer."
        )
    return parsed.set(drivername="postgresql+psycopg")


def libpq_url(url: str) -> str:
    """The URL as libpq and psql read it, password included."""
    return sqlalchemy_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def with_database(url: str, database: str) -> str:
    """The same server and role, another database."""
    return sqlalchemy_url(url).set(drivername="postgresql", database=database).render_as_string(hide_password=False)
