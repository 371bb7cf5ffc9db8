"""Policies are run, not read: each role tries each command on rows that are made for it and rolled back."""

from __future__ import annotations

from trunkline.readiness.evidence.behaviour.observe import observe
from trunkline.readiness.evidence.behaviour.values import Behaviour, Tried

__all__ = ["Behaviour", "Tried", "observe"]
