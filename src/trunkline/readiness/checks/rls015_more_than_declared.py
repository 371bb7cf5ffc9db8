"""RLS015: a role can do more with its own rows than the target says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.behaviour.values import Tried
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import policy_component
from trunkline.readiness.report import Finding
from trunkline.readiness.tried import by_relation, told


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables of the target on which an own row was read or written beyond the declaration."""
    for relation, tried in by_relation(evidence, _is_more):
        revoked = sorted({(each.observation.role, each.observation.command) for each in tried})
        yield Finding(
            code=CHECK.code,
            severity="minor",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"Allowed on an own row, and not declared: {told(tried)}.",
            impact="People can do by hand to their own data what the application never does, as deleting a record.",
            remedy="\n".join(f"revoke {command} on {relation.name.sql} from {role};" for role, command in revoked),
        )


def _is_more(tried: Tried) -> bool:
    return tried.observation.rows == "own" and tried.observation.outcome == "allowed"


def _shops_are_kept(evidence: Evidence) -> Evidence:
    """As if the target didn't let anybody delete a shop."""
    tried = tuple(
        replace(each, is_expected=False)
        if (each.observation.table, each.observation.command, each.observation.rows) == ("shops", "delete", "own")
        else each
        for each in evidence.behaviour.tried
    )
    return replace(evidence, behaviour=replace(evidence.behaviour, tried=tried))


CHECK = Check(
    code="RLS015",
    title="More is allowed than declared",
    component="rls_policies",
    severity="minor",
    about="""
The models declare which role may do what with its own rows. When it was tried, on made-up rows that are rolled back, a
role could do more: delete messages of a record that is meant to be kept, or change what only the server should. No
other tenant is touched; RLS007 and RLS008 speak of that.

Ignore it while an older application still needs the right.
""",
    find=find,
    bad=(Case(CLEAN, finds=("shops",), as_if=_shops_are_kept),),
    good=(Case(CLEAN),),
)
