"""The attacks of the matrix, generated: each attacker, each table, each way to read, change, add or take rows.

A cell knows what must come of it: which rows may be seen, which may be touched, whether a row may appear. It is judged
by what the owner finds afterwards, and rolled back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from tests.attack.expected import TABLES, Rights, letters
from tests.attack.scene import Attacker, Connection, Scene, as_owner, qualified, raw

from trunkline.db.base import new_id

Rows = Mapping[UUID, tuple[str, UUID | None]]
"""Each row's whole text and its organization, by id."""

CHANGE = {
    "profiles": "full_name = 'x'",
    "organizations": "name = 'x'",
    "organization_members": "role = case when role = 'viewer' then 'member' else 'viewer' end",
    "api_keys": "name = 'x'",
    "credentials": "hint = 'x'",
    "audit_logs": "action = 'x'",
    "agents": "description = 'x'",
    "agent_versions": "notes = 'x'",
    "tools": "description = 'x'",
    "knowledge_bases": "description = 'x'",
    "knowledge_sources": "error = 'x'",
    "knowledge_chunks": "text = 'x'",
    "agent_sessions": "context_data = '{\"x\": 1}'",
    "agent_turns": "error = 'x'",
    "agent_messages": "content = 'x'",
    "turn_states": "state = 'x'",
    "usage_logs": "model = 'x'",
}
"""One change of each table that every role with UPDATE on it may make."""

BLIND_CHANGE = CHANGE | {"organization_members": "role = 'viewer'"}
"""The same without reading a column: UPDATE policies alone decide, no SELECT policy helps."""

PARENT = {
    "agent_versions": ("agent_id", "agents"),
    "agent_sessions": ("agent_id", "agents"),
    "agent_turns": ("session_id", "agent_sessions"),
    "agent_messages": ("session_id", "agent_sessions"),
    "usage_logs": ("session_id", "agent_sessions"),
    "turn_states": ("turn_id", "agent_turns"),
    "knowledge_sources": ("knowledge_base_id", "knowledge_bases"),
    "knowledge_chunks": ("source_id", "knowledge_sources"),
}
DERIVED = ("agent_versions", "agent_sessions", "agent_turns", "agent_messages", "knowledge_sources", "knowledge_chunks")
"""Tables whose organization is taken from the parent where a writer doesn't send it."""

SESSION_TABLES = ("agent_turns", "agent_messages", "usage_logs", "turn_states")


@dataclass(frozen=True)
class Cell:
    """One attack (or its allowed twin) and what may come of it."""

    attacker: Attacker
    table: str
    attack: str
    statement: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seen: frozenset[UUID] = frozenset()
    """The rows that may be shown; where `exact`, all of them are."""
    touched: frozenset[UUID] = frozenset()
    """The rows that may be changed or removed; where `exact`, all of them are."""
    created: bool = False
    """Whether one row of our organization may appear; where `exact`, it does."""
    exact: bool = True
    refused: bool = False
    """Whether the statement must end in an error."""

    def __str__(self) -> str:
        return f"{self.attacker.name} · {self.table} · {self.attack}"


class Range:
    """Runs cells on one connection of the owner's, each in a savepoint."""

    def __init__(self, connection: Connection, scene: Scene) -> None:
        self._connection = connection
        self._ours = scene.world.ours.organization_id
        self._before = {table: self._rows(table) for table in TABLES}
        self._leaked: list[str] = []
        connection.add_notice_handler(lambda notice: self._leaked.append(notice.message_primary or ""))
        connection.execute(
            "create function pg_temp.leak(value text) returns boolean language plpgsql cost 0.0001 as"
            " $$ begin raise notice 'leak %', value; return true; end $$"
        )

    def fault(self, cell: Cell) -> str | None:
        """What went otherwise than the cell expects; None where nothing did."""
        self._leaked.clear()
        self._connection.execute("savepoint cell")
        try:
            seen, error = self._attempt(cell)
            after = self._before[cell.table] if error else self._rows(cell.table)
        finally:
            self._connection.execute("rollback to savepoint cell")
            self._connection.execute("release savepoint cell")
        return self._judge(cell, seen, after, error)

    def _attempt(self, cell: Cell) -> tuple[frozenset[UUID], str]:
        try:
            cell.attacker.become(self._connection)
            cursor = self._connection.execute(raw(cell.statement), cell.values or None)
            shown = cursor.fetchall() if cursor.description else []
            as_owner(self._connection)
        except psycopg.Error as error:
            return frozenset(), str(error).split("\n")[0]
        else:
            seen = frozenset(row[0] for row in shown if isinstance(row[0], UUID))
            return seen | self._told(), ""

    def _judge(self, cell: Cell, seen: frozenset[UUID], after: Rows, error: str) -> str | None:
        before = self._before[cell.table]
        touched = frozenset(key for key, row in before.items() if after.get(key) != row)
        created = {organization for key, (_, organization) in after.items() if key not in before}
        faults: dict[str, set[Any] | frozenset[Any]] = {
            "saw": (seen | self._told()) - cell.seen,
            "touched": touched - cell.touched,
            "was not refused": {cell.attacker.role} if cell.refused and not error else set(),
            "created in": created - ({self._ours, None} if cell.created else set()),
        }
        if cell.exact:
            faults["did not see"] = cell.seen - seen
            faults["did not touch"] = cell.touched - touched
            faults["created nothing"] = {cell.attacker.name} if cell.created and not created else set()
        found = "; ".join(f"{fault} {sorted(map(str, ids))}" for fault, ids in faults.items() if ids)
        return f"{cell}: {found} {error}" if found else None

    def _told(self) -> frozenset[UUID]:
        """The ids that the leaky function was called with, also where the statement failed."""
        return frozenset(UUID(line[5:]) for line in self._leaked if line.startswith("leak "))

    def _rows(self, table: str) -> dict[UUID, tuple[str, UUID | None]]:
        organization = {"organizations": "t.id", "profiles": "null::uuid"}.get(table, "t.organization_id")
        query = f"select t.id, t::text, {organization} from {qualified(table)} t"
        return {row[0]: (row[1], row[2]) for row in self._connection.execute(raw(query)).fetchall()}  # type: ignore[misc]


def cells(scene: Scene, rights: Rights, table: str, attacker: Attacker) -> Iterator[Cell]:
    """Every attack of one attacker on one table."""
    yield from _reads(rights, table, attacker)
    for row in sorted(rights.everything[table]):
        yield from _changes(rights, table, attacker, row)
    yield from _blind_changes(rights, table, attacker)
    yield from _inserts(scene, table, attacker)
    yield from _upserts(scene, rights, table, attacker)
    yield from _never(table, attacker)


def _reads(rights: Rights, table: str, attacker: Attacker) -> Iterator[Cell]:
    name = qualified(table)
    seen = rights.reach(attacker.name, table, "s")
    for attack, statement in {
        "select": f"select id from {name}",
        "leaky function in WHERE": f"select id from {name} where pg_temp.leak(id::text)",
        "leaky join": f"select t.id from {name} t join {name} u using (id) where pg_temp.leak(t.id::text)",
        "select through a JSON path": f"select id from {name} t where to_jsonb(t.id) @@ '$ != null'",
        "aggregate": f"select unnest(array_agg(id)) from {name}",
    }.items():
        yield Cell(attacker, table, attack, statement, seen=seen)
    lock = f"select id from {name} for update"
    yield Cell(attacker, table, "select for update", lock, seen=seen, exact=False)
    explain = f"explain (analyze, verbose, timing off) select id from {name} where pg_temp.leak(id::text)"
    yield Cell(attacker, table, "explain", explain, seen=seen, exact=False)


def _changes(rights: Rights, table: str, attacker: Attacker, row: UUID) -> Iterator[Cell]:
    name, change, values = qualified(table), CHANGE[table], {"id": row}
    one = frozenset({row})
    seen = rights.reach(attacker.name, table, "s") & one
    changed = rights.reach(attacker.name, table, "u") & one
    gone = rights.reach(attacker.name, table, "d") & one
    using = f"merge into {name} t using (select %(id)s::uuid as id) s on t.id = s.id when matched then"
    for attack, statement, touched in (
        ("update", f"update {name} set {change} where id = %(id)s returning id", changed),
        ("delete", f"delete from {name} where id = %(id)s returning id", gone),
    ):
        yield Cell(attacker, table, attack, statement, values, seen=touched, touched=touched)
    yield Cell(attacker, table, "merge update", f"{using} update set {change}", values, touched=changed)
    yield Cell(attacker, table, "merge delete", f"{using} delete", values, touched=gone)
    oracle = f"select id from {name} where 1 / (case when id = %(id)s then 1 else 0 end) = 1"
    yield Cell(attacker, table, "division oracle", oracle, values, seen=seen, exact=False)


def _blind_changes(rights: Rights, table: str, attacker: Attacker) -> Iterator[Cell]:
    name = qualified(table)
    changed, gone = (rights.reach(attacker.name, table, command) for command in "ud")
    update = f"update {name} set {BLIND_CHANGE[table]}"
    yield Cell(attacker, table, "update without WHERE", update, touched=changed, exact=False)
    yield Cell(attacker, table, "delete without WHERE", f"delete from {name}", touched=gone, exact=False)


def _inserts(scene: Scene, table: str, attacker: Attacker) -> Iterator[Cell]:
    ours, theirs = scene.world.ours, scene.world.theirs
    granted = letters(attacker.name, table)
    own = "I" in granted or ("i" in granted and _can_add_its_own(scene, table, attacker))
    yield _insert(attacker, table, "insert", new_row(scene, table, attacker, "ours"), own)
    yield _insert(attacker, table, "insert into a foreign organization", new_row(scene, table, attacker, "theirs"))
    if table not in PARENT:
        return
    column, parent = PARENT[table]
    foreign_parent = scene.spare_turns["theirs"] if table == "turn_states" else theirs.ids[parent]
    row = new_row(scene, table, attacker, "ours")
    yield _insert(attacker, table, "child under a foreign parent", {**row, column: foreign_parent})
    foreign = {**row, "organization_id": theirs.organization_id}
    yield _insert(attacker, table, "own child in a foreign organization", foreign)
    if table in DERIVED:
        yield _insert(attacker, table, "child of no organization", {**row, "organization_id": None}, own)
        orphan = {**row, "organization_id": None, column: foreign_parent}
        yield _insert(attacker, table, "child of no organization under a foreign parent", orphan)
    if table in SESSION_TABLES:
        second = scene.spare_turns["second"] if table == "turn_states" else scene.second[parent]
        yield _insert(attacker, table, "child in another session", {**row, column: second}, "I" in granted)
    del ours


def _can_add_its_own(scene: Scene, table: str, attacker: Attacker) -> bool:
    if table == "profiles":
        return attacker.user_id == scene.newcomer  # the others have theirs
    return True


def _insert(attacker: Attacker, table: str, attack: str, values: dict[str, Any], allowed: bool = False) -> Cell:
    columns = ", ".join(values)
    marks = ", ".join(f"%({name})s" for name in values)
    statement = f"insert into {qualified(table)} ({columns}) values ({marks})"
    return Cell(attacker, table, attack, statement, values, created=allowed)


def _upserts(scene: Scene, rights: Rights, table: str, attacker: Attacker) -> Iterator[Cell]:
    name, granted = qualified(table), letters(attacker.name, table)
    for whose, tenant in (("a foreign", scene.world.theirs), ("its own", scene.world.ours)):
        target = tenant.ids[table]
        values = {**new_row(scene, table, attacker, "ours"), "id": target}
        columns = ", ".join(values)
        marks = ", ".join(f"%({column})s" for column in values)
        statement = f"insert into {name} ({columns}) values ({marks}) on conflict (id) do update set {_excluded(table)}"
        touched = rights.reach(attacker.name, table, "u") & {target}
        exact = {"S", "I", "U"} <= set(granted)
        yield Cell(attacker, table, f"upsert onto {whose} row", statement, values, touched=touched, exact=exact)
    if table not in ("organizations", "profiles"):
        move = f"update {name} set organization_id = %(to)s where id = %(id)s"
        to = scene.world.theirs.organization_id
        ids = {"id": scene.world.ours.ids[table], "to": to}
        yield Cell(attacker, table, "move to another organization", move, ids)
        yield Cell(attacker, table, "move everything", f"update {name} set organization_id = %(to)s", {"to": to})


def _excluded(table: str) -> str:
    """`CHANGE`, with the table's name before the columns that it reads: in an upsert they are ambiguous."""
    return CHANGE[table].replace("when role", "when organization_members.role")


def _never(table: str, attacker: Attacker) -> Iterator[Cell]:
    """What no principal may do to any table: each of these ends in an error."""
    name = qualified(table)
    for attack, statement in {
        "truncate": f"truncate {name} cascade",
        "create trigger": f"create trigger evil before update on {name} for each row execute function"
        " suppress_redundant_updates_trigger()",
        "create rule": f"create rule evil as on update to {name} do instead nothing",
        "create policy": f"create policy evil on {name} using (true)",
        "disable policies": f"alter table {name} disable row level security",
        "unforce policies": f"alter table {name} no force row level security",
        "take the table": f"alter table {name} owner to current_user",
        "drop": f"drop table {name} cascade",
    }.items():
        yield Cell(attacker, table, attack, statement, refused=True)


def new_row(scene: Scene, table: str, attacker: Attacker, place: str) -> dict[str, Any]:
    """A new row of a table in our or their organization, as good as the table's constraints ask for."""
    tenant = scene.world.ours if place == "ours" else scene.world.theirs
    values: dict[str, Any] = {"id": new_id(), "organization_id": tenant.organization_id}
    if table in PARENT:
        column, parent = PARENT[table]
        spare = scene.spare_turns["first" if place == "ours" else "theirs"]
        values[column] = spare if table == "turn_states" else tenant.ids[parent]
    user = attacker.user_id or scene.world.stranger.user_id
    unique = secrets.token_hex(8)
    if table in ("organizations", "profiles"):
        del values["organization_id"]
    if table == "profiles":
        values["id"] = user if place == "ours" else scene.newcomer if user != scene.newcomer else new_id()
    return (
        values
        | {
            "profiles": {"email": "x@nowhere.example"},
            "organizations": {"name": "x", "slug": unique, "owner_id": user},
            "organization_members": {"user_id": scene.world.stranger.user_id, "role": "viewer"},
            "api_keys": {"name": "x", "prefix": "tl_x", "key_hash": secrets.token_bytes(32)},
            "credentials": {"name": unique, "provider": "p", "ciphertext": b"x"},
            "audit_logs": {"actor_kind": "member", "actor_id": user, "action": "a", "object_type": "agents"},
            "agents": {"name": "x", "slug": unique},
            "agent_versions": {"version": 7, "snapshot": Jsonb({})},
            "tools": {"name": unique, "method": "GET", "url": "https://api.example/"},
            "knowledge_bases": {"name": unique, "embedding_model": "m"},
            "knowledge_sources": {"kind": "text", "name": "x"},
            "knowledge_chunks": {"position": 7, "text": "x"},
            "agent_sessions": {"session_id": unique},
            "agent_turns": {"idempotency_key": unique, "status": "complete"},
            "agent_messages": {"role": "user", "content": "x"},
            "turn_states": {"state": b"x"},
            "usage_logs": {"kind": "llm", "provider": "p", "model": "m", "tokens_used": 1},
        }[table]
    )
