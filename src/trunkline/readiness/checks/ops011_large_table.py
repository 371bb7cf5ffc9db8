"""OPS011: tables so large that rewriting them takes long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import tables
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.options import FILLED_ROWS_PER_S
from trunkline.readiness.report import Finding
from trunkline.readiness.told import size, span, whole_rows, whole_size

_LONG_S = 600


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each large table that the migration has something to do with."""
    for match, relation in tables(evidence):
        rows = whole_rows(evidence.catalogue, relation)
        seconds = rows / FILLED_ROWS_PER_S
        if seconds > _LONG_S and _is_rewritten(match):
            yield Finding(
                code=CHECK.code,
                severity="info",
                component="operations",
                object=str(relation.name),
                evidence=(
                    f"{relation.name} has about {rows:,} rows in {size(whole_size(evidence.catalogue, relation))},"
                    " and columns to fill."
                ),
                impact=f"Rewriting it takes about {span(seconds)}, and up to that much disk once more.",
                remedy=(
                    "trunkline migrate start URL\n"
                    "-- works in batches while both applications run, and goes on after an interruption."
                ),
            )


def _is_rewritten(match: TableMatch) -> bool:
    """Whether rows get other values: columns that are missing and can't be empty, or have another type or shape."""
    return any(
        each.how in ("retyped", "reshaped") or (each.how == "missing" and not each.wanted.nullable)
        for each in match.columns.values()
    )


def _grown(evidence: Evidence) -> Evidence:
    """Each table as if it had fifty million rows."""
    relations = {
        name: replace(each, rows=50_000_000, size_bytes=10 * 1024**3)
        for name, each in evidence.catalogue.relations.items()
    }
    matches = {
        name: replace(match, relation=None if match.relation is None else relations[match.relation.name])
        for name, match in evidence.matching.tables.items()
    }
    return replace(
        evidence,
        catalogue=replace(evidence.catalogue, relations=relations),
        matching=replace(evidence.matching, tables=matches),
    )


CHECK = Check(
    code="OPS011",
    title="Large table to rewrite",
    component="operations",
    severity="info",
    about="""
The migration has to fill or convert columns of a table for which, at a paced 5,000 rows a second, it needs more than
ten minutes. It does so in small batches beside the running applications, and goes on where it was interrupted; no lock
is held for that time. But it takes disk: each rewritten row stays as a dead one until vacuum comes.

Start it at a quiet hour, with as much free disk as the table takes. Tables that only change their names are not named
here, whatever their size: that takes milliseconds.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table orders drop column created_at;", finds=("orders",), as_if=_grown),
        Case(
            CLEAN + "alter table orders alter column note type varchar[] using null;", finds=("orders",), as_if=_grown
        ),
    ),
    good=(
        Case(CLEAN, as_if=_grown),
        Case(CLEAN + "alter table shops rename to stores;", as_if=_grown),
        Case(CLEAN + "alter table orders drop column created_at;"),
    ),
)
