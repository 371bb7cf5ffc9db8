"""EXP007: a view shows `auth.users`."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import held, told
from trunkline.readiness.report import Finding

_USERS = Name("auth", "users")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Views and materialized views on `auth.users` that public roles can read, with their owner's rights."""
    for view in evidence.catalogue.own_relations():
        if view.kind not in ("view", "materialized view") or _USERS not in view.reads or view.is_security_invoker:
            continue
        rights = held(evidence.catalogue, view, ("select",))
        if rights:
            yield Finding(
                code=CHECK.code,
                severity="blocker" if "anon" in rights else "major",
                component="exposure",
                object=str(view.name),
                evidence=f"It reads auth.users as {view.owner}. {told(rights)}. It shows: {', '.join(view.columns)}.",
                impact="Everybody's account data, as e-mail addresses, is open to "
                + ("anybody without signing in." if "anon" in rights else "everybody who has signed up."),
                remedy=f"revoke all on {view.name.sql} from public, anon, authenticated;\n"
                "-- keep what the application shows of a person in a table of its own, with policies",
            )


CHECK = Check(
    code="EXP007",
    title="Users' accounts through a view",
    component="exposure",
    severity="blocker",
    about="""
`auth.users` holds e-mail addresses, telephone numbers, metadata and hashes, and requests can't reach it, for good
reason. A view on it, owned by a role that may read it, hands it out.

A **blocker** where `anon` can read the view: anybody reads about all users. **Major** where one has to sign up first.
Ignore it where the view shows the caller's own row only.
""",
    find=find,
    bad=(
        Case(
            "create view people as select id, email from auth.users; grant select on people to anon;",
            finds=("people",),
        ),
    ),
    good=(
        Case("create view people as select id, email from auth.users;"),
        Case(
            "create view people with (security_invoker = true) as select id, email from auth.users;"
            " grant select on people to anon;"
        ),
    ),
    covers=("splinter 0002_auth_users_exposed",),
)
