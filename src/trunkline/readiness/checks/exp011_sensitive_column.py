"""EXP011: a column that sounds like a secret can be read by public roles."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Column, Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import column_name
from trunkline.readiness.reach import PUBLIC_ROLES, binding, can_enter
from trunkline.readiness.report import Finding

_NAMES = re.compile(
    r"(?:^|_)(?:password|passwd|pwd|passphrase|secret|private_key|api_?key|access_key|auth_key|jwt|otp|cvv|cvc|iban|ssn|"
    r"social_security|passport_number|national_id|tax_id|credit_card|card_number|account_number|recovery_code|"
    r"backup_code|verification_code|ssh_key|pgp_key|(?:access|refresh|oauth|session|bearer|api|auth|reset)_token)"
    r"(?:_hash|_digest|_encrypted|_number|_code)?s?$|^token$|^(?:password|secret|token|key)_hash$",
    re.IGNORECASE,
)
_STORED = re.compile(r"text|char|bytea|json|citext|numeric|bigint|integer")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns of tables that anybody can read, or that everybody who has signed up reads without policies."""
    for relation in evidence.catalogue.own_relations():
        if relation.kind == "sequence" or relation.is_partition:
            continue
        for column in relation.columns.values():
            if _NAMES.search(column.name) and _STORED.search(column.base_type):
                yield from _judge(evidence, relation, column)


def _judge(evidence: Evidence, relation: Relation, column: Column) -> Iterator[Finding]:
    readers = [role for role in PUBLIC_ROLES if _reads(evidence, relation, column, role)]
    if not readers or (readers == ["authenticated"] and relation.has_row_security):
        return
    name = column_name(relation.name, column.name)
    guard = "under policies" if relation.has_row_security else "without row-level security"
    yield Finding(
        code=CHECK.code,
        severity="minor" if relation.has_row_security else "major",
        component="exposure",
        object=name,
        evidence=f"{' and '.join(readers)} may select it, {guard}.",
        impact="Secrets or personal data can be read by people whom they don't belong to.",
        remedy=f"revoke select on {relation.name.sql} from {', '.join(readers)};\n"
        f"grant select (…) on {relation.name.sql} to {', '.join(readers)};  -- the columns that they need",
    )


def _reads(evidence: Evidence, relation: Relation, column: Column, role: str) -> bool:
    catalogue = evidence.catalogue
    if role not in catalogue.roles or not can_enter(catalogue, role, relation.name.schema):
        return False
    roles = catalogue.roles_of(role)
    may = any(
        each.grantee in roles and each.privilege == "select" and (not each.columns or column.name in each.columns)
        for each in relation.grants
    )
    return may and (not relation.has_row_security or any(binding(catalogue, relation, role, "select")))


CHECK = Check(
    code="EXP011",
    title="Sensitive column within reach",
    component="exposure",
    severity="major",
    about="""
Goes by names: `password`, `secret`, `api_key`, `refresh_token`, `ssn`, `iban` and others like them. Reported is a
column that `anon` may select, or `authenticated` in a table without row-level security.

**Major** without row-level security; **minor** under policies that let `anon` in. Keep such columns in a table of their
own, grant the other columns one by one, and store hashes where the value itself is never needed. Ignore it where the
name says more than the content.
""",
    find=find,
    bad=(
        Case(
            "create table hooks (id int, webhook_secret text); grant select on hooks to authenticated;",
            finds=("hooks.webhook_secret",),
        ),
        Case(
            CLEAN + "alter table shops add api_key text; grant select on shops to anon;"
            " create policy listed on shops for select to anon using (name = 'listed');",
            finds=("shops.api_key",),
        ),
    ),
    good=(
        Case("create table hooks (id int, webhook_secret text); grant select (id) on hooks to authenticated;"),
        Case("create table usage (id int, tokens_used int, max_tokens int); grant select on usage to anon;"),
        Case(CLEAN + "alter table shops add api_key text;"),
    ),
    covers=("splinter 0023_sensitive_columns_exposed",),
)
