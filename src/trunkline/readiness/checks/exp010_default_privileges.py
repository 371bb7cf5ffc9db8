"""EXP010: new tables are granted to public roles by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import PLATFORM_SCHEMAS, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import PUBLIC_ROLES
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Default privileges on tables for anon, authenticated or everybody; one finding for each schema."""
    found: dict[str | None, dict[str, set[str]]] = {}
    for each in evidence.catalogue.default_privileges:
        is_public = each.grant.grantee in ("public", *PUBLIC_ROLES)
        if each.kind == "table" and is_public and each.schema not in PLATFORM_SCHEMAS:
            found.setdefault(each.schema, {}).setdefault(each.owner, set()).add(each.grant.grantee)
    for schema, owners in found.items():
        place = f"schema {quote(schema)}" if schema is not None else "all schemas"
        within = f" in schema {quote(schema)}" if schema is not None else ""
        grantees = ", ".join(sorted(set[str]().union(*owners.values())))
        yield Finding(
            code=CHECK.code,
            severity="minor",
            component="exposure",
            object=f"default privileges in {place}",
            evidence=f"Tables that {', '.join(sorted(owners))} will make are granted to {grantees}.",
            impact="A new table is open to the API from its first moment, until somebody thinks of row-level security.",
            remedy="\n".join(
                f"alter default privileges for role {quote(owner)}{within} revoke all on tables from {grantees};"
                for owner in sorted(owners)
            ),
        )


CHECK = Check(
    code="EXP010",
    title="New tables are open by default",
    component="exposure",
    severity="minor",
    about="""
Default privileges give rights on objects that don't exist yet. Supabase sets them so that `anon` and `authenticated`
hold everything on each new table of `public`: convenient, and the reason why tables without row-level security leak.

Take them away and grant what is needed with each table. Migrations that rely on them must grant for themselves then.
""",
    find=find,
    bad=(
        Case(
            "alter default privileges in schema public grant all on tables to anon, authenticated;",
            finds=("default privileges in schema public",),
        ),
    ),
    good=(
        Case("alter default privileges in schema public grant select on tables to service_role;"),
        Case("alter default privileges in schema public grant usage on sequences to anon;"),
    ),
)
