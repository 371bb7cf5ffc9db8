"""What goes on on the server right now, and what a migration needs of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LongTransaction:
    """A transaction that has been open for long."""

    pid: int
    user: str
    application: str
    state: str
    seconds: float
    query: str
    """Its beginning."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot."""

    name: str
    is_active: bool
    retained_bytes: int | None
    """WAL that it keeps from being removed."""


@dataclass(frozen=True, slots=True)
class Activity:
    """A look at the running server."""

    long_transactions: tuple[LongTransaction, ...]
    prepared_transactions: int
    slots: tuple[Slot, ...]
    connections: int
    longest_lock_wait_s: float | None
    """Of anybody, at the moment of looking."""
    statistics_age_days: float | None = None
    """Since the database's statistics were reset; None where the server doesn't know."""
