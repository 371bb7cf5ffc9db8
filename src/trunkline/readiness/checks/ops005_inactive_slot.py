"""OPS005: replication slots that nobody reads, and that keep WAL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.operations import Slot
from trunkline.readiness.report import Finding
from trunkline.readiness.told import size

_NOTABLE = 64 * 1024**2
_MUCH = 1024**3


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each slot; from a gigabyte on it is major."""
    for slot in evidence.activity.slots:
        if slot.is_active or slot.retained_bytes is None or slot.retained_bytes < _NOTABLE:
            continue
        kind = "logical" if slot.is_logical else "physical"
        yield Finding(
            code=CHECK.code,
            severity="major" if slot.retained_bytes >= _MUCH else "minor",
            component="operations",
            object=f"slot {slot.name}",
            evidence=f"The {kind} slot {slot.name} is not in use and keeps {size(slot.retained_bytes)} of WAL.",
            impact="WAL piles up until the disk is full and the server stops; a migration writes much of it.",
            remedy=f"-- Start what reads it, or, if nothing does:\nselect pg_drop_replication_slot('{slot.name}');",
        )


def _with(evidence: Evidence, *slots: Slot) -> Evidence:
    return replace(evidence, activity=replace(evidence.activity, slots=slots))


CHECK = Check(
    code="OPS005",
    title="Inactive replication slot",
    component="operations",
    severity="major",
    about="""
A replication slot keeps the server from removing WAL that its reader hasn't had yet. Where the reader is gone, as after
a trial of a change-data tool, WAL piles up until the disk is full. A backfill writes as much WAL as the rows it
touches, and so brings that day nearer. Slots that keep less than 64 MB are not reported: their reader may just be
restarting.

Start the reader again, or drop the slot. `max_slot_wal_keep_size` bounds what any slot may keep.
""",
    find=find,
    bad=(
        Case("", finds=("slot cdc",), as_if=lambda seen: _with(seen, Slot("cdc", False, 2 * _MUCH, True))),
        Case("", finds=("slot old",), as_if=lambda seen: _with(seen, Slot("old", False, 2 * _NOTABLE))),
    ),
    good=(
        Case(""),
        Case("", as_if=lambda seen: _with(seen, Slot("cdc", True, 2 * _MUCH, True))),
        Case("", as_if=lambda seen: _with(seen, Slot("new", False, None), Slot("calm", False, 1024))),
    ),
)
