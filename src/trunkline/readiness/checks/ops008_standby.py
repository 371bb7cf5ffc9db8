"""OPS008: a standby instead of the primary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """At most one."""
    if evidence.catalogue.server.is_standby:
        yield Finding(
            code=CHECK.code,
            severity="info",
            component="operations",
            object="server",
            evidence="The server is in recovery: it is a standby, and can't be written.",
            impact="Writes could not be tried, so what policies do to them is not known; a migration can't run here.",
            remedy="-- Run the analysis, and the migration, on the primary.",
        )


def _standby(evidence: Evidence) -> Evidence:
    server = replace(evidence.catalogue.server, is_standby=True)
    return replace(evidence, catalogue=replace(evidence.catalogue, server=server))


CHECK = Check(
    code="OPS008",
    title="The server is a standby",
    component="operations",
    severity="info",
    about="""
The URL leads to a standby, which follows a primary and refuses every write. Names, types, rows and rights are seen as
on the primary, a little late. Write probes run nowhere on it, and stand among what was not checked.

Run it on the primary for the whole answer. On purpose, as to keep load away from the primary, it can be ignored.
""",
    find=find,
    bad=(Case("", finds=("server",), as_if=_standby),),
    good=(Case(""),),
)
