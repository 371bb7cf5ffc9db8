"""Faults of rows that legacy databases were given are found, all of them and no other."""

from __future__ import annotations

import pytest
from tests.factories.legacy import variations as owners
from tests.factories.legacy.make import Generation, Variation, make_legacy
from tests.factories.looks import look

from trunkline.models import Base
from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.evidence.data import DataEvidence, collect_data
from trunkline.readiness.target import target_of

FAULTS = {"orphans": "orphan", "nulls": "null", "duplicates": "duplicate", "outside check": "outside check"}
COMBINATIONS: list[tuple[Generation, tuple[Variation, ...]]] = [
    ("newer", ()),
    ("older", ()),
    ("newer", (owners.NULLS, owners.DUPLICATES, owners.ORPHANS, owners.STRAY_ROLES)),
    ("older", (owners.NULLS, owners.ORPHANS, owners.STRAY_ROLES)),
    ("newer", (owners.BIGINT_IDS, owners.NULLS)),
    ("newer", (owners.TEXT_IDS, owners.TIMES_WITHOUT_ZONE, owners.ENUM_ROLE)),
    ("newer", (owners.PARTITIONS, owners.MIXED_CASE_COLUMNS, owners.VIEWS, owners.ROW_SECURITY_OFF)),
]


def found_in(data: DataEvidence) -> set[tuple[str, str]]:
    """Bad rows as `make_legacy` tells them."""
    return {(each.fault, f"{Name.__str__(each.relation)}.{','.join(each.columns)}") for each in data.bad}


@pytest.mark.parametrize(
    ("generation", "variations"),
    COMBINATIONS,
    ids=["-".join([generation, *(each.name for each in variations)]) for generation, variations in COMBINATIONS],
)
def test_planted_faults_of_rows_are_found_and_no_others(
    generation: Generation, variations: tuple[Variation, ...], empty_url: str
) -> None:
    planted = make_legacy(empty_url, generation, variations)
    with look(empty_url, target_of(Base.metadata, name="Trunkline")) as seen:
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        data = collect_data(*parts, deep=False, note=seen.note)
    assert seen.note == []
    wanted = {(FAULTS[each.fault], each.object) for each in planted if each.fault in FAULTS}
    if generation == "newer":
        wanted.add(("null", "bots.description"))  # some bots have none, as that generation allows; ours has ''
    assert found_in(data) - wanted == {("mapped value", "chat_messages.role")}
    assert wanted <= found_in(data)
