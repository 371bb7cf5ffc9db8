"""CMP001: statements of the new application that would fail now, for what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.statements import Prepared
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, names
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.report import Finding
from trunkline.readiness.told import failures, is_about_types


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each table, however many of its statements fail."""
    for match in evidence.matching.tables.values():
        mine = [
            each
            for each in evidence.statements.prepared
            if each.origin == "new application" and each.table == match.wanted.name
        ]
        failing = [each for each in mine if each.error is not None and not is_about_types(each)]
        if failing:
            yield _finding(match, mine, failing)


def _finding(match: TableMatch, mine: list[Prepared], failing: list[Prepared]) -> Finding:
    name = match.wanted.name
    missing = _missing(match)
    lacks = f" It lacks {len(missing)} columns: {names(missing)}." if missing else ""
    return Finding(
        code=CHECK.code,
        severity="blocker",
        component="compatibility",
        object=str(name),
        evidence=failures(failing, len(mine)) + lacks,
        impact=f"The new application can't {' or '.join(sorted({_verb(each) for each in failing}))} {name}.",
        remedy=_remedy(match, missing),
    )


def _missing(match: TableMatch) -> list[str]:
    """Columns that a table of the right name doesn't have under their names."""
    if match.relation is None or match.relation.name.name != match.wanted.name.name:
        return []
    return [name for name in match.columns if name not in match.relation.columns]


def _verb(statement: Prepared) -> str:
    return "read" if statement.label.startswith("read") else "write"


def _remedy(match: TableMatch, missing: list[str]) -> str:
    if match.relation is None:
        return ";\n".join(match.wanted.statements) + ";"
    added = [match.columns[name] for name in missing if match.columns[name].how == "missing"]
    if len(added) < len(missing) or not missing:
        return MIGRATE
    return "\n".join(f"alter table {match.relation.name.sql} add column {each.wanted.ddl};" for each in added)


CHECK = Check(
    code="CMP001",
    title="Statements of the new application fail",
    component="compatibility",
    severity="blocker",
    about="""
For each table of the models the statements that code sends are composed: read all columns, insert, update and delete a
row, and read by each foreign key and by each index that the models ask for. The server prepares each of them, with the
types that the models give their parameters. Nothing is run, and what takes a lock gives it back at once.

A statement that can't be prepared fails as soon as the code sends it: a table or column is missing, or has another
name. Types that don't fit are told by CMP004. One finding stands for all statements of a table; the checks `SCH…` tell
of each table and column by itself.

Preparing sees names and types. It sees neither rights nor policies nor constraints: those are tried by running.
""",
    find=find,
    bad=(
        Case("", finds=("shops", "orders")),
        Case(CLEAN + "alter table orders drop column note;", finds=("orders",)),
        Case(CLEAN + "alter table shops rename to stores;", finds=("shops",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders add column extra text;"),
        Case(CLEAN + "alter table shops rename to stores; create view shops as select id, owner_id, name from stores;"),
    ),
)
