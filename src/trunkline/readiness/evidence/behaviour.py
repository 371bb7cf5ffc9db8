"""Policies are run, not read: each role tries each command on rows that are made for it and rolled back."""

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


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that was tried."""

    tried: tuple[Tried, ...]
    not_checked: tuple[NotChecked, ...]
