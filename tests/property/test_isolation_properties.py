"""No sequence of operations of one principal changes what another one sees.

The operations are drawn, not chosen: any column, any value that could matter (ids of both tenants, roles, handles), any
command. Most fail, which is fine; what matters is what somebody else finds afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from sqlalchemy import Column, Table
from tests.attack.matrix import new_row
from tests.attack.scene import Attacker, Connection, Scene, as_owner, make_scene, qualified, raw

from trunkline.db.principals import Service
from trunkline.db.schema import DIALECT, own_tables
from trunkline.db.urls import with_database
from trunkline.models import Base

TABLES: dict[str, Table] = {table.name: table for table in own_tables(Base.metadata)}

ACTORS = (
    "owner", "admin", "member", "viewer", "key", "service", "turn", "visitor", "arrival", "stranger", "newcomer",
    "anonymous", "spoofer", "visitor as a member", "member as service",
)  # fmt: skip
"""Everybody who is nobody to the other organization."""

WITHIN_ONE_SESSION = ("turn", "visitor", "arrival")
"""Those who must not even reach the second session of their own organization."""


UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


@dataclass(frozen=True)
class Operation:
    """One statement to try."""

    statement: str
    values: Mapping[str, Any]


@pytest.fixture(scope="module")
def place(admin_url: str, template: str) -> Iterator[tuple[Connection, Scene]]:
    """One database for all examples: each is rolled back."""
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        create = sql.SQL("create database {} template {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    url = with_database(admin_url, name)
    scene = make_scene(url)
    with psycopg.connect(url) as owner:
        yield owner, scene
        owner.rollback()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def ids(scene: Scene) -> list[UUID]:
    """Every id that an operation may name, ours and theirs."""
    world = scene.world
    known = [*world.ours.ids.values(), *world.theirs.ids.values(), *scene.second.values(), *scene.spare_turns.values()]
    people = [*world.ours.people.values(), *world.theirs.people.values(), world.stranger.user_id, scene.newcomer]
    return [*known, *people, world.theirs.organization_id, UUID(int=0)]


def values_of(column: Column[Any], scene: Scene) -> st.SearchStrategy[Any]:
    """Values that could do something in this column, as text that PostgreSQL casts."""
    kind = str(column.type.compile(DIALECT)).lower()
    handles = [scene.world.ours.session_handle, scene.world.theirs.session_handle, "second-of-bakery"]
    words = ["x", "owner", "admin", "viewer", "running", "complete", "user", "assistant", "ended", "web", *handles]
    if kind == "uuid":
        return st.sampled_from(ids(scene)).map(str)
    if kind == "uuid[]":
        return st.lists(st.sampled_from(ids(scene)).map(str), max_size=2).map(lambda found: f"{{{','.join(found)}}}")
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.sampled_from(["true", "false"]),
        "integer": st.sampled_from(["0", "1", "7"]),
        "bigint": st.sampled_from(["0", "1", "7"]),
        "jsonb": st.sampled_from(["{}", "[]", '[{"x": 1}]']),
        "text[]": st.sampled_from(["{}", "{x}", "{*}"]),
        "bytea": st.sampled_from(["\\x00", "\\x" + "ab" * 32]),
        "timestamp with time zone": st.sampled_from(["now", "2000-01-01T00:00:00Z"]),
    }
    return by_kind.get(kind, st.sampled_from(words)) | st.none()


@st.composite
def operations(draw: st.DrawFn, scene: Scene, attacker: Attacker) -> Operation:
    """One statement on one table."""
    table = TABLES[draw(st.sampled_from(sorted(TABLES)))]
    writable = [column for column in table.columns if column.computed is None]
    name = qualified(table.name)
    column = draw(st.sampled_from(writable))
    kind = str(column.type.compile(DIALECT))
    value = draw(values_of(column, scene))
    row = str(draw(st.sampled_from(ids(scene))))
    change = f"{column.name} = cast(%(value)s as {kind})"
    verb = draw(
        st.sampled_from(["update", "update all", "delete", "delete all", "insert", "upsert", "lock", "function"])
    )
    if verb.startswith("update"):
        where = " where id = cast(%(row)s as uuid)" if verb == "update" else ""
        return Operation(f"update {name} set {change}{where}", {"value": value, "row": row})
    if verb.startswith("delete"):
        where = " where id = cast(%(row)s as uuid)" if verb == "delete" else ""
        return Operation(f"delete from {name}{where}", {"row": row})
    if verb == "lock":
        return Operation(f"select id from {name} for update", {})
    if verb == "function":
        call = draw(
            st.sampled_from(["app.create_organization(cast(%(row)s as uuid), 'x', 'x')", "app.fail_expired_turns()"])
        )
        return Operation(f"select {call}", {"row": row})
    given_row = new_row(scene, table.name, attacker, draw(st.sampled_from(["ours", "theirs"])))
    columns = [each for each in given_row if each != column.name]
    marks = ", ".join([*(f"%({each})s" for each in columns), f"cast(%(value)s as {kind})"])
    statement = f"insert into {name} ({', '.join([*columns, column.name])}) values ({marks})"
    if verb == "upsert":
        statement += f" on conflict (id) do update set {column.name} = excluded.{column.name}"
        given_row["id"] = row
    return Operation(statement, {**given_row, "value": value})


def everything(owner: Connection, organization: UUID) -> dict[str, list[str]]:
    """All rows of an organization, as the owner finds them."""
    where = {"organizations": "id", "profiles": None}
    found: dict[str, list[str]] = {}
    for table in TABLES:
        column = where.get(table, "organization_id")
        condition = (
            f"t.{column} = %(organization)s"
            if column
            else "t.id in (select user_id from public.organization_members where organization_id = %(organization)s)"
        )
        query = raw(f"select t::text from {qualified(table)} t where {condition} order by 1")
        found[table] = [str(row) for (row,) in owner.execute(query, {"organization": organization})]
    return found


def seen(owner: Connection, attacker: Attacker) -> dict[str, list[object]]:
    """The ids that somebody sees, by table."""
    found: dict[str, list[object]] = {}
    for table in TABLES:
        owner.execute("savepoint look")
        attacker.become(owner)
        try:
            found[table] = [row for (row,) in owner.execute(raw(f"select id from {qualified(table)} order by 1"))]
        except psycopg.errors.InsufficientPrivilege:
            found[table] = []
        owner.execute("rollback to savepoint look")
    return found


def second_session(owner: Connection, scene: Scene) -> list[str]:
    """The rows of our second session, as the owner finds them."""
    session = scene.second["agent_sessions"]
    queries = {
        "agent_sessions": "t.id = %(session)s",
        "agent_turns": "t.session_id = %(session)s",
        "agent_messages": "t.session_id = %(session)s",
        "usage_logs": "t.session_id = %(session)s",
        "turn_states": "t.turn_id in (select id from public.agent_turns where session_id = %(session)s)",
    }
    return [
        str(row)
        for table, condition in queries.items()
        for (row,) in owner.execute(
            raw(f"select t::text from {qualified(table)} t where {condition} order by 1"), {"session": session}
        )
    ]


def perform(owner: Connection, attacker: Attacker, operation: Operation) -> bool:
    """Try it as this principal; an error undoes that operation alone. Returns whether it went through."""
    owner.execute("savepoint operation")
    attacker.become(owner)
    try:
        owner.execute(raw(operation.statement), operation.values)
    except psycopg.Error:
        owner.execute("rollback to savepoint operation")
        return False
    finally:
        as_owner(owner)
    return True


@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=UNHURRIED)
@given(data=st.data())
def test_no_sequence_of_one_changes_what_another_sees(place: tuple[Connection, Scene], data: st.DataObject) -> None:
    owner, scene = place
    theirs = scene.world.theirs
    others = [
        Attacker.of("service", theirs.service),
        Attacker.of("turn", theirs.turn),
        Attacker.of("visitor", theirs.visitor),
    ]
    beside = Attacker.of("beside", Service(scene.world.ours.organization_id, "second-of-bakery"))
    owner.execute("savepoint example")
    try:
        actor = scene.attackers[data.draw(st.sampled_from(ACTORS), label="actor")]
        before = everything(owner, theirs.organization_id), [seen(owner, other) for other in others]
        aside = second_session(owner, scene), seen(owner, beside)
        homes = organizations_of_rows(owner)
        for operation in data.draw(st.lists(operations(scene, actor), min_size=1, max_size=8), label="operations"):
            perform(owner, actor, operation)
        assert (everything(owner, theirs.organization_id), [seen(owner, other) for other in others]) == before
        if actor.name in WITHIN_ONE_SESSION:
            assert (second_session(owner, scene), seen(owner, beside)) == aside
        now = organizations_of_rows(owner)
        assert {row: home for row, home in homes.items() if now.get(row, home) != home} == {}
    finally:
        owner.execute("rollback to savepoint example")


def organizations_of_rows(owner: Connection) -> dict[object, object]:
    """The organization of each row of every tenant table."""
    union = " union all ".join(
        f"select id, organization_id from {qualified(table.name)}"
        for table in TABLES.values()
        if "organization_id" in table.columns
    )
    return {row[0]: row[1] for row in owner.execute(raw(union))}


def test_the_operations_reach_what_they_may(place: tuple[Connection, Scene]) -> None:
    """The twin: drawn as above, operations of our own service go through and change our own rows."""
    owner, scene = place
    went: list[bool] = []
    changed: list[bool] = []

    @settings(derandomize=True, max_examples=100, deadline=None, suppress_health_check=UNHURRIED, database=None)
    @given(data=st.data())
    def example(data: st.DataObject) -> None:
        owner.execute("savepoint example")
        try:
            before = everything(owner, scene.world.ours.organization_id)
            service = scene.attackers["service"]
            went.append(perform(owner, service, data.draw(operations(scene, service))))
            changed.append(everything(owner, scene.world.ours.organization_id) != before)
        finally:
            owner.execute("rollback to savepoint example")

    example()
    assert sum(went) > 15
    assert sum(changed) > 5


def test_the_property_would_notice(place: tuple[Connection, Scene]) -> None:
    """With one policy opened, the same check finds a sequence."""
    owner, scene = place
    owner.execute("savepoint open")
    owner.execute("alter policy tools_delete_trunkline_service on public.tools using (true)")
    owner.execute("alter policy tools_select_trunkline_service on public.tools using (true)")
    before = everything(owner, scene.world.theirs.organization_id)
    assert perform(owner, scene.attackers["service"], Operation("delete from public.tools", {}))
    assert everything(owner, scene.world.theirs.organization_id) != before
    owner.execute("rollback to savepoint open")
