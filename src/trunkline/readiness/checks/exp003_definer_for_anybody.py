"""EXP003: anybody may call a function that runs with its owner's rights."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Catalogue, Function
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import can_enter, own_functions, passes_policies, signature
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """SECURITY DEFINER functions that `anon` can call, triggers' functions left out: nobody can call those."""
    for function in own_functions(evidence.catalogue):
        if function.is_definer and not function.is_trigger and _anon_calls(evidence.catalogue, function):
            around = passes_policies(evidence.catalogue, function.owner)
            name = signature(function, always_with_schema=True)
            yield Finding(
                code=CHECK.code,
                severity="major" if around else "minor",
                component="exposure",
                object=signature(function),
                evidence=f"anon may call it, and it runs as {function.owner}"
                + (", whom policies don't bind." if around else "."),
                impact="Whoever holds the public key calls it without signing in, past the policies of its caller.",
                remedy=f"revoke execute on function {name} from public, anon;\n"
                f"grant execute on function {name} to authenticated;  -- those who are meant to call it",
            )


def _anon_calls(catalogue: Catalogue, function: Function) -> bool:
    roles = catalogue.roles_of("anon")
    may = any(each.grantee in roles and each.privilege == "execute" for each in function.grants)
    return may and "anon" in catalogue.roles and can_enter(catalogue, "anon", function.name.schema)


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

Functions that only `authenticated` may call are not reported: telling members their organizations is just what a
definer function is for.
""",
    find=find,
    bad=(
        Case(
            "create function total() returns bigint language sql security definer set search_path = ''"
            " as 'select count(*) from auth.users';",
            finds=("total()",),
        ),
    ),
    good=(
        Case(
            "create function total() returns bigint language sql security definer set search_path = ''"
            " as 'select count(*) from auth.users'; revoke execute on function total() from public;"
            " grant execute on function total() to authenticated;"
        ),
        Case("create function total() returns bigint language sql return 1;"),
    ),
    covers=("splinter 0028_anon_security_definer_function_executable",),
)
