"""What an error tells: nothing about rows that its caller can't see (attacks 5, 6, 14 and 19).

A foreign key, a unique index and a trigger must answer the same whether somebody else's row exists or not.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from tests.attack.expected import TABLES
from tests.attack.matrix import PARENT, new_row
from tests.attack.scene import Attacker, Connection, Scene, qualified, raw

from trunkline.db.base import new_id
from trunkline.db.schema import own_tables
from trunkline.models import Base

WRITERS = ("owner", "admin", "member", "key", "service", "turn")

DELIBERATE = {
    ("organization_members", "user_id"): "members are added by the id of a person who has signed up",
    ("profiles", "id"): "a person makes its own profile only; the policy speaks first",
}
"""Foreign keys that do tell, and why that is meant."""

AUTHENTICATED_ELSEWHERE = {("agent_sessions", "user_id"), ("usage_logs", "user_id")}
"""The server names a person that it has authenticated, who need be no member of the organization."""


@dataclass(frozen=True)
class Answer:
    """All that a caller learns from a statement, ids left out."""

    state: str | None
    message: str
    detail: str | None

    @classmethod
    def to(cls, connection: Connection, attacker: Attacker, statement: str, values: Mapping[str, Any]) -> Answer:
        """Run it, undo it."""
        connection.execute("savepoint answer")
        try:
            attacker.become(connection)
            cursor = connection.execute(raw(statement), values)
        except psycopg.Error as error:
            hex_ids = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
            return cls(
                error.sqlstate,
                hex_ids.sub("ID", error.diag.message_primary or ""),
                error.diag.message_detail and hex_ids.sub("ID", error.diag.message_detail),
            )
        else:
            return cls(None, f"{cursor.rowcount} rows", None)
        finally:
            connection.execute("rollback to savepoint answer")


def insert(table: str, values: Mapping[str, Any]) -> str:
    """An INSERT of these columns."""
    return (
        f"insert into {qualified(table)} ({', '.join(values)}) values ({', '.join(f'%({name})s' for name in values)})"
    )


def references() -> Iterator[tuple[str, str, str]]:
    """(table, column, parent) of every foreign key of ours, from the metadata."""
    for table in own_tables(Base.metadata):
        for constraint in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            column = constraint.column_keys[-1]
            if (table.name, column) not in DELIBERATE and column != "organization_id":
                yield table.name, column, constraint.referred_table.name


@pytest.mark.parametrize(("table", "column", "parent"), list(references()))
def test_a_foreign_key_tells_nothing(table: str, column: str, parent: str, owner: Connection, scene: Scene) -> None:
    theirs, ours = scene.world.theirs, scene.world.ours
    foreign = theirs.people["owner"] if parent == "profiles" else theirs.ids[parent]
    asked = 0
    for name in WRITERS:
        attacker = scene.attackers[name]
        if attacker.role == "trunkline_service" and (table, column) in AUTHENTICATED_ELSEWHERE:
            continue
        row = new_row(scene, table, attacker, "ours")
        change = f"update {qualified(table)} set {column} = %(parent)s where id = %(id)s"
        inserted = [
            Answer.to(owner, attacker, insert(table, {**row, column: parent_id}), {**row, column: parent_id})
            for parent_id in (foreign, new_id())
        ]
        updated = [
            Answer.to(owner, attacker, change, {"parent": parent_id, "id": ours.ids[table]})
            for parent_id in (foreign, new_id())
        ]
        assert inserted[0] == inserted[1], name
        assert updated[0] == updated[1], name
        assert inserted[0].state is not None, name
        asked += 1
    assert asked > 1


@pytest.mark.parametrize("table", [table for table in TABLES if table != "profiles"])
def test_naming_a_foreign_organization_tells_nothing(table: str, owner: Connection, scene: Scene) -> None:
    column = "id" if table == "organizations" else "organization_id"
    for name in WRITERS:
        attacker = scene.attackers[name]
        row = new_row(scene, table, attacker, "ours")
        existing, missing = (
            Answer.to(owner, attacker, insert(table, {**row, column: value}), {**row, column: value})
            for value in (scene.world.theirs.organization_id, new_id())
        )
        assert existing == missing, name
        assert existing.state == "42501", name


MEANT_TO_BE_UNIQUE_AMONG_ALL = {
    "organizations_slug_key": "a slug is public: it names the organization in addresses",
    "agent_sessions_session_id_key": "made by the server of 192 random bits; who can name one has it",
    "api_keys_key_hash_key": "a SHA-256 of a secret; who can name one has the key",
}


RUNNING = {"agent_turns_one_at_a_time_key": {"status": "running"}}
"""What a row needs to fall under a partial index."""


def unique_indexes(connection: Connection) -> list[tuple[str, str, list[str]]]:
    """(table, index, columns) of the unique indexes that cross organizations, primary keys apart."""
    rows = connection.execute(
        """
        select c.relname, i.relname, array_agg(a.attname::text order by k.place)
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
        cross join lateral unnest(x.indkey::smallint[]) with ordinality as k(attnum, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where c.relname = any (%s) and c.relnamespace <> 'auth'::regnamespace and x.indisunique and not x.indisprimary
        group by 1, 2 having not 'organization_id' = any (array_agg(a.attname::text))
        """,
        (list(TABLES),),
    ).fetchall()
    return [(str(table), str(index), list(columns)) for table, index, columns in rows]  # type: ignore[arg-type]


def test_a_unique_index_tells_nothing(owner: Connection, scene: Scene) -> None:
    """Under a foreign parent the policy speaks before the index does, whether the index would or not."""
    found = unique_indexes(owner)
    assert {index for _, index, _ in found} >= set(MEANT_TO_BE_UNIQUE_AMONG_ALL)
    owner.execute(
        "update public.agent_turns set status = 'running' where id = %s", (scene.world.theirs.ids["agent_turns"],)
    )
    checked = 0
    for table, index, columns in found:
        if index in MEANT_TO_BE_UNIQUE_AMONG_ALL:
            continue
        assert columns[0] == PARENT[table][0], f"{index} doesn't hang on a parent: it would tell of foreign rows"
        query = raw(f"select to_jsonb(t) from {qualified(table)} t where id = %s")
        foreign: Any
        (foreign,) = owner.execute(query, (scene.world.theirs.ids[table],)).fetchone() or ({},)
        taken: dict[str, Any] = {column: foreign[column] for column in columns} | RUNNING.get(index, {})
        for name, operation in itertools.product(WRITERS, ("insert", "update")):
            attacker = scene.attackers[name]
            if operation == "insert":
                values: dict[str, Any] = new_row(scene, table, attacker, "ours") | taken
                statement = insert(table, values)
            else:
                values = taken | {"row": scene.world.ours.ids[table]}
                statement = (
                    f"update {qualified(table)} set {', '.join(f'{c} = %({c})s' for c in taken)} where id = %(row)s"
                )
            answer = Answer.to(owner, attacker, statement, values)
            assert answer.state == "42501" or answer.message == "0 rows", f"{index} told {name}: {answer}"
            checked += 1
    assert checked > 20
