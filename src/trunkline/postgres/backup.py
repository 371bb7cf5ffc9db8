"""Dumps and restores: a file is whole or not there, and a database is replaced only by a complete one."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Generator
from pathlib import Path

import psycopg
from psycopg import sql

from trunkline.errors import Conflict, InvalidInput, SetupError
from trunkline.postgres.tools import Target, client_program, connected, run_telling, server_major

UNFINISHED = "Trunkline: a restore that has not finished"
"""The comment on a database that is being filled."""

_HARMLESS_BEFORE_17 = 'unrecognized configuration parameter "transaction_timeout"'
"""pg_restore 17 and later sets it on any server; those before don't have it, and don't need it."""
_MISSING_ROLE = re.compile(r'role "(?P<name>[^"]+)" does not exist')


def dump(target: Target, file: Path, *, replace: bool = False) -> Generator[str]:
    """Write the whole database into one file (PostgreSQL's custom format), yielding what is being written.

    Roles belong to the server, not to the database, and are not in it.

    Raises:
        Conflict: the file exists, and is not to be replaced.
        DatabaseUnavailable: the server does not answer.
        SetupError: the file can't be written, or the server did not let us read everything.
    """
    if file.exists() and not replace:
        raise Conflict(f"{file} exists already. Name another file, or pass --force to replace it.")
    with connected(target) as connection:
        program = client_program("pg_dump", at_least=server_major(connection))
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    command = [program, "--no-password", "--verbose", "--format=custom", f"--file={unfinished}", target.argument()]
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        errors = yield from run_telling(command, target.environment())
        if errors:
            raise SetupError(f"The dump was not made: {errors[0]}.")
        unfinished.replace(file)
    except OSError as error:
        raise SetupError(f"{file} can't be written: {error.strerror}.") from None
    finally:
        unfinished.unlink(missing_ok=True)


def restore(
    target: Target, file: Path, *, clean: bool = False, make_roles: bool = False
) -> Generator[str, None, list[str]]:
    """Bring a dump back under the database's name, yielding what is being done; returns what is worth knowing after.

    The dump goes into a new database, which takes the old one's name once it is complete; whatever fails before
    leaves the old one as it is. With `clean` the old one may hold something, and is dropped at the end. With
    `make_roles` roles that the dump names and the server lacks are made, without login.

    Raises:
        InvalidInput: the file is no dump.
        Conflict: the database is not empty, or in use.
        DatabaseUnavailable: the server does not answer.
        SetupError: the server refused a part of it.
    """
    if not file.is_file():
        raise InvalidInput(f"There is no file {file}.", field="file")
    with connected(target) as connection:
        _check_empty(connection, target.database, clean=clean)
    with connected(_beside(target)) as admin:
        program = client_program("pg_restore", at_least=server_major(admin))
        yield from _check_readable(program, target, file)
        _check_unused(admin, target.database)
        new = target.on(f"{target.database[:40]}_restore_{secrets.token_hex(4)}")
        try:
            _drop_unfinished(admin)
            made = (yield from _make_missing_roles(admin, program, target, new, file)) if make_roles else []
            errors = yield from _fill(admin, program, target, new, file)
            if errors:
                raise SetupError(f"Nothing was changed: the server refused a part of the dump. {errors[0]}.")
            old = _swap(admin, target.database, new.database)
        except psycopg.Error as error:
            raise SetupError(f"Nothing was changed: {str(error).splitlines()[0]}.") from error
        finally:
            with contextlib.suppress(psycopg.Error):  # the next restore drops it then
                _drop(admin, new.database, force=True)
        notes = [f"These roles were missing and are there now, without login: {', '.join(made)}."] if made else []
        try:
            _drop(admin, old)
        except psycopg.Error as error:
            notes.append(f"The database as it was is still there as {old}: {str(error).splitlines()[0]}.")
        return notes


def _beside(target: Target) -> Target:
    """A database to be connected to while the target is renamed."""
    return target.on("template1" if target.database == "postgres" else "postgres")


def _check_empty(connection: psycopg.Connection, database: str, *, clean: bool) -> None:
    row = connection.execute(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname NOT LIKE 'pg\\_%'"
        " AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d"
        " WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
    ).fetchone()
    held = row[0] if row else 0
    if held and not clean:
        raise Conflict(
            f"The database {database} is not empty: it holds {held} tables, views and sequences. "
            "Save it with `trunkline db dump`; then pass --clean to replace all of it."
        )


def _check_readable(program: str, target: Target, file: Path) -> Generator[str]:
    errors = yield from run_telling([program, "--list", str(file)], target.environment())
    if errors:
        raise InvalidInput(f"{file} can't be read as a dump: {errors[0]}.", field="file")


def _check_unused(admin: psycopg.Connection, database: str) -> None:
    row = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'", [database]
    ).fetchone()
    if row and row[0]:
        raise Conflict(
            f"The database {database} is in use by {row[0]} connections. End the programs that use it (a running "
            "`trunkline serve` or `demo`), and try again."
        )


def _make_missing_roles(
    admin: psycopg.Connection, program: str, target: Target, new: Target, file: Path
) -> Generator[str, None, list[str]]:
    """Try the dump without its rows until the server misses no role any more; tell which were made."""
    made: set[str] = set()
    while True:
        try:
            errors = yield from _fill(admin, program, target, new, file, schema_only=True)
        finally:
            _drop(admin, new.database, force=True)
        missing = {match["name"] for error in errors if (match := _MISSING_ROLE.search(error))} - made
        if not missing:
            return sorted(made)
        for name in sorted(missing):
            admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOINHERIT").format(sql.Identifier(name)))
        made |= missing


def _fill(
    admin: psycopg.Connection, program: str, target: Target, new: Target, file: Path, *, schema_only: bool = False
) -> Generator[str, None, list[str]]:
    """Make the new database and restore into it; return what went wrong."""
    _create_like(admin, target.database, new.database)
    options = ["--schema-only"] if schema_only else []
    command = [program, "--no-password", "--verbose", *options, new.argument(), str(file)]
    errors = yield from run_telling(command, new.environment())
    if server_major(admin) < 17:
        errors = [error for error in errors if _HARMLESS_BEFORE_17 not in error]
    return errors


def _create_like(admin: psycopg.Connection, old: str, new: str) -> None:
    """Make an empty database with the owner, encoding and locale of another one."""
    row = admin.execute(
        "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text,"
        " coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')"
        " FROM pg_database d WHERE datname = %s",
        [old],
    ).fetchone()
    if row is None:
        raise Conflict(f"The database {old} has gone.")
    owner, encoding, collate, ctype, provider, locale = row
    own_locale = {
        "b": sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}"),
        "i": sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}"),
        "c": sql.SQL("LOCALE_PROVIDER libc"),
    }[provider]
    admin.execute(
        sql.SQL(
            "CREATE DATABASE {new} TEMPLATE template0 OWNER {owner} ENCODING {encoding}"
            " LC_COLLATE {collate} LC_CTYPE {ctype} {own_locale}"
        ).format(
            new=sql.Identifier(new),
            owner=sql.Identifier(owner),
            encoding=sql.Literal(encoding),
            collate=sql.Literal(collate),
            ctype=sql.Literal(ctype),
            own_locale=own_locale.format(sql.Literal(locale)),
        )
    )
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(new), sql.Literal(UNFINISHED)))


def _swap(admin: psycopg.Connection, old: str, new: str) -> str:
    """Give the new database the old one's name, grants and settings, all or nothing; tell the old one's new name."""
    aside = f"{old[:40]}_replaced_{secrets.token_hex(4)}"
    with admin.transaction():
        _copy_grants(admin, old, new)
        _copy_settings(admin, old, new)
        admin.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(new)))
        for before, after in ((old, aside), (new, old)):
            admin.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(before), sql.Identifier(after))
            )
    return aside


def _copy_grants(admin: psycopg.Connection, old: str, new: str) -> None:
    grants = admin.execute(
        "SELECT CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee) END, g.privilege_type, g.is_grantable"
        " FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) g WHERE d.datname = %s",
        [old],
    ).fetchall()
    database = sql.Identifier(new)
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for grantee, privilege, grantable in grants:
        admin.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(privilege),
                database,
                sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION") if grantable else sql.SQL(""),
            )
        )


def _copy_settings(admin: psycopg.Connection, old: str, new: str) -> None:
    """Copy what ALTER DATABASE and ALTER ROLE … IN DATABASE have set."""
    settings = admin.execute(
        "SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END, unnest(s.setconfig)"
        " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = %s",
        [old],
    ).fetchall()
    for role, setting in settings:
        name, _, value = setting.partition("=")
        # By way of our own session: the one form that serves lists like search_path as well as plain values.
        admin.execute("SELECT set_config(%s, %s, true)", [name, value])
        whose = (
            sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(new))
            if role
            else sql.SQL("DATABASE {}").format(sql.Identifier(new))
        )
        parts = sql.SQL(".").join(sql.Identifier(part) for part in name.split("."))
        admin.execute(sql.SQL("ALTER {} SET {} FROM CURRENT").format(whose, parts))


def _drop_unfinished(admin: psycopg.Connection) -> None:
    """Drop what restores that were killed left behind; one that still runs has connections, and is left alone."""
    leftovers = admin.execute(
        "SELECT datname FROM pg_database d WHERE shobj_description(d.oid, 'pg_database') = %s"
        " AND pg_has_role(d.datdba, 'MEMBER')"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)",
        [UNFINISHED],
    ).fetchall()
    for (name,) in leftovers:
        _drop(admin, name)


def _drop(admin: psycopg.Connection, database: str, *, force: bool = False) -> None:
    """Drop a database; `force` ends its connections, else they keep it."""
    ending = sql.SQL(" WITH (FORCE)" if force else "")
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}{}").format(sql.Identifier(database), ending))
