"""What stands in the catalogue: nothing that would let rows out beside the policies.

Attacks 7 to 10, 14, 16, 21, 23 to 25 and 29.
"""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import Column, MetaData, Table, Uuid
from tests.attack.expected import TABLES
from tests.attack.scene import LOGIN, Connection, Scene, as_owner, qualified, raw

from trunkline.db.access import AUTHENTICATED, Allow, member
from trunkline.db.functions import SEQUENCES
from trunkline.db.schema import access_statements

REQUEST_ROLES = ("anon", "authenticated", "trunkline_service")
SCHEMAS = ("public", "app", "trunkline", "trunkline_runtime", "auth", "extensions")


def test_every_table_of_ours_is_declared_and_forced(owner: Connection) -> None:
    """A partition, an archive or a copy has no policies of its own: none may lie around (21, 23)."""
    found = owner.execute(
        "select c.relname, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,"
        " exists (select 1 from pg_inherits where inhrelid = c.oid or inhparent = c.oid)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname in ('public', 'app', 'trunkline', 'trunkline_runtime')"
        " and c.relkind in ('r', 'p', 'f', 'v', 'm')"
        " and c.relname <> 'alembic_version' order by 1"
    ).fetchall()
    assert found == [(table, "r", True, True, False, False) for table in sorted(TABLES)]


def test_every_policy_names_one_role(owner: Connection) -> None:
    rows = owner.execute("select policyname, roles::text, permissive from pg_policies").fetchall()
    assert rows
    one = {f"{{{role}}}" for role in (*REQUEST_ROLES, "trunkline_definer")}
    assert [name for name, roles, kind in rows if roles not in one or kind != "PERMISSIVE"] == []


def privileges(connection: Connection, relation: str) -> set[tuple[str, str, bool]]:
    """(role, privilege, may pass it on) on a table, of its columns too; PUBLIC is a role here, the owner is not."""
    rows = connection.execute(
        """
        select coalesce(r.rolname, 'public'), acl.privilege_type, acl.is_grantable
        from pg_class c
        cross join lateral (
          select (aclexplode(c.relacl)).* union
          select (aclexplode(a.attacl)).* from pg_attribute a where a.attrelid = c.oid) acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = %s::regclass and acl.grantee <> c.relowner
        """,
        (relation,),
    ).fetchall()
    return {(str(role), str(privilege), bool(grantable)) for role, privilege, grantable in rows}


@pytest.mark.parametrize("table", TABLES)
def test_grants_are_of_rows_only(table: str, owner: Connection) -> None:
    found = privileges(owner, qualified(table))
    assert {privilege for _, privilege, _ in found} <= {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert {role for role, _, _ in found} <= {*REQUEST_ROLES, "service_role", "trunkline_definer"}
    assert not any(grantable for _, _, grantable in found)
    assert not any(role == "service_role" for role, _, _ in found) or table != "turn_states"


def test_the_roles_are_bound(owner: Connection) -> None:
    rows = owner.execute(
        "select rolname from pg_roles where rolname = any (%s)"
        " and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolinherit"
        " or rolcanlogin <> (rolname = %s))",
        ([*REQUEST_ROLES, "trunkline_definer", LOGIN], LOGIN),
    ).fetchall()
    assert rows == []


def test_nobody_creates_anything_beside_temporary_objects(owner: Connection) -> None:
    for role in (*REQUEST_ROLES, "service_role", LOGIN, "trunkline_definer"):
        for schema in SCHEMAS:
            assert owner.execute("select has_schema_privilege(%s, %s, 'create')", (role, schema)).fetchone() == (False,)
        assert owner.execute("select has_database_privilege(%s, current_database(), 'create')", (role,)).fetchone() == (
            False,
        )


def test_private_schemas_are_private(owner: Connection) -> None:
    may = {
        schema: {
            role
            for role in (*REQUEST_ROLES, "service_role", LOGIN)
            if owner.execute("select has_schema_privilege(%s, %s, 'usage')", (role, schema)).fetchone() == (True,)
        }
        for schema in ("trunkline", "trunkline_runtime")
    }
    assert may == {"trunkline": {LOGIN}, "trunkline_runtime": {"trunkline_service"}}


def test_people_of_plain_postgres_are_out_of_reach(owner: Connection, scene: Scene) -> None:
    for name in ("owner", "service", "visitor", "login", "anonymous"):
        owner.execute("savepoint look")
        scene.attackers[name].become(owner)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("select email from auth.users")
        owner.execute("rollback to savepoint look")


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_sequences_are_out_of_reach(sequence: str, owner: Connection, scene: Scene) -> None:
    """A number drawn or read from it tells how much is being written everywhere."""
    for attacker in scene.attackers.values():
        for statement in (
            f"select nextval('public.{sequence}')",
            f"select currval('public.{sequence}')",
            f"select setval('public.{sequence}', 1)",
            f"select last_value from public.{sequence}",
        ):
            owner.execute("savepoint draw")
            attacker.become(owner)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(raw(statement))
            owner.execute("rollback to savepoint draw")
        shown = owner.execute("select last_value from pg_sequences where sequencename = %s", (sequence,)).fetchone()
        assert shown is not None
    (sequences,) = owner.execute("select count(*) from pg_class where relkind = 'S'").fetchone() or (None,)
    assert sequences == len(SEQUENCES)


def exposed_views(connection: Connection) -> set[str]:
    """Views that read with their owner's rights, and materialized ones, which hold rows without policies."""
    rows = connection.execute(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = any (%s) and (c.relkind = 'm' or c.relkind = 'v'"
        " and not coalesce('security_invoker=true' = any (c.reloptions), false))",
        (list(SCHEMAS),),
    ).fetchall()
    return {str(name) for (name,) in rows}


def test_there_is_no_view_past_the_policies(owner: Connection) -> None:
    assert exposed_views(owner) == set()


def test_a_view_past_the_policies_would_leak_and_be_found(owner: Connection, scene: Scene) -> None:
    """The danger is real, and the test above would see it; a view with its reader's rights is harmless."""
    bodies = "as select content from public.agent_messages"
    for create, leaks in (
        (f"create view leaky {bodies}", True),
        (f"create materialized view leaky {bodies}", True),
        (f"create view leaky with (security_invoker = true) {bodies}", False),
    ):
        owner.execute("savepoint view")
        owner.execute(raw(create))
        owner.execute("grant select on leaky to authenticated")
        assert exposed_views(owner) == ({"leaky"} if leaks else set())
        scene.attackers["stranger"].become(owner)
        assert bool(owner.execute("select * from public.leaky").fetchall()) == leaks
        owner.execute("rollback to savepoint view")


def test_statistics_show_no_values(owner: Connection, scene: Scene) -> None:
    owner.execute("analyze public.agent_messages, public.agents")
    owned = owner.execute("select count(*) from pg_stats where tablename = 'agent_messages'").fetchone()
    assert owned is not None
    assert owned != (0,)
    for name in ("owner", "service", "visitor", "stranger", "anonymous"):
        owner.execute("savepoint look")
        scene.attackers[name].become(owner)
        shown = owner.execute("select count(*) from pg_stats where schemaname = 'public'").fetchone()
        assert shown == (0,), name
        for catalogue in ("pg_statistic", "pg_statistic_ext_data", "pg_authid"):
            owner.execute("savepoint closer")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(raw(f"select 1 from {catalogue}"))
            owner.execute("rollback to savepoint closer")
        owner.execute("rollback to savepoint look")


def test_a_plan_shows_no_value_of_anybody_else(owner: Connection, scene: Scene) -> None:
    owner.execute("analyze public.agent_messages")
    foreign = str(scene.world.theirs.organization_id)
    for name in ("owner", "service", "turn", "stranger"):
        owner.execute("savepoint look")
        scene.attackers[name].become(owner)
        plan = owner.execute(
            "explain (analyze, verbose) select * from public.agent_messages where content like 'secret%'"
        )
        lines = "\n".join(str(line) for (line,) in plan)
        assert "clinic" not in lines
        assert foreign not in lines
        owner.execute("rollback to savepoint look")


def test_nothing_is_broadcast(owner: Connection) -> None:
    """No payload of ours leaves by NOTIFY, and no publication streams rows past the policies (24)."""
    assert owner.execute("select pubname from pg_publication").fetchall() == []
    told = owner.execute(
        "select proname from pg_proc where pronamespace = 'app'::regnamespace"
        " and (prosrc ~* 'notify' or pg_get_functiondef(oid) ~* 'pg_notify|dblink|lo_import|copy ')"
    ).fetchall()
    assert told == []


def later_table() -> Table:
    """A table as a later revision would add it."""
    return Table(
        "later",
        MetaData(),
        Column("id", Uuid(), primary_key=True),
        Column("organization_id", Uuid(), nullable=False),
        info={"access": (Allow(AUTHENTICATED, ("select",), member()),)},
    )


def test_a_new_table_is_closed_whatever_the_hosts_default_privileges(owner: Connection, scene: Scene) -> None:
    owner.execute(
        "alter default privileges in schema public grant all on tables to anon, authenticated, service_role, public"
    )
    owner.execute("create table public.later (id uuid primary key, organization_id uuid not null)")
    owner.execute("insert into public.later values (gen_random_uuid(), %s)", (scene.world.theirs.organization_id,))
    assert ("anon", "TRUNCATE", False) in privileges(owner, "public.later")
    for statement in access_statements(later_table()):
        owner.execute(raw(statement))
    assert {each for each in privileges(owner, "public.later") if each[0] != "service_role"} == {
        ("authenticated", "SELECT", False)
    }
    for name, sees in (("owner", 0), ("both", 1)):
        scene.attackers[name].become(owner)
        assert len(owner.execute("select id from public.later").fetchall()) == sees
        as_owner(owner)
