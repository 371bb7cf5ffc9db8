"""EXP021: rights on tables that everybody holds, or that a role may pass on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trunkline.postgres.catalogue.model import Grant, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import names
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each table with such rights; the owner's own are left out."""
    for relation in evidence.catalogue.own_relations():
        if relation.is_table and (told := list(_told(relation))):
            sentences, remedies = zip(*told, strict=True)
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=str(relation.name),
                evidence=f"{'; '.join(sentences)}.",
                impact="Roles that nobody thought of get at the table, each new login of the server among them.",
                remedy="\n".join(remedies),
            )


def _told(relation: Relation) -> Iterator[tuple[str, str]]:
    """Who holds what, and how to take it back."""
    name = relation.name.sql
    if rights := _rights(each for each in relation.grants if each.grantee == "public"):
        yield (
            f"everybody may {rights}",
            f"revoke {rights} on {name} from public;  -- grant it to those who need it",
        )
    for role in sorted({each.grantee for each in relation.grants if each.is_grantable} - {relation.owner}):
        rights = _rights(each for each in relation.grants if each.grantee == role and each.is_grantable)
        yield f"{role} may pass on {rights}", f"revoke grant option for {rights} on {name} from {quote(role)};"


def _rights(grants: Iterable[Grant]) -> str:
    """As GRANT writes them: `select, update (note)`."""
    rights = {f"{each.privilege} ({names(each.columns)})" if each.columns else each.privilege for each in grants}
    return ", ".join(sorted(rights))


CHECK = Check(
    code="EXP021",
    title="Rights that everybody holds or that can be passed on",
    component="exposure",
    severity="minor",
    about="""
A right that is granted to `public` is everybody's: also of roles that are made later, for reporting or for another
service. A right WITH GRANT OPTION can be passed on by who holds it, and nobody is asked. Row-level security still
decides about rows; but policies without `TO` are for everybody, too.

Grant to the roles that need it. Ignore it for tables of reference that every role of the server is meant to read.
""",
    find=find,
    bad=(
        Case(CLEAN + "grant select on shops to public;", finds=("shops",)),
        Case(CLEAN + "grant update (note) on orders to authenticated with grant option;", finds=("orders",)),
    ),
    good=(Case(CLEAN), Case(CLEAN + "grant select on shops to service_role;")),
)
