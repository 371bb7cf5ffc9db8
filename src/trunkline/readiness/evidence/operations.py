"""What goes on on the server right now, and what a migration needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from trunkline.postgres.catalogue.model import Catalogue, quote
from trunkline.readiness.evidence.asking import ask, refused, verbatim
from trunkline.readiness.report import NotChecked


@dataclass(frozen=True, slots=True)
class LongTransaction:
    """A transaction that has been open for more than a minute."""

    pid: int
    user: str
    application: str
    state: str
    seconds: float
    query: str
    """Its beginning."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot."""

    name: str
    is_active: bool
    retained_bytes: int | None
    """WAL that it keeps from being removed."""
    is_logical: bool = False


@dataclass(frozen=True, slots=True)
class OwnSetting:
    """A setting that ALTER ROLE or ALTER DATABASE made."""

    role: str | None
    """None: of every role."""
    database: str | None
    """None: of every database."""
    name: str
    value: str

    def __str__(self) -> str:
        """As findings name it: `statement_timeout of role anon`. The one database is the one that is looked at."""
        return f"{self.name} of {self.whose}"

    @property
    def whose(self) -> str:
        """`role anon in this database`."""
        if self.role is None:
            return "all roles" if self.database is None else "this database"
        return f"role {self.role}" if self.database is None else f"role {self.role} in this database"

    @property
    def reset(self) -> str:
        """SQL that unmakes it."""
        of_role = f"alter role {'all' if self.role is None else quote(self.role)}"
        if self.database is None:
            return f"{of_role} reset {self.name};"
        if self.role is None:
            return f"alter database {quote(self.database)} reset {self.name};"
        return f"{of_role} in database {quote(self.database)} reset {self.name};"


@dataclass(frozen=True, slots=True)
class Activity:
    """A look at the running server."""

    long_transactions: tuple[LongTransaction, ...]
    prepared_transactions: int
    """Those that were prepared more than a minute ago, and are neither committed nor rolled back."""
    slots: tuple[Slot, ...]
    connections: int
    longest_lock_wait_s: float | None
    """Of anybody, at the moment of looking."""
    usable_connections: int | None = None
    """Those that the server gives to ordinary roles; None where it isn't known."""
    transaction_age: int = 0
    """Transactions since the oldest row of the database was frozen; the server stops at about 2.1 billion."""
    multixact_age: int = 0
    """The same of row locks that several transactions share."""
    own_settings: tuple[OwnSetting, ...] = ()
    """Those that concern this database."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the whole server: autovacuum, track_counts, default_transaction_read_only."""
    statistics_age_days: float | None = None
    """Since the database's statistics were reset; None where the server doesn't know."""


def collect_activity(connection: psycopg.Connection, catalogue: Catalogue, note: list[NotChecked]) -> Activity:
    """Look at what goes on right now, with the rights that the connected role has. What it can't see goes to `note`.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    look = _Look(connection, note)
    counts = look.one("counts of connections, locks and transactions", _COUNTS, _COUNT_CODES)
    connections, usable, prepared, wait, age, multixact_age, days = counts or (0, None, 0, None, 0, 0, None)
    return Activity(
        long_transactions=_long_transactions(look, catalogue),
        prepared_transactions=prepared,
        slots=tuple(Slot(*row) for row in look.all("replication slots", _SLOTS, ("OPS005",))),
        connections=connections,
        longest_lock_wait_s=wait,
        usable_connections=usable,
        transaction_age=age,
        multixact_age=multixact_age,
        own_settings=tuple(OwnSetting(*row) for row in look.all("settings of roles", _OWN_SETTINGS, ("OPS010",))),
        statistics_age_days=days,
        settings=dict(look.all("settings of the server", _SETTINGS, ("OPS010",))),
    )


@dataclass(frozen=True)
class _Look:
    connection: psycopg.Connection
    note: list[NotChecked]

    def all(self, what: str, query: str, codes: tuple[str, ...]) -> list[TupleRow]:
        """All rows; none where the server refuses, which is noted."""
        try:
            return ask(self.connection, verbatim(query))
        except psycopg.Error as error:
            self.note.append(refused(self.connection, error, what, codes=codes))
            return []

    def one(self, what: str, query: str, codes: tuple[str, ...]) -> TupleRow | None:
        """The one row of an answer; None where the server refuses, which is noted."""
        return next(iter(self.all(what, query, codes)), None)


def _long_transactions(look: _Look, catalogue: Catalogue) -> tuple[LongTransaction, ...]:
    rows = look.all("transactions of others", _TRANSACTIONS, ("OPS003",))
    hidden = sum(1 for row in rows if row[0] is None)
    if hidden:
        look.note.append(
            NotChecked(
                what=f"how long the transactions of others have been open (sessions: {hidden})",
                why=f"{catalogue.server.user} may not see what sessions of other roles do",
                how=f"GRANT pg_read_all_stats TO {sql.Identifier(catalogue.server.user).as_string()};",
                codes=("OPS003",),
            )
        )
    return tuple(LongTransaction(*row) for row in rows if row[0] is not None)


_TRANSACTIONS = """
select case when query = '<insufficient privilege>' then null else pid end,
       coalesce(usename, '')::text, coalesce(application_name, '')::text, coalesce(state, '')::text,
       coalesce(extract(epoch from clock_timestamp() - xact_start), 0)::float8, left(query, 80)::text
from pg_catalog.pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null
  and (backend_type = 'client backend' and clock_timestamp() - xact_start > interval '1 minute'
       or query = '<insufficient privilege>')
order by xact_start nulls last
"""

_COUNT_CODES = ("OPS004", "OPS010", "OPS012")
_COUNTS = """
select (select coalesce(sum(numbackends), 0)::int from pg_catalog.pg_stat_database),
       (select sum(case name when 'max_connections' then setting::int else -setting::int end)::int
          from pg_catalog.pg_settings
         where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
       (select count(*)::int from pg_catalog.pg_prepared_xacts
         where database = current_database() and clock_timestamp() - prepared > interval '1 minute'),
       (select extract(epoch from max(clock_timestamp() - waitstart))::float8 from pg_catalog.pg_locks
         where not granted and (database is null or database = own.oid)),
       age(own.datfrozenxid), mxid_age(own.datminmxid),
       (select (extract(epoch from clock_timestamp() - stats_reset) / 86400)::float8
          from pg_catalog.pg_stat_database where datid = own.oid)
from pg_catalog.pg_database as own where own.datname = current_database()
"""

_SLOTS = """
select slot_name::text, active,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
                       restart_lsn)::int8,
       slot_type = 'logical'
from pg_catalog.pg_replication_slots where database is null or database = current_database() order by 1
"""

_OWN_SETTINGS = """
select role.rolname::text, own.datname::text, split_part(said, '=', 1), substr(said, strpos(said, '=') + 1)
from pg_catalog.pg_db_role_setting as s
cross join lateral unnest(s.setconfig) as said
left join pg_catalog.pg_roles as role on role.oid = s.setrole
left join pg_catalog.pg_database as own on own.oid = s.setdatabase
where s.setdatabase = 0 or own.datname = current_database()
order by 1 nulls first, 2 nulls first, 3
"""

_SETTINGS = """
select name::text, coalesce(reset_val, setting)::text from pg_catalog.pg_settings
where name in ('autovacuum', 'track_counts', 'default_transaction_read_only')
  and source not in ('database', 'user', 'database user', 'client', 'session')
"""
