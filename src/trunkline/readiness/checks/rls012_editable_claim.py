"""RLS012: a policy trusts what users write about themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import policy_component
from trunkline.readiness.report import Finding

_EDITABLE = re.compile(r"\b(raw_)?user_meta_?data\b", re.IGNORECASE)


def find(evidence: Evidence) -> Iterator[Finding]:
    """Policies that read `user_metadata`."""
    for relation in own_tables(evidence):
        for policy in relation.policies:
            said = f"{policy.using or ''} {policy.check or ''}"
            if found := _EDITABLE.search(said):
                yield Finding(
                    code=CHECK.code,
                    severity="major",
                    component=policy_component(evidence, relation),
                    object=f"{relation.name} policy {quote(policy.name)}",
                    evidence=f"It reads {found[0]}: {said.strip()}",
                    impact="Users write their own metadata, and with it make themselves members or administrators.",
                    remedy=f"alter policy {quote(policy.name)} on {relation.name.sql} …;"
                    "  -- with app_metadata, which only the server writes, or a table of members",
                )


CHECK = Check(
    code="RLS012",
    title="Policy that trusts what users can edit",
    component="rls_policies",
    severity="major",
    about="""
On Supabase everybody may change their own `user_metadata` (`raw_user_meta_data` in `auth.users`) with one call from the
browser. A policy that finds an organization or a role there lets users choose it.

What may be trusted: `sub`, `app_metadata` (`raw_app_meta_data`), and rows that only the server or an administrator can
write.
""",
    find=find,
    bad=(
        Case(
            CLEAN
            + "create policy chosen on shops for select to authenticated"
            + " using (id::text = (select auth.jwt() -> 'user_metadata' ->> 'shop'));",
            finds=("shops policy chosen",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN
            + "create policy given on shops for select to authenticated"
            + " using (id::text = (select auth.jwt() -> 'app_metadata' ->> 'shop'));"
        ),
    ),
    covers=("splinter 0015_rls_references_user_metadata",),
)
