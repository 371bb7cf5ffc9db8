"""The readiness analyser: is this database ready for this code?

Stands alone: takes a database's URL and a target as a value, reads no settings, prints nothing, changes nothing.
Evidence is collected (`evidence/`), judged (`checks/`, one file each), scored (`score`) and told (`report`).
"""

from __future__ import annotations

from trunkline.readiness.report import Finding, Report
from trunkline.readiness.runner import CouldNotCheck, Event, analyse
from trunkline.readiness.target import Target, target_of

__all__ = ["CouldNotCheck", "Event", "Finding", "Report", "Target", "analyse", "target_of"]
