"""EXP002: a function finds its tables and functions by the caller's search path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Function
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import own_functions, signature
from trunkline.readiness.report import Finding

_BOUND = re.compile(r"\s*(begin\s+atomic\b|return\b)", re.IGNORECASE)


def find(evidence: Evidence) -> Iterator[Finding]:
    """Functions in SQL or PL/pgSQL without `set search_path`, whose names are looked up when they are called."""
    for function in own_functions(evidence.catalogue):
        if not _is_open(function):
            continue
        owner = f" with the rights of {function.owner}" if function.is_definer else ""
        yield Finding(
            code=CHECK.code,
            severity="major" if function.is_definer else "minor",
            component="exposure",
            object=signature(function),
            evidence=f"No search_path is set for it, and it runs{owner or ' with the rights of its caller'}.",
            impact="Who puts a table or function of the same name into an earlier schema has it used instead"
            + (f",{owner}." if owner else "."),
            remedy=f"alter function {signature(function, always_with_schema=True)} set search_path = '';\n"
            "-- and name each table and function in it with its schema",
        )


def _is_open(function: Function) -> bool:
    # The body of a function in standard SQL (`begin atomic`, `return`) was bound to its objects when it was made.
    is_bound_late = function.language == "plpgsql" or (function.language == "sql" and not _BOUND.match(function.source))
    return is_bound_late and "search_path" not in function.settings


CHECK = Check(
    code="EXP002",
    title="Function with an open search path",
    component="exposure",
    severity="major",
    about="""
A function without `set search_path` looks names up by its caller's. With SECURITY DEFINER (**major**) that is a way to
its owner's rights: the caller makes a temporary table of the right name, and the function reads that one. Without, it
is a source of mistakes (**minor**): it works in one session and fails in the next.

Set it to `''` and write every name with its schema, or to `pg_catalog, pg_temp`, temporary objects last.
""",
    find=find,
    bad=(
        Case(
            "create function all_ids() returns setof oid language sql security definer as 'select oid from pg_class';",
            finds=("all_ids()",),
        ),
        Case("create function one() returns int language plpgsql as 'begin return 1; end';", finds=("one()",)),
    ),
    good=(
        Case("create function one() returns int language sql set search_path = '' as 'select 1';"),
        Case("create function one() returns int language sql return 1;"),
    ),
    covers=("splinter 0011_function_search_path_mutable",),
)
