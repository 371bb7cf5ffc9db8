"""OPS001: a server that is too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding

_OLDEST = 15


def find(evidence: Evidence) -> Iterator[Finding]:
    """At most one."""
    server = evidence.catalogue.server
    if server.major < _OLDEST:
        yield Finding(
            code=CHECK.code,
            severity="blocker",
            component="operations",
            object="server",
            evidence=f"The server is PostgreSQL {server.version_text}.",
            impact="Migration and policies rely on what older servers don't have, and fail half-way.",
            remedy=f"-- Upgrade the server to PostgreSQL {_OLDEST} or later (pg_upgrade, or your host's upgrade).",
        )


def _as_if_14(evidence: Evidence) -> Evidence:
    server = replace(evidence.catalogue.server, version=140_012, version_text="14.12")
    return replace(evidence, catalogue=replace(evidence.catalogue, server=server))


def _as_if_15(evidence: Evidence) -> Evidence:
    server = replace(evidence.catalogue.server, version=150_000, version_text="15.0")
    return replace(evidence, catalogue=replace(evidence.catalogue, server=server))


CHECK = Check(
    code="OPS001",
    title="Server is too old",
    component="operations",
    severity="blocker",
    about="""
PostgreSQL 15 or later is needed: views that run with the rights of their caller (`security_invoker`), unique indexes
that take NULLs as equal, and `set null` of one column of a foreign key came with it. Without the first, the views that
keep the old application alive would go around row-level security.

Upgrade the server. PostgreSQL 14 gets no corrections after November 2026.
""",
    find=find,
    bad=(Case("", finds=("server",), as_if=_as_if_14),),
    good=(Case(""), Case("", as_if=_as_if_15)),
)
