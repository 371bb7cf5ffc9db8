"""Reads the snapshot: some twenty queries whatever the size of the database, and ACCESS SHARE for a moment at most."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from trunkline.errors import DatabaseUnavailable
from trunkline.postgres.catalogue import queries, rows
from trunkline.postgres.catalogue.model import Catalogue, Extension, Grant, Name, Publication, Relation, Role, Server
from trunkline.postgres.catalogue.rows import Row

ATTEMPTS = 8
"""How often to read anew when another session drops something, or holds a lock, meanwhile."""
PAUSE_S = 0.2
"""Between two attempts, in seconds."""
LOCK_TIMEOUT = "200ms"
"""Well below deadlock_timeout: we give way, and never make another session the victim of a deadlock."""

SETTINGS = (
    "autovacuum",
    "block_size",
    "data_checksums",
    "deadlock_timeout",
    "default_transaction_read_only",
    "hot_standby_feedback",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "log_statement",
    "maintenance_work_mem",
    "max_connections",
    "max_locks_per_transaction",
    "max_parallel_maintenance_workers",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_standby_streaming_delay",
    "max_wal_senders",
    "max_wal_size",
    "max_worker_processes",
    "password_encryption",
    "row_security",
    "search_path",
    "server_encoding",
    "session_preload_libraries",
    "session_replication_role",
    "shared_buffers",
    "shared_preload_libraries",
    "ssl",
    "statement_timeout",
    "synchronous_standby_names",
    "TimeZone",
    "track_counts",
    "transaction_timeout",
    "wal_level",
)
"""Settings that a catalogue holds, as SHOW writes them; what the server's version doesn't have is left out."""
SETTINGS_SINCE = {"transaction_timeout": 17}
"""Major versions that brought a setting, where it isn't in all that are supported."""
NAMED_AT_MOST = 10
"""How many relations a sentence names before it counts the rest."""


class CatalogueLocked(DatabaseUnavailable):
    """Another session holds tables so that nobody can look at them."""


class _Asker:
    """Asks the queries of one snapshot."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def __call__(self, query: LiteralString, **parameters: object) -> list[Row]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters or None, prepare=False).fetchall()

    def by_relation(self, query: LiteralString, relations: Sequence[int]) -> dict[int, list[Row]]:
        """Rows of a query by their `relation`."""
        found: dict[int, list[Row]] = {}
        for row in self(query, relations=relations):
            found.setdefault(row["relation"], []).append(row)
        return found


def read_catalogue(connection: psycopg.Connection[Any]) -> Catalogue:
    """Everything that the catalogue says about the connection's database.

    Runs inside the caller's transaction (in one of its own where there is none), in a savepoint that is rolled back:
    no setting changes and no lock is kept.

    Raises:
        CatalogueLocked: others hold tables exclusively and did not let go in time; says which.
        psycopg.Error: the connection broke, or a timeout of the caller's struck.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction(force_rollback=True):
                return _read(connection)
        except errors.LockNotAvailable as error:
            if attempt == ATTEMPTS:
                raise CatalogueLocked(_who_is_in_the_way(_Asker(connection))) from error
        except (errors.InternalError_, errors.UndefinedObject, errors.UndefinedTable):
            # Something was dropped while it was written out: "cache lookup failed" is an internal error (XX000).
            if attempt == ATTEMPTS:
                raise
        time.sleep(PAUSE_S)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _read(connection: psycopg.Connection[Any]) -> Catalogue:
    ask = _Asker(connection)
    ask(queries.USE_UTF8)
    settings = ask(queries.SETTINGS, names=list(SETTINGS))
    ask(queries.PREPARE, lock_timeout=LOCK_TIMEOUT)
    server_row = ask(queries.SERVER)[0]
    server = _server(server_row, settings, ask(queries.AVAILABLE_EXTENSIONS), connection.info.backend_pid)
    schemas = ask(queries.SCHEMAS)
    relation_rows = ask(queries.RELATIONS)
    function_rows = ask(queries.FUNCTIONS)
    grants = rows.grants_by_list(
        ask(
            queries.ACCESS_LISTS,
            relations=[row["oid"] for row in relation_rows],
            functions=[row["oid"] for row in function_rows],
        )
    )
    relations = _relations(ask, relation_rows, grants)
    return Catalogue(
        server=server,
        schemas=tuple(row["name"] for row in schemas),
        relations={each.name: each for each in relations},
        functions=tuple(rows.function(row, grants) for row in function_rows),
        roles=_roles(ask(queries.ROLES), database_owner=server_row["owner"]),
        extensions=_extensions(ask(queries.EXTENSIONS), server.available_extensions),
        publications=_publications(ask(queries.PUBLICATIONS), relations),
        default_privileges=tuple(rows.default_privileges(ask(queries.DEFAULT_PRIVILEGES), grants)),
        schema_grants={row["name"]: grants.get(row["acl"], ()) for row in schemas},
        not_seen=(
            *_unseen_of_server(server, size_is_known=server_row["size_bytes"] is not None),
            *_unseen_schemas(server, schemas),
            *_unseen_relations(server, relations),
        ),
        steady_functions=frozenset(Name(row["schema"], row["name"]) for row in ask(queries.STEADY_FUNCTIONS)),
        domains=rows.domains(ask(queries.DOMAINS)),
    )


def _server(row: Row, settings: list[Row], extensions: list[Row], connected_to: int) -> Server:
    return Server(
        version=row["version"],
        version_text=row["version_text"],
        is_standby=row["is_standby"],
        is_pooled=row["backend_pid"] != connected_to,
        database=row["database"],
        user=row["user"],
        is_superuser=row["is_superuser"],
        bypasses_rls=row["bypasses_rls"],
        settings={each["name"]: each["value"] for each in settings},
        available_extensions={each["name"]: each["version"] for each in extensions},
        size_bytes=row["size_bytes"] or 0,
    )


def _relations(ask: _Asker, found: list[Row], grants: Mapping[str, tuple[Grant, ...]]) -> list[Relation]:
    oids = [row["oid"] for row in found]
    columns = ask.by_relation(queries.COLUMNS, oids)
    constraints = ask.by_relation(queries.CONSTRAINTS, oids)
    indexes = ask.by_relation(queries.INDEXES, oids)
    policies = ask.by_relation(queries.POLICIES, oids)
    triggers = ask.by_relation(queries.TRIGGERS, oids)
    views = {row["relation"]: row for row in ask(queries.VIEWS, relations=oids)}
    names = _names(ask, found, {oid for view in views.values() for oid in view["reads"]})
    estimates = rows.estimated_rows(found)
    return [
        Relation(
            oid=row["oid"],
            name=names[row["oid"]],
            kind=rows.RELATION_KINDS[row["kind"]],
            owner=row["owner"],
            columns={each["name"]: rows.column(each) for each in columns.get(row["oid"], ())},
            constraints=tuple(rows.constraints(constraints.get(row["oid"], ()))),
            indexes=tuple(rows.indexes(indexes.get(row["oid"], ()))),
            policies=tuple(map(rows.policy, policies.get(row["oid"], ()))),
            triggers=tuple(rows.triggers(triggers.get(row["oid"], ()))),
            grants=(*grants.get(row["acl"], ()), *rows.column_grants(columns.get(row["oid"], ()), grants)),
            has_row_security=row["has_row_security"],
            forces_row_security=row["forces_row_security"],
            is_partition=row["is_partition"],
            parents=tuple(names[oid] for oid in row["parents"] if oid in names),
            rows=estimates[row["oid"]],
            size_bytes=row["size_bytes"] or 0,
            dead_rows=row["dead_rows"],
            definition=views[row["oid"]]["definition"] if row["oid"] in views else None,
            is_security_invoker=row["is_security_invoker"],
            reads=tuple(sorted(names[oid] for oid in views[row["oid"]]["reads"] if oid in names))
            if row["oid"] in views
            else (),
            can_select=bool(row["can_select"]),
            can_write=bool(row["can_write"]),
            comment=row["comment"],
        )
        for row in found
    ]


def _names(ask: _Asker, found: list[Row], mentioned: set[int]) -> dict[int, Name]:
    """Names by oid; also of what views read in extensions, which are no relations of the catalogue."""
    names = {row["oid"]: Name(row["schema"], row["name"]) for row in found}
    others = sorted(mentioned - names.keys())
    if others:
        names |= {row["oid"]: Name(row["schema"], row["name"]) for row in ask(queries.NAMES, relations=others)}
    return names


def _roles(found: list[Row], *, database_owner: str) -> dict[str, Role]:
    """Roles by name. The database's owner is a member of `pg_database_owner` without a word in the catalogue."""
    return {
        row["name"]: Role(
            name=row["name"],
            can_login=row["can_login"],
            is_superuser=row["is_superuser"],
            bypasses_rls=row["bypasses_rls"],
            inherits=row["inherits"],
            member_of=(*row["member_of"], *(("pg_database_owner",) if row["name"] == database_owner else ())),
        )
        for row in found
    }


def _extensions(found: list[Row], available: Mapping[str, str]) -> dict[str, Extension]:
    return {
        row["name"]: Extension(row["name"], row["schema"], row["version"], available.get(row["name"])) for row in found
    }


def _publications(found: list[Row], relations: Iterable[Relation]) -> tuple[Publication, ...]:
    names = {each.oid: each.name for each in relations}
    return tuple(
        Publication(
            name=row["name"],
            all_tables=row["all_tables"],
            tables=tuple(sorted(names[oid] for oid in row["relations"] if oid in names)),
        )
        for row in found
    )


def _unseen_of_server(server: Server, *, size_is_known: bool) -> Iterable[str]:
    hidden = [name for name in SETTINGS if name not in server.settings and server.major >= SETTINGS_SINCE.get(name, 0)]
    if hidden:
        yield (
            f"The settings {', '.join(hidden)} are shown to members of pg_read_all_settings only, and {server.user} "
            "is none."
        )
    if not size_is_known:
        yield f"The size of the database: {server.user} has no CONNECT privilege on it."


def _unseen_schemas(server: Server, schemas: list[Row]) -> Iterable[str]:
    closed = [row["name"] for row in schemas if row["is_usable"] is False]
    if closed:
        yield f"What the tables in {', '.join(closed)} hold: {server.user} has no USAGE privilege on the schema."


def _unseen_relations(server: Server, relations: Iterable[Relation]) -> Iterable[str]:
    unread = [str(each.name) for each in relations if each.kind != "sequence" and not each.can_select]
    if unread:
        named = ", ".join(unread[:NAMED_AT_MOST])
        rest = f" and {len(unread) - NAMED_AT_MOST:,} more" if len(unread) > NAMED_AT_MOST else ""
        yield f"The rows of {named}{rest}: {server.user} may not SELECT all of their columns."


def _who_is_in_the_way(ask: _Asker) -> str:
    held = [f"{Name(row['schema'], row['name'])} (process {row['pid']})" for row in ask(queries.EXCLUSIVE_LOCKS)]
    which = ", ".join(held[:NAMED_AT_MOST]) or "a table, free again by now"
    return (
        f"Another session has locked {which} exclusively, as VACUUM FULL and most of ALTER TABLE do, and nobody can "
        "look at it meanwhile. Try again when that has ended."
    )
