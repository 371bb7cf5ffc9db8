"""EXP019: everybody holds rights on a table."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables and views with grants to PUBLIC."""
    for relation in evidence.catalogue.own_relations():
        rights = sorted({each.privilege for each in relation.grants if each.grantee == "public"})
        if rights and relation.kind != "sequence":
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=str(relation.name),
                evidence=f"Granted to PUBLIC: {', '.join(rights)}.",
                impact="Every role of the server has these rights, also those made later for something else.",
                remedy=f"revoke all on {relation.name.sql} from public;\n"
                f"grant {', '.join(rights)} on {relation.name.sql} to …;  -- the roles that need it",
            )


CHECK = Check(
    code="EXP019",
    title="Granted to everybody",
    component="exposure",
    severity="minor",
    about="""
A grant to PUBLIC is held by every role that exists or will: by `anon`, by the login of a report tool, by whoever may
connect. Row-level security still binds them, where it is on. Grant to the roles that need it, by name.
""",
    find=find,
    bad=(Case(CLEAN + "grant select on orders to public;", finds=("orders",)),),
    good=(Case(CLEAN), Case(CLEAN + "grant select on orders to service_role;")),
)
