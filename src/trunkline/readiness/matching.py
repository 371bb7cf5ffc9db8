"""Which relation of the database is which table of the target, and which column which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from trunkline.postgres.catalogue.model import PLATFORM_SCHEMAS, Catalogue, Column, Name, Relation
from trunkline.readiness.target import Target, TargetColumn, TargetTable
from trunkline.readiness.types_fit import fit

As = Literal["present", "renamed", "reshaped", "retyped", "missing"]
"""present: same name, fitting type · renamed: fitting type under a former name · reshaped: inside a JSON column ·
retyped: there (under either name), of a type that doesn't fit · missing."""


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """Where a column of the target is."""

    wanted: TargetColumn
    how: As
    column: Column | None
    """The column that holds it; the JSON column where it is reshaped."""


@dataclass(frozen=True, slots=True)
class TableMatch:
    """Where a table of the target is."""

    wanted: TargetTable
    how: Literal["present", "renamed", "missing"]
    relation: Relation | None
    columns: Mapping[str, ColumnMatch]
    """By the target's name of the column; all of them, also where the table is missing."""
    extra: tuple[Column, ...]
    """Columns of the relation that no column of the target claims."""

    def actual(self, column: str) -> str | None:
        """The database's name of a target's column; None where no column of its own holds it."""
        match = self.columns.get(column)
        if match is None or match.column is None or match.how == "reshaped":
            return None
        return match.column.name


@dataclass(frozen=True)
class Matching:
    """The whole comparison of names."""

    tables: Mapping[str, TableMatch]
    """By `str(name)` of the target's table."""
    unclaimed: tuple[Relation, ...]
    """Tables of the database's owner that no table of the target claims."""
    source: str | None
    """What kind of legacy it looks like, in a few words."""
    is_related: bool
    """Whether the database has anything to do with the target at all."""

    def of(self, relation: Relation) -> TableMatch | None:
        """The match whose relation this is."""
        return next((each for each in self.tables.values() if each.relation is relation), None)


def match(catalogue: Catalogue, target: Target) -> Matching:
    """Compare names. A table of the right name comes before one of a former name; a view is never taken for a table.

    Only where neither exists, a table of that name in another schema is taken, if it is the only one and has at least
    half of the columns. A table serves one table of the target.
    """
    tables = {name: each for name, each in catalogue.relations.items() if each.is_table and not each.is_partition}
    found = _relations(tables, target)
    matches = {str(name): _table(wanted, found.get(name)) for name, wanted in target.tables.items()}
    claimed = {relation.name for relation in found.values()}
    own = catalogue.own_relations()
    return Matching(
        tables=matches,
        unclaimed=tuple(each for each in own if each.name in tables and each.name not in claimed),
        source=_source(target, matches.values()),
        is_related=any(_is_related(each) for each in _telling(matches.values())),
    )


def _relations(tables: Mapping[Name, Relation], target: Target) -> dict[Name, Relation]:
    """The table of the database for each table of the target that has one."""
    found = {name: tables[name] for name in target.tables if name in tables}
    free = {name: relation for name, relation in tables.items() if name not in found}
    for name, wanted in target.tables.items():
        formerly = (Name(name.schema, former) for former in wanted.formerly)
        if name not in found and (former := next((each for each in formerly if each in free), None)):
            found[name] = free.pop(former)
    for name, wanted in target.tables.items():
        elsewhere = [each for each in free if each.name == name.name and _may_hold(free[each], wanted)]
        if name not in found and len(elsewhere) == 1:
            found[name] = free.pop(elsewhere[0])
    return found


def _may_hold(relation: Relation, wanted: TargetTable) -> bool:
    """In another schema a table of that name may be anybody's, as `auth.sessions` is the platform's own."""
    schema = relation.name.schema
    if schema in PLATFORM_SCHEMAS or schema.startswith("trunkline"):  # the latter is the migration's archive
        return False
    shared = sum(name in relation.columns for name in wanted.columns)
    return shared * 2 >= len(wanted.columns)


def _table(wanted: TargetTable, relation: Relation | None) -> TableMatch:
    if relation is None:
        missing = {name: ColumnMatch(column, "missing", None) for name, column in wanted.columns.items()}
        return TableMatch(wanted, "missing", None, missing, extra=())
    columns = {name: _column(column, wanted, relation) for name, column in wanted.columns.items()}
    claimed = {each.column.name for each in columns.values() if each.column is not None and each.how != "reshaped"}
    return TableMatch(
        wanted,
        "present" if relation.name == wanted.name else "renamed",
        relation,
        columns,
        extra=tuple(column for name, column in relation.columns.items() if name not in claimed),
    )


def _column(wanted: TargetColumn, table: TargetTable, relation: Relation) -> ColumnMatch:
    if wanted.name in relation.columns:
        column = relation.columns[wanted.name]
        return ColumnMatch(wanted, "retyped" if fit(wanted.type, column) == "other" else "present", column)
    former = next((each for each in wanted.formerly if each in relation.columns and each not in table.columns), None)
    if former is not None:
        column = relation.columns[former]
        return ColumnMatch(wanted, "retyped" if fit(wanted.type, column) == "other" else "renamed", column)
    holder = _json_column(wanted, table, relation)
    return ColumnMatch(wanted, "missing" if holder is None else "reshaped", holder)


def _json_column(wanted: TargetColumn, table: TargetTable, relation: Relation) -> Column | None:
    """The JSON column that held the value, under its own name or that of the target's column which took its place."""
    if wanted.formerly_in is None:
        return None
    held_in = wanted.formerly_in[0]
    names = [held_in, *(column.name for column in table.columns.values() if held_in in column.formerly)]
    columns = (relation.columns[name] for name in names if name in relation.columns)
    return next((column for column in columns if column.base_type in ("json", "jsonb")), None)


def _source(target: Target, matches: Iterable[TableMatch]) -> str | None:
    names = {each.relation.name.name for each in matches if each.relation is not None}
    return next((source for source, tables in target.sources.items() if names.issuperset(tables)), None)


def _telling(matches: Iterable[TableMatch]) -> Iterable[TableMatch]:
    """Tables that tell one application from another: those with a history, where the target has such."""
    told = list(matches)
    return [each for each in told if each.wanted.formerly] or told


def _is_related(match: TableMatch) -> bool:
    """A name alone may be chance; with a column beside the key it is taken for the target's."""
    columns = [each for name, each in match.columns.items() if name not in match.wanted.primary_key]
    return match.relation is not None and (not columns or any(each.how != "missing" for each in columns))
