"""Rows are counted, statements prepared and the server looked at on each major version of PostgreSQL."""

from __future__ import annotations

from tests.factories.legacy import variations as owners
from tests.factories.legacy.make import make_legacy
from tests.factories.looks import look

from trunkline.models import Base
from trunkline.readiness.evidence.data import collect_data
from trunkline.readiness.evidence.operations import collect_activity
from trunkline.readiness.evidence.statements import collect_statements
from trunkline.readiness.target import target_of


def test_a_legacy_database_is_looked_at_in_the_same_way(any_url: str) -> None:
    make_legacy(any_url, "newer", (owners.NULLS, owners.DUPLICATES, owners.ORPHANS, owners.PARTITIONS))
    with look(any_url, target_of(Base.metadata, name="Trunkline"), path="public") as seen:
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        data = collect_data(*parts, deep=False, note=seen.note)
        file = [("line 1", "select text from chat_messages where session_id = $1"), ("line 2", "select 1 from agents")]
        statements = collect_statements(*parts, file, seen.note)
        activity = collect_activity(seen.connection, seen.catalogue, seen.note)
    assert seen.note == []
    assert {each.fault for each in data.bad} == {"orphan", "null", "duplicate", "mapped value"}
    of_file = [each for each in statements.prepared if each.origin == "file"]
    assert [(each.sqlstate, each.object) for each in of_file] == [(None, None), ("42P01", "agents")]
    old = [each for each in statements.prepared if each.origin == "old application"]
    assert [each.error for each in old if each.error] == []
    assert {str(each.table) for each in old} == {"bots", "chat_sessions", "chat_messages"}
    assert activity.usable_connections is not None
