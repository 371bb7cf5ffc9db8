"""EXP020: a public role may pass its rights on."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import PUBLIC_ROLES
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Grants with grant option to anon and authenticated."""
    for relation in evidence.catalogue.own_relations():
        held = [each for each in relation.grants if each.is_grantable and each.grantee in PUBLIC_ROLES]
        held = [each for each in held if each.grantee != relation.owner]
        if held:
            who = ", ".join(sorted({each.grantee for each in held}))
            rights = ", ".join(sorted({each.privilege for each in held}))
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=str(relation.name),
                evidence=f"With grant option: {rights}, to {who}.",
                impact="Whoever acts as this role decides who else may use the table.",
                remedy=f"revoke grant option for {rights} on {relation.name.sql} from {who} cascade;",
            )


CHECK = Check(
    code="EXP020",
    title="Rights that can be passed on",
    component="exposure",
    severity="minor",
    about="""
A right WITH GRANT OPTION lets its holder grant it to any other role. For roles that requests from anywhere act as, that
is never needed. Revoking the option takes away what was passed on with it (`cascade`).
""",
    find=find,
    bad=(Case(CLEAN + "grant select on orders to authenticated with grant option;", finds=("orders",)),),
    good=(Case(CLEAN), Case(CLEAN + "grant select on orders to service_role with grant option;")),
)
