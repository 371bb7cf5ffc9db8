"""What SQLAlchemy metadata says, as PostgreSQL writes it: DDL, names of types, expressions."""

from __future__ import annotations

import re
from typing import Any, cast

from sqlalchemy import ARRAY, Column, DefaultClause, Index
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.named_types import CreateDomainType, CreateEnumType
from sqlalchemy.schema import (
    ColumnCollectionConstraint,
    Constraint,
    CreateColumn,
    ForeignKeyConstraint,
    SchemaItem,
    Table,
    sort_tables_and_constraints,  # pyright: ignore[reportUnknownVariableType] -- it carries no types
)
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.elements import ClauseElement, conv
from sqlalchemy.types import TypeDecorator, TypeEngine

# Not `pyformat`, which is for drivers and doubles every per cent sign.
DIALECT = postgresql.dialect(paramstyle="named")

_SYNONYMS = {
    "bool": "boolean",
    "char": "character",
    "decimal": "numeric",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "timestamptz": "timestamp with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}
_OF_LENGTH_ONE = ("bit", "character")
_PARTS = re.compile(r"(?P<name>[\w. ]+?)\s*(\((?P<arguments>[^)]*)\))?(?P<rest> [\w ]+)?")
_BY_COLUMN = re.compile(
    r'("(?P<quoted>([^"]|"")+)"|(?P<plain>\w+))(\s+collate\s+\S+)?(\s+\w+_ops)?(\s+(asc|desc))?(\s+nulls\s+(first|last))?',
    re.IGNORECASE,
)


def ddl_of(element: ExecutableDDLElement | CreateColumn) -> str:
    """A statement; what names no schema is of `public`."""
    compiled = element.compile(dialect=DIALECT, schema_translate_map={None: "public"}, render_schema_translate=True)
    return str(compiled).strip()


def expression(clause: ClauseElement | str) -> str:
    """An expression with its values written out."""
    if isinstance(clause, str):
        return clause
    return str(clause.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True, "include_table": False}))


def type_name(kind: TypeEngine[Any]) -> str:
    """A type as `format_type` writes it, an extension's without its schema."""
    implementation = _implementation(kind)
    if isinstance(implementation, ARRAY):
        return type_name(_item(cast("ARRAY[Any]", implementation))) + "[]"
    if isinstance(implementation, postgresql.ENUM | postgresql.DOMAIN):
        return str(implementation.compile(dialect=DIALECT))
    return _as_stored(str(kind.compile(dialect=DIALECT)).partition(" COLLATE ")[0].lower())


def _implementation(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind.dialect_impl(DIALECT)


def _item(array: ARRAY[Any]) -> TypeEngine[Any]:
    return array.item_type


def _as_stored(written: str) -> str:
    parts = _PARTS.fullmatch(written)
    if parts is None:
        return written
    name, rest = parts["name"], parts["rest"] or ""
    arguments = re.sub(r"\s", "", parts["arguments"] or "")
    if name == "float" and arguments:
        return "real" if int(arguments) <= 24 else "double precision"
    name = _SYNONYMS.get(name, name)
    if name == "numeric" and arguments.isdigit():
        arguments += ",0"
    if name in _OF_LENGTH_ONE and not arguments:
        arguments = "1"
    return f"{name}({arguments}){rest}" if arguments else f"{name}{rest}"


def in_order(tables: list[Table]) -> tuple[list[Table], set[ForeignKeyConstraint]]:
    """Tables, parents first, and the foreign keys that must wait until all are there, since they go in a circle."""

    def waits(key: ForeignKeyConstraint) -> bool | None:
        return True if key.use_alter else None

    ordered = cast(
        "list[tuple[Table | None, list[ForeignKeyConstraint]]]",
        sort_tables_and_constraints(sorted(tables, key=lambda table: str(table.key)), filter_fn=waits),
    )
    waiting = {key for table, keys in ordered if table is None for key in keys}
    return [table for table, _ in ordered if table is not None], waiting


def types_of(table: Table) -> tuple[str, ...]:
    """Statements that make the enums and domains of a table's columns."""
    made: dict[str, str] = {}
    for column in table.columns:
        kind = _implementation(column.type)
        kind = _implementation(_item(cast("ARRAY[Any]", kind))) if isinstance(kind, ARRAY) else kind
        if isinstance(kind, postgresql.ENUM):
            made[type_name(kind)] = ddl_of(CreateEnumType(kind))
        elif isinstance(kind, postgresql.DOMAIN):
            made[type_name(kind)] = ddl_of(CreateDomainType(kind))
    return tuple(made.values())


def name_of(item: Constraint | Index, fallback: str) -> str:
    """The name that PostgreSQL will see: by the metadata's convention, cut to length, else the fallback."""
    if item.name is None:
        return fallback[:63]
    preparer = DIALECT.identifier_preparer
    written = preparer.format_index(item) if isinstance(item, Index) else preparer.format_constraint(item)
    if not written:
        return fallback[:63]
    return written[1:-1].replace('""', '"') if written.startswith('"') else written


def default_of(column: Column[Any]) -> str | None:
    """The expression that the server fills a column with, where it is a plain default."""
    default = column.server_default
    if not isinstance(default, DefaultClause):
        return None
    if isinstance(default.arg, str):
        return "'" + default.arg.replace("'", "''") + "'"
    return expression(default.arg)


def has_own_name(index: Index) -> bool:
    """Whether the model names it, rather than the metadata's convention."""
    return index.name is not None and not isinstance(index.name, conv)


def key_columns(index: Index | ColumnCollectionConstraint) -> tuple[str, ...]:
    """Key columns in order, without direction, collation and operators; an expression is written out."""
    if isinstance(index, Index):
        return tuple(_key(each, index) for each in index.expressions)
    return tuple(column.name for column in index.columns)


def _key(key: ClauseElement | str, index: Index) -> str:
    if isinstance(key, Column):
        return key.name
    written = expression(key)
    parts = _BY_COLUMN.fullmatch(written.strip())
    if parts is None or index.table is None:
        return written
    name = parts["plain"] or parts["quoted"].replace('""', '"')
    return name if name in index.table.columns else written


def predicate_of(index: Index) -> str | None:
    """Which rows an index is for; None where it is for all."""
    where: ClauseElement | str | None = index.dialect_options["postgresql"]["where"]
    return None if where is None else expression(where)


def marks(item: SchemaItem) -> dict[str, Any]:
    """What `info` says of a table, column or index."""
    return {str(key): value for key, value in item.info.items()}
