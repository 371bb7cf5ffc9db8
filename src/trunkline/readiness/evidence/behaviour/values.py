"""What trying the policies showed, as values."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.report import NotChecked, Observation


@dataclass(frozen=True, slots=True)
class Tried:
    """One observation, and what it was about."""

    relation: Name
    observation: Observation
    is_expected: bool
    """Whether the outcome is as the target (or plain isolation of tenants) wants it."""
    is_declared: bool = False
    """Whether a table of the target says who may do this; if not, only isolation was judged."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that was tried."""

    tried: tuple[Tried, ...]
    not_checked: tuple[NotChecked, ...]
