"""The snapshot of a database with one of each thing, on every major version of PostgreSQL that can be had."""

from __future__ import annotations

from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from trunkline.postgres.catalogue.model import (
    Catalogue,
    Column,
    Constraint,
    DefaultPrivilege,
    Extension,
    Grant,
    Index,
    Name,
    Policy,
    Publication,
    Relation,
    Trigger,
    quote,
)
from trunkline.postgres.catalogue.read import read_catalogue

ONE_OF_EACH = """
create schema "Shop";
create type mood as enum ('sad', 'ok');
create domain short as varchar(20) not null check (value <> '');
create domain shorter as short;
create sequence codes;
create function next_code() returns text language sql as $$ select nextval('codes')::text $$;
create table people (
    id bigserial primary key,
    number int generated always as identity,
    mood mood default 'ok',
    nick shorter,
    friends uuid[],
    shout text generated always as (upper(note)) stored,
    "Mixed Case" numeric(10, 2),
    note text,
    code text default next_code(),
    gone int
);
alter table people drop column gone;
comment on table people is 'Who is here';
comment on column people.note is 'Free text';
create table "Shop"."Order" (
    id uuid primary key default gen_random_uuid(),
    person_id bigint,
    "user" text unique,
    period int4range
);
alter table "Shop"."Order"
    add foreign key (person_id) references people (id) on delete set null deferrable,
    add constraint "user isn't x" check ("user" <> 'x') not valid,
    add constraint one_at_a_time exclude using gist (period with &&);
create index lookup on "Shop"."Order" (lower("user"), person_id) include (id) where person_id is not null;
alter table "Shop"."Order" enable row level security;
alter table "Shop"."Order" force row level security;
create policy mine on "Shop"."Order" for select to {reader}
    using (exists (select from people p where p.id = person_id));
create policy "not now" on "Shop"."Order" as restrictive using (true) with check (false);
create view "who ordered" as select o.id, p.note from "Shop"."Order" o join people p on p.id = o.person_id;
create view caller with (security_invoker = on) as select * from "who ordered";
create materialized view counted as select count(*) as n from people;
create unique index on counted (n);
create function adult(age int, really boolean default true) returns boolean language sql stable security definer
    set search_path = '' set work_mem = '8MB' as 'select age > 17';
create function plus(int) returns int language sql immutable begin atomic select $1 + 1; end;
create procedure tidy() language sql as 'select 1';
create function touch() returns trigger language plpgsql as 'begin return new; end';
revoke execute on function touch() from public;
create trigger touches before insert on people for each row execute function touch();
alter table people disable trigger touches;
create table events (at date not null, id int) partition by range (at);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
alter table events add primary key (at, id);
create table seen (at date, id int, foreign key (at, id) references events);
create table members () inherits (people);
grant select (id, note), insert on people to {reader};
grant update on people to {reader} with grant option;
grant usage on schema "Shop" to {reader};
alter default privileges in schema "Shop" grant select on tables to {reader};
create publication whole for all tables;
create publication part for table people, tables in schema "Shop";
"""

OWNER_RIGHTS = ("delete", "insert", "references", "select", "trigger", "truncate", "update")


class Scene(NamedTuple):
    """The database and who is in it."""

    catalogue: Catalogue
    owner: str
    reader: str

    def relation(self, name: str, schema: str = "public") -> Relation:
        return self.catalogue.relations[Name(schema, name)]


@pytest.fixture
def scene(any_url: str) -> Scene:
    with psycopg.connect(any_url) as connection:
        owner = connection.info.user
        reader = f"reader_{connection.info.dbname}"
        # rolled back at the end, and with it the role, which belongs to the whole server
        connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(reader)))
        connection.execute(sql.SQL(ONE_OF_EACH).format(reader=sql.Identifier(reader)))
        catalogue = read_catalogue(connection)
        connection.rollback()
    return Scene(catalogue, owner, reader)


def plain(name: str, type_: str, **changes: object) -> Column:
    values: dict[str, object] = {
        "name": name,
        "type": type_,
        "base_type": type_,
        "nullable": True,
        "default": None,
        "is_generated": False,
        "is_identity": False,
        "uses_sequence": False,
    }
    return Column(**(values | changes))  # pyright: ignore[reportArgumentType]


def test_columns_are_told_with_types_domains_enums_defaults_and_sequences(scene: Scene) -> None:
    assert list(scene.relation("people").columns.values()) == [
        plain("id", "bigint", nullable=False, default="nextval('public.people_id_seq'::regclass)", uses_sequence=True),
        plain("number", "integer", nullable=False, is_identity=True, uses_sequence=True),
        plain("mood", "public.mood", default="'ok'::public.mood", enum_values=("sad", "ok")),
        plain("nick", "public.shorter", base_type="character varying(20)", nullable=False),
        plain("friends", "uuid[]"),
        plain("shout", "text", is_generated=True, generated_as="upper(note)"),
        plain("Mixed Case", "numeric(10,2)"),
        plain("note", "text", comment="Free text"),
        plain("code", "text", default="public.next_code()", uses_sequence=True),
    ]
    assert scene.relation("people").comment == "Who is here"


def test_constraints_are_told_with_what_they_refer_to(scene: Scene) -> None:
    order = scene.relation("Order", "Shop")
    assert order.constraints == (
        Constraint("Order_person_id_fkey", "foreign key", ("person_id",),
                   "FOREIGN KEY (person_id) REFERENCES public.people(id) ON DELETE SET NULL DEFERRABLE",
                   is_validated=True, is_deferrable=True, references=Name("public", "people"),
                   referenced_columns=("id",), on_delete="set null"),
        Constraint("Order_pkey", "primary key", ("id",), "PRIMARY KEY (id)", is_validated=True),
        Constraint("Order_user_key", "unique", ("user",), 'UNIQUE ("user")', is_validated=True),
        Constraint("one_at_a_time", "exclusion", ("period",), "EXCLUDE USING gist (period WITH &&)",
                   is_validated=True),
        Constraint("user isn't x", "check", ("user",), "CHECK ((\"user\" <> 'x'::text)) NOT VALID",
                   is_validated=False),
    )  # fmt: skip
    assert order.primary_key == ("id",)


def test_a_foreign_key_to_a_partitioned_table_is_told_once(scene: Scene) -> None:
    (key,) = scene.relation("seen").constraints
    assert (key.references, key.columns, key.referenced_columns) == (
        Name("public", "events"),
        ("at", "id"),
        ("at", "id"),
    )


def test_indexes_are_told_with_expressions_included_columns_and_predicates(scene: Scene) -> None:
    lookup = next(each for each in scene.relation("Order", "Shop").indexes if each.name == "lookup")
    assert lookup == Index(
        name="lookup",
        method="btree",
        columns=(None, "person_id"),
        included=("id",),
        is_unique=False,
        is_primary=False,
        is_valid=True,
        predicate="(person_id IS NOT NULL)",
        definition='CREATE INDEX lookup ON "Shop"."Order" USING btree (lower("user"), person_id) INCLUDE (id) '
        "WHERE (person_id IS NOT NULL)",
        size_bytes=8192,
        scans=0,
    )
    assert {each.name: each.constraint for each in scene.relation("Order", "Shop").indexes} == {
        "Order_pkey": "Order_pkey",
        "Order_user_key": "Order_user_key",
        "lookup": None,
        "one_at_a_time": "one_at_a_time",
    }
    assert [each.is_unique for each in scene.relation("counted").indexes] == [True]


def test_policies_are_told_with_their_roles_and_expressions(scene: Scene) -> None:
    order = scene.relation("Order", "Shop")
    assert (order.has_row_security, order.forces_row_security) == (True, True)
    mine, not_now = order.policies
    assert mine.using is not None
    assert "FROM public.people p" in mine.using
    assert (mine.name, mine.command, mine.roles, mine.is_permissive, mine.check) == (
        "mine", "select", (scene.reader,), True, None,
    )  # fmt: skip
    assert not_now == Policy("not now", "all", ("public",), is_permissive=False, using="true", check="false")


def test_views_tell_their_query_what_they_read_and_whose_rights_they_use(scene: Scene) -> None:
    ordered, caller, counted = map(scene.relation, ("who ordered", "caller", "counted"))
    assert (ordered.kind, ordered.is_security_invoker) == ("view", False)
    assert ordered.reads == (Name("Shop", "Order"), Name("public", "people"))
    assert (caller.is_security_invoker, caller.reads) == (True, (Name("public", "who ordered"),))
    assert caller.definition is not None
    assert 'FROM public."who ordered"' in caller.definition
    assert (counted.kind, counted.reads) == ("materialized view", (Name("public", "people"),))


def test_partitions_and_children_name_their_parents(scene: Scene) -> None:
    assert scene.relation("events").kind == "partitioned table"
    partition = scene.relation("events_2024")
    assert (partition.kind, partition.is_partition, partition.parents) == ("table", True, (Name("public", "events"),))
    child = scene.relation("members")
    assert (child.is_partition, child.parents) == (False, (Name("public", "people"),))
    assert list(child.columns) == list(scene.relation("people").columns)


def test_triggers_and_functions_are_told_without_those_of_constraints(scene: Scene) -> None:
    assert scene.relation("people").triggers == (
        Trigger(
            name="touches",
            function=Name("public", "touch"),
            definition="CREATE TRIGGER touches BEFORE INSERT ON public.people FOR EACH ROW "
            "EXECUTE FUNCTION public.touch()",
            is_enabled=False,
        ),
    )
    assert scene.relation("seen").triggers == ()
    functions = {each.name.name: each for each in scene.catalogue.functions}
    assert sorted(functions) == ["adult", "next_code", "plus", "tidy", "touch"]
    adult = functions["adult"]
    assert (adult.arguments, adult.returns, adult.language) == ("age integer, really boolean", "boolean", "sql")
    assert (adult.is_definer, adult.is_trigger, adult.volatility) == (True, False, "stable")
    assert adult.settings == {"search_path": '""', "work_mem": "8MB"}
    assert adult.grants == (Grant(scene.owner, "execute"), Grant("public", "execute"))
    assert "$1 + 1" in functions["plus"].source
    assert functions["tidy"].returns == "void"
    assert functions["touch"].is_trigger
    assert functions["touch"].grants == (Grant(scene.owner, "execute"),)


def test_grants_are_told_with_defaults_columns_and_options(scene: Scene) -> None:
    maintain = ("maintain",) if scene.catalogue.server.major >= 17 else ()
    owner_rights = {(scene.owner, right) for right in (*OWNER_RIGHTS, *maintain)}
    order = scene.relation("Order", "Shop")
    assert {(each.grantee, each.privilege) for each in order.grants} == owner_rights
    others = [each for each in scene.relation("people").grants if each.grantee != scene.owner]
    assert others == [
        Grant(scene.reader, "insert"),
        Grant(scene.reader, "update", is_grantable=True),
        Grant(scene.reader, "select", columns=("id", "note")),
    ]
    assert scene.catalogue.schema_grants["Shop"] == (
        Grant(scene.owner, "create"),
        Grant(scene.owner, "usage"),
        Grant(scene.reader, "usage"),
    )
    assert scene.catalogue.default_privileges == (
        DefaultPrivilege(scene.owner, "Shop", "table", Grant(scene.reader, "select")),
    )


def test_rights_are_held_by_grant_by_membership_and_by_ownership(scene: Scene) -> None:
    people, catalogue = scene.relation("people"), scene.catalogue
    assert catalogue.granted(scene.reader, people, "insert")
    assert catalogue.granted(scene.reader, people, "UPDATE")
    assert not catalogue.granted(scene.reader, people, "select"), "on two columns only"
    assert not catalogue.granted("public", people, "insert")
    assert catalogue.granted(scene.owner, people, "truncate")


def test_publications_are_told_with_their_tables(scene: Scene) -> None:
    assert scene.catalogue.publications == (
        Publication(
            name="part",
            all_tables=False,
            tables=(Name("Shop", "Order"), Name("public", "members"), Name("public", "people")),
        ),
        Publication(name="whole", all_tables=True, tables=()),
    )


def test_the_server_is_described(scene: Scene, any_url: str) -> None:
    server = scene.catalogue.server
    assert server.version_text.startswith(str(server.major))
    assert (server.is_standby, server.is_pooled, server.user, server.is_superuser) == (False, False, scene.owner, True)
    assert any_url.endswith(server.database)
    assert server.settings["wal_level"] == "replica"
    assert server.settings["lock_timeout"] == "0", "what the look itself sets doesn't count"
    assert ("transaction_timeout" in server.settings) == (server.major >= 17)
    assert server.available_extensions["plpgsql"] == "1.0"
    assert scene.catalogue.extensions["plpgsql"] == Extension("plpgsql", "pg_catalog", "1.0", "1.0")
    assert server.size_bytes > 1_000_000
    assert scene.catalogue.not_seen == ()


def test_roles_are_told_without_those_of_the_system(scene: Scene) -> None:
    roles = scene.catalogue.roles
    assert not [name for name in roles if name.startswith("pg_")]
    assert (roles[scene.reader].can_login, roles[scene.reader].is_superuser) == (False, False)
    assert roles[scene.owner].is_superuser
    assert "pg_database_owner" in scene.catalogue.roles_of(scene.owner)


def test_nothing_of_the_system_is_told(scene: Scene) -> None:
    assert scene.catalogue.schemas == ("Shop", "public")
    assert {each.schema for each in scene.catalogue.relations} == {"Shop", "public"}


def test_names_are_quoted_where_the_server_needs_it(any_url: str) -> None:
    with psycopg.connect(any_url) as connection:
        words = [row[0] for row in connection.execute("select word from pg_catalog.pg_get_keywords()")]
        for word in [*words, "plain_1$", "1st", "Mixed", 'a"b', "ü", "with space"]:
            name = quote(word)
            connection.execute(f"create temp table {name} ({name} int)".encode())
            connection.execute(f"select {name} from {name} where {name} > 0".encode())
            column = connection.execute(
                "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum = 1", (name,)
            ).fetchone()
            assert column == (word,)
        connection.rollback()
    assert (quote("timestamp"), quote("user"), quote("Mixed"), quote('a"b')) == (
        "timestamp", '"user"', '"Mixed"', '"a""b"',
    )  # fmt: skip
    assert (str(Name("public", "Order")), str(Name("Shop", "order"))) == ('"Order"', '"Shop"."order"')
