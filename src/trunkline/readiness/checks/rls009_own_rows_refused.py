"""RLS009: a role is refused what the target lets it do with its own rows."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.behaviour.values import Tried
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import binding, policies_remedy, policy_component
from trunkline.readiness.report import Finding
from trunkline.readiness.tried import by_relation, details, told


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables of the target on which an own row was refused."""
    for relation, tried in by_relation(evidence, lambda each: _is_refused(evidence, each)):
        words = details(tried)
        yield Finding(
            code=CHECK.code,
            severity="major",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"Refused on an own row: {told(tried)}." + (f" The server said: {words}." if words else ""),
            impact="The code's statements on people's own data fail, or find no rows.",
            remedy=_remedy(evidence, relation, tried),
        )


def _is_refused(evidence: Evidence, tried: Tried) -> bool:
    """Refused although there is a policy; RLS013 tells where there is none."""
    seen = tried.observation
    relation = evidence.catalogue.relations[tried.relation]
    is_covered = not relation.has_row_security or any(binding(evidence.catalogue, relation, seen.role, seen.command))
    return seen.rows == "own" and seen.outcome == "denied" and is_covered


def _remedy(evidence: Evidence, relation: Relation, tried: list[Tried]) -> str:
    match = evidence.matching.of(relation)
    if match is None:
        return ""
    refused = {(each.observation.role, each.observation.command) for each in tried}
    wanted = [
        (access, command)
        for access in match.wanted.access or ()
        for command in access.commands
        if (access.role, command) in refused
    ]
    return policies_remedy(evidence, match, wanted)


CHECK = Check(
    code="RLS009",
    title="Own rows are refused",
    component="rls_policies",
    severity="major",
    about="""
The models declare which role may do what with its own rows. Here it was tried, on made-up rows that are rolled back,
and refused: a right or a policy is missing, or a policy asks for something else. The code gets errors, or worse, empty
answers without one. Where no policy is for the role and the command at all, RLS013 tells it.

The row is as the models' declaration wants it, its person is a member of the organization with the strongest role that
the table allows. Roles that hold no right at all in this database are left to RLS013.
""",
    find=find,
    bad=(
        Case(CLEAN + "revoke delete on orders from authenticated;", finds=("orders",)),
        Case(
            CLEAN + "create policy no_more on shops as restrictive for insert to authenticated with check (false);",
            finds=("shops",),
        ),
    ),
    good=(Case(CLEAN), Case(CLEAN + "revoke all on orders from anon;")),
)
