"""Refuses a login role that row-level security does not bind, and a database that is not as the code needs it."""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Identifier

from trunkline.db.access import ROLES
from trunkline.db.urls import libpq_url
from trunkline.db.version import HEAD, VERSION_SCHEMA
from trunkline.errors import DatabaseUnavailable, DatabaseUnsafe, SetupError

MINIMUM_VERSION = 15

_REACHABLE = """
with recursive reachable(oid, via) as (
  select r.oid, r.rolname::text from pg_catalog.pg_roles r where r.rolname = current_user
  union
  select m.roleid, reachable.via || ' → ' || (select rolname from pg_catalog.pg_roles where oid = m.roleid)
  from pg_catalog.pg_auth_members m join reachable on m.member = reachable.oid
)
select r.rolname, reachable.via, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
  r.rolname in ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files') as is_server,
  r.rolname in ('pg_read_all_data', 'pg_write_all_data') as is_everywhere,
  exists (select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.relowner = r.oid and c.relkind in ('r', 'p')
            and n.nspname in ('public', 'trunkline_runtime', 'auth')) as owns_tables,
  exists (select 1 from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
          where p.proowner = r.oid and n.nspname = 'app') as owns_functions,
  exists (select 1 from pg_catalog.pg_database d where d.datname = current_database() and d.datdba = r.oid) as owns_db
from reachable join pg_catalog.pg_roles r on r.oid = reachable.oid
"""
"""Every role that the login role is or can become by SET ROLE, with the chain of memberships that leads there."""

_INHERITS = """
select r.rolinherit or coalesce((select bool_or((to_jsonb(m) ->> 'inherit_option')::boolean)
                                 from pg_catalog.pg_auth_members m where m.member = r.oid), false)
from pg_catalog.pg_roles r where r.rolname = current_user
"""
"""Since PostgreSQL 16 each membership says whether it is inherited; 15 has no such column, and asks the role alone."""

_MEND = (
    "Serve with a login role that can become only anon, authenticated and trunkline_service: "
    "`trunkline db prepare` (with the owner's URL in TRUNKLINE_DATABASE_DIRECT_URL) creates one and prints its URL."
)


def check_login(url: str) -> None:
    """Refuse to go on unless the login role is bound by every policy.

    Raises:
        DatabaseUnsafe: the role is, owns or can become something that row-level security doesn't bind; says how to
            mend it.
        DatabaseUnavailable: the server does not answer.
        SetupError: the schema isn't there, or is of another revision.
    """
    try:
        with psycopg.connect(libpq_url(url), autocommit=True, connect_timeout=5, prepare_threshold=None) as connection:
            _check_role(connection)
            _check_revision(_revision(connection))
            _check_tables(connection)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"The database does not answer: {first_line(error)}.") from None


def check_server(connection: psycopg.Connection) -> None:
    """Refuse a server that is too old or has no pgvector.

    Raises:
        SetupError: says which version is needed, or how to install the extension.
    """
    version = connection.info.server_version // 10_000
    if version < MINIMUM_VERSION:
        raise SetupError(f"PostgreSQL {version} is too old; Trunkline needs {MINIMUM_VERSION} or newer.")
    row = connection.execute("select 1 from pg_catalog.pg_available_extensions where name = 'vector'").fetchone()
    if row is None:
        raise SetupError(
            f"This PostgreSQL {version} has no pgvector. Install it on the server"
            f" (Debian: postgresql-{version}-pgvector; others: see the pgvector project),"
            " then try again. Supabase and the embedded server have it."
        )


def first_line(error: BaseException | None) -> str:
    """The first line of a driver's error, bounded: what a person needs of it."""
    return str(error).strip().split("\n")[0][:300]


def _check_role(connection: psycopg.Connection) -> None:
    inherits = connection.execute(_INHERITS).fetchone()
    reasons = [] if inherits == (False,) else [f"role {connection.info.user} inherits what it is a member of"]
    members: set[str] = set()
    for row in connection.execute(_REACHABLE):
        name, via, superuser, bypass, creates, is_server, is_everywhere, owns_tables, owns_functions, owns_db = row
        members.add(name)
        faults = {
            "is a superuser": superuser,
            "has BYPASSRLS": bypass,
            "may create roles": creates,
            "reaches the server's files": is_server,
            "reaches every table": is_everywhere,
            "owns tables": owns_tables,
            "owns functions that policies trust": owns_functions,
            "owns the database": owns_db,
        }
        reasons += [f"role {via} {fault}" for fault, is_so in faults.items() if is_so]
    if reasons:
        raise DatabaseUnsafe(f"Refusing to start: {'; '.join(reasons)}. {_MEND}")
    missing = [role for role in ROLES if role not in members]
    if missing:
        raise SetupError(f"Role {connection.info.user} is no member of {', '.join(missing)}. {_MEND}")


def _revision(connection: psycopg.Connection) -> str | None:
    """The revision that the database stands at; None where there is no schema of ours, or none to be seen."""
    try:
        row = connection.execute(
            SQL("select version_num from {}.alembic_version").format(Identifier(VERSION_SCHEMA))
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return None
    return None if row is None else row[0]


def _check_revision(found: str | None) -> None:
    if found is None:
        raise SetupError("The database has no Trunkline schema. Run `trunkline db upgrade` with the owner's URL.")
    if found != HEAD:
        raise SetupError(f"The database is at revision {found}, the code needs {HEAD}. Run `trunkline db upgrade`.")


def _check_tables(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p') and n.nspname in ('public', 'trunkline_runtime')"
        " and (c.relname in ('organizations', 'profiles') or exists (select 1 from pg_catalog.pg_attribute a"
        " where a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped))"
        " and not (c.relrowsecurity and c.relforcerowsecurity) order by 1"
    ).fetchall()
    if rows:
        names = ", ".join(row[0] for row in rows)
        raise DatabaseUnsafe(
            f"Refusing to start: row-level security is not forced on {names}. Mend it with"
            " `alter table NAME enable row level security; alter table NAME force row level security`."
        )
