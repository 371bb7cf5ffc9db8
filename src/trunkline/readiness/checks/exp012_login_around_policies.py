"""EXP012: a role that can log in, and holds rights here, goes around policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from trunkline.postgres.catalogue.model import Catalogue, Role, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.report import Finding

_OF_THE_PLATFORM = re.compile(r"supabase_|pgbouncer$|authenticator$|dashboard_user$|postgres$|rds|cloudsql|azure")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Login roles with rights on tables, superusers and a platform's own left out, whom policies don't bind."""
    catalogue = evidence.catalogue
    for role in catalogue.roles.values():
        if not role.can_login or role.is_superuser or _OF_THE_PLATFORM.match(role.name):
            continue
        why = _way_around(catalogue, role)
        if why and _is_used(catalogue, role):
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="exposure",
                object=f"role {quote(role.name)}",
                evidence=f"It can log in, holds rights on tables, and {why}.",
                impact="An application that connects as this role reads and writes the rows of all tenants.",
                remedy=f"alter role {quote(role.name)} nobypassrls;\n"
                "-- and take it out of the roles that it doesn't need; let the application log in as a role that"
                " owns nothing",
            )


def _is_used(catalogue: Catalogue, role: Role) -> bool:
    return any(
        grant.grantee == role.name and grant.privilege in ("select", "insert", "update", "delete")
        for relation in catalogue.own_relations()
        if relation.owner != role.name
        for grant in relation.grants
    )


def _way_around(catalogue: Catalogue, role: Role) -> str | None:
    if role.bypasses_rls:
        return "has BYPASSRLS"
    for name in sorted(catalogue.roles_of(role.name) - {role.name, "public"}):
        other = catalogue.roles.get(name)
        if other is not None and (other.is_superuser or other.bypasses_rls):
            return f"can become {name}, which is bound by no policy"
        if any(each.has_row_security and each.owner == name for each in catalogue.own_relations()):
            return f"can become {name}, which owns tables with policies"
    return None


def _as_if_it_logged_in(evidence: Evidence) -> Evidence:
    roles = dict(evidence.catalogue.roles)
    roles["service_role"] = replace(
        roles["service_role"], can_login=True, is_superuser=False, bypasses_rls=True, member_of=()
    )
    return replace(evidence, catalogue=replace(evidence.catalogue, roles=roles))


CHECK = Check(
    code="EXP012",
    title="Login that goes around policies",
    component="exposure",
    severity="major",
    about="""
Policies bind neither superusers, nor roles with BYPASSRLS, nor (unless forced) a table's owner, nor whoever is a member
of one of those and can become it with SET ROLE. An application should log in as a role that is none of them.

Reported are roles that can log in and were granted rights on tables of this database. Superusers and the roles of known
platforms are left out: they are not what applications log in as, and nobody can take the right from them.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "grant select on shops to service_role;",
            finds=("role service_role",),
            as_if=_as_if_it_logged_in,
        ),
    ),
    good=(Case(CLEAN + "grant select on shops to service_role;"), Case(CLEAN, as_if=_as_if_it_logged_in)),
)
