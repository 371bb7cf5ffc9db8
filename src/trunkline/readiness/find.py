"""What checks say again and again: the component of a table, the name of a column, the names a database uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trunkline.postgres.catalogue.model import Name, quote
from trunkline.readiness.check import Evidence
from trunkline.readiness.matching import ColumnMatch, TableMatch
from trunkline.readiness.target import Target, TargetTable


def component_of(target: Target, table: TargetTable) -> str:
    """Key of the component that a table's fields count in; `architecture` for tables whose fields aren't graded."""
    keys = {component.key for component in target.components}
    if table.component in keys:
        return str(table.component)
    return "fields" if "fields" in keys else "architecture"


def column_name(table: Name, column: str) -> str:
    """A column with its table, as findings name it."""
    return f"{table}.{quote(column)}"


def names(columns: Iterable[str]) -> str:
    """Column names for SQL: `id, "order"`."""
    return ", ".join(quote(column) for column in columns)


def tables(evidence: Evidence) -> Iterator[TableMatch]:
    """Matches of the target's tables that the database has under either name."""
    return (match for match in evidence.matching.tables.values() if match.relation is not None)


def columns(evidence: Evidence) -> Iterator[tuple[TableMatch, ColumnMatch]]:
    """Columns of the target, in tables that the database has."""
    for match in tables(evidence):
        for column in match.columns.values():
            yield match, column


def actual_columns(match: TableMatch, wanted: Iterable[str]) -> tuple[str, ...] | None:
    """The database's names of columns of the target; None where one of them isn't there."""
    found = [match.actual(column) for column in wanted]
    return None if None in found else tuple(str(name) for name in found)
