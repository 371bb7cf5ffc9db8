"""Statements and the server's answers, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trunkline.postgres.catalogue.model import Name

Origin = Literal["old application", "new application", "file"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One statement and the server's answer."""

    origin: Origin
    label: str
    """What it is for, or its line in the user's file."""
    sql: str
    error: str | None
    """The server's own words; None where it would run."""
    sqlstate: str | None
    object: str | None
    """The table or column that the error is about, as the statement names it."""
    table: Name | None = None
    """Of a composed statement: the table that it is for, as the application names it."""


@dataclass(frozen=True, slots=True)
class StatementEvidence:
    """All that were prepared."""

    prepared: tuple[Prepared, ...]
