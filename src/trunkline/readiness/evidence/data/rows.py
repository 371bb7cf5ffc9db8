"""Rows with a fault that shows in themselves: NULLs, values outside a CHECK or too long, values written otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.evidence.asking import calls_own_function, mentioned, refused, renamed, verbatim
from trunkline.readiness.evidence.data.session import Session
from trunkline.readiness.evidence.data.source import Source, raw, stored_value
from trunkline.readiness.evidence.data.values import SAMPLES, BadRows, Fault
from trunkline.readiness.target import TargetCheck

_CODES: dict[Fault, str] = {"null": "DAT002", "outside check": "DAT003", "mapped value": "DAT005"}
_BOUNDED = re.compile(r"character varying\((\d+)\)")
_LIST_OF_VALUES = re.compile(r"\bin\s*\(|=\s*any\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Rule:
    """A fault that a condition finds, on rows as `Source.renamed` gives them."""

    fault: Fault
    columns: tuple[str, ...]
    """Names of the target."""
    rule: str
    condition: sql.Composable
    where: sql.Composable
    """The same on rows as they are stored."""
    shows: str | None = None
    """The column whose values are shown instead of the rows' keys."""


def unfit_rows(session: Session, source: Source) -> Iterator[BadRows]:
    """Rows of a table that the target would refuse for what is in them, and those with former values."""
    rules = [*_nulls(source), *_checks(session, source), *_too_long(source)]
    counts = _count(session, source, rules)
    for rule, count in zip(rules, counts, strict=True):
        if count:
            yield _bad(session, source, rule, count, _samples(session, source, rule))
    yield from _former_values(session, source)


def _nulls(source: Source) -> Iterator[_Rule]:
    for name, match in source.match.columns.items():
        is_held = source.match.actual(name) is not None and match.column is not None and match.column.nullable
        if is_held and not match.wanted.nullable:
            is_null = sql.SQL("{} is null")
            condition, where = is_null.format(sql.Identifier(name)), is_null.format(_stored(source, name))
            yield _Rule("null", (name,), "not null", condition, where)


def _checks(session: Session, source: Source) -> Iterator[_Rule]:
    for check in source.match.wanted.checks:
        columns = mentioned(check.sql, source.match.columns)
        if not columns or any(source.match.actual(name) is None for name in columns):
            continue  # no value of it is there yet
        if calls_own_function(check.sql):
            session.skip(
                f"rows of {source.relation.name} outside {check.name}",
                "it calls a function of the database, and an analysis runs none",
                f"Look by hand for rows that break it: not ({check.sql}).",
                "DAT003",
            )
            continue
        yield _check_rule(source, check, columns)


def _check_rule(source: Source, check: TargetCheck, columns: tuple[str, ...]) -> _Rule:
    # Elsewhere values may be anybody's words, and those have no place in a report.
    shows = columns[0] if len(columns) == 1 and _LIST_OF_VALUES.search(check.sql) else None
    condition = sql.SQL("not ({})").format(verbatim(check.sql))
    stored = sql.SQL("not ({})").format(verbatim(renamed(check.sql, _stored_names(source, columns))))
    where = sql.SQL(" and ").join([stored, *_no_former_values(source, columns)])
    return _Rule("outside check", columns, f"check ({check.sql})", condition, where, shows)


def _too_long(source: Source) -> Iterator[_Rule]:
    for name, match in source.match.columns.items():
        bound = _BOUNDED.fullmatch(match.wanted.type)
        is_text = match.column is not None and match.column.base_type.startswith(("text", "character varying"))
        if bound is None or not is_text or source.match.actual(name) is None:
            continue
        if match.column is not None and match.column.base_type == match.wanted.type:
            continue
        is_longer = sql.SQL("pg_catalog.char_length({}) > {}")
        condition = is_longer.format(sql.Identifier(name), verbatim(bound[1]))
        where = is_longer.format(_stored(source, name), verbatim(bound[1]))
        yield _Rule("outside check", (name,), f"at most {bound[1]} characters", condition, where)


def _stored(source: Source, name: str) -> sql.Composable:
    return raw(source.match.actual(name) or name)


def _no_former_values(source: Source, columns: tuple[str, ...]) -> Iterator[sql.Composable]:
    """Conditions that leave former values out."""
    for name in columns:
        if former := source.match.columns[name].wanted.formerly_values:
            values = sql.SQL(", ").join(sql.Literal(value) for value in sorted(former))
            yield sql.SQL("{}::text not in ({})").format(_stored(source, name), values)


def _stored_names(source: Source, columns: tuple[str, ...]) -> dict[str, str]:
    return {name: f"t.{quote(source.match.actual(name) or name)}" for name in columns}


def _count(session: Session, source: Source, rules: list[_Rule]) -> list[int]:
    """How many of the rows read each rule finds: one scan for all, or one for each where a rule doesn't run."""
    if not rules:
        return []
    try:
        return _scan(session, source, rules)
    except psycopg.errors.QueryCanceled as error:
        what = f"NULLs and values of {source.relation.name}"
        session.note.append(refused(session.connection, error, what, codes=("DAT002", "DAT003")))
        return [0] * len(rules)
    except psycopg.Error as error:
        if len(rules) > 1 and not session.connection.closed:
            return [_count(session, source, [rule])[0] for rule in rules]
        what = f"rows of {source.relation.name} against {rules[0].rule}"
        session.note.append(refused(session.connection, error, what, codes=(_CODES[rules[0].fault],)))
        return [0]


def _scan(session: Session, source: Source, rules: list[_Rule]) -> list[int]:
    counts = [sql.SQL("count(*) filter (where {})").format(rule.condition) for rule in rules]
    query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(counts), source.renamed())
    return [int(count) for count in session.ask(query)[0]]


def _samples(session: Session, source: Source, rule: _Rule) -> tuple[str, ...]:
    if rule.shows is None:
        shown, order = source.key, sql.SQL("")
    else:
        value = sql.Identifier(rule.shows)
        shown, order = (
            sql.SQL("distinct pg_catalog.left({}::pg_catalog.text, 40)").format(value),
            sql.SQL(" order by 1"),
        )
    query = sql.SQL("select {} from {} where {}{} limit {}").format(
        shown, source.renamed(), rule.condition, order, sql.Literal(SAMPLES)
    )
    answer = session.ask_or_note(query, f"samples of bad rows of {source.relation.name}", _CODES[rule.fault])
    return tuple(str(row[0]) for row in answer or ())


def _bad(session: Session, source: Source, rule: _Rule, count: int, samples: tuple[str, ...]) -> BadRows:
    return BadRows(
        fault=rule.fault,
        relation=source.relation.name,
        columns=tuple(source.match.actual(name) or name for name in rule.columns),
        rule=rule.rule,
        count=source.scaled(count),
        is_estimate=source.is_sampled,
        samples=samples,
        rows=source.rows,
        where=rule.where.as_string(session.connection),
    )


def _former_values(session: Session, source: Source) -> Iterator[BadRows]:
    for name, match in source.match.columns.items():
        former = match.wanted.formerly_values
        if not former or source.match.actual(name) is None:
            continue
        counts = _count_values(session, source, name, tuple(former))
        for value, count in counts.items():
            where = sql.SQL("{} = {}").format(_stored(source, name), sql.Literal(value))
            rule = _Rule("mapped value", (name,), f"{value} → {former[value]}", where, where)
            yield _bad(session, source, rule, count, (value,))


def _count_values(session: Session, source: Source, name: str, values: tuple[str, ...]) -> dict[str, int]:
    value = sql.SQL("{}::pg_catalog.text").format(stored_value(source.match.columns[name]))
    query = sql.SQL("select {}, count(*) from {} as t{} where {} = any ({}) group by 1 order by 1").format(
        value, sql.Identifier(*source.relation.name), source.sampling(), value, sql.Literal(list(values))
    )
    what = f"former values of {source.relation.name}.{source.match.actual(name)}"
    return {str(found): int(count) for found, count in session.ask_or_note(query, what, "DAT005") or ()}
