"""The snapshot as values. Names are PostgreSQL's own, of its system catalogues (PostgreSQL 18, chapter 52)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

RelationKind = Literal["table", "partitioned table", "view", "materialized view", "foreign table", "sequence"]
ConstraintKind = Literal["primary key", "unique", "foreign key", "check", "exclusion", "not null"]
PolicyCommand = Literal["all", "select", "insert", "update", "delete"]

PLATFORM_SCHEMAS = frozenset(
    {
        *("auth", "extensions", "graphql", "graphql_public", "pgbouncer", "realtime", "storage", "vault"),
        *("_analytics", "_realtime", "_supavisor", "supabase_functions", "supabase_migrations"),
        *("cron", "net", "pgmq", "pgsodium", "pgsodium_masks", "pgtle", "repack", "tiger", "tiger_data", "topology"),
    }
)
"""Schemas that a hosting platform (Supabase first of all) or an extension keeps for itself."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*", re.ASCII)
_RESERVED_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
    returning right select session_user similar some symmetric system_user table tablesample then to trailing true
    union unique user using variadic verbose when where window with
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
"""What can't name a table or column without quotes in one of PostgreSQL 15 to 18."""
_RIGHTS_OF_SYSTEM_ROLES = {
    "pg_read_all_data": frozenset({"select"}),
    "pg_write_all_data": frozenset({"insert", "update", "delete"}),
    "pg_maintain": frozenset({"maintain"}),
}


class Name(NamedTuple):
    """A name with its schema, as stored: unquoted, in its own case."""

    schema: str
    name: str

    def __str__(self) -> str:
        """As a person writes it: quoted where needed, `public` left out."""
        quoted = quote(self.name)
        return quoted if self.schema == "public" else f"{quote(self.schema)}.{quoted}"

    @property
    def sql(self) -> str:
        """Always with its schema, quoted where needed."""
        return f"{quote(self.schema)}.{quote(self.name)}"


def quote(identifier: str) -> str:
    """An identifier as SQL needs it; quotes only where it isn't a plain lower-case word."""
    if _PLAIN.fullmatch(identifier) and identifier not in _RESERVED:
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a relation, dropped ones left out."""

    name: str
    type: str
    """As `format_type` writes it: `character varying(255)`, `timestamp with time zone`, `uuid[]`, `public.mood`."""
    base_type: str
    """`type` with domains followed down to what they are made of."""
    nullable: bool
    """False by NOT NULL, of the column or of its domain."""
    default: str | None
    """The default's expression; None also where it is generated or an identity."""
    is_generated: bool
    is_identity: bool
    uses_sequence: bool
    """An identity, or a default that takes the next value of a sequence: inserting leaves a trace."""
    enum_values: tuple[str, ...] = ()
    """Of an enum type, in its order."""
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint of a table."""

    name: str
    kind: ConstraintKind
    columns: tuple[str, ...]
    definition: str
    """As `pg_get_constraintdef` writes it."""
    is_validated: bool
    is_deferrable: bool = False
    references: Name | None = None
    referenced_columns: tuple[str, ...] = ()
    on_delete: Literal["no action", "restrict", "cascade", "set null", "set default"] = "no action"


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a table or materialized view."""

    name: str
    method: str
    columns: tuple[str | None, ...]
    """Key columns in order; None stands for an expression."""
    included: tuple[str, ...]
    is_unique: bool
    is_primary: bool
    is_valid: bool
    predicate: str | None
    definition: str
    size_bytes: int
    scans: int | None
    """How often it was used since statistics were reset; None where that isn't known."""
    constraint: str | None = None
    """The constraint that it stands for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One row-level policy."""

    name: str
    command: PolicyCommand
    roles: tuple[str, ...]
    """`public` stands for everybody."""
    is_permissive: bool
    using: str | None
    check: str | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that somebody made; those of constraints are left out."""

    name: str
    function: Name
    definition: str
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """One right of one role on one object."""

    grantee: str
    """`public` stands for everybody."""
    privilege: str
    """Lower case: `select`, `truncate`, `execute`, `usage` …"""
    columns: tuple[str, ...] = ()
    """Where it is for some columns only."""
    is_grantable: bool = False


@dataclass(frozen=True)
class Relation:
    """A table, view, materialized view, foreign table or sequence."""

    oid: int
    name: Name
    kind: RelationKind
    owner: str
    columns: Mapping[str, Column]
    """By name, in their order."""
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    policies: tuple[Policy, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    grants: tuple[Grant, ...] = ()
    """The owner's own rights included."""
    has_row_security: bool = False
    forces_row_security: bool = False
    is_partition: bool = False
    parents: tuple[Name, ...] = ()
    """What it inherits from or is a partition of."""
    rows: int = 0
    """The planner's estimate; 0 where nothing is known."""
    size_bytes: int = 0
    """With indexes and TOAST; partitions are counted for themselves."""
    dead_rows: int = 0
    definition: str | None = None
    """Of a view: its query."""
    is_security_invoker: bool = False
    """Of a view: runs with the rights of its caller (PostgreSQL 15 and later)."""
    reads: tuple[Name, ...] = ()
    """Of a view: the relations in its query."""
    can_select: bool = True
    """Whether the connected role may read every column."""
    can_write: bool = True
    """Whether the connected role may insert, update and delete."""
    comment: str | None = None

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key; empty where there is none."""
        return next((each.columns for each in self.constraints if each.kind == "primary key"), ())

    @property
    def is_table(self) -> bool:
        """Whether rows can be kept in it."""
        return self.kind in ("table", "partitioned table")


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure that is not part of an extension or of PostgreSQL."""

    oid: int
    name: Name
    arguments: str
    """As `pg_get_function_identity_arguments` writes them."""
    returns: str
    language: str
    owner: str
    is_definer: bool
    is_trigger: bool
    volatility: Literal["immutable", "stable", "volatile"]
    settings: Mapping[str, str]
    """Of its SET clauses, as `search_path`."""
    source: str
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A role, system ones (`pg_…`) left out."""

    name: str
    can_login: bool
    is_superuser: bool
    bypasses_rls: bool
    inherits: bool
    member_of: tuple[str, ...]
    """Directly."""


@dataclass(frozen=True, slots=True)
class Extension:
    """An installed extension."""

    name: str
    schema: str
    version: str
    default_version: str | None
    """What the server would install today."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication of logical replication."""

    name: str
    all_tables: bool
    tables: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class DefaultPrivilege:
    """What new objects of a role in a schema will be granted."""

    owner: str
    schema: str | None
    kind: Literal["table", "sequence", "function", "type", "schema", "large object"]
    grant: Grant


@dataclass(frozen=True, slots=True)
class Server:
    """The server and the connection to it."""

    version: int
    """`server_version_num`: 180006."""
    version_text: str
    is_standby: bool
    is_pooled: bool
    """A pooler answers for it: the process id of the connection is not the backend's."""
    database: str
    user: str
    is_superuser: bool
    bypasses_rls: bool
    settings: Mapping[str, str]
    """Those that matter to readiness and migration: wal_level, max_replication_slots, lock_timeout …"""
    available_extensions: Mapping[str, str]
    """Default version by name, installed or not."""
    size_bytes: int

    @property
    def major(self) -> int:
        """15, 16, 17, 18 …"""
        return self.version // 10_000


@dataclass(frozen=True)
class Catalogue:
    """Everything of one database, system schemas and the insides of extensions left out."""

    server: Server
    schemas: tuple[str, ...]
    relations: Mapping[Name, Relation]
    functions: tuple[Function, ...]
    roles: Mapping[str, Role]
    extensions: Mapping[str, Extension]
    publications: tuple[Publication, ...]
    default_privileges: tuple[DefaultPrivilege, ...]
    schema_grants: Mapping[str, tuple[Grant, ...]]
    not_seen: tuple[str, ...] = field(default=())
    """What the connected role was not allowed to look at, in sentences."""

    def own_relations(self) -> tuple[Relation, ...]:
        """Relations of the database's owner: outside of a platform's schemas, and of schemas named `trunkline…`."""
        return tuple(
            each
            for each in self.relations.values()
            if each.name.schema not in PLATFORM_SCHEMAS and not each.name.schema.startswith("trunkline")
        )

    def roles_of(self, role: str) -> frozenset[str]:
        """The role and all that it is a member of, directly or not, and `public`."""
        found = {"public"}
        waiting = [role]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.roles[name].member_of if name in self.roles else ())
        return frozenset(found)

    def granted(self, role: str, relation: Relation, privilege: str) -> bool:
        """Whether a role holds a right on a relation, by itself, by membership or as everybody. Owners hold all.

        So do superusers. A right on some columns only is none on the relation. Row-level security is not looked at.
        """
        roles = self.roles_of(role)
        if relation.owner in roles or any(name in self.roles and self.roles[name].is_superuser for name in roles):
            return True
        wanted = privilege.lower()
        return any(wanted in _RIGHTS_OF_SYSTEM_ROLES.get(name, ()) for name in roles) or any(
            grant.grantee in roles and grant.privilege == wanted and not grant.columns for grant in relation.grants
        )
