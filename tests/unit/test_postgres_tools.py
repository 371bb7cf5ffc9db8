"""Connection strings for PostgreSQL's programs: complete, and never with the password where others see it."""

from __future__ import annotations

import pytest

from trunkline.errors import SetupError
from trunkline.postgres.tools import target_of


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"])
def test_the_password_goes_into_the_environment_only(scheme: str) -> None:
    target = target_of(f"{scheme}://us%40er:p%3Aw%2F@db.example:6543/my%20data?sslmode=require")
    assert target.environment()["PGPASSWORD"] == "p:w/"
    assert "p:w/" not in target.argument()
    assert "p:w/" not in repr(target)
    for part in ("user=us@er", "dbname='my data'", "host=db.example", "port=6543", "sslmode=require"):
        assert part in target.argument()
    assert target.address == "db.example:6543"
    assert target.database == "my data"
    assert "password=p:w/" in target.url()


def test_another_database_of_the_server_keeps_the_rest() -> None:
    target = target_of("postgresql://user:secret@host/one").on("two")
    assert (target.database, target.password, target.parameters["user"]) == ("two", "secret", "user")


@pytest.mark.parametrize("url", ["mysql://host/x", "postgresql://[host/x", "postgresql://user:hush@host", "what"])
def test_what_is_no_database_url_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="database URL") as caught:
        target_of(url)
    assert "hush" not in caught.value.detail
