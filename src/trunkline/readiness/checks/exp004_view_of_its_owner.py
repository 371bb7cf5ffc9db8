"""EXP004: a view that public roles can read asks policies as its owner."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import COMMANDS, held, passes_policies, told
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Views on tables with row-level security, without `security_invoker`, of owners whom policies don't bind."""
    for view in evidence.catalogue.own_relations():
        if view.kind != "view" or view.is_security_invoker:
            continue
        rights = held(evidence.catalogue, view, COMMANDS)
        around = [each for each in _protected(evidence, view) if _passes(evidence, view, each)]
        if rights and around:
            tables = ", ".join(str(each.name) for each in around)
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="exposure",
                object=str(view.name),
                evidence=f"It reads {tables} as {view.owner}, whom their policies don't bind. {told(rights)}.",
                impact="The view shows rows that the policies of its tables would hide from the one who asks.",
                remedy=f"alter view {view.name.sql} set (security_invoker = true);",
            )


def _protected(evidence: Evidence, view: Relation) -> Iterator[Relation]:
    for name in view.reads:
        relation = evidence.catalogue.relations.get(name)
        if relation is not None and relation.has_row_security:
            yield relation


def _passes(evidence: Evidence, view: Relation, table: Relation) -> bool:
    owns = table.owner in evidence.catalogue.roles_of(view.owner) and not table.forces_row_security
    return owns or passes_policies(evidence.catalogue, view.owner, as_owner=False)


CHECK = Check(
    code="EXP004",
    title="View that goes around policies",
    component="exposure",
    severity="major",
    about="""
A view reads its tables with the rights of its owner, policies included. Made by the tables' owner or a superuser, it
shows all rows to whoever may read the view. Since PostgreSQL 15 `with (security_invoker = true)` makes it ask as its
caller.

RLS007 looks through such views for rows of another tenant and tells where it found one. Ignore this one where the view
itself narrows what it shows, as a list of published articles does; `security_barrier` keeps it tight then.
""",
    find=find,
    bad=(
        Case(CLEAN + "create view names as select name from shops; grant select on names to anon;", finds=("names",)),
    ),
    good=(
        Case(CLEAN + "create view names as select name from shops;"),
        Case(
            CLEAN + "create view names with (security_invoker = true) as select name from shops;"
            " grant select on names to authenticated;"
        ),
    ),
    covers=("splinter 0010_security_definer_view",),
)
