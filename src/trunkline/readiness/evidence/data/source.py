"""How the rows of a matched table are read: under the names of the target, all of them or a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Relation
from trunkline.readiness.evidence.asking import table
from trunkline.readiness.evidence.data.session import Session
from trunkline.readiness.evidence.data.values import Hidden
from trunkline.readiness.matching import ColumnMatch, Matching, TableMatch
from trunkline.readiness.target import Target

LARGE = 200_000
"""Estimated rows above which a table is sampled."""
SAMPLE = 100_000
"""Rows that a sample aims at. It is the same sample each time, while the table stays as it is."""

CODES = ("DAT001", "DAT002", "DAT003", "DAT004", "DAT005", "DAT007")

_KEY = sql.Identifier("key of the row")
"""No column of a target can be meant by it."""


@dataclass(frozen=True)
class Source:
    """One matched table, and how to read it."""

    match: TableMatch
    relation: Relation
    rows: int
    """Counted where it is read in full, else estimated."""
    sample_percent: float | None
    """Share of the pages that are read; None where all are."""
    rows_read: int = 0

    @property
    def is_sampled(self) -> bool:
        """Whether counts are estimates."""
        return self.sample_percent is not None

    @property
    def key(self) -> sql.Composable:
        """What to name a row by, as text, in `renamed()`."""
        return _KEY

    def scaled(self, count: int) -> int:
        """What a count within the rows read means for the whole table."""
        return round(count * self.rows / self.rows_read) if self.rows_read else count

    def sampling(self, rows: int | None = SAMPLE) -> sql.Composable:
        """The clause after the table's name that picks about so many rows of a large table; None: all of them."""
        if self.sample_percent is None or rows is None:
            return sql.SQL("")
        percent = self.sample_percent * rows / SAMPLE
        return sql.SQL(" tablesample system ({}) repeatable (0)").format(sql.Literal(percent))

    def renamed(self, sample_rows: int | None = SAMPLE) -> sql.Composable:
        """The rows for a FROM clause, with columns named as in the target, and its former values put right."""
        columns = [
            sql.SQL("{} as {}").format(present_value(each), sql.Identifier(name))
            for name, each in self.match.columns.items()
            if self.match.actual(name) is not None
        ]
        columns.append(sql.SQL("{} as {}").format(self.key_as_text(), _KEY))
        return sql.SQL("(select {} from {} as t{}) as {}").format(
            sql.SQL(", ").join(columns),
            table(self.relation.name),
            self.sampling(sample_rows),
            sql.Identifier(self.match.wanted.name.name),
        )

    def key_as_text(self) -> sql.Composable:
        """What to name a row by, as text, on rows as they are stored (`t`)."""
        columns = [sql.SQL("{}::pg_catalog.text").format(raw(name)) for name in self.relation.primary_key]
        if not columns:
            return sql.SQL("'ctid ' || t.ctid::pg_catalog.text")
        return sql.SQL("pg_catalog.concat_ws(', ', {})").format(sql.SQL(", ").join(columns))


def raw(column: str) -> sql.Composable:
    """A column under the database's name."""
    return sql.SQL("t.{}").format(sql.Identifier(column))


def stored_value(match: ColumnMatch) -> sql.Composable:
    """A column's value as it is stored; of an enum as text, since the target's rules are about text."""
    if match.column is None:
        raise ValueError(f"No column holds {match.wanted.name}.")
    value = raw(match.column.name)
    return sql.SQL("{}::pg_catalog.text").format(value) if match.column.enum_values else value


def present_value(match: ColumnMatch) -> sql.Composable:
    """A column's value as the target writes it."""
    former = match.wanted.formerly_values
    value = stored_value(match)
    if not former:
        return value
    cases = [
        sql.SQL("when {} then {}").format(sql.Literal(old), sql.Literal(new)) for old, new in sorted(former.items())
    ]
    return sql.SQL("case {}::pg_catalog.text {} else {}::pg_catalog.text end").format(
        value, sql.SQL(" ").join(cases), value
    )


def sources(
    session: Session, catalogue: Catalogue, target: Target, matching: Matching
) -> tuple[dict[str, Source], tuple[Hidden, ...]]:
    """What can be read, by the target's name of the table; and what can't be for row-level security."""
    matched = {
        str(name): match
        for name in target.tables
        if (match := matching.tables[str(name)]).relation is not None and _may_read(session, match.relation)
    }
    seen = _look(session, [match.relation for match in matched.values() if match.relation is not None])
    found: dict[str, Source] = {}
    hidden: list[Hidden] = []
    for name, match in matched.items():
        relation = match.relation
        if relation is None or relation.oid not in seen:
            continue
        size = seen[relation.oid]
        if size.is_guarded:
            hidden.append(_hidden(session, catalogue, relation))
        elif (source := _counted(session, match, relation, size)) is not None:
            found[name] = source
    return found, tuple(hidden)


def _percent(session: Session, rows: int) -> float | None:
    return None if session.is_deep or rows <= LARGE else 100 * SAMPLE / rows


def _may_read(session: Session, relation: Relation) -> bool:
    if not relation.can_select:
        session.skip(
            f"the rows of {relation.name}",
            "the connected role may not read it",
            f"GRANT SELECT ON {relation.name.sql} TO the connected role, or connect as {relation.owner}.",
            *CODES,
        )
    return relation.can_select


@dataclass(frozen=True)
class _Size:
    is_guarded: bool
    """Row-level security binds the connected role."""
    rows: int
    has_statistics: bool


def _look(session: Session, relations: Iterable[Relation]) -> Mapping[int, _Size]:
    """By oid: whether rows are hidden, and about how many there are.

    The planner's way: rows per page when statistics were made, times the pages there are now; partitions and
    heirs included. Where no statistics are, a row is taken for 60 bytes: rather sampled than too slow.
    """
    oids = [relation.oid for relation in relations]
    if not oids:
        return {}
    query = sql.SQL(
        "with recursive tree as ("
        " select oid as root, oid from pg_catalog.unnest({}::pg_catalog.oid[]) as asked (oid)"
        " union all select root, inhrelid from tree join pg_catalog.pg_inherits on inhparent = tree.oid)"
        " select root::pg_catalog.int8, pg_catalog.row_security_active(root),"
        " coalesce(sum(case when reltuples >= 0 and relpages > 0"
        "  then reltuples / relpages * (coalesce(pg_catalog.pg_relation_size(c.oid), 0) / 8192)"
        "  else coalesce(pg_catalog.pg_relation_size(c.oid), 0) / 60 end), 0)::pg_catalog.int8,"
        " coalesce(pg_catalog.bool_and(relpages > 0 or pg_catalog.pg_relation_size(c.oid) = 0), false)"
        " from tree join pg_catalog.pg_class c on c.oid = tree.oid group by root"
    ).format(sql.Literal(oids))
    answer = session.ask_or_note(query, "the rows of all tables", CODES[0])
    return {oid: _Size(guarded, rows, known) for oid, guarded, rows, known in answer or ()}


def _hidden(session: Session, catalogue: Catalogue, relation: Relation) -> Hidden:
    what = f"the rows of {relation.name}"
    answer = session.ask_or_note(sql.SQL("select exists (select from {})").format(table(relation.name)), what, "DAT006")
    sees_some = bool(answer and answer[0][0])
    user = catalogue.server.user
    session.skip(
        what,
        f"{user} sees {'only some' if sees_some else '0'} rows because of RLS",
        f"Connect as a role with BYPASSRLS: row-level security of {relation.name} binds {user}.",
        *CODES,
    )
    return Hidden(relation.name, sees_some, _statistics(catalogue, relation))


def _statistics(catalogue: Catalogue, relation: Relation) -> int:
    heirs = [each for each in catalogue.relations.values() if relation.name in each.parents]
    return relation.rows if relation.rows or not heirs else sum(_statistics(catalogue, each) for each in heirs)


def _counted(session: Session, match: TableMatch, relation: Relation, size: _Size) -> Source | None:
    """How to read a table, with the number of its rows; None where it can't be read, which is noted."""
    source = Source(match, relation, size.rows, _percent(session, size.rows))
    query = sql.SQL("select count(*) from {} as t{}").format(table(relation.name), source.sampling())
    answer = session.ask_or_note(query, f"the rows of {relation.name}", CODES[0])
    if answer is None:
        return None
    read = int(answer[0][0])
    if source.sample_percent is None:
        return replace(source, rows=read, rows_read=read)
    return replace(
        source, rows=size.rows if size.has_statistics else round(read * 100 / source.sample_percent), rows_read=read
    )
