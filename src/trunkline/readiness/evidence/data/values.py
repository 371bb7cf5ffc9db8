"""Rows that the target would refuse: counted, with some keys as samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trunkline.postgres.catalogue.model import Name

SAMPLES = 5
"""At most so many samples are kept of each fault."""

Fault = Literal["orphan", "null", "outside check", "duplicate", "mapped value", "unfit setting"]


@dataclass(frozen=True, slots=True)
class BadRows:
    """Rows of one table with one fault."""

    fault: Fault
    relation: Name
    columns: tuple[str, ...]
    """The database's names."""
    rule: str
    """What the target asks: the foreign key, the CHECK, the unique key, in words or SQL."""
    count: int
    is_estimate: bool
    """From a sample, scaled up; exact with `--deep`."""
    samples: tuple[str, ...]
    """Keys of some such rows, or the values themselves where those are what is wrong."""
    rows: int = 0
    """Of the whole table, an estimate where the count is one."""
    where: str = ""
    """A condition that finds them, in the database's names, on the table as `t`; empty for duplicates and settings."""

    @property
    def told(self) -> str:
        """How many, in words: `3 of 1,204 rows`."""
        if self.is_estimate:
            return f"about {self.count:,} of about {self.rows:,} rows (estimated from a sample)"
        return f"{self.count:,} of {self.rows:,} rows"

    @property
    def samples_told(self) -> str:
        """Some of them, in words: `7, 9`."""
        more = " and others" if len(self.samples) >= SAMPLES and self.count > SAMPLES else ""
        return ", ".join(self.samples) + more if self.samples else "no samples"


@dataclass(frozen=True, slots=True)
class Hidden:
    """A table whose rows the connected role does not see, or not all, for row-level security."""

    relation: Name
    sees_some: bool
    estimated_rows: int
    """What the server's statistics say; 0 where they say nothing."""


@dataclass(frozen=True, slots=True)
class DataEvidence:
    """All that was counted."""

    bad: tuple[BadRows, ...]
    sampled: tuple[Name, ...]
    """Tables that were too large to read in full."""
    hidden: tuple[Hidden, ...] = ()
    """Tables that could not be counted for row-level security."""
