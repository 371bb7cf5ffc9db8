"""OPS007: a pooler between this analysis and the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """At most one."""
    if evidence.catalogue.server.is_pooled:
        yield Finding(
            code=CHECK.code,
            severity="info",
            component="operations",
            object="connection",
            evidence="A pooler answers for the server: the connection's process is not the server's.",
            impact="The migration refuses this URL: its locks and settings would end with each transaction.",
            remedy="-- Give the migration the server's own address (on Supabase: the direct connection, port 5432).",
        )


def _pooled(evidence: Evidence) -> Evidence:
    server = replace(evidence.catalogue.server, is_pooled=True)
    return replace(evidence, catalogue=replace(evidence.catalogue, server=server))


CHECK = Check(
    code="OPS007",
    title="A pooler is in between",
    component="operations",
    severity="info",
    about="""
The URL leads to a pooler (PgBouncer, Supavisor), which lends a server's connection for a transaction at a time. The
analysis works through it, and so does the server of the application. The migration needs a direct connection: it holds
a lock for as long as it runs, and makes indexes concurrently.

Use the server's own address for `trunkline migrate`. For the analysis this can be ignored.
""",
    find=find,
    bad=(Case("", finds=("connection",), as_if=_pooled),),
    good=(Case(""),),
)
