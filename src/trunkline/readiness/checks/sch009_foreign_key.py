"""SCH009: a foreign key of the target is missing, not validated, or acts otherwise when a parent goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.postgres.catalogue.model import Constraint, Name, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import component_of, key_name, names, tables
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.report import Finding, Severity
from trunkline.readiness.target import TargetForeignKey


@dataclass(frozen=True)
class _Wanted:
    """A foreign key of the target in the database's names, as far as its columns are there."""

    key: TargetForeignKey
    parent: Relation
    pairs: dict[str, str]
    """Parent's column by child's."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """Foreign keys whose two tables are there."""
    for match, relation in tables(evidence):
        for key in match.wanted.foreign_keys:
            wanted = _wanted(evidence, match, key)
            if wanted is not None:
                yield from _judge(evidence, match, relation, wanted)


def _wanted(evidence: Evidence, match: TableMatch, key: TargetForeignKey) -> _Wanted | None:
    """None where there is nothing to refer with or to: then a column or table is missing, and is told as that."""
    parent_match = evidence.matching.tables.get(str(key.parent))
    parent = parent_match.relation if parent_match else evidence.catalogue.relations.get(key.parent)
    if parent is None:
        return None
    pairs: dict[str, str] = {}
    for child_column, parent_column in zip(key.columns, key.parent_columns, strict=True):
        child = match.actual(child_column)
        other = parent_match.actual(parent_column) if parent_match else parent_column
        if child is not None and other is not None:
            pairs[child] = other
    tells = set(parent.primary_key) & set(pairs.values()) or len(pairs) == len(key.columns)
    return _Wanted(key, parent, pairs) if pairs and tells else None


def _judge(evidence: Evidence, match: TableMatch, relation: Relation, wanted: _Wanted) -> Iterator[Finding]:
    found = _candidates(relation, wanted.parent.name)
    exact = next((each for each in found if wanted.pairs.items() <= _pairs(each).items()), None)
    severity: Severity = "major"
    if exact is None:
        weaker = next((each for each in found if _pairs(each).items() < wanted.pairs.items()), None)
        seen, impact = _missing(relation, wanted, weaker)
        remedy = _add(relation, wanted)
    elif not exact.is_validated:
        severity = "minor"
        seen = f"{exact.name} is NOT VALID: rows from before it were never checked"
        impact = "Rows may point at parents that don't exist; the planner and the migration can't rely on it."
        remedy = f"alter table {relation.name.sql} validate constraint {quote(exact.name)};"
    elif not _acts_alike(exact.on_delete, wanted.key.on_delete):
        seen = f"{exact.name} is ON DELETE {exact.on_delete}; the code relies on {wanted.key.on_delete or 'no action'}"
        impact = f"Deleting a row of {wanted.parent.name} does something else than the code expects."
        remedy = _add(relation, wanted, instead_of=exact)
    else:
        return
    yield Finding(
        code=CHECK.code,
        severity=severity,
        component=component_of(evidence.target, match.wanted),
        object=key_name(relation.name, tuple(wanted.pairs)),
        evidence=f"{seen}.",
        impact=impact,
        remedy=remedy,
    )


def _candidates(relation: Relation, parent: Name) -> list[Constraint]:
    return [each for each in relation.constraints if each.kind == "foreign key" and each.references == parent]


def _pairs(key: Constraint) -> dict[str, str]:
    return dict(zip(key.columns, key.referenced_columns, strict=True))


def _acts_alike(found: str, wanted: str | None) -> bool:
    """RESTRICT and NO ACTION both refuse; they differ only within a transaction."""
    refuse = ("no action", "restrict")
    wanted = wanted or "no action"
    return found == wanted or (found in refuse and wanted in refuse)


def _missing(relation: Relation, wanted: _Wanted, weaker: Constraint | None) -> tuple[str, str]:
    refers = f"({names(wanted.pairs)}) of {relation.name} to ({names(wanted.pairs.values())}) of {wanted.parent.name}"
    if weaker is None:
        astray = next((each for each in relation.constraints if _is_elsewhere(each, wanted)), None)
        elsewhere = f"; {astray.name} goes to {astray.references} instead" if astray else ""
        return (
            f"No foreign key goes from {refers}{elsewhere}",
            "Rows can point at parents that don't exist, or outlive them.",
        )
    return (
        f"No foreign key goes from {refers}; {weaker.name} compares ({names(weaker.columns)}) only",
        f"A row can point at a parent whose {names(wanted.pairs.keys() - set(weaker.columns))} is another.",
    )


def _is_elsewhere(key: Constraint, wanted: _Wanted) -> bool:
    return key.kind == "foreign key" and set(key.columns) <= set(wanted.pairs) and key.references != wanted.parent.name


def _add(relation: Relation, wanted: _Wanted, *, instead_of: Constraint | None = None) -> str:
    name = quote(wanted.key.name)
    alter = f"alter table {relation.name.sql}"
    drop = f" drop constraint {quote(instead_of.name)}," if instead_of else ""
    action = f" on delete {_action(wanted)}" if wanted.key.on_delete else ""
    add = (
        f"{_first(wanted)}{alter}{drop} add constraint {name} foreign key ({names(wanted.pairs)})"
        f" references {wanted.parent.name.sql} ({names(wanted.pairs.values())}){action}"
    )
    if relation.kind == "partitioned table":  # PostgreSQL 17 and earlier know no NOT VALID there
        return f"{add};"
    return f"{add} not valid;\n{alter} validate constraint {name};"


def _first(wanted: _Wanted) -> str:
    columns = set(wanted.pairs.values())
    can_refer = any(
        each.is_unique and not each.predicate and set(each.columns) == columns for each in wanted.parent.indexes
    )
    return "" if can_refer else f"-- first a unique key over ({names(wanted.pairs.values())}) of {wanted.parent.name}\n"


def _action(wanted: _Wanted) -> str:
    """A key of several columns must not set its tenant to null: the column is named (PostgreSQL 15 and later)."""
    if wanted.key.on_delete != "set null" or len(wanted.pairs) == 1:
        return str(wanted.key.on_delete)
    own = [child for child, parent in wanted.pairs.items() if parent in wanted.parent.primary_key]
    return f"set null ({names(own or wanted.pairs)})"


CHECK = Check(
    code="SCH009",
    title="Missing or different foreign key",
    component="session_fields",
    severity="major",
    about="""
A foreign key of the models isn't in the database, was added NOT VALID and never validated, compares fewer columns than
the models ask for, or acts otherwise when a parent is deleted (RESTRICT and NO ACTION are taken for the same).

Of a key of several columns only those are asked for that the database has: where a tenant's column is still missing,
the rest of the key should be there nevertheless.

Without it, rows outlive their parents or point nowhere; the section Data counts such orphans, and they must be mended
before the key can be validated. Both steps of the remedy let readers and writers work.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table orders drop constraint orders_shop_id_fkey;", finds=("orders.shop_id",)),
        Case(
            CLEAN + "alter table orders drop constraint orders_shop_id_fkey,"
            " add foreign key (shop_id) references shops (id) on delete cascade not valid;",
            finds=("orders.shop_id",),
        ),
        Case(
            CLEAN + "alter table orders drop constraint orders_shop_id_fkey,"
            " add foreign key (shop_id) references shops (id);",
            finds=("orders.shop_id",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders rename constraint orders_shop_id_fkey to of_shop;"),
        Case(CLEAN + "alter table orders drop column shop_id cascade;"),
    ),
)
