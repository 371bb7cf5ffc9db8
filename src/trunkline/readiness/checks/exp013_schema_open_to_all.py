"""EXP013: everybody may create objects in a schema."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import PLATFORM_SCHEMAS, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import PUBLIC_ROLES
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Schemas in which everybody, anon or authenticated hold CREATE."""
    for schema, grants in evidence.catalogue.schema_grants.items():
        who = sorted({each.grantee for each in grants if each.privilege == "create"} & {"public", *PUBLIC_ROLES})
        if who and schema not in PLATFORM_SCHEMAS:
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="exposure",
                object=f"schema {quote(schema)}",
                evidence=f"{', '.join('everybody' if each == 'public' else each for each in who)} may create in it.",
                impact="Any login can put a function or table there that others then call or read by mistake.",
                remedy=f"revoke create on schema {quote(schema)} from {', '.join(who)};",
            )


CHECK = Check(
    code="EXP013",
    title="Schema in which everybody can create",
    component="exposure",
    severity="major",
    about="""
Until PostgreSQL 14 everybody could create objects in `public`, and databases that were upgraded still have it so. With
`public` in the search path, a function of the right name and argument types is called instead of the one that was
meant, with the caller's rights (CVE-2018-1058).
""",
    find=find,
    bad=(
        Case("grant create on schema public to public;", finds=("schema public",)),
        Case("create schema shop; grant create on schema shop to authenticated;", finds=("schema shop",)),
    ),
    good=(Case("create schema shop; grant usage on schema shop to public;"),),
)
