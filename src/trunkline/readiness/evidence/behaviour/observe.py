"""Makes a small world of two tenants, lets everybody try everything in it, and rolls all of it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg

from trunkline.postgres.catalogue.model import Catalogue, Relation
from trunkline.readiness.evidence.asking import words
from trunkline.readiness.evidence.behaviour.actors import Actor, Cast
from trunkline.readiness.evidence.behaviour.attempt import Attempt, CannotTell, Result, act_as, try_all
from trunkline.readiness.evidence.behaviour.sampling import reading
from trunkline.readiness.evidence.behaviour.statements import CHANGES, Trial, refusal, select_of, trials
from trunkline.readiness.evidence.behaviour.values import Behaviour, Tried
from trunkline.readiness.evidence.harmless import Harmless
from trunkline.readiness.evidence.links import Links
from trunkline.readiness.evidence.synthesis import CannotMake, Tenant, World
from trunkline.readiness.matching import Matching
from trunkline.readiness.report import NotChecked, Observation
from trunkline.readiness.target import Access, Command, Target

CODES = ("RLS006", "RLS007", "RLS008", "RLS009", "RLS015")
"""Checks that judge what is tried here."""
MOST_TABLES = 60
"""Tables that are tried; with `--deep` all are."""
BUDGET_S = 10.0
"""Seconds for all of it; with `--deep` ten minutes."""
_DEEP_BUDGET_S = 600.0


def observe(
    connection: psycopg.Connection,
    catalogue: Catalogue,
    target: Target,
    matching: Matching,
    *,
    deep: bool,
    note: list[NotChecked],
    on_step: Callable[[int, int], None] | None = None,
) -> Behaviour:
    """Try each command as each role on made-up rows, in one transaction that is rolled back.

    Takes at most ROW EXCLUSIVE, waits 50 ms for a lock and no longer, and writes only rows that it has made. Where
    rows can't be made, reading is tried on rows that are there. What could not be tried is added to `note`.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    stage = _Stage(connection, catalogue, target, matching, deep=deep)
    tried = stage.play(on_step or (lambda _done, _total: None))
    note.extend(stage.missed)
    return Behaviour(tuple(tried), tuple(stage.missed))


class _Stage:
    def __init__(
        self,
        connection: psycopg.Connection,
        catalogue: Catalogue,
        target: Target,
        matching: Matching,
        *,
        deep: bool,
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._matching = matching
        self._is_declared = any(each.access for each in target.tables.values())
        self._deep = deep
        self._links = Links(catalogue)
        self._cast = Cast(catalogue, target, matching)
        self._harmless = Harmless(catalogue)
        nobody = Tenant()
        self._everybody = self._cast.actors(nobody, nobody, nobody)
        self._roles = frozenset[str]().union(*(catalogue.roles_of(each.role) for each in self._everybody))
        self._deadline = time.monotonic() + (_DEEP_BUDGET_S if deep else BUDGET_S)
        self.missed: list[NotChecked] = []

    def play(self, on_step: Callable[[int, int], None]) -> list[Tried]:
        if not self._everybody and not self._is_declared:
            return []  # nobody acts, and nobody said that anybody should
        if not self._everybody:
            self._miss(
                "what roles may do with rows",
                "there is no role named anon or authenticated that is bound by row-level security",
                "Declare who acts, with MetaData.info['principals'], if your roles have other names.",
            )
            return []
        tables = self._tables()
        if not tables:
            return []
        with self._connection.transaction(force_rollback=True):
            if self._catalogue.server.is_standby:
                return self._read_only(tables, on_step)
            self._connection.execute(
                "set transaction read write; set local lock_timeout = '50ms'; set local statement_timeout = '2s';"
                " set local search_path = public, extensions; set constraints all immediate",
                prepare=False,
            )
            return self._act(tables, on_step)

    def _tables(self) -> list[Relation]:
        """Tables whose rows belong to somebody and that a role can reach, those of the target first."""
        found = [
            each
            for each in self._catalogue.own_relations()
            if each.is_table
            and not each.is_partition
            and self._links.is_tenant(each)
            and (self._access(each) is not None or self._is_reached(each))
        ]
        found.sort(key=lambda each: (self._access(each) is None, not each.has_row_security, each.name))
        if not self._deep and len(found) > MOST_TABLES:
            self._miss(
                f"{len(found) - MOST_TABLES} tables, {found[MOST_TABLES].name} and others: what roles may do with rows",
                f"the first {MOST_TABLES} tables are tried",
                "Run it again with --deep.",
            )
            del found[MOST_TABLES:]
        return found

    def _is_reached(self, relation: Relation) -> bool:
        return any(grant.grantee in self._roles for grant in relation.grants)

    def _access(self, relation: Relation) -> tuple[Access, ...] | None:
        match = self._matching.of(relation)
        return match.wanted.access if match is not None else None

    def _act(self, tables: list[Relation], on_step: Callable[[int, int], None]) -> list[Tried]:
        world = World(self._connection, self._links, self._cast.given(), self._cast.asked(), deep=self._deep)
        one, other, stranger = world.new_tenant(), world.new_tenant(), world.new_tenant()
        self._make(world, tables, (one, other), stranger)
        actors = self._able(self._cast.actors(one, other, stranger))
        found: list[Tried] = []
        for done, relation in enumerate(tables):
            on_step(done, len(tables))
            if time.monotonic() > self._deadline:
                self._miss(
                    f"{len(tables) - done} tables, {relation.name} and others: what roles may do with rows",
                    "the time for it was over",
                    "Run it again with --deep, or nearer to the server.",
                )
                break
            if relation.name in one.rows and relation.name in other.rows:
                found += self._try_table(world, relation, actors)
            else:
                found += self._read_instead(relation, one.failures.get(relation.name), actors)
        for view in self._catalogue.own_relations():
            is_tried = view.kind == "view" and self._is_reached(view) and time.monotonic() < self._deadline
            if is_tried and self._may_read(view):
                found += self._try_view(view, actors)
        return found

    def _make(self, world: World, tables: list[Relation], tenants: tuple[Tenant, ...], stranger: Tenant) -> None:
        relations = self._catalogue.relations.values()
        people = [each for each in relations if each.is_table and self._links.is_people(each)]
        people.sort(key=lambda each: len(self._links.needs(each)))
        members = [each for each in self._catalogue.own_relations() if each.is_table and self._links.joins_people(each)]
        for tenant in (*tenants, stranger):
            wanted = [*people, *members, *tables] if tenant is not stranger else people
            for relation in wanted:
                try:
                    world.row(relation, tenant)
                except CannotMake:
                    continue  # told where the table is tried

    def _able(self, actors: list[Actor]) -> list[Actor]:
        """Those as whom the connected role can act."""
        found: list[Actor] = []
        for each in actors:
            try:
                act_as(self._connection, each)
            except psycopg.errors.InsufficientPrivilege as error:
                self._miss(
                    f"what {each.name} may do, as role {each.role}",
                    words(error),
                    f"Grant it for the time: grant {each.role} to {self._catalogue.server.user};",
                )
            else:
                found.append(each)
        return found

    def _try_table(self, world: World, relation: Relation, actors: list[Actor]) -> Iterator[Tried]:
        left_out = self._left_out(world, relation)
        planned = [
            (actor, trial) for actor in actors for trial in trials(world, self._catalogue, relation, actor, left_out)
        ]
        attempts = [
            Attempt(actor, relation, trial.command, statement)
            for actor, trial in planned
            for statement, _ in trial.statements
        ]
        results = iter(try_all(self._connection, attempts))
        for actor, trial in planned:
            outcomes = [(next(results), what) for _, what in trial.statements]
            told = [(each, what) for each, what in outcomes if isinstance(each, Result)]
            if len(told) == len(outcomes):
                yield self._judge(relation, actor, trial, told)
            for each, _ in outcomes:
                if isinstance(each, CannotTell):
                    self._miss_for_now(f"{trial.command} on {relation.name}, as {actor.role}", each)

    def _left_out(self, world: World, relation: Relation) -> set[Command]:
        """Commands that would start what isn't known to be undone."""
        found: set[Command] = set()
        for command in CHANGES:
            why = None if self._deep else refusal(world, relation, command)
            if why is not None:
                self._miss(f"{command} on {relation.name}, as any role", *why)
                found.add(command)
        return found

    def _miss_for_now(self, what: str, reason: CannotTell) -> None:
        self._miss(what, f"the server said: {reason}", "Run it again when the table is less busy.")

    def _try_view(self, view: Relation, actors: list[Actor]) -> Iterator[Tried]:
        """Look for foreign rows through a view that shows the key of the table that they are in."""
        for name in view.reads:
            table = self._catalogue.relations.get(name)
            if table is None or not self._links.is_tenant(table):
                continue
            rows = [(actor, actor.other.rows.get(name)) for actor in actors]
            attempts = [
                Attempt(actor, view, "select", select_of(view, row))
                for actor, row in rows
                if row is not None and all(self._shows(view, table, column) for column in row.key)
            ]
            results = try_all(self._connection, attempts)
            yield from self._read_results(view, attempts, results, is_declared=self._access(table) is not None)

    def _read_results(
        self, relation: Relation, attempts: list[Attempt], results: list[Result | CannotTell], *, is_declared: bool
    ) -> Iterator[Tried]:
        for attempt, result in zip(attempts, results, strict=True):
            if isinstance(result, CannotTell):
                self._miss_for_now(f"reading {relation.name}, as {attempt.actor.role}", result)
                continue
            seen = Observation(
                role=attempt.actor.role,
                principal=attempt.actor.name_abroad,
                table=str(relation.name),
                command="select",
                rows="foreign",
                outcome=result.outcome,
                detail=result.detail,
            )
            yield Tried(relation.name, seen, result.outcome == "denied", is_declared)

    def _shows(self, view: Relation, table: Relation, column: str) -> bool:
        return column in view.columns and view.columns[column].base_type == table.columns[column].base_type

    def _judge(self, relation: Relation, actor: Actor, trial: Trial, results: list[tuple[Result, str]]) -> Tried:
        results.sort(key=lambda each: ("allowed", "error", "denied").index(each[0].outcome))
        result, what = results[0]
        outcome, detail = result.outcome, result.detail
        if trial.rows == "own" and result.is_rule and trial.command != "insert":
            outcome = "allowed"  # a row that policies hide starts no trigger and meets no constraint
        if outcome == "allowed" and trial.rows == "foreign":
            detail = f"{what}; {detail}" if detail else what
        name = actor.name if trial.rows == "own" else actor.name_abroad
        observation = Observation(
            role=actor.role,
            principal=name,
            table=str(relation.name),
            command=trial.command,
            rows=trial.rows,
            outcome=outcome,
            detail=detail,
        )
        access = self._access(relation)
        is_expected = outcome != "error" and self._is_as_declared(access, observation, is_rule=result.is_rule)
        return Tried(relation.name, observation, is_expected, access is not None)

    def _is_as_declared(self, access: tuple[Access, ...] | None, seen: Observation, *, is_rule: bool) -> bool:
        if seen.rows == "foreign":
            return seen.outcome == "denied"
        if access is None or (is_rule and seen.outcome == "denied"):
            return True
        wanted = any(each.role == seen.role and seen.command in each.commands for each in access)
        return (seen.outcome == "allowed") == wanted

    def _read_instead(self, relation: Relation, failure: CannotMake | None, actors: list[Actor]) -> list[Tried]:
        """Try at least reading, on rows that are there."""
        if failure is not None:
            self._miss(f"what roles may do with rows of {relation.name}", failure.why, failure.mend)
        return self._read(relation, [each for each in actors if each.own is None])

    def _read_only(self, tables: list[Relation], on_step: Callable[[int, int], None]) -> list[Tried]:
        self._miss(
            "writing, as any role", "the server is a standby, which takes no writes", "Analyse the primary server."
        )
        actors = self._able([each for each in self._everybody if each.own is None])
        found: list[Tried] = []
        for done, relation in enumerate(tables):
            on_step(done, len(tables))
            found += self._read(relation, actors)
        return found

    def _may_read(self, relation: Relation) -> bool:
        """Whether reading runs nothing but what is known; what isn't is told."""
        unknown = None if self._deep else self._harmless.reading(relation)
        if unknown is not None:
            self._miss(
                f"reading {relation.name}, as any role",
                f"what it would run isn't known to be undone: {unknown}",
                "Run it again with --deep, on a copy if you are in doubt.",
            )
        return unknown is None

    def _read(self, relation: Relation, actors: list[Actor]) -> list[Tried]:
        if not self._may_read(relation):
            return []
        try:
            statement = reading(self._connection, self._catalogue, relation)
        except CannotTell as reason:
            self._miss(f"reading rows of {relation.name}, as any role", str(reason), "Try its policies by hand.")
            return []
        if statement is None:
            return []
        attempts = [Attempt(actor, relation, "select", statement) for actor in actors]
        results = try_all(self._connection, attempts)
        return list(self._read_results(relation, attempts, results, is_declared=self._access(relation) is not None))

    def _miss(self, what: str, why: str, how: str) -> None:
        missed = NotChecked(what=what, why=why, how=how, codes=CODES)
        if missed not in self.missed:
            self.missed.append(missed)
