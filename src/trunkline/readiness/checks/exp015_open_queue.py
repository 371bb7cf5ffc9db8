"""EXP015: a message queue is open to public roles."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import COMMANDS, held, told
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Queues of pgmq without row-level security on which anon or authenticated hold a right."""
    for relation in evidence.catalogue.relations.values():
        is_queue = relation.name.schema == "pgmq" and relation.name.name.startswith(("q_", "a_")) and relation.is_table
        rights = held(evidence.catalogue, relation, COMMANDS) if is_queue else {}
        if rights and not relation.has_row_security:
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="exposure",
                object=str(relation.name),
                evidence=f"Row-level security is off. {told(rights)}.",
                impact="Anybody reads and forges the messages that background work acts on.",
                remedy=f"alter table {relation.name.sql} enable row level security;",
            )


CHECK = Check(
    code="EXP015",
    title="Message queue within reach",
    component="exposure",
    severity="major",
    about="""
The extension `pgmq` keeps each queue in a table of its schema. With rights on them for `anon` or `authenticated` and
without row-level security, whoever calls the API reads all messages and sends any.
""",
    find=find,
    bad=(
        Case(
            "create schema pgmq; grant usage on schema pgmq to anon; create table pgmq.q_mails (msg_id bigint);"
            " grant select on pgmq.q_mails to anon;",
            finds=("pgmq.q_mails",),
        ),
    ),
    good=(Case("create schema pgmq; create table pgmq.q_mails (msg_id bigint);"),),
    covers=("splinter 0019_insecure_queue_exposed_in_api",),
)
