"""SCH006: a column is of a type that doesn't serve the code."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Column, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import column_name, columns, component_of
from trunkline.readiness.report import Finding, Severity
from trunkline.readiness.target import TargetColumn
from trunkline.readiness.types_fit import family, fit


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns of another type, and those too narrow for some values."""
    for table, relation, match in columns(evidence):
        column, wanted = match.column, match.wanted
        if column is None or match.how == "reshaped" or (how := fit(wanted.type, column)) == "same":
            continue
        severity, impact = _narrower(column) if how == "narrower" else _other(wanted, column)
        yield Finding(
            code=CHECK.code,
            severity=severity,
            component=component_of(evidence.target, table.wanted),
            object=column_name(relation.name, column.name),
            evidence=f"The code wants {wanted.type}; the column is {_type(column)}.",
            impact=impact,
            remedy=_remedy(relation, column, wanted),
        )


def _type(column: Column) -> str:
    if column.enum_values:
        return f"the enum {column.type} ({', '.join(column.enum_values)})"
    if column.type != column.base_type:
        return f"the domain {column.type} over {column.base_type}"
    return column.type


def _narrower(column: Column) -> tuple[Severity, str]:
    return "minor", f"Values that don't fit into {column.type} are refused or lose precision."


def _other(wanted: TargetColumn, column: Column) -> tuple[Severity, str]:
    if column.enum_values or column.type != column.base_type:
        return "major", "Values that the code writes and the type doesn't know are refused."
    if _is_zone_added(wanted, column):
        return "major", "Moments shift by the time zone of whoever reads or writes them."
    kind = family(wanted.type)
    if kind is not None and kind == family(column.base_type):
        return "major", f"The code gets or compares other values than it expects of {wanted.type}."
    return "blocker", f"The code can't read, write or compare it as {wanted.type}."


def _remedy(relation: Relation, column: Column, wanted: TargetColumn) -> str:
    if wanted.type == "uuid":
        return (
            "trunkline migrate start URL --strategy create\n"
            "-- makes new ids and keeps the old ones as legacy_id; there is no cast from "
            f"{column.base_type} to uuid that holds for every value"
        )
    name = quote(column.name)
    # An explicit cast to character varying(n) would cut values off; from text, too long ones are refused.
    kind = "text" if family(wanted.type) == "text" else wanted.type
    using = f"{name} at time zone 'UTC'" if _is_zone_added(wanted, column) else f"{name}::{kind}"
    note = "-- put the zone in which they were written in the place of UTC\n" if _is_zone_added(wanted, column) else ""
    rewrite = "-- locks out readers and writers; may rewrite the table\n"
    return f"{note}{rewrite}alter table {relation.name.sql} alter column {name} type {wanted.type} using {using};"


def _is_zone_added(wanted: TargetColumn, column: Column) -> bool:
    return "timestamp" in column.base_type and "without" in column.base_type and "with time zone" in wanted.type


CHECK = Check(
    code="SCH006",
    title="Column of another type",
    component="session_fields",
    severity="blocker",
    about="""
A column is there, but reads or writes of the code would not work, or not always:

- **blocker**: values of another kind, as a bigint or text where the code works with uuid;
- **major**: the same kind with another meaning: timestamps without a zone, json for jsonb (operators are missing),
  numeric for double precision, an enum or domain that refuses what the code writes, `character(n)` that pads;
- **minor**: narrower, as `varchar(80)` for text or integer for bigint: it works until a value doesn't fit.

A wider type serves and isn't reported: text for varchar(255), bigint for integer. An extension's type may be in any
schema.

`alter column … type` rewrites the table and locks out everybody meanwhile; on large tables let the migration do it.
""",
    find=find,
    bad=(
        Case(
            "create table shops (id bigint primary key, owner_id uuid, name varchar(80));",
            finds=("shops.id", "shops.name"),
        ),
        Case(
            CLEAN + "alter table orders alter column created_at type timestamp;",
            finds=("orders.created_at",),
        ),
        Case(
            CLEAN + "create type mood as enum ('good'); alter table orders alter column note type mood using null;",
            finds=("orders.note",),
        ),
        Case(
            CLEAN + "create domain short as text check (length(value) < 9);"
            "alter table orders alter column note type short;",
            finds=("orders.note",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders alter column note type varchar;"),
        Case(CLEAN + "alter table orders rename column note to remark;"),
    ),
)
