"""Statements as the applications send them, composed from the target and from what the database has under old names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Name, Relation
from trunkline.readiness.evidence.asking import table, verbatim
from trunkline.readiness.evidence.statements.values import Origin
from trunkline.readiness.matching import Matching, TableMatch
from trunkline.readiness.target import Target, TargetTable

_SEARCHED_OTHERWISE = ("json", "xml", "tsvector", "vector", "halfvec", "sparsevec", "point", "polygon", "geo")
"""Beginnings of types that have no equality, or indexes for other questions."""


@dataclass(frozen=True)
class Composed:
    """A statement to prepare."""

    origin: Origin
    label: str
    sql: str
    table: Name | None
    search_path: str | None
    """Where types are looked for; tables have their schema. None: as the connection has it."""


def composed(catalogue: Catalogue, target: Target, matching: Matching) -> Iterator[Composed]:
    """All statements of both applications."""
    path = _search_path(catalogue)
    for wanted in target.tables.values():
        match = matching.tables[str(wanted.name)]
        for label, statement in _new(wanted, match):
            yield Composed("new application", label, statement.as_string(), wanted.name, path)
    for name, relation in _old(catalogue, target, matching).items():
        for label, statement in _by_own_columns(name, relation):
            yield Composed("old application", label, statement.as_string(), name, path)


def _search_path(catalogue: Catalogue) -> str:
    """Types of extensions are where their owners put them; preparing runs nothing of what is found there."""
    schemas = dict.fromkeys(["pg_catalog", "public", *(each.schema for each in catalogue.extensions.values())])
    return sql.SQL(", ").join(sql.Identifier(schema) for schema in schemas).as_string()


_Statement = tuple[str, sql.Composable]


def _new(wanted: TargetTable, match: TableMatch) -> Iterator[_Statement]:
    """Every column is read and written, with the types that the models give their parameters."""
    name = _named(wanted, match)
    types = {column.name: column.type for column in wanted.columns.values()}
    writable = [column.name for column in wanted.columns.values() if "generated always" not in column.ddl.lower()]
    yield "read rows", sql.SQL("select {} from {}").format(_list(types), table(name))
    yield "insert a row", _insert(name, writable, types)
    if wanted.primary_key:
        key = wanted.primary_key
        yield "update a row", _update(name, [each for each in writable if each not in key], key, types)
        yield "delete a row", sql.SQL("delete from {} where {}").format(table(name), _equal(key, types))
    for columns in _ways_in(wanted):
        where = " and ".join(columns)
        statement = sql.SQL("select {} from {} where {}").format(_list(types), table(name), _equal(columns, types))
        yield f"read rows by {where}", statement


def _named(wanted: TargetTable, match: TableMatch) -> Name:
    """With its schema. Code that names none finds a table of that name in any schema of its search path."""
    is_elsewhere = match.relation is not None and match.relation.name.name == wanted.name.name
    return match.relation.name if match.relation is not None and is_elsewhere else wanted.name


def _ways_in(wanted: TargetTable) -> Iterable[tuple[str, ...]]:
    """Columns that rows are looked up by: those of the keys and the indexes that the models ask for."""
    keys = [foreign_key.columns for foreign_key in wanted.foreign_keys]
    keys += [index.columns for index in wanted.indexes if index.is_contract]
    return dict.fromkeys(columns for columns in keys if all(_can_be_compared(wanted, name) for name in columns))


def _can_be_compared(wanted: TargetTable, name: str) -> bool:
    """A column, not an expression, of a type that code looks for by its value."""
    column = wanted.columns.get(name)
    return column is not None and not column.type.startswith(_SEARCHED_OTHERWISE)


def _insert(name: Name, columns: Iterable[str], types: Mapping[str, str]) -> sql.Composable:
    columns = tuple(columns)
    values = [_parameter(number, types[column]) for number, column in enumerate(columns, 1)]
    return sql.SQL("insert into {} ({}) values ({})").format(table(name), _list(columns), sql.SQL(", ").join(values))


def _update(name: Name, columns: Iterable[str], key: tuple[str, ...], types: Mapping[str, str]) -> sql.Composable:
    first = len(key) + 1
    changes = [
        sql.SQL("{} = {}").format(sql.Identifier(column), _parameter(number, types[column]))
        for number, column in enumerate(columns, first)
    ]
    if not changes:  # a table of nothing but its key
        changes = [sql.SQL("{} = {}").format(sql.Identifier(key[0]), sql.Identifier(key[0]))]
    return sql.SQL("update {} set {} where {}").format(table(name), sql.SQL(", ").join(changes), _equal(key, types))


def _equal(columns: Iterable[str], types: Mapping[str, str]) -> sql.Composable:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), _parameter(number, types[column]))
        for number, column in enumerate(columns, 1)
    )


def _parameter(number: int, type_: str) -> sql.Composable:
    return verbatim(f"${number}::{type_}")


def _list(columns: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)


def _old(catalogue: Catalogue, target: Target, matching: Matching) -> dict[Name, Relation | None]:
    """Relations that the old application uses, by the names it has for them; None where such a name is gone.

    There is an old application where at least one former name is there. What it asks for beside the tables that the
    target knows can't be known.
    """
    former = {wanted.name: _former_names(wanted) for wanted in target.tables.values()}
    there = {
        name: relation
        for names in former.values()
        for name in names
        if (relation := catalogue.relations.get(name)) is not None and relation.kind != "sequence"
    }
    if not there:
        return {}
    gone = [
        names[0]
        for table_name, names in former.items()
        if names and matching.tables[str(table_name)].how == "present" and not any(name in there for name in names)
    ]
    return {**there, **dict.fromkeys(gone)}


def _former_names(wanted: TargetTable) -> tuple[Name, ...]:
    return tuple(Name(wanted.name.schema, former) for former in wanted.formerly)


def _by_own_columns(name: Name, relation: Relation | None) -> Iterator[_Statement]:
    if relation is None:
        yield "read rows", sql.SQL("select * from {}").format(table(name))
        return
    types = {column.name: column.type for column in relation.columns.values()}
    writable = [column.name for column in relation.columns.values() if not (column.is_generated or column.is_identity)]
    yield "read rows", sql.SQL("select {} from {}").format(_list(types), table(name))
    if writable:
        yield "insert a row", _insert(name, writable, types)
        key = tuple(each for each in ("id",) if each in types) or tuple(writable[:1])
        yield "update a row", _update(name, [each for each in writable if each not in key], key, types)
        yield "delete a row", sql.SQL("delete from {} where {}").format(table(name), _equal(key, types))
