"""Statements that are prepared and never run: what would the server say to them now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Prepared:
    """One statement and the server's answer."""

    origin: Literal["old application", "new application", "file"]
    label: str
    """What it is for, or its line in the user's file."""
    sql: str
    error: str | None
    """The server's own words; None where it would run."""
    sqlstate: str | None
    object: str | None
    """The table or column that the error is about."""


@dataclass(frozen=True, slots=True)
class StatementEvidence:
    """All that were prepared."""

    prepared: tuple[Prepared, ...]
