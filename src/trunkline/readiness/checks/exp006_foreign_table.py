"""EXP006: a public role can read a foreign table."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import COMMANDS, held, told
from trunkline.readiness.report import Finding

_FOREIGN = (
    "create foreign data wrapper nothing; create server elsewhere foreign data wrapper nothing;"
    " create foreign table invoices (id int) server elsewhere;"
)


def find(evidence: Evidence) -> Iterator[Finding]:
    """Foreign tables on which anon or authenticated hold a right."""
    for relation in evidence.catalogue.own_relations():
        rights = held(evidence.catalogue, relation, COMMANDS) if relation.kind == "foreign table" else {}
        if rights:
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="exposure",
                object=str(relation.name),
                evidence=f"{told(rights)}; row-level security can't be put on a foreign table.",
                impact="All that the other system gives out through it is open to these roles.",
                remedy=f"revoke all on {relation.name.sql} from public, anon, authenticated;",
            )


CHECK = Check(
    code="EXP006",
    title="Foreign table within reach",
    component="exposure",
    severity="major",
    about="""
A foreign table reads another system (a payment provider, another database) with credentials that are stored in this
one. PostgreSQL has no row-level security for it. Keep it in a schema that requests can't reach, and show what is needed
through a function.
""",
    find=find,
    bad=(Case(_FOREIGN + "grant select on invoices to anon;", finds=("invoices",)),),
    good=(Case(_FOREIGN),),
    covers=("splinter 0017_foreign_table_in_api",),
)
