"""What the owner does before anybody can log in: the schema, the login role, people of plain Postgres."""

from __future__ import annotations

import secrets
from uuid import UUID

import psycopg
from psycopg import sql

from trunkline.db.access import DEFINER, ROLES
from trunkline.db.base import new_id
from trunkline.db.safety import check_server, first_line
from trunkline.db.urls import libpq_url, sqlalchemy_url
from trunkline.errors import DatabaseUnavailable, NotFound, SetupError

LOGIN_ROLE = "trunkline_login"


def prepare(owner_url: str, *, login: str = LOGIN_ROLE, password: str | None = None) -> str:
    """Bring the schema to the newest revision and make the login role; returns the login role's URL.

    Without `password` a random one is set. Running it again is safe and sets the password anew.

    Raises:
        DatabaseUnavailable: the server does not answer.
        SetupError: the server is too old, lacks pgvector, or the owner may not create roles.
    """
    password = password or secrets.token_urlsafe(32)
    upgrade(owner_url)
    with connect(owner_url) as connection:
        _make_login(connection, login, password)
    url = sqlalchemy_url(owner_url).set(username=login, password=password, drivername="postgresql")
    return url.render_as_string(hide_password=False)


def upgrade(owner_url: str) -> None:
    """Bring the schema to the newest revision.

    Raises:
        DatabaseUnavailable: the server does not answer.
        SetupError: the server is too old, lacks pgvector, or the role may not make the schema.
    """
    with connect(owner_url) as connection:
        check_server(connection)
    from trunkline.db import revisions  # noqa: PLC0415  loads Alembic, which a start over a prepared database need not

    try:
        revisions.upgrade(owner_url)
    except Exception as error:
        cause = getattr(error, "orig", None)
        if not isinstance(cause, psycopg.Error):
            raise
        raise SetupError(f"The schema could not be made: {first_line(cause)}. Nothing was changed.") from None


def role_exists(owner_url: str, name: str) -> bool:
    """Whether the server has a role of this name."""
    with connect(owner_url) as connection:
        return (
            connection.execute("select 1 from pg_catalog.pg_roles where rolname = %s", (name,)).fetchone() is not None
        )


def connect(owner_url: str) -> psycopg.Connection:
    """An autocommitting connection of the owner.

    Raises:
        DatabaseUnavailable: the server does not answer or refuses the credentials.
    """
    try:
        return psycopg.connect(libpq_url(owner_url), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"The database does not answer: {first_line(error)}.") from None


def ensure_person(owner_url: str, email: str, full_name: str | None = None) -> UUID:
    """The profile with this e-mail address, made where it is missing; returns its id.

    On Supabase people sign up themselves: a person who isn't in `auth.users` there is refused.

    Raises:
        SetupError: on Supabase, nobody has signed up with this address.
    """
    with connect(owner_url) as connection, connection.transaction():
        row = connection.execute("select id from auth.users where email = %s", (email,)).fetchone()
        if row is None:
            row = (_make_user(connection, email),)
        connection.execute(
            "insert into public.profiles (id, email, full_name) values (%s, %s, %s) on conflict (id) do nothing",
            (row[0], email, full_name),
        )
        return row[0]


def _make_user(connection: psycopg.Connection, email: str) -> UUID:
    made_by_us = connection.execute(
        "select obj_description(to_regnamespace('auth'), 'pg_namespace') = 'Made by Trunkline'"
    ).fetchone()
    if made_by_us != (True,):
        raise SetupError(f"Nobody has signed up as {email} here. Sign up through Supabase first, then try again.")
    user_id = new_id()
    connection.execute("insert into auth.users (id, email) values (%s, %s)", (user_id, email))
    return user_id


def _make_login(connection: psycopg.Connection, login: str, password: str) -> None:
    # The password travels as SCRAM's verifier, so that no server log ever holds it.
    verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    name = sql.Identifier(login)
    try:
        exists = connection.execute("select 1 from pg_catalog.pg_roles where rolname = %s", (login,)).fetchone()
        verb = sql.SQL("alter role" if exists else "create role")
        connection.execute(sql.SQL("{} {} login noinherit password {}").format(verb, name, sql.Literal(verifier)))
        # Since 16 a membership keeps its own word on inheritance, also one that an older server or a hand has granted.
        inherit = sql.SQL(" with inherit false" if connection.info.server_version >= 160_000 else "")
        for role in ROLES:
            connection.execute(sql.SQL("grant {} to {}{}").format(sql.Identifier(role), name, inherit))
        connection.execute(sql.SQL("grant usage on schema trunkline, app to {}").format(name))
        for call in ("app.authenticate_key(bytea)", "app.fail_expired_turns()"):
            connection.execute(sql.SQL("grant execute on function {} to {}").format(sql.SQL(call), name))
        connection.execute(sql.SQL("grant select on trunkline.alembic_version to {}").format(name))
        # pg_temp last: left out it comes first, and a temporary table would stand in for one of ours.
        connection.execute(sql.SQL("alter role {} set search_path = public, extensions, pg_temp").format(name))
    except psycopg.errors.InsufficientPrivilege as error:
        raise SetupError(f"The owner may not make the login role {login}: {first_line(error)}.") from None


def find_organization(owner_url: str, name: str | None) -> UUID:
    """The id of an organization by slug or id; without a name, of the only one. Found as the owner.

    Raises:
        NotFound: there is none of this name, or no name and not just one.
    """
    known = all_organizations(owner_url)
    found = [id_ for id_, slug, _ in known if name in (None, slug, str(id_))]
    if len(found) == 1:
        return found[0]
    slugs = ", ".join(slug for _, slug, _ in known[:20]) or "none yet; trunkline organizations create makes one"
    if name is None:
        raise NotFound(f"Say which organization with --organization. There are: {slugs}.")
    raise NotFound(f"There is no organization {name!r}. There are: {slugs}.")


def all_organizations(owner_url: str) -> list[tuple[UUID, str, str]]:
    """Id, slug and name of every organization, as the owner."""
    with connect(owner_url) as connection, connection.transaction():
        # Forced policies bind the owner too; the definer's role may read organizations, and the owner is its member.
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(DEFINER)))
        return connection.execute("select id, slug, name from public.organizations order by slug").fetchall()
