"""The server refuses a login role that policies don't bind, in whatever way it isn't bound (attack 25)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from tests.attack.scene import Connection, raw

from trunkline.db.safety import check_login
from trunkline.db.setup import prepare
from trunkline.errors import DatabaseUnsafe, SetupError


@dataclass(frozen=True)
class Made:
    """A login role of this test's own, and a role that it could be lent."""

    login: str
    lender: str
    url: str


@pytest.fixture
def owner(owner_url: str) -> Iterator[Connection]:
    """The owner, on a fresh database."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def made(owner_url: str, owner: Connection) -> Iterator[Made]:
    """Both roles, dropped at the end."""
    name = f"trunkline_test_{secrets.token_hex(4)}"
    login, lender = f"{name}_login", f"{name}_lender"
    url = prepare(owner_url, login=login)
    owner.execute(raw(f"create role {lender} nologin noinherit"))
    yield Made(login, lender, url)
    for role in (login, lender):
        owner.execute(raw(f"reassign owned by {role} to current_user"))
        owner.execute(raw(f"drop owned by {role}"))
    for role in (login, lender):
        owner.execute(raw(f"drop role {role}"))


FAULTS = {
    "itself a superuser": ("alter role {login} superuser", "is a superuser"),
    "itself past policies": ("alter role {login} bypassrls", "has BYPASSRLS"),
    "makes roles": ("alter role {login} createrole", "may create roles"),
    "inherits": ("alter role {login} inherit", "inherits what it is a member of"),
    "lent a superuser": ("alter role {lender} superuser; grant {lender} to {login}", "{lender} is a superuser"),
    "lent BYPASSRLS": ("alter role {lender} bypassrls; grant {lender} to {login}", "{lender} has BYPASSRLS"),
    "lent by one of its roles": (
        """alter role {lender} bypassrls; create role {lender}_between; grant {lender} to {lender}_between;
           grant {lender}_between to {login}""",
        "{lender}_between → {lender} has BYPASSRLS",
    ),
    "lent the files": ("grant pg_read_server_files to {login}", "reaches the server's files"),
    "lent programs": ("grant pg_execute_server_program to {login}", "reaches the server's files"),
    "lent all reading": ("grant pg_read_all_data to {login}", "reaches every table"),
    "lent all writing": ("grant pg_write_all_data to {login}", "reaches every table"),
    "the definer": ("grant trunkline_definer to {login}", "trunkline_definer owns functions that policies trust"),
    "owns a table": ("alter table public.agents owner to {login}", "owns tables"),
    "owns the turns": (
        "alter table trunkline_runtime.turn_states owner to {lender}; grant {lender} to {login}",
        "owns tables",
    ),
    "owns a trusted function": ("alter function app.organization_id() owner to {login}", "owns functions"),
    "owns the database": (
        "do $$ begin execute format('alter database %I owner to {login}', current_database()); end $$",
        "owns the database",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_role_that_is_not_bound_may_not_serve(fault: str, made: Made, owner: Connection) -> None:
    change, reason = (text.format(login=made.login, lender=made.lender) for text in FAULTS[fault])
    check_login(made.url)
    owner.execute("begin")
    owner.execute(raw(change))
    owner.execute("commit")
    try:
        with pytest.raises(DatabaseUnsafe) as refusal:
            check_login(made.url)
        assert reason in refusal.value.detail
        assert "trunkline db prepare" in refusal.value.detail
    finally:
        owner.execute(raw(f"drop role if exists {made.lender}_between"))
        owner.execute(
            "do $$ begin execute format('alter database %I owner to current_user', current_database()); end $$"
        )


@pytest.mark.parametrize(
    "table", ["public.organizations", "public.profiles", "public.agents", "trunkline_runtime.turn_states"]
)
@pytest.mark.parametrize("change", ["no force", "disable"])
def test_a_table_that_is_not_forced_may_not_be_served(table: str, change: str, made: Made, owner: Connection) -> None:
    owner.execute(raw(f"alter table {table} {change} row level security"))
    with pytest.raises(DatabaseUnsafe, match=f"not forced on {table.partition('.')[2]}"):
        check_login(made.url)


def test_a_membership_that_is_inherited_is_found_and_mended(made: Made, owner: Connection, owner_url: str) -> None:
    """Since PostgreSQL 16 a membership says it itself, whatever the role says."""
    if owner.info.server_version < 160_000:
        pytest.skip("memberships say nothing about inheritance before PostgreSQL 16")
    owner.execute(raw(f"grant trunkline_service to {made.login} with inherit true"))
    with pytest.raises(DatabaseUnsafe, match="inherits what it is a member of"):
        check_login(made.url)
    check_login(prepare(owner_url, login=made.login))


def test_a_login_that_lacks_a_role_is_told_so(made: Made, owner: Connection) -> None:
    owner.execute(sql.SQL("revoke trunkline_service from {}").format(sql.Identifier(made.login)))
    with pytest.raises(SetupError, match="is no member of trunkline_service"):
        check_login(made.url)


def test_what_prepare_makes_may_serve(made: Made) -> None:
    check_login(made.url)
