"""What is tried on a table: every command on one's own row and on somebody else's, as SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Name, Relation, Trigger
from trunkline.readiness.evidence.asking import table
from trunkline.readiness.evidence.behaviour.actors import Actor
from trunkline.readiness.evidence.candidates import values_for
from trunkline.readiness.evidence.links import Reference
from trunkline.readiness.evidence.synthesis import Row, World, insert_of, where
from trunkline.readiness.target import Command

CHANGES: tuple[Literal["update", "delete"], ...] = ("update", "delete")
"""Commands on rows that are there."""


@dataclass(frozen=True)
class Trial:
    """One command on one's own rows, or on those of others; several ways to do it, of which one is enough."""

    command: Command
    rows: Literal["own", "foreign"]
    statements: tuple[tuple[sql.Composable, str], ...]
    """Each with what it did, in words, if it gets through."""


def trials(
    world: World, catalogue: Catalogue, relation: Relation, actor: Actor, left_out: Collection[Command]
) -> Iterator[Trial]:
    """All trials of one actor on one table, but for the commands that are left out."""
    script = _Script(world, catalogue, relation, actor)
    foreign = actor.other.rows[relation.name]
    own = actor.own.rows[relation.name] if actor.own is not None else None
    if own is not None:
        yield Trial("select", "own", (script.select(own),))
    yield Trial("select", "foreign", (script.select(foreign),))
    if own is not None and own.is_made:
        yield Trial("insert", "own", (script.insert(world.like(own, {}), "an own row was added"),))
    if foreign.is_made:
        yield Trial("insert", "foreign", tuple(script.insert_abroad(foreign)))
    for command in CHANGES:
        if command in left_out:
            continue
        if own is not None and own.is_made:
            yield Trial(command, "own", (script.change(own, command),))
        if foreign.is_made:
            moves = script.move(own) if own is not None and own.is_made and command == "update" else ()
            yield Trial(command, "foreign", (script.change(foreign, command), *moves))


def select_of(relation: Relation, row: Row) -> sql.Composed:
    """Looks for a row, in its table or through a view."""
    return sql.SQL("select 1 from {} where {}").format(table(relation.name), where(row.key))


class _Script:
    def __init__(self, world: World, catalogue: Catalogue, relation: Relation, actor: Actor) -> None:
        self._world = world
        self._catalogue = catalogue
        self._relation = relation
        self._actor = actor
        self._name = table(relation.name)
        self._references = world.links.tenant_references(relation)

    def select(self, row: Row) -> tuple[sql.Composable, str]:
        return select_of(self._relation, row), "the row was read"

    def insert(self, values: Mapping[str, str], what: str) -> tuple[sql.Composable, str]:
        allowed = self._columns("insert")
        if allowed:
            # Rights on some columns only: what the table can do without is left to it.
            columns = self._relation.columns
            values = {
                name: value
                for name, value in values.items()
                if name in allowed or not (columns[name].nullable or columns[name].default is not None)
            }
        return insert_of(self._relation, values), what

    def insert_abroad(self, foreign: Row) -> Iterator[tuple[sql.Composable, str]]:
        """A row in somebody else's name; oneself among their rows; a row of one's own under theirs."""
        other = self._actor.other
        by_kind = {kind: tuple(each for each in self._references if each.kind == kind) for kind in _KINDS}
        yield self.insert(
            self._world.like(foreign, self._tied(other, self._references)), "a row was added that belongs to another"
        )
        unnamed = {column for each in by_kind["person"] if not each.is_required for column in each.columns}
        if unnamed:
            # A trigger may refuse the person before a policy is asked about the rest.
            values = self._world.like(foreign, self._tied(other, self._references))
            values = {name: value for name, value in values.items() if name not in unnamed}
            yield self.insert(values, "a row was added that belongs to another")
        me = self._me(by_kind["person"])
        if me and self._tied(other, (*by_kind["organization"], *by_kind["parent"])):
            values = self._world.like(foreign, me)
            yield self.insert(values, "a row with the caller's own name was added among those of another")
        own = self._actor.own
        if own is not None and by_kind["organization"] and by_kind["parent"]:
            mine = self._tied(own, by_kind["organization"])
            theirs = self._tied(other, by_kind["parent"])
            if theirs:
                values = self._world.like(foreign, {**theirs, **mine, **me})
                yield self.insert(values, "a row with the caller's own organization was added under a row of another")

    def change(self, row: Row, command: Command) -> tuple[sql.Composable, str]:
        if command == "delete":
            return sql.SQL("delete from {} where {}").format(self._name, where(row.key)), "the row was deleted"
        column, value = self._harmless_change()
        query = sql.SQL("update {} set {} = {} where {}")
        return query.format(self._name, sql.Identifier(column), value, where(row.key)), "the row was updated"

    def move(self, own: Row) -> Iterator[tuple[sql.Composable, str]]:
        """Hand one's own row to somebody else: its organization and parents, or else its person."""
        things = tuple(each for each in self._references if each.kind != "person")
        target = self._tied(self._actor.other, things or self._references)
        allowed = self._columns("update")
        target = {
            name: value
            for name, value in target.items()
            if name not in self._relation.primary_key and (not allowed or name in allowed)
        }
        if target:
            changes = sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in target.items()
            )
            query = sql.SQL("update {} set {} where {}").format(self._name, changes, where(own.key))
            yield query, "an own row was moved to another's organization or parent"

    def _harmless_change(self) -> tuple[str, sql.Composable]:
        """A column that can be set to what it is."""
        tied = {column for each in self._world.links.references(self._relation) for column in each.columns}
        columns = [each for each in self._relation.columns.values() if not each.is_generated and not each.is_identity]
        columns.sort(key=lambda each: (each.name in self._relation.primary_key, each.name in tied))
        writable, readable = self._columns("update"), self._columns("select")
        for each in columns:
            if (not writable or each.name in writable) and (not readable or each.name in readable):
                return each.name, sql.Identifier(each.name)
        column = next((each for each in columns if each.name in writable), columns[0])
        return column.name, sql.Literal(next(iter(values_for(self._relation, column)), None))

    def _columns(self, privilege: str) -> frozenset[str]:
        """Columns that the actor's role has a right on; empty where it has it on all, or on none."""
        if self._catalogue.granted(self._actor.role, self._relation, privilege):
            return frozenset()
        roles = self._catalogue.roles_of(self._actor.role)
        return frozenset(
            column
            for grant in self._relation.grants
            if grant.grantee in roles and grant.privilege == privilege
            for column in grant.columns
        )

    def _tied(self, tenant: object, references: tuple[Reference, ...]) -> dict[str, str]:
        owner = self._actor.other if tenant is self._actor.other else self._actor.own
        return self._world.tied_to(self._relation, owner, references) if owner is not None else {}

    def _me(self, people: tuple[Reference, ...]) -> dict[str, str]:
        person = self._actor.claims.get("sub")
        return {column: person for each in people for column in each.columns[-1:]} if isinstance(person, str) else {}


_KINDS = ("person", "organization", "parent")


def refusal(world: World, relation: Relation, command: Literal["update", "delete"]) -> tuple[str, str] | None:
    """Why a command isn't tried on a table's rows, and what would let it."""
    trigger = next(world.unknown_triggers(relation, command), None)
    if trigger is None and command == "delete":
        trigger = next(_triggers_below(world, relation), None)
    if trigger is None:
        return None
    return (
        f"trigger {trigger.name} would run, and what {trigger.function} does isn't known to be undone",
        "Run it again with --deep, on a copy if you are in doubt.",
    )


def _triggers_below(world: World, relation: Relation) -> Iterator[Trigger]:
    """Unknown triggers that a deletion would start in the tables that hang on this one."""
    seen: set[Name] = set()
    waiting = [relation.name]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for child, key in world.links.children(name):
            if key.on_delete == "cascade" and child.name not in seen:
                yield from world.unknown_triggers(child, "delete")
                waiting.append(child.name)
            if key.on_delete in ("set null", "set default"):
                yield from world.unknown_triggers(child, "update")
