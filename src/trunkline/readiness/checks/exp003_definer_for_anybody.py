"""EXP003: anybody may call a function that runs with its owner's rights."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Catalogue, Function
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import PUBLIC_ROLES, can_enter, own_functions, passes_policies, signature
from trunkline.readiness.report import Finding, Severity

_SIGNED_UP = "Everybody who has signed up calls it"


def find(evidence: Evidence) -> Iterator[Finding]:
    """SECURITY DEFINER functions, triggers' functions left out: nobody can call those."""
    for function in own_functions(evidence.catalogue):
        if function.is_definer and not function.is_trigger:
            yield from _judge(evidence.catalogue, function)


def _judge(catalogue: Catalogue, function: Function) -> Iterator[Finding]:
    callers = [role for role in PUBLIC_ROLES if _may_call(catalogue, role, function)]
    around = passes_policies(catalogue, function.owner)
    if not callers or (callers == ["authenticated"] and not around):
        return
    severity: Severity = "major" if around else "minor"
    name = signature(function, always_with_schema=True)
    yield Finding(
        code=CHECK.code,
        severity=severity if "anon" in callers else "info",
        component="exposure",
        object=signature(function),
        evidence=f"{' and '.join(callers)} may call it, and it runs as {function.owner}"
        + (", whom policies don't bind." if around else "."),
        impact=("Whoever holds the public key calls it without signing in" if "anon" in callers else _SIGNED_UP)
        + ", past the policies of its caller.",
        remedy=f"revoke execute on function {name} from public, anon, authenticated;\n"
        f"grant execute on function {name} to …;  -- those who are meant to call it",
    )


def _may_call(catalogue: Catalogue, role: str, function: Function) -> bool:
    roles = catalogue.roles_of(role)
    may = any(each.grantee in roles and each.privilege == "execute" for each in function.grants)
    return may and role in catalogue.roles and can_enter(catalogue, role, function.name.schema)


CHECK = Check(
    code="EXP003",
    title="Definer function that anybody may call",
    component="exposure",
    severity="major",
    about="""
A SECURITY DEFINER function runs with the rights of its owner and so goes around the policies of its caller. PostgreSQL
lets everybody call a new function, and PostgREST offers it under `/rpc/`. Take the right away from `public` and `anon`,
and grant it to those who need it.

**Major** where policies don't bind the owner (a superuser, a role with BYPASSRLS, an owner of tables); else **minor**.
Ignore it for functions that are meant for people who haven't signed in, and check all that they are given.

Where only `authenticated` may call it, it is **info**, and nothing where policies bind the owner: telling members which
organizations are theirs is just what a definer function is for. Let it decide by `auth.uid()`, never by an argument.
""",
    find=find,
    bad=(
        Case(
            "create function total() returns bigint language sql security definer set search_path = ''"
            " as 'select count(*) from auth.users';",
            finds=("total()",),
        ),
        Case(
            "create function total() returns bigint language sql security definer set search_path = ''"
            " as 'select count(*) from auth.users'; revoke execute on function total() from public;"
            " grant execute on function total() to authenticated;",
            finds=("total()",),
        ),
    ),
    good=(
        Case(
            "create function total() returns bigint language sql security definer set search_path = ''"
            " as 'select count(*) from auth.users'; revoke execute on function total() from public;"
        ),
        Case("create function total() returns bigint language sql return 1;"),
    ),
    covers=(
        "splinter 0028_anon_security_definer_function_executable",
        "splinter 0029_authenticated_security_definer_function_executable",
    ),
)
