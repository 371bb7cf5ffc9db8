"""Words and numbers as every face of a report writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from trunkline.readiness.checks import all_checks
from trunkline.readiness.report import SECTIONS, SEVERITIES, Component, Finding, Observation, Option, Report

SECTION_NAMES = {
    "data": "Data",
    "exposure": "Exposure",
    "compatibility": "Compatibility",
    "operations": "Operations",
}
SECTION_SUBJECTS = {
    "data": "Rows that the code's schema would refuse",
    "exposure": "What each role can reach",
    "compatibility": "Statements that would fail now",
    "operations": "The server, and what goes on on it",
}
VERDICTS = {"ready": "ready", "not_ready": "not ready", "unknown": "not checked"}
STRATEGIES = {"rename": "Rename and extend", "create": "New tables alongside"}
_PLURALS = {"blocker": "blockers"}
_CODE = re.compile(r"`([^`\n]+)`")


def counted(findings: Iterable[Finding]) -> str:
    """How many there are of each severity, worst first: `2 blockers, 1 major`; `nothing found` where there is none."""
    severities = [each.severity for each in findings]
    counts = [(severities.count(severity), severity) for severity in SEVERITIES]
    words = [f"{number(n)} {_PLURALS.get(word, word) if n > 1 else word}" for n, word in counts if n]
    return ", ".join(words) or "nothing found"


def percent(score: int | None) -> str:
    """A score, or that there is none."""
    return "not checked" if score is None else f"{score} %"


def number(value: int) -> str:
    """With thousands set apart."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """A time as people say it, in the largest unit that keeps it above two."""
    if seconds < 1:
        return "under a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def status_of(component: Component) -> str:
    """The status in a word."""
    return component.status or "not checked"


def of(report: Report, key: str) -> tuple[Finding, ...]:
    """The findings of a component or section."""
    return tuple(each for each in report.findings if each.component == key)


def beside(report: Report) -> tuple[tuple[str, str, tuple[Finding, ...]], ...]:
    """What is reported and never averaged: name, subject and findings of each section.

    Findings of a component that the report doesn't have come last, so that none is lost.
    """
    known = {component.key for component in report.components} | set(SECTIONS)
    others = tuple(each for each in report.findings if each.component not in known)
    sections = [(SECTION_NAMES[key], SECTION_SUBJECTS[key], of(report, key)) for key in SECTIONS]
    return (*sections, *([("Others", "What belongs to no component", others)] if others else []))


def known(report: Report) -> str:
    """How many findings the baseline keeps out of sight; empty where none."""
    if not report.known_findings:
        return ""
    are = "finding is" if report.known_findings == 1 else "findings are"
    return f"{number(report.known_findings)} {are} in the baseline and not shown."


def advised(report: Report) -> Option | None:
    """The advised way to migrate."""
    return next((option for option in report.options if option.advised), None)


def locks(option: Option) -> str:
    """The exclusive locks of a migration."""
    return "none" if not option.exclusive_locks else f"{number(option.exclusive_locks)}, each for milliseconds"


def pieces(text: str) -> Sequence[tuple[bool, str]]:
    """The text in pieces: whether each stands between backticks, as code, and what it is."""
    parts = _CODE.split(text)
    return [(at % 2 == 1, part) for at, part in enumerate(parts) if part]


def is_code(remedy: str) -> bool:
    """Whether it is something to run, SQL or commands, and not a sentence."""
    lines = [line.strip() for line in remedy.splitlines()]
    return any(line.startswith(("--", "trunkline ")) or line.endswith(";") for line in lines)


@cache
def title_of(code: str) -> str:
    """What a check finds, in a few words; its code alone where this version has no such check."""
    return next((check.title for check in all_checks() if check.code == code), code)


def kinds(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """The findings by severity and code, in the order of their first ones."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        found.setdefault((each.severity, each.code), []).append(each)
    return tuple(map(tuple, found.values()))


def objects(findings: Sequence[Finding], most: int) -> str:
    """Names of what they are about, the first ones where there are more."""
    names = ", ".join(each.object for each in findings[:most])
    return f"{names} and {number(len(findings) - most)} more" if len(findings) > most else names


def tried(observations: Sequence[Observation]) -> str:
    """How much was tried, and how much of it went wrong."""
    bad = sum(map(is_bad, observations))
    return (
        f"{number(len(observations))} attempts, each rolled back; {number(bad)} of them failed or reached rows of"
        " another tenant."
    )


def is_bad(observation: Observation) -> bool:
    """Whether a policy failed, or let somebody at another tenant's rows."""
    return observation.outcome == "error" or (observation.rows == "foreign" and observation.outcome == "allowed")
