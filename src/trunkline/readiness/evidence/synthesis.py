"""Rows that are made up: one of each table for each of two tenants, in a transaction that is rolled back.

A row is given all that the table asks for. Foreign keys point to made-up rows of the same tenant; what the server
refuses is mended by what it says (another value for the column of a failed check) and tried again. No row that was
there before is taken: others would wait for it, and nobody knows what its person may do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Column, Constraint, Name, Relation, Trigger
from trunkline.readiness.evidence.asking import table, words
from trunkline.readiness.evidence.candidates import values_for
from trunkline.readiness.evidence.harmless import Event, Harmless
from trunkline.readiness.evidence.links import Links, Reference

_TRIES = 40
_FINAL = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""What no other value mends."""


class CannotMake(Exception):
    """A row can't be made up. `args[0]` says why, and `mend` what would let it."""

    def __init__(self, why: str, mend: str = "Try the policies of this table by hand.") -> None:
        super().__init__(why)
        self.why = why
        self.mend = mend


class _Taken(Exception):
    """The row's key is its owner's, and the owner has such a row already."""


@dataclass(frozen=True)
class Row:
    """One row of a tenant."""

    relation: Relation
    values: Mapping[str, str]
    """What was written, by column."""
    key: Mapping[str, str]
    """Columns that tell it from all others."""
    is_made: bool
    """By a statement here, or by a trigger that one started. No other rows are taken."""


@dataclass
class Tenant:
    """A made-up person with an organization and all that belongs to it."""

    person: str = field(default_factory=lambda: str(uuid4()))
    rows: dict[Name, Row] = field(default_factory=dict[Name, Row])
    failures: dict[Name, CannotMake] = field(default_factory=dict[Name, CannotMake])
    ids: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """Ids of organizations that no table holds, by the column's name and type."""


class World:
    """Makes rows on one connection, inside the transaction that is open on it."""

    def __init__(
        self,
        connection: psycopg.Connection,
        links: Links,
        given: Mapping[Name, Mapping[str, str]],
        asked: Mapping[Name, frozenset[str]],
        *,
        deep: bool,
    ) -> None:
        """`given` are values that rows must hold, and `asked` columns that must not be null, by table."""
        self._connection = connection
        self.links = links
        self._given = given
        self._asked = asked
        self._deep = deep
        self.harmless = Harmless(links.catalogue, _tables_with_rules(connection))
        self.tenants: list[Tenant] = []

    def new_tenant(self) -> Tenant:
        """Somebody who has nothing yet."""
        self.tenants.append(Tenant())
        return self.tenants[-1]

    def row(self, relation: Relation, tenant: Tenant) -> Row:
        """The tenant's row of a table, made where it isn't yet.

        Raises:
            CannotMake: says why.
        """
        return self._row(relation, tenant, ())

    def like(self, row: Row, owner: Mapping[str, str]) -> dict[str, str]:
        """Values for one more row as this one: `owner` replaces columns, keys are new."""
        values = {**row.values, **owner}
        tied = {column for each in self.links.references(row.relation) for column in each.columns}
        unique = {column for index in row.relation.indexes if index.is_unique for column in index.columns}
        for column in (unique | set(row.relation.primary_key)) - tied:
            if column is not None and column in values:
                fresh = values_for(row.relation, row.relation.columns[column])
                same_kind = [each for each in fresh if len(each) == len(values[column])]
                values[column] = (same_kind or fresh or [values[column]])[0]
        return values

    def tied_to(self, relation: Relation, tenant: Tenant, references: tuple[Reference, ...]) -> dict[str, str]:
        """Values of the columns that would make a row this tenant's; of what the tenant has."""
        found: dict[str, str] = {}
        for each in references:
            values = self._target(relation, each, tenant)
            if values is not None:
                found |= values
        return found

    def unknown_triggers(self, relation: Relation, event: Event) -> Iterator[Trigger]:
        """Triggers that a command would start and that could leave something behind."""
        return self.harmless.triggers(relation, event)

    def _row(self, relation: Relation, tenant: Tenant, above: tuple[Name, ...]) -> Row:
        if relation.name in tenant.rows:
            return tenant.rows[relation.name]
        if relation.name in tenant.failures:
            raise tenant.failures[relation.name]
        try:
            row = self._make(relation, tenant, above)
        except CannotMake as failure:
            tenant.failures[relation.name] = failure
            raise
        tenant.rows[relation.name] = row
        return row

    def _make(self, relation: Relation, tenant: Tenant, above: tuple[Name, ...]) -> Row:
        self._refuse_unsafe(relation)
        optional = self._prepare_parents(relation, tenant, (*above, relation.name))
        references = tuple(each for each in self.links.references(relation) if each.is_required or each in optional)
        tied = self.tied_to(relation, tenant, references)
        try:
            return self._insert(relation, tied | self._given_to(relation, tenant), optional)
        except _Taken:
            if found := self._made_by_trigger(relation, tied):
                return found
            raise CannotMake("its owner has such a row already, which the connected role can't see") from None

    def _refuse_unsafe(self, relation: Relation) -> None:
        if not relation.is_table:
            raise CannotMake(f"it is a {relation.kind}")
        if not relation.can_write:
            raise CannotMake("the connected role may not write it", "Connect as the tables' owner.")
        if self.harmless.has_rules(relation):
            raise CannotMake("it has a rewrite rule, which could write elsewhere")
        if self._deep:
            return
        trigger = next(self.unknown_triggers(relation, "insert"), None)
        if trigger is not None:
            raise CannotMake(
                f"trigger {trigger.name} would run, and what {trigger.function} does isn't known to be undone",
                "Run it again with --deep, on a copy if you are in doubt.",
            )
        sequence = next((each.name for each in relation.columns.values() if each.uses_sequence), None)
        if sequence is not None:
            raise CannotMake(
                f"column {sequence} takes numbers from a sequence, and no rollback gives them back",
                "Run it again with --deep.",
            )
        unknown = self.harmless.writing(relation)
        if unknown is not None:
            raise CannotMake(
                f"what a new row would run isn't known to be undone: {unknown}",
                "Run it again with --deep, on a copy if you are in doubt.",
            )

    def _prepare_parents(self, relation: Relation, tenant: Tenant, above: tuple[Name, ...]) -> tuple[Reference, ...]:
        """Make what the row hangs on; returns the optional references that can be filled."""
        optional: list[Reference] = []
        for each in self.links.references(relation):
            try:
                self._prepare_parent(each, tenant, above)
            except CannotMake as failure:
                if each.is_required:
                    raise CannotMake(f"it needs a row of {each.parent}: {failure.why}", failure.mend) from None
                continue
            if not each.is_required:
                optional.append(each)
        return tuple(optional)

    def _prepare_parent(self, reference: Reference, tenant: Tenant, above: tuple[Name, ...]) -> None:
        if reference.parent is None:
            return
        parent = self.links.catalogue.relations[reference.parent]
        if not self.links.needs(parent).isdisjoint(above):
            raise CannotMake("each of the two needs a row of the other first")
        self._row(parent, tenant, above)

    def _given_to(self, relation: Relation, tenant: Tenant) -> dict[str, str]:
        given = self._given.get(relation.name, {})
        return {column: value.replace("{person}", tenant.person) for column, value in given.items()}

    def _target(self, relation: Relation, reference: Reference, tenant: Tenant) -> dict[str, str] | None:
        if reference.parent is None:
            column = reference.columns[0]
            if reference.kind == "person":
                return {column: tenant.person}
            kind = relation.columns[column].base_type
            if (column, kind) not in tenant.ids:
                tenant.ids[column, kind] = (values_for(relation, relation.columns[column]) or [tenant.person])[0]
            return {column: tenant.ids[column, kind]}
        parent = tenant.rows.get(reference.parent)
        if parent is None or not all(column in parent.values for column in reference.parent_columns):
            return None
        pairs = zip(reference.columns, reference.parent_columns, strict=True)
        return {column: parent.values[parent_column] for column, parent_column in pairs}

    def _insert(self, relation: Relation, fixed: Mapping[str, str], optional: tuple[Reference, ...]) -> Row:
        attempt = _Attempt(self.links, relation, fixed, optional)
        attempt.need(self._asked.get(relation.name, frozenset()))
        for _ in range(_TRIES):
            values = attempt.values()
            key = _key(relation, values)
            try:
                run(self._connection, "made", insert_of(relation, values))
            except psycopg.Error as error:
                if self._connection.closed:
                    raise
                self._connection.execute("rollback to savepoint made", prepare=False)
                attempt.mend(error)
                continue
            return Row(relation, values, key, is_made=True)
        raise CannotMake(f"no made-up row fits its checks in {_TRIES} tries: {attempt.last}")

    def _made_by_trigger(self, relation: Relation, tied: Mapping[str, str]) -> Row | None:
        """The row that a trigger has made for its owner: nothing else can refer to what is made up here."""
        columns = [each.name for each in relation.columns.values() if not each.is_generated]
        if not tied:
            return None
        query = sql.SQL("select {} from {} where {}").format(
            sql.SQL(", ").join(sql.SQL("{}::pg_catalog.text").format(sql.Identifier(each)) for each in columns),
            table(relation.name),
            where(tied),
        )
        found = self._connection.execute(query, prepare=False).fetchall()
        if len(found) != 1:
            return None
        values = {name: str(value) for name, value in zip(columns, found[0], strict=True) if value is not None}
        return Row(relation, values, _key(relation, values), is_made=True)


class _Attempt:
    """The values of one row to be, mended after each refusal."""

    def __init__(
        self,
        links: Links,
        relation: Relation,
        fixed: Mapping[str, str],
        optional: tuple[Reference, ...],
    ) -> None:
        self.last = ""
        self._relation = relation
        self._fixed = dict(fixed)
        required = {column for each in links.references(relation) if each not in optional for column in each.columns}
        # Parents go first: whose row it is should stay known.
        ordered = sorted(optional, key=lambda each: each.kind != "parent")
        self._droppable = [set(each.columns) - required for each in ordered]
        self._is_membership = links.joins_people(relation)
        self._choices: dict[str, list[str]] = {}
        self.need(each.name for each in relation.columns.values() if self._must_be_given(each))

    def need(self, columns: Iterable[str]) -> None:
        """Give these columns a value too.

        Raises:
            CannotMake: of a type for which no value is known.
        """
        for name in columns:
            column = self._relation.columns[name]
            if name in self._fixed or name in self._choices or column.is_generated:
                continue
            self._choices[name] = values_for(self._relation, column, is_membership=self._is_membership)
            if not self._choices[name]:
                raise CannotMake(f"no value of type {column.type} is known, for column {name}")

    def values(self) -> dict[str, str]:
        """What is to be written now."""
        return {**self._fixed, **{name: choices[0] for name, choices in self._choices.items()}}

    def mend(self, error: psycopg.Error) -> None:
        """Change what the server has refused.

        Raises:
            CannotMake: nothing is left to change; with the server's words.
        """
        self.last = words(error)
        constraint = next(
            (each for each in self._relation.constraints if each.name == error.diag.constraint_name), None
        )
        match error:
            case psycopg.errors.NotNullViolation() if (name := error.diag.column_name) in self._relation.columns:
                self.need([name] if name is not None else [])
            case psycopg.errors.UniqueViolation():
                self._renew(error.diag.constraint_name)
            case psycopg.errors.ForeignKeyViolation() if constraint is not None:
                self._drop([each for each in self._droppable if each & set(constraint.columns)])
            case psycopg.errors.CheckViolation() if constraint is not None or error.diag.datatype_name:
                self._change(constraint, error)
            case _ if isinstance(error, _FINAL):
                raise self._failure(error)
            case _:
                self._drop(self._droppable)  # a trigger may not like what the row refers to

    def _must_be_given(self, column: Column) -> bool:
        if column.name in self._relation.primary_key or column.uses_sequence:
            return True
        if self._is_membership and column.name == "role":
            return True
        return not column.nullable and column.default is None

    def _renew(self, index_name: str | None) -> None:
        index = next((each for each in self._relation.indexes if each.name == index_name), None)
        columns = [each for each in index.columns if each is not None] if index is not None else []
        free = [each for each in columns if each in self._choices]
        if not free:
            raise _Taken
        for name in free:
            self._choices[name] = self._choices[name][1:]
            if not self._choices[name]:
                raise CannotMake(self.last)

    def _change(self, constraint: Constraint | None, error: psycopg.Error) -> None:
        columns = list(constraint.columns) if constraint is not None else self._of_domain(error.diag.datatype_name)
        for name in columns:
            if len(self._choices.get(name, ())) > 1:
                self._choices[name] = self._choices[name][1:]
                return
        empty = [each for each in columns if each not in self._choices and each not in self._fixed]
        if not empty:
            raise self._failure(error)
        self.need(empty[:1])

    def _of_domain(self, domain: str | None) -> list[str]:
        return [each for each in self._choices if domain and domain in self._relation.columns[each].type]

    def _drop(self, candidates: list[set[str]]) -> None:
        """Leave the first of these optional references out."""
        gone = next((each & self._fixed.keys() for each in candidates if each & self._fixed.keys()), None)
        if gone is None:
            raise CannotMake(f"the server said: {self.last}")
        self._fixed = {name: value for name, value in self._fixed.items() if name not in gone}

    def _failure(self, error: psycopg.Error) -> CannotMake:
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return CannotMake(
                f"the connected role can't add a row to it: {words(error)}",
                "Connect as a role that owns the table and bypasses row-level security.",
            )
        return CannotMake(f"the server said: {words(error)}")


def insert_of(relation: Relation, values: Mapping[str, str]) -> sql.Composed:
    """INSERT of these values; texts, whose types the server finds by the columns."""
    identity = any(relation.columns[column].is_identity for column in values)
    return sql.SQL("insert into {} ({}){} values ({})").format(
        table(relation.name),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(" overriding system value" if identity else ""),
        sql.SQL(", ").join(sql.Literal(value) for value in values.values()),
    )


def where(key: Mapping[str, str]) -> sql.Composed:
    """The row with this key."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value)) for column, value in key.items()
    )


def run(connection: psycopg.Connection, savepoint: str, statement: sql.Composable) -> None:
    """Run a statement in a savepoint of its own, in one trip to the server.

    Raises:
        psycopg.Error: the server refuses; whoever asked goes back to the savepoint.
    """
    name = sql.Identifier(savepoint)
    connection.execute(sql.SQL("savepoint {}; {}; release savepoint {}").format(name, statement, name), prepare=False)


def _key(relation: Relation, values: Mapping[str, str]) -> dict[str, str]:
    unique = [each.columns for each in relation.indexes if each.is_unique and each.predicate is None]
    for columns in (relation.primary_key, *unique):
        if columns and all(column in values for column in columns):
            return {column: values[column] for column in columns if column is not None}
    comparable = {"uuid", "text", "character varying"}
    found = {
        name: text for name, text in values.items() if relation.columns[name].base_type.split("(")[0] in comparable
    }
    if not found:
        raise CannotMake("it has no key by which a row of it could be found again")
    return found


def _tables_with_rules(connection: psycopg.Connection) -> frozenset[int]:
    rows = connection.execute(
        "select r.ev_class from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class"
        " where c.relkind in ('r', 'p')",
        prepare=False,
    ).fetchall()
    return frozenset(row[0] for row in rows)
