"""DAT002: rows without a value that the code relies on."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.data import BadRows
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, key_name, tables
from trunkline.readiness.report import Finding
from trunkline.readiness.target import TargetColumn

_NULLABLE = (
    CLEAN + "alter table shops alter column name drop not null; alter table orders alter created_at drop not null;"
)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each column with NULLs; minor where the migration knows what to put there."""
    for bad in evidence.data.bad:
        if bad.fault != "null":
            continue
        wanted = _wanted(evidence, bad)
        is_filled = wanted is not None and (wanted.has_default or wanted.is_derived)
        yield Finding(
            code=CHECK.code,
            severity="minor" if is_filled else "major",
            component="data",
            object=key_name(bad.relation, bad.columns),
            evidence=f"{bad.relation}: {bad.told} have no value, where each needs one; e.g. {bad.samples_told}.",
            impact="Code that reads these rows finds nothing where it was promised a value; NOT NULL can't be set.",
            remedy=_remedy(bad, is_filled=is_filled),
        )


def _wanted(evidence: Evidence, bad: BadRows) -> TargetColumn | None:
    """The target's column that a fault is about."""
    for match, relation in tables(evidence):
        for name, wanted in match.wanted.columns.items():
            if relation.name == bad.relation and match.actual(name) == bad.columns[0]:
                return wanted
    return None


def _remedy(bad: BadRows, *, is_filled: bool) -> str:
    column = quote(bad.columns[0])
    update = f"update {bad.relation.sql} as t set {column} = … where {bad.where};"
    return f"{MIGRATE}\n-- fills them; or by hand: {update}" if is_filled else f"-- Fill them: {update}"


CHECK = Check(
    code="DAT002",
    title="NULLs where the code wants a value",
    component="data",
    severity="major",
    about="""
Rows with NULL in a column that the models declare NOT NULL. It happens where the column was added later, or was always
nullable. The code was written for a value and trips over these rows; `alter column … set not null` is refused.

Fill them with an `update`. Where the models have a default for the column, or a trigger derives it from the parent, it
is minor: the migration fills them. Ignore it only where these rows are never read.
""",
    find=find,
    bad=(
        Case(_NULLABLE + "insert into shops (owner_id) values (gen_random_uuid());", finds=("shops.name",)),
        Case(
            _NULLABLE
            + """insert into shops (id, owner_id, name)
            values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a');
            insert into orders (shop_id, created_at) values ('00000000-0000-0000-0000-000000000001', null);""",
            finds=("orders.created_at",),
        ),
    ),
    good=(
        Case(_NULLABLE + "insert into shops (owner_id, name) values (gen_random_uuid(), '');"),
        Case(
            CLEAN
            + """insert into shops (id, owner_id, name)
            values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a');
            insert into orders (shop_id, note) values ('00000000-0000-0000-0000-000000000001', null);"""
        ),
    ),
)
