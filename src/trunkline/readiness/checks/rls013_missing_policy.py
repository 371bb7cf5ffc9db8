"""RLS013: the target lets a role do something, and no policy does."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import tables
from trunkline.readiness.reach import binding, policies_remedy, policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables with row-level security; of the others RLS001 speaks."""
    for match, relation in tables(evidence):
        missing = [
            (access, command)
            for access in match.wanted.access or ()
            for command in access.commands
            if not any(binding(evidence.catalogue, relation, access.role, command))
        ]
        if not missing or not relation.has_row_security:
            continue
        told = ", ".join(dict.fromkeys(f"{command} by {access.role}" for access, command in missing))
        absent = sorted({access.role for access, _ in missing} - evidence.catalogue.roles.keys())
        note = f" There is no role {', '.join(absent)}." if absent else ""
        yield Finding(
            code=CHECK.code,
            severity="major",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"No policy lets through: {told}.{note}",
            impact="Row-level security refuses what no policy allows: these roles see no rows and can write none.",
            remedy="".join(f"create role {each} nologin noinherit;\n" for each in absent)
            + policies_remedy(evidence, match, missing),
        )


CHECK = Check(
    code="RLS013",
    title="Missing policy",
    component="rls_policies",
    severity="major",
    about="""
The models declare for each table which role may run which command. For these no permissive policy names the role (or
one that it is a member of, or everybody) and the command. What the policies' conditions say is not compared here:
RLS007 to RLS009 run them.
""",
    find=find,
    bad=(
        Case(CLEAN + "drop policy orders_of_owner on orders;", finds=("orders",)),
        Case(
            CLEAN + "drop policy shops_of_owner on shops;"
            " create policy r on shops for select to authenticated using (owner_id = (select auth.uid()));",
            finds=("shops",),
        ),
    ),
    good=(Case(CLEAN), Case(CLEAN + "create table notes (id int); alter table notes enable row level security;")),
)
