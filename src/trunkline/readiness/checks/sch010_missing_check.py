"""SCH010: values are bounded otherwise than the code expects."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Constraint, Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import component_of, in_actual_names, key_name, names, tables
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.report import Finding, Severity
from trunkline.readiness.target import TargetCheck

_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_ONE_OF = re.compile(r"\w+\s+in\s*\(\s*'(?:[^']|'')*'(?:\s*,\s*'(?:[^']|'')*')*\s*\)", re.IGNORECASE)
_STORED_ONE_OF = re.compile(r'CHECK \(\(+"?\w+"?\)?(::[a-z ]+)?\)? = ANY \(+ARRAY\[.*\]\)?(::[a-z \[\]]+)?\)+')


def find(evidence: Evidence) -> Iterator[Finding]:
    """Checks whose columns are all there: missing ones, and those that refuse what the code writes."""
    for match, relation in tables(evidence):
        for wanted in match.wanted.checks:
            columns = _columns(match, wanted)
            if columns:
                yield from _judge(evidence, match, relation, wanted, columns)


def _columns(match: TableMatch, wanted: TargetCheck) -> tuple[str, ...]:
    """The database's names of the columns that a check reads; none where one of them isn't there."""
    words = dict.fromkeys(re.findall(r"\w+", _LITERAL.sub("''", wanted.sql)))
    found = [match.actual(word) for word in words if word in match.columns]
    return () if None in found else tuple(str(name) for name in found)


def _judge(
    evidence: Evidence, match: TableMatch, relation: Relation, wanted: TargetCheck, columns: tuple[str, ...]
) -> Iterator[Finding]:
    severity: Severity
    if refused := _refused(relation, wanted, columns):
        severity = "blocker"
        seen = f"{refused[0]} refuses {', '.join(map(repr, refused[1]))}, which the code writes"
        impact = "Rows of the code with these values are refused."
        remedy = _replace(relation, wanted, columns, refused[0])
    elif not all(_is_bounded(relation, column) for column in columns):
        severity = "minor"
        seen = f"No CHECK, enum or domain bounds {', '.join(columns)}; the code relies on: {wanted.sql}"
        impact = "Values that the code doesn't know can be stored by others, and fail where they are read."
        remedy = _add(relation, in_actual_names(match, wanted.sql), wanted.name)
    else:
        return
    yield Finding(
        code=CHECK.code,
        severity=severity,
        component=component_of(evidence.target, match.wanted),
        object=key_name(relation.name, columns),
        evidence=f"{seen}.",
        impact=impact,
        remedy=remedy,
    )


def _is_bounded(relation: Relation, name: str) -> bool:
    column = relation.columns[name]
    is_own_type = bool(column.enum_values) or column.type != column.base_type
    return is_own_type or any(name in each.columns for each in relation.constraints if each.kind == "check")


def _refused(relation: Relation, wanted: TargetCheck, columns: tuple[str, ...]) -> tuple[str, list[str]] | None:
    """A list of values that lacks some of the target's, and those. Only lists are compared: other rules may be any."""
    if len(columns) != 1 or not _ONE_OF.fullmatch(wanted.sql.strip()):
        return None
    column = relation.columns[columns[0]]
    lists = {each.name: _values(each.definition) for each in relation.constraints if _is_list(each, columns)}
    if column.enum_values:
        lists[f"the enum {column.type}"] = column.enum_values
    for name, values in lists.items():
        if refused := [value for value in _values(wanted.sql) if value not in values]:
            return name, refused
    return None


def _is_list(check: Constraint, columns: tuple[str, ...]) -> bool:
    return check.kind == "check" and check.columns == columns and bool(_STORED_ONE_OF.fullmatch(check.definition))


def _values(sql: str) -> tuple[str, ...]:
    return tuple(value.replace("''", "'") for value in _LITERAL.findall(sql))


def _add(relation: Relation, sql: str, name: str) -> str:
    alter = f"alter table {relation.name.sql}"
    return (
        f"{alter} add constraint {names([name])} check ({sql}) not valid;\n{alter} validate constraint {names([name])};"
    )


def _replace(relation: Relation, wanted: TargetCheck, columns: tuple[str, ...], found: str) -> str:
    if relation.columns[columns[0]].enum_values:
        kind = relation.columns[columns[0]].type
        missing = [value for value in _values(wanted.sql) if value not in relation.columns[columns[0]].enum_values]
        return "\n".join(f"alter type {kind} add value '{value}';" for value in missing)
    listed = ", ".join(f"'{value}'" for value in _values(wanted.sql))
    alter = f"alter table {relation.name.sql}"
    return (
        f"{alter} drop constraint {names([found])};\n"
        f"{alter} add constraint {names([found])} check ({names(columns)} in ({listed})) not valid;\n"
        "-- add the values that older rows hold and the old application still writes, then validate it"
    )


CHECK = Check(
    code="SCH010",
    title="Values bounded otherwise",
    component="message_fields",
    severity="blocker",
    about="""
The models bound a column's values by a CHECK.

**Blocker:** the database has a list of values too, as a CHECK or an enum, and the list lacks some that the code
writes: those rows are refused. Only lists of values are compared; other rules can be written in too many ways.

**Minor:** nothing bounds the column at all, neither a CHECK over it nor an enum nor a domain. Other writers can store
what the code doesn't know. The section Data counts such rows.

Any other CHECK over the same columns counts as there.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table orders drop constraint orders_status_check;", finds=("orders.status",)),
        Case(
            CLEAN + "alter table orders drop constraint orders_status_check, add check (status in ('new', 'paid'));",
            finds=("orders.status",),
        ),
        Case(
            "create type state as enum ('new', 'open'); create table orders (id uuid primary key, status state);",
            finds=("orders.status",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN + "alter table orders drop constraint orders_status_check,"
            " add constraint any_name check (status in ('paid', 'open', 'sent'));"
        ),
        Case(CLEAN + "alter table orders drop constraint orders_status_check, add check (length(status) < 9);"),
        Case("create table orders (id uuid primary key);"),
    ),
)
