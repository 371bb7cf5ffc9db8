"""What follows from the findings: verdict, options, risk, times, what to do next. Rules: docs/readiness-scoring.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trunkline.readiness.check import Check, Evidence
from trunkline.readiness.checklist import URL, checklist, migrated_names, migrates
from trunkline.readiness.checks import all_checks
from trunkline.readiness.options import options
from trunkline.readiness.report import (
    SEVERITIES,
    ChecklistItem,
    Component,
    Finding,
    NotChecked,
    Option,
    Severity,
    Verdict,
)
from trunkline.readiness.score import mean

READY = "READY"
PARTIALLY = "PARTIALLY READY - NEEDS MIGRATION"
NOT_READY = "NOT READY"
COULD_NOT = "COULD NOT CHECK"

MANY_ROWS = 1_000_000
"""Rows to rewrite from which on a migration needs a quiet hour or patience."""

DAYS_TO_MIGRATE = 1.0
"""Person-days: a rehearsal on a copy, and the run."""
DAYS_PER_BLOCKER = 0.5
"""Person-days for all blockers of one kind that people mend."""
DAYS_PER_MAJOR = 0.25
"""Person-days for all majors of one kind that people mend."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The parts of a report that are concluded."""

    verdict: Verdict
    score: int | None
    status: str
    headline: str
    checklist: tuple[ChecklistItem, ...]
    options: tuple[Option, ...]
    risk: Literal["none", "low", "medium", "high"]
    risk_reason: str
    estimated_run: str
    estimated_ready: str
    bottom_line: str
    next_steps: tuple[str, ...]


@dataclass(frozen=True)
class _Situation:
    """What the conclusions are drawn from."""

    evidence: Evidence
    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    open_questions: tuple[NotChecked, ...]
    """What was not checked, and could hold a blocker."""
    options: tuple[Option, ...]
    verdict: Verdict
    status: str
    by_hand: tuple[Finding, ...]
    """Blockers and majors that no migration mends."""
    left_out: int
    """Checks that were not chosen."""

    @property
    def blockers(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity == "blocker")

    @property
    def advised(self) -> Option | None:
        return next((each for each in self.options if each.advised), None)

    @property
    def is_related(self) -> bool:
        return self.evidence.matching.is_related


def open_questions(
    not_checked: Iterable[NotChecked], checks: Sequence[Check], worst: Severity = "blocker"
) -> tuple[NotChecked, ...]:
    """What was not checked and could hold a finding as bad as `worst`: it names no checks, or one that finds such."""
    bad_enough = SEVERITIES[: SEVERITIES.index(worst) + 1]
    codes = {check.code for check in checks if check.severity in bad_enough}
    return tuple(each for each in not_checked if not each.codes or not codes.isdisjoint(each.codes))


def components_of(items: Iterable[NotChecked], checks: Sequence[Check]) -> frozenset[str]:
    """Keys of the components and sections that these leave open; all where one of them names no checks."""
    items = tuple(items)
    if any(not each.codes for each in items):
        return frozenset(check.component for check in checks)
    codes = {code for each in items for code in each.codes}
    return frozenset(check.component for check in checks if check.code in codes)


def look_out(
    evidence: Evidence,
    components: tuple[Component, ...],
    findings: tuple[Finding, ...],
    not_checked: Sequence[NotChecked],
    checks: Sequence[Check],
) -> Outlook:
    """Conclude. `checks` are those that were chosen, `not_checked` what could not be checked of them."""
    questions = open_questions(not_checked, checks)
    ways = options(evidence)
    verdict = _verdict(components, findings, questions)
    names = migrated_names(evidence)
    left_out = len(all_checks()) - len(checks)
    serious = (each for each in findings if each.severity in ("blocker", "major"))
    by_hand = tuple(each for each in serious if not migrates(each, names))
    status = _status(verdict, by_hand, is_related=evidence.matching.is_related)
    situation = _Situation(evidence, components, findings, questions, ways, verdict, status, by_hand, left_out)
    risk, reason = _risk(situation)
    unchecked = components_of(not_checked, checks) | {each.component for each in all_checks() if each not in checks}
    return Outlook(
        verdict=verdict,
        score=mean(components),
        status=status,
        headline=_headline(situation) + _unanswered(situation) + _left_out(situation),
        checklist=checklist(evidence, findings, situation.advised, unchecked),
        options=ways,
        risk=risk,
        risk_reason=reason,
        estimated_run=_run_time(situation),
        estimated_ready=_time_to_ready(situation),
        bottom_line=_bottom_line(situation),
        next_steps=_next_steps(situation),
    )


# Verdict


def _verdict(components: Sequence[Component], findings: Sequence[Finding], questions: Sequence[NotChecked]) -> Verdict:
    if any(each.severity == "blocker" for each in findings):
        return "not_ready"
    if any(each.status in ("partial", "missing") for each in components):
        return "not_ready"
    if questions or any(each.status is None for each in components):
        return "unknown"
    return "ready"


def _status(verdict: Verdict, by_hand: Sequence[Finding], *, is_related: bool) -> str:
    if verdict == "ready":
        return READY
    if verdict == "unknown":
        return COULD_NOT
    is_mended = is_related and all(each.severity != "blocker" for each in by_hand)
    return PARTIALLY if is_mended else NOT_READY


def _left_out(situation: _Situation) -> str:
    return f" {_count(situation.left_out, 'check')} of {len(all_checks())} left out by choice." * bool(
        situation.left_out
    )


def _unanswered(situation: _Situation) -> str:
    """Beside a verdict that stands without them."""
    questions = len(situation.open_questions)
    if not questions or situation.status == COULD_NOT:
        return ""
    return f" {_count(questions, 'thing')} that could hold a blocker could not be checked."


def _headline(situation: _Situation) -> str:
    target = situation.evidence.target.name
    blockers = _count(len(situation.blockers), "blocker")
    if not situation.is_related and situation.verdict == "not_ready":
        tables = len(situation.evidence.matching.unclaimed)
        holds = (
            f"It holds {_count(tables, 'table')} of something else, which {target} would leave alone"
            if tables
            else ("It is empty")
        )
        return f"This is not a database of {target}, and that is fine. {holds}: new tables can be made beside."
    if situation.status == READY:
        majors = sum(each.severity == "major" for each in situation.findings)
        return f"{target} runs on this database as it is." + (
            f" {_count(majors, 'finding')} should be mended." * bool(majors)
        )
    if situation.status == COULD_NOT:
        what = situation.open_questions[0].what if situation.open_questions else "a component"
        more = len(situation.open_questions) - 1
        others = f" and {_count(more, 'other thing')}" if more > 0 else ""
        return f"Nothing bad was found, but it could not be checked in full: {what}{others}."
    kind = f" ({situation.evidence.matching.source})" if situation.evidence.matching.source else ""
    if situation.status == PARTIALLY:
        return f"{target} can't run on this database{kind} yet; a migration brings it there ({blockers} until then)."
    here = sum(each.severity == "blocker" for each in situation.by_hand)
    return f"{target} can't run on this database{kind}: {blockers}, {here} of which no migration mends."


# Risk and time


def _risk(situation: _Situation) -> tuple[Literal["none", "low", "medium", "high"], str]:
    if situation.status == READY:
        return "none", "There is nothing to migrate."
    unmended = [each for each in situation.by_hand if each.severity == "blocker"]
    if unmended:
        return "high", f"{_kinds(unmended)} must be mended by people first: no migration does it."
    advised = situation.advised
    if advised and advised.strategy == "create" and situation.is_related:
        return "high", f"All rows must be copied, since {advised.reason}."
    if situation.status == COULD_NOT:
        return "medium", "What could not be checked may hold a blocker."
    if advised and advised.rows_touched > MANY_ROWS:
        return "medium", f"About {advised.rows_touched:,} rows are rewritten."
    if situation.by_hand:
        return "medium", f"{_kinds(situation.by_hand)} should be mended by people before."
    return "low", "The migration does all of it, and can be rolled back until its archive is dropped."


def _run_time(situation: _Situation) -> str:
    if situation.advised is None:
        return "nothing to run"
    return f"about {_duration(situation.advised.seconds)}"


def _time_to_ready(situation: _Situation) -> str:
    if situation.status == READY:
        return "now"
    parts: list[tuple[float, str]] = []
    if situation.advised and situation.is_related:
        parts.append((DAYS_TO_MIGRATE, "a rehearsal on a copy, and the run"))
    for severity, days in (("blocker", DAYS_PER_BLOCKER), ("major", DAYS_PER_MAJOR)):
        codes = {each.code for each in situation.by_hand if each.severity == severity}
        if codes:
            parts.append((days * len(codes), f"{_count(len(codes), 'kind')} of {severity}s that people mend"))
    if not parts:
        return "minutes" if situation.verdict == "not_ready" else "unknown until all is checked"
    total = sum(days for days, _ in parts)
    return f"about {_days(total)}: " + ", ".join(f"{_days(days)} for {what}" for days, what in parts)


# What to do


def _bottom_line(situation: _Situation) -> str:
    advised = situation.advised
    if situation.status == READY:
        return "Nothing stands in the way. Keep it so: run this in CI."
    if situation.status == COULD_NOT:
        return "Give the analysis what it lacked, and run it again before you rely on this."
    if not situation.is_related:
        return (
            "Nothing here needs to be mended for it; the tables are made in minutes, beside yours or in a new database."
        )
    if situation.status == NOT_READY:
        first = f"Mend {_kinds([each for each in situation.by_hand if each.severity == 'blocker'])} first"
        return f"{first}, then migrate." if advised else f"{first}."
    strategy = "by renaming in place" if advised and advised.strategy == "rename" else "into new tables alongside"
    return f"Migrate {strategy}; the old application works until `complete`, and a rollback brings the old shape back."


def _next_steps(situation: _Situation) -> tuple[str, ...]:
    again = f"trunkline readiness {URL}"
    if situation.status == READY:
        return (
            f"{again} --format json --output baseline.json",
            f"{again} --baseline baseline.json --fail-on major",
            f"{again} --deep",
        )
    if situation.status == COULD_NOT:
        return (f"{again} --deep", f"{again} --format markdown --output readiness.md", f"{again} --fail-on major")
    strategy = situation.advised.strategy if situation.advised else "rename"
    plan = f"trunkline migrate plan {URL} --strategy {strategy}"
    start = f"trunkline migrate start {URL} --strategy {strategy}"
    unmended = [each.code for each in situation.by_hand if each.severity == "blocker"]
    if unmended:
        return (f"trunkline explain {unmended[0]}", again, *((plan,) if situation.advised else ()))
    if not situation.advised:
        codes = [each.code for each in situation.findings]
        return (*(f"trunkline explain {code}" for code in codes[:1]), again)
    return (plan, start, again)


# Words


def _kinds(findings: Sequence[Finding]) -> str:
    codes = list(dict.fromkeys(each.code for each in findings))
    return ", ".join(codes[:4]) + (f" and {len(codes) - 4} more" if len(codes) > 4 else "")


def _duration(seconds: int) -> str:
    if seconds < 120:
        return _count(max(seconds, 1), "second")
    if seconds < 7200:
        return _count(-(-seconds // 60), "minute")
    return _count(-(-seconds // 3600), "hour")


def _days(days: float) -> str:
    return "1 person-day" if days == 1 else f"{days:g} person-days"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"
