"""The one model of what an analysis found. Every format is drawn from it; its JSON schema is published."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["blocker", "major", "minor", "info"]
SEVERITIES: tuple[Severity, ...] = ("blocker", "major", "minor", "info")
"""Worst first."""
Verdict = Literal["ready", "not_ready", "unknown"]
Status = Literal["ready", "partial", "missing"]
SECTIONS = ("data", "exposure", "compatibility", "operations")
"""What is reported beside the components and never averaged."""


class Model(BaseModel):
    """Base of all parts of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(Model):
    """One thing that is not as it should be, with its proof and its mend."""

    code: str
    """Stable, as `RLS003`; `trunkline explain CODE` tells all about it."""
    severity: Severity
    component: str
    """Key of a component, or one of SECTIONS."""
    object: str
    """What it is about: `public.bots`, `chat_messages.text`, `role anon`."""
    evidence: str
    """What was seen, with the values and counts that were seen."""
    impact: str
    """What it breaks for users, in one sentence."""
    remedy: str
    """The exact SQL, or the command or migration step that mends it."""


class Component(Model):
    """One part of the founding question, graded."""

    key: str
    name: str
    score: int | None
    """Percent, rounded down (100 only where nothing is missing); None where it could not be checked."""
    status: Status | None
    notes: str
    expected: str
    """What the code expects, in a few words."""
    found: str
    """What the database has, in a few words."""


class ChecklistItem(Model):
    """One thing to do before the code can run on this database."""

    title: str
    critical: bool
    done: bool
    ways: tuple[str, ...]
    """Ways out, the advised one first: change the database, or the model."""
    codes: tuple[str, ...] = ()
    """Findings that it mends."""


class Option(Model):
    """One way to migrate, for this database."""

    strategy: Literal["rename", "create"]
    advised: bool
    reason: str
    steps: tuple[str, ...]
    exclusive_locks: int
    """How often a table is locked against readers, each time for milliseconds."""
    rows_touched: int
    seconds: int
    """Estimated time to run."""
    breaks: str
    """What stops working, and until when the old application works."""


class NotChecked(Model):
    """Something that could not be looked at. Never silence, never 100 %."""

    what: str
    why: str
    how: str
    """What would let it be checked."""
    codes: tuple[str, ...] = ()
    """Checks that could not be decided for it; empty: all that look at it."""


class Observation(Model):
    """One cell of the policies' behaviour: what a role could do with a table's rows when it was tried."""

    role: str
    principal: str
    """Who acted: `nobody`, `a stranger`, `a member of the row's organization`, `a member of another organization` …"""
    table: str
    command: Literal["select", "insert", "update", "delete"]
    rows: Literal["own", "foreign"]
    outcome: Literal["allowed", "denied", "error"]
    detail: str = ""
    """The server's own words where it was an error."""


class Report(Model):
    """The whole answer."""

    schema_version: Literal[1] = 1
    database: str
    """Name of the database; never its URL or password."""
    server_version: str
    target: str
    analysed_at: datetime
    seconds: float
    is_deep: bool
    verdict: Verdict
    """`not_ready` with any blocker or component that isn't ready; `unknown` where what could decide wasn't checked."""
    score: int | None
    """Plain mean of the components' scores, rounded down; None where one is None."""
    status: str
    """READY, PARTIALLY READY - NEEDS MIGRATION, NOT READY, or COULD NOT CHECK."""
    headline: str
    """One sentence that says why."""
    source: str | None
    """What kind of database it seems to be: `legacy, with organizations`; None where it is none of those known."""
    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    """Worst first, then in the order of components."""
    checklist: tuple[ChecklistItem, ...]
    options: tuple[Option, ...]
    observations: tuple[Observation, ...]
    not_checked: tuple[NotChecked, ...]
    risk: Literal["none", "low", "medium", "high"]
    risk_reason: str
    estimated_run: str
    """Time that the migration would run."""
    estimated_ready: str
    """Time to production-ready, with what it is made of."""
    bottom_line: str
    next_steps: tuple[str, ...]
    """Commands to type, in order."""
    known_findings: int = 0
    """Findings that a baseline has already; they are left out of `findings`."""

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of this severity or worse."""
        worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return tuple(each for each in self.findings if each.severity in worst)
