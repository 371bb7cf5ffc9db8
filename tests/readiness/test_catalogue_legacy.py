"""The legacy databases that other tests use: what they claim to have wrong is wrong, seen without the analyser."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import scalar_row
from tests.factories.legacy.make import (
    GENERATIONS,
    Fault,
    Generation,
    Planted,
    Shape,
    Variation,
    combinable,
    load_messages,
    make_legacy,
)
from tests.factories.legacy.variations import CONTENT_FOR_TEXT, ENUM_ROLE, MESSAGE_FOR_TEXT, STRAY_ROLES, VARIATIONS

from trunkline.postgres.catalogue.model import Catalogue, Function, Name, Relation
from trunkline.postgres.catalogue.read import read_catalogue

OWNER = ""
"""The role of the connection itself, whom no policy binds."""
PERSON = 'set local request.jwt.claims = \'{"sub": "8a6f0e4e-0000-4000-8000-000000000000"}\''


def parts(planted: str) -> tuple[str, str]:
    """Table and column; the second is empty where it is a table alone."""
    table, _, column = planted.partition(".")
    return table, column


class Legacy:
    """A legacy database, to be looked at."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.catalogue: Catalogue = read_catalogue(connection)

    def relation(self, planted: str) -> Relation:
        """The relation of `table` or `table.column`."""
        return self.catalogue.relations[Name("public", parts(planted)[0])]

    def ask(self, role: str, statement: str) -> object:
        """The last value asked for, as some role; whatever was done is undone."""
        with self.connection.transaction(force_rollback=True), self.connection.cursor(row_factory=scalar_row) as cursor:
            cursor.execute(PERSON)
            if role != OWNER:
                cursor.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            cursor.execute(statement.encode())
            return cursor.fetchone() if cursor.description else None

    def count(self, role: str, what: str) -> int:
        """How many rows a FROM clause has for a role."""
        found = self.ask(role, f"select count(*) from {what}")
        assert isinstance(found, int)
        return found


def _recurses(db: Legacy, table: str) -> bool:
    with pytest.raises(psycopg.errors.InvalidObjectDefinition, match="infinite recursion"):
        db.count("authenticated", table)
    return True


def _anybody_writes(db: Legacy, table: str) -> bool:
    bot_id = "bot_id" if Name("public", "bots") in db.catalogue.relations else "project_id"
    parent = "chat_sessions" if table == "chat_messages" else ("bots" if bot_id == "bot_id" else "projects")
    key = "session_id" if table == "chat_messages" else bot_id
    some = db.ask(OWNER, f"select quote_nullable(id) from {parent} limit 1")
    columns = db.relation(table).columns
    body = next((name for name in ("text", "content", "message") if name in columns), None)
    values = f"(role, {key}, {body}) values ('user', {some}, 'x')" if body else f"({key}) values ({some})"
    db.ask("anon", f"insert into {table} {values}")
    return True


def _is_orphaned(db: Legacy, column: str) -> bool:
    table, name = parts(column)
    parent = {"session_id": "chat_sessions", "bot_id": "bots", "project_id": "projects"}[name]
    return db.count(OWNER, f"{table} c where not exists (select from {parent} p where p.id = c.{name})") > 0


def _column_is_null(db: Legacy, column: str) -> bool:
    table, name = parts(column)
    return db.count(OWNER, f"{table} where {name} is null") > 0


def _has_duplicates(db: Legacy, key: str) -> bool:
    table, columns = parts(key)
    groups = f"(select from {table} group by {columns} having count(*) > 1) g"
    return db.count(OWNER, groups) > 0


def _lacks_index(db: Legacy, column: str) -> bool:
    relation, name = db.relation(column), parts(column)[1]
    is_key = any(each.kind == "foreign key" and each.columns == (name,) for each in relation.constraints)
    return is_key and not any(each.columns[:1] == (name,) for each in relation.indexes)


def _lacks_foreign_key(db: Legacy, column: str) -> bool:
    name = parts(column)[1]
    return not any(each.kind == "foreign key" and name in each.columns for each in db.relation(column).constraints)


def _has_column(db: Legacy, column: str) -> bool:
    return parts(column)[1].strip('"') in db.relation(column).columns


def _is_of_other_type(db: Legacy, column: str) -> bool:
    columns = db.relation(column).columns
    return columns[parts(column)[1]].type in (
        "bigint", "text", "timestamp without time zone", "public.message_role",
    )  # fmt: skip


def _has_stray_values(db: Legacy, column: str) -> bool:
    table, name = parts(column)
    return db.count(OWNER, f"{table} where {name} not in ('user', 'model', 'system', 'bot')") > 0


def _config_does_not_fit(db: Legacy, column: str) -> bool:
    unfit = f"{parts(column)[0]} where config #>> '{{llm,temperature}}' in ('warm', '7')"
    return db.count(OWNER, unfit) == 2


def _is_open_to_visitors(db: Legacy, relation: str) -> bool:
    return db.catalogue.granted("anon", db.relation(relation), "select") and not db.relation(relation).has_row_security


def _shows_visitors_rows(db: Legacy, relation: str) -> bool:
    return db.count("anon", relation) > 0


def _function_of(db: Legacy, name: str) -> Function:
    return next(each for each in db.catalogue.functions if each.name == Name("public", name))


def _is_callable_definer(db: Legacy, name: str) -> bool:
    session = db.ask(OWNER, "select session_id from chat_messages limit 1")
    return _function_of(db, name).is_definer and db.count("anon", f"{name}('{session}')") > 0


def _names_old_table(db: Legacy, table: str) -> bool:
    return any("chat_sessions" in (policy.using or "") for policy in db.relation(table).policies)


def _has_trigger(db: Legacy, trigger: str) -> bool:
    return parts(trigger)[1] in [each.name for each in db.relation(trigger).triggers]


def _publishes_old_tables(db: Legacy, name: str) -> bool:
    published = next(each.tables for each in db.catalogue.publications if each.name == name)
    return Name("public", "chat_messages") in published


IS_THERE: dict[Fault, Callable[[Legacy, str], bool]] = {
    "anybody writes": _anybody_writes,
    "config value does not fit": _config_does_not_fit,
    "definer function": _is_callable_definer,
    "duplicates": _has_duplicates,
    "foreign key without index": _lacks_index,
    "function for each row in policy": lambda db, table: any(
        "auth.uid()" in f"{each.using} {each.check}" for each in db.relation(table).policies
    ),
    "grant option": lambda db, table: any(each.is_grantable for each in db.relation(table).grants),
    "granted to everybody": lambda db, table: db.catalogue.granted("public", db.relation(table), "select"),
    "materialized view is exposed": _shows_visitors_rows,
    "mixed-case column": _has_column,
    "no foreign key": _lacks_foreign_key,
    "no primary key": lambda db, table: db.relation(table).primary_key == (),
    "nulls": _column_is_null,
    "orphans": _is_orphaned,
    "other name": _has_column,
    "other type": _is_of_other_type,
    "outside check": _has_stray_values,
    "partitioned": lambda db, table: db.relation(table).kind == "partitioned table",
    "policies without effect": lambda db, table: (
        db.relation(table).policies != () and not db.relation(table).has_row_security
    ),
    "policy fails": _recurses,
    "policy names an old table": _names_old_table,
    "publication": _publishes_old_tables,
    "row security off": _is_open_to_visitors,
    "rows of others are visible": _shows_visitors_rows,
    "search_path not set": lambda db, name: "search_path" not in _function_of(db, name).settings,
    "trigger": _has_trigger,
    "truncate granted to visitors": lambda db, table: db.catalogue.granted("anon", db.relation(table), "truncate"),
    "view goes around policies": _shows_visitors_rows,
}

ALL_BUT_THESE = ((ENUM_ROLE, CONTENT_FOR_TEXT), (STRAY_ROLES, MESSAGE_FOR_TEXT))


class Made(NamedTuple):
    """How a database is made."""

    generation: Generation
    variations: tuple[Variation, ...]

    def __str__(self) -> str:
        names = [each.name for each in self.variations]
        return f"{self.generation}, {'as it was' if not names else names[0] if len(names) == 1 else 'all but two'}"


def ways_to_make(generation: Generation) -> list[Made]:
    """As it was, with each variation alone, and with as many at once as can be."""
    possible = tuple(each for each in VARIATIONS if generation in each.generations)
    crowds = [tuple(each for each in possible if each not in left) for left in ALL_BUT_THESE]
    return [Made(generation, chosen) for chosen in ((), *((each,) for each in possible), *crowds)]


@pytest.mark.parametrize("made", [made for each in GENERATIONS for made in ways_to_make(each)], ids=str)
def test_every_planted_fault_is_there(empty_url: str, made: Made) -> None:
    planted = make_legacy(empty_url, *made)
    with psycopg.connect(empty_url) as connection:
        legacy = Legacy(connection)
        missing = [each for each in planted if not IS_THERE[each.fault](legacy, each.object)]
    assert missing == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_legacy_database_holds_some_hundred_rows(empty_url: str, generation: Generation) -> None:
    make_legacy(empty_url, generation)
    with psycopg.connect(empty_url) as connection:
        seen = read_catalogue(connection)
    rows = {each.name.name: each.rows for each in seen.relations.values() if each.kind == "table"}
    assert (rows["chat_sessions"], rows["chat_messages"], rows["usage_logs"], rows["users"]) == (120, 480, 200, 40)
    assert rows[Shape(generation).bots] == 16
    assert seen.functions == tuple(each for each in seen.functions if each.name.schema == "auth"), "no helper stays"


def test_messages_are_loaded_in_sessions_of_twenty(empty_url: str) -> None:
    make_legacy(empty_url, "newer")
    load_messages(empty_url, 1010)
    with psycopg.connect(empty_url) as connection:
        of_session = "select count(*) from chat_messages where timestamp >= '2024-07-01' group by session_id order by 1"
        sizes = [row[0] for row in connection.execute(of_session)]
    assert sizes == [10] + [20] * 50


def test_variations_that_exclude_each_other_are_refused(empty_url: str) -> None:
    assert not combinable("newer", [MESSAGE_FOR_TEXT, CONTENT_FOR_TEXT])
    with pytest.raises(ValueError, match="can't be combined in the older generation"):
        make_legacy(empty_url, "older", [each for each in VARIATIONS if each.name == "duplicates"])


def test_planted_faults_compare_as_values() -> None:
    assert Planted("orphans", "chat_messages.session_id") == ("orphans", "chat_messages.session_id")


def test_they_can_be_made_on_every_version(any_url: str) -> None:
    made = ways_to_make("newer")[-1]
    planted = make_legacy(any_url, *made)
    with psycopg.connect(any_url) as connection:
        legacy = Legacy(connection)
        assert [each for each in planted if not IS_THERE[each.fault](legacy, each.object)] == []
