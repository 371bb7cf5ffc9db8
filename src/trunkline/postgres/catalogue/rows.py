"""From the rows of the queries to the values of the snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from trunkline.postgres.catalogue.model import (
    Column,
    Constraint,
    ConstraintKind,
    DefaultPrivilege,
    Function,
    Grant,
    Index,
    Name,
    Policy,
    PolicyCommand,
    RelationKind,
    Trigger,
)

Row: TypeAlias = dict[str, Any]
Grants: TypeAlias = Mapping[str, tuple[Grant, ...]]
"""By the text of their access list."""

RELATION_KINDS: Mapping[str, RelationKind] = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
_CONSTRAINT_KINDS: Mapping[str, ConstraintKind] = {
    "p": "primary key",
    "u": "unique",
    "f": "foreign key",
    "c": "check",
    "x": "exclusion",
    "n": "not null",
}
_ON_DELETE: Mapping[str, Literal["restrict", "cascade", "set null", "set default"]] = {
    "r": "restrict",
    "c": "cascade",
    "n": "set null",
    "d": "set default",
}
_COMMANDS: Mapping[str, PolicyCommand] = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}
_VOLATILITIES: Mapping[str, Literal["immutable", "stable", "volatile"]] = {
    "i": "immutable",
    "s": "stable",
    "v": "volatile",
}
_DEFAULTED: Mapping[str, Literal["table", "sequence", "function", "type", "schema", "large object"]] = {
    "r": "table",
    "S": "sequence",
    "f": "function",
    "T": "type",
    "n": "schema",
    "L": "large object",
}


def grants_by_list(found: Iterable[Row]) -> dict[str, tuple[Grant, ...]]:
    """Access lists taken apart."""
    lists: dict[str, list[Grant]] = {}
    for row in found:
        grant = Grant(row["grantee"], row["privilege"], is_grantable=row["is_grantable"])
        lists.setdefault(row["acl"], []).append(grant)
    return {text: tuple(grants) for text, grants in lists.items()}


def column_grants(columns: Iterable[Row], grants: Grants) -> Iterator[Grant]:
    """Rights on some columns of a relation, those of one grantee together."""
    together: dict[Grant, list[str]] = {}
    for row in columns:
        for grant in grants.get(row["acl"], ()):
            together.setdefault(grant, []).append(row["name"])
    for grant, names in together.items():
        yield Grant(grant.grantee, grant.privilege, tuple(names), grant.is_grantable)


def estimated_rows(relations: Sequence[Row]) -> dict[int, int]:
    """Rows by oid; a partitioned table that was never analysed has those of its partitions."""
    estimates: dict[int, int] = {row["oid"]: row["rows"] or 0 for row in relations}
    partitions: dict[int, list[int]] = {}
    for row in relations:
        if row["is_partition"]:
            for parent in row["parents"]:
                partitions.setdefault(parent, []).append(row["oid"])

    def estimate(oid: int) -> int:
        return estimates.get(oid, 0) or sum(estimate(each) for each in partitions.get(oid, ()))

    return {oid: estimate(oid) for oid in estimates}


def column(row: Row) -> Column:
    """A column of any relation."""
    expression: str | None = row["expression"]
    is_computed = row["is_generated"] or row["is_identity"]
    takes_next = expression is not None and ("nextval(" in expression.lower() or row["calls_nextval"])
    return Column(
        name=row["name"],
        type=row["type"],
        base_type=row["base_type"],
        nullable=row["is_nullable"],
        default=None if is_computed else expression,
        is_generated=row["is_generated"],
        is_identity=row["is_identity"],
        uses_sequence=row["is_identity"] or takes_next,
        enum_values=tuple(row["enum_values"] or ()),
        comment=row["comment"],
        generated_as=expression if row["is_generated"] else None,
    )


def constraints(found: Iterable[Row]) -> Iterator[Constraint]:
    """Constraints of a table, but those that were dropped while they were read (no definition)."""
    for row in found:
        if row["definition"] is None:
            continue
        has_parent = row["parent_name"] is not None
        yield Constraint(
            name=row["name"],
            kind=_CONSTRAINT_KINDS[row["kind"]],
            columns=tuple(row["columns"]),
            definition=row["definition"],
            is_validated=row["is_validated"],
            is_deferrable=row["is_deferrable"],
            references=Name(row["parent_schema"], row["parent_name"]) if has_parent else None,
            referenced_columns=tuple(row["referenced_columns"]),
            on_delete=_ON_DELETE.get(row["on_delete"], "no action"),
        )


def indexes(found: Iterable[Row]) -> Iterator[Index]:
    """Indexes of a relation, but those that were dropped while they were read."""
    for row in found:
        if row["definition"] is None:
            continue
        keys: int = row["key_columns"]
        yield Index(
            name=row["name"],
            method=row["method"],
            columns=tuple(row["columns"][:keys]),
            included=tuple(row["columns"][keys:]),
            is_unique=row["is_unique"],
            is_primary=row["is_primary"],
            is_valid=row["is_valid"],
            predicate=row["predicate"],
            definition=row["definition"],
            size_bytes=row["size_bytes"] or 0,
            scans=row["scans"],
            constraint=row["constraint"],
        )


def policy(row: Row) -> Policy:
    """A row-level policy."""
    return Policy(
        name=row["name"],
        command=_COMMANDS[row["command"]],
        roles=tuple(row["roles"]),
        is_permissive=row["is_permissive"],
        using=row["using"],
        check=row["check"],
    )


def triggers(found: Iterable[Row]) -> Iterator[Trigger]:
    """Triggers of a relation, but those that were dropped while they were read."""
    for row in found:
        if row["definition"] is not None:
            function_name = Name(row["function_schema"], row["function_name"])
            yield Trigger(row["name"], function_name, row["definition"], row["is_enabled"])


def function(row: Row, grants: Grants) -> Function:
    """A function or procedure."""
    return Function(
        oid=row["oid"],
        name=Name(row["schema"], row["name"]),
        arguments=row["arguments"],
        returns=row["returns"],
        language=row["language"],
        owner=row["owner"],
        is_definer=row["is_definer"],
        is_trigger=row["is_trigger"],
        volatility=_VOLATILITIES[row["volatility"]],
        settings=dict(setting.split("=", 1) for setting in row["settings"] or ()),
        source=row["source"],
        grants=grants.get(row["acl"], ()),
        argument_defaults=row["argument_defaults"],
    )


def domains(found: Iterable[Row]) -> dict[Name, tuple[str, ...]]:
    """What each domain runs, and what it is made of; without what was dropped while it was read."""
    return {
        Name(row["schema"], row["name"]): tuple(
            each for each in (row["base"], row["default"], *row["checks"]) if each is not None
        )
        for row in found
    }


def default_privileges(found: Iterable[Row], grants: Grants) -> Iterator[DefaultPrivilege]:
    """What new objects will be granted, one value for each right."""
    for row in found:
        for grant in grants.get(row["acl"], ()):
            yield DefaultPrivilege(row["owner"], row["schema"], _DEFAULTED[row["kind"]], grant)
