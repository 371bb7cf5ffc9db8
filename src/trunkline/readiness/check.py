"""What a check is: one file in `checks/` with its documentation, its cases and its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trunkline.postgres.catalogue.model import Catalogue
from trunkline.readiness.report import Finding, NotChecked, Severity
from trunkline.readiness.target import Target

if TYPE_CHECKING:
    from trunkline.readiness.evidence.behaviour import Behaviour
    from trunkline.readiness.evidence.data import DataEvidence
    from trunkline.readiness.evidence.operations import Activity
    from trunkline.readiness.evidence.statements import StatementEvidence
    from trunkline.readiness.matching import Matching


@dataclass(frozen=True)
class Evidence:
    """All that was seen, tried and counted; checks read nothing else and touch no database."""

    catalogue: Catalogue
    target: Target
    matching: Matching
    data: DataEvidence
    behaviour: Behaviour
    statements: StatementEvidence
    activity: Activity
    not_checked: list[NotChecked] = field(default_factory=list[NotChecked])
    """Collectors add to it; so may a check that can't decide."""


@dataclass(frozen=True)
class Case:
    """SQL for an empty database, run by its owner, after which a check finds something, or nothing.

    Roles `anon`, `authenticated`, `service_role` and the functions `auth.uid()`, `auth.jwt()`, `auth.role()` and the
    table `auth.users` are there, as on Supabase; nothing else is.
    """

    sql: str
    finds: tuple[str, ...] = ()
    """Objects of the findings, in any order; none where all is well."""
    as_if: Callable[[Evidence], Evidence] | None = None
    """For what no SQL can bring about (an old server, a pooler, a transaction open for hours): what was seen, changed
    to that, before the check judges it."""


@dataclass(frozen=True)
class Check:
    """One rule with its documentation."""

    code: str
    title: str
    """What is wrong when it finds something, as a short noun phrase."""
    component: str
    severity: Severity
    """The worst that it reports."""
    about: str
    """Markdown, some paragraphs: what it looks at, why it matters, what to do, when to ignore it; sources by name."""
    find: Callable[[Evidence], Iterable[Finding]]
    bad: tuple[Case, ...]
    """At least one case that triggers it."""
    good: tuple[Case, ...]
    """At least one near miss that must not."""
    statements: tuple[str, ...] = ()
    """For cases of checks about a user's own statements."""
    covers: tuple[str, ...] = ()
    """Names of lints of others that it covers: `splinter 0001_unindexed_foreign_keys`."""
