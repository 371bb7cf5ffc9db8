"""What checks say again and again: the component of a table, the name of a column, the names a database uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from trunkline.postgres.catalogue.model import Name, Relation, quote
from trunkline.readiness.check import Evidence
from trunkline.readiness.matching import ColumnMatch, TableMatch
from trunkline.readiness.target import Target, TargetColumn, TargetTable

MIGRATE = "trunkline migrate start URL"
"""The migration step that gives tables and columns their names, while the old ones go on working."""


def component_of(target: Target, table: TargetTable) -> str:
    """Key of the component that a table's fields count in; `architecture` for tables whose fields aren't graded."""
    keys = {component.key for component in target.components}
    if table.component in keys:
        return str(table.component)
    return "fields" if "fields" in keys else "architecture"


def component_of_name(target: Target, table: TargetTable) -> str:
    """Key of the component that a table's name counts in."""
    graded = any(component.kind == "table_names" and table.name in component.tables for component in target.components)
    return "table_names" if graded else component_of(target, table)


def is_needed(target: Target, column: TargetColumn) -> bool:
    """Whether no code runs without a column: it is asked for by name, or no row can be stored without it.

    Where the models mark no column as asked for, all are: mapped classes name every column when they read.
    """
    marked = any(each.is_contract for table in target.tables.values() for each in table.columns.values())
    required = not (column.nullable or column.has_default or column.is_derived)
    return not marked or column.is_contract or required


def column_name(table: Name, column: str) -> str:
    """A column with its table, as findings name it."""
    return f"{table}.{quote(column)}"


def key_name(table: Name, columns: Sequence[str]) -> str:
    """Columns of a key or an index, as findings name them: `orders.shop_id`, `orders (shop_id, created_at)`."""
    return column_name(table, columns[0]) if len(columns) == 1 else f"{table} ({', '.join(columns)})"


def names(columns: Iterable[str]) -> str:
    """Column names for SQL: `id, "order"`."""
    return ", ".join(quote(column) for column in columns)


def tables(evidence: Evidence) -> Iterator[tuple[TableMatch, Relation]]:
    """The target's tables that the database has, under either name."""
    for match in evidence.matching.tables.values():
        if match.relation is not None:
            yield match, match.relation


def columns(evidence: Evidence) -> Iterator[tuple[TableMatch, Relation, ColumnMatch]]:
    """The target's columns, of tables that the database has."""
    for match, relation in tables(evidence):
        for column in match.columns.values():
            yield match, relation, column


def actual_or_wanted(match: TableMatch, column: str) -> str:
    """The database's name of a column where it has one, else the target's; an expression stays as it is."""
    return match.actual(column) or column


def in_actual_names(match: TableMatch, sql: str) -> str:
    """An expression with the database's names of columns; what stands within quotes is kept."""
    parts = re.split(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")", sql)
    return "".join(part if part[:1] in ("'", '"') else _renamed(match, part) for part in parts)


def _renamed(match: TableMatch, sql: str) -> str:
    def actual(word: re.Match[str]) -> str:
        name = match.actual(word[0])
        return word[0] if name is None or name == word[0] else quote(name)

    return re.sub(r"\w+", actual, sql)


def concurrently(relation: Relation) -> str:
    """`concurrently `, where PostgreSQL can: not on a partitioned table, where writers wait until it is done."""
    return "" if relation.kind == "partitioned table" else "concurrently "


def insert_triggers(relation: Relation) -> tuple[str, ...]:
    """Names of triggers that may fill columns of new rows."""
    return tuple(
        trigger.name
        for trigger in relation.triggers
        if trigger.is_enabled and "BEFORE" in trigger.definition and "INSERT" in trigger.definition
    )


def where_of(evidence: Evidence, relation: Relation) -> str:
    """Component of findings about indexes and keys: those of other tables are no part of the grade."""
    return "indexes" if evidence.matching.of(relation) else "operations"


def own_tables(evidence: Evidence) -> Iterator[Relation]:
    """Tables of the database's owner, the target's or not; partitions speak through their parent."""
    return (each for each in evidence.catalogue.own_relations() if each.is_table and not each.is_partition)
