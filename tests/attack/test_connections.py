"""What outlives a transaction, and what two transactions do to each other (attacks 15, 20, 25, 26).

Through real connections of the login role, as the server's pool and a transaction pooler hand them out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from tests.attack.scene import Attacker, Connection, Scene, as_owner, make_scene, raw

from trunkline.db.principals import Member
from trunkline.db.tenant import Database


@pytest.fixture
def login(attacked_login_url: str, scene: Scene) -> Iterator[Connection]:
    """A connection of the login role, as the pool holds it."""
    assert scene.world
    with psycopg.connect(attacked_login_url) as connection:
        yield connection
        connection.rollback()


def messages(connection: Connection) -> list[str]:
    """Contents of all messages that can be seen."""
    return [str(row[0]) for row in connection.execute("select content from public.agent_messages order by 1")]


def test_after_commit_and_rollback_the_connection_is_nobody(login: Connection, scene: Scene) -> None:
    for end in (login.commit, login.rollback):
        scene.attackers["service"].become(login)
        assert len(messages(login)) == 2
        end()
        assert login.execute("select current_user, current_setting('request.jwt.claims', true)").fetchone() in (
            ("trunkline_test_login", ""),
            ("trunkline_test_login", None),
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            messages(login)
        login.rollback()


def test_after_an_error_inside_a_savepoint_the_claims_are_those_of_outside(login: Connection, scene: Scene) -> None:
    ours, theirs = scene.attackers["service"], Attacker.of("theirs", scene.world.theirs.service)
    ours.become(login)
    login.execute("savepoint within")
    theirs.become(login)
    assert messages(login) == ["secret of clinic"]
    login.execute("rollback to savepoint within")
    assert "secret of clinic" not in messages(login)
    assert len(messages(login)) == 2


def test_a_plan_prepared_by_one_principal_serves_another_its_own_rows(login: Connection, scene: Scene) -> None:
    login.execute("set plan_cache_mode = force_generic_plan")
    order = (
        scene.attackers["service"],
        Attacker.of("theirs", scene.world.theirs.service),
        scene.attackers["owner"],
        scene.attackers["turn"],
    )
    order[0].become(login)
    login.execute("prepare everything as select content from public.agent_messages order by 1")
    found: list[list[str]] = []
    for attacker in order:
        login.commit()
        attacker.become(login)
        found.append([str(row[0]) for row in login.execute("execute everything")])
    ours = ["beside", "secret of bakery"]
    assert found == [ours, ["secret of clinic"], ours, ["secret of bakery"]]
    login.commit()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute("execute everything")


def test_a_setting_for_the_session_does_not_change_who_the_next_one_is(login: Connection, scene: Scene) -> None:
    """Somebody leaves role and claims behind for the session; the next transaction's own are what counts."""
    theirs = Attacker.of("theirs", scene.world.theirs.service)
    login.execute("select set_config('request.jwt.claims', %s, false)", (scene.attackers["owner"].claims,))
    login.execute("set role authenticated")
    login.commit()
    theirs.become(login)
    assert messages(login) == ["secret of clinic"]
    login.commit()
    scene.attackers["stranger"].become(login)
    assert messages(login) == []


def test_a_temporary_table_does_not_stand_in_for_ours(login: Connection, scene: Scene) -> None:
    """The server's statements name tables without a schema; a table left in pg_temp must not answer them."""
    scene.attackers["stranger"].become(login)
    login.execute("create temp table agent_messages as select 'forged' as content")
    login.execute("grant all on pg_temp.agent_messages to public")
    login.commit()
    scene.attackers["service"].become(login)
    found = login.execute("select content from agent_messages order by 1").fetchall()
    assert found == [("beside",), ("secret of bakery",)]


def test_row_security_cannot_be_turned_off(login: Connection, scene: Scene) -> None:
    scene.attackers["service"].become(login)
    login.execute("set local row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        messages(login)


@pytest.mark.parametrize("role", ["postgres", "trunkline_definer", "service_role", "pg_read_all_data"])
def test_the_login_role_cannot_become_more(role: str, login: Connection) -> None:
    for statement in (f"set role {role}", f"set session authorization {role}", f"grant {role} to current_user"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
            login.execute(raw(statement))
        login.rollback()


def test_copy_takes_out_what_a_select_would_show(login: Connection, scene: Scene) -> None:
    for name, count in (("service", 2), ("turn", 1), ("owner", 2), ("visitor", 1), ("stranger", 0)):
        scene.attackers[name].become(login)
        taken = ""
        with login.cursor().copy("copy (select content from public.agent_messages) to stdout") as copy:
            for row in copy:
                taken += bytes(row).decode()
        assert taken.count("\n") == count, name
        assert "clinic" not in taken
        login.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "copy public.agent_messages (id, organization_id, session_id, role, content) from stdin",
        "copy (select content from public.agent_messages) to '/tmp/out'",
        "copy (select content from public.agent_messages) to program 'cat'",
        "copy public.agents from '/etc/passwd'",
        "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd')",
    ],
)
def test_copy_and_files_are_out_of_reach(statement: str, login: Connection, scene: Scene) -> None:
    scene.attackers["service"].become(login)
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
        login.execute(raw(statement))


def test_what_others_run_is_hidden(login: Connection, attacked_login_url: str, scene: Scene) -> None:
    with psycopg.connect(attacked_login_url) as other:
        other.execute("select 'canary of another request'")
        for name in ("owner", "service", "visitor", "stranger"):
            scene.attackers[name].become(login)
            shown = login.execute(
                "select query from pg_stat_activity where query like '%canary%' and pid <> pg_backend_pid()"
            ).fetchall()
            assert shown == [], name
            login.rollback()


async def test_nothing_of_one_request_is_left_for_the_next(attacked_login_url: str, scene: Scene) -> None:
    """A pool of one connection: whatever the last request was, the next one sees its own."""
    pool = Database(attacked_login_url, pool_size=1)
    ours, theirs = scene.world.ours, scene.world.theirs
    seen: list[int] = []
    for principal in (
        ours.service,
        theirs.visitor,
        ours.turn,
        scene.world.stranger,
        theirs.member("viewer"),
        ours.visitor,
    ):
        with pytest.raises(Exception, match="division by zero"):
            async with pool.tenant(principal) as session:
                rows = (await session.execute(text("select organization_id from agent_messages"))).scalars().all()
                own = (
                    {ours.organization_id}
                    if principal in (ours.service, ours.turn, ours.visitor)
                    else {theirs.organization_id}
                )
                assert set(rows) <= own
                seen.append(len(rows))
                await session.execute(text("select 1 / 0"))
    assert seen == [2, 1, 1, 0, 1, 1]
    await pool.close()


# Members who come and go. These commit, each in a database of its own.


def two_owners(owner_url: str) -> tuple[Scene, Attacker, Attacker]:
    """A scene in which our organization has two owners."""
    scene = make_scene(owner_url)
    admin = scene.world.ours.people["admin"]
    with psycopg.connect(owner_url) as connection:
        connection.execute("update public.organization_members set role = 'owner' where user_id = %s", (admin,))
    return scene, scene.attackers["owner"], scene.attackers["admin"]


LEAVE = "delete from public.organization_members where organization_id = %s and user_id = app.user_id()"
STEP_DOWN = (
    "update public.organization_members set role = 'viewer' where organization_id = %s and user_id = app.user_id()"
)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("ways", [(LEAVE, LEAVE), (STEP_DOWN, LEAVE), (STEP_DOWN, STEP_DOWN)])
def test_two_owners_who_leave_at_once_leave_one(
    isolation: str, ways: tuple[str, str], owner_url: str, login_url: str
) -> None:
    scene, first, second = two_owners(owner_url)
    organization = scene.world.ours.organization_id
    ready = threading.Barrier(2)

    def leave(attacker: Attacker, statement: str) -> str | None:
        with psycopg.connect(login_url) as connection:
            connection.execute(raw(f"set transaction isolation level {isolation}"))
            attacker.become(connection)
            connection.execute("select 1 from public.organizations")  # the snapshot is taken
            ready.wait(timeout=20)
            try:
                connection.execute(raw(statement), (organization,))
                connection.commit()
            except psycopg.Error as error:
                return error.sqlstate
            return None

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(leave, (first, second), ways))
    assert outcomes.count(None) == 1, outcomes
    assert set(outcomes) <= {None, "23001", "40001"}, "a plain refusal or a conflict, never a deadlock"
    with psycopg.connect(owner_url) as connection:
        left = connection.execute(
            "select count(*) from public.organization_members where organization_id = %s and role = 'owner'",
            (organization,),
        ).fetchone()
    assert left == (1,)


def test_all_owners_cannot_leave_in_one_statement(owner_url: str) -> None:
    scene, first, _ = two_owners(owner_url)
    with psycopg.connect(owner_url) as connection:
        for statement in (
            "delete from public.organization_members where role = 'owner'",
            "update public.organization_members set role = 'viewer' where role = 'owner'",
        ):
            first.become(connection)
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(raw(statement))
            connection.rollback()
        first.become(connection)
        connection.execute(LEAVE, (scene.world.ours.organization_id,))
        connection.rollback()


def test_deleting_the_organization_takes_its_last_owner_along(owner: Connection, scene: Scene) -> None:
    scene.attackers["owner"].become(owner)
    assert owner.execute("delete from public.organizations returning id").fetchall() == [
        (scene.world.ours.organization_id,)
    ]
    as_owner(owner)
    left = owner.execute("select distinct organization_id from public.organization_members").fetchall()
    assert left == [(scene.world.theirs.organization_id,)]


@pytest.mark.parametrize("who", ["admin", "member", "viewer", "stranger"])
def test_nobody_makes_itself_an_owner(who: str, owner: Connection, scene: Scene) -> None:
    organization, attacker = scene.world.ours.organization_id, scene.attackers[who]
    target = scene.world.ours.people["viewer"]
    join = "insert into public.organization_members (organization_id, user_id, role) values"
    for statement, values in (
        ("update public.organization_members set role = 'owner' where user_id = app.user_id()", ()),
        ("update public.organization_members set role = 'owner'", ()),
        ("update public.organization_members set role = 'owner' where user_id = %s", (target,)),
        ("update public.organization_members set role = 'viewer' where role = 'owner'", ()),
        ("delete from public.organization_members where role = 'owner'", ()),
        (
            f"{join} (%s, app.user_id(), 'owner') on conflict (organization_id, user_id) do update set role = 'owner'",
            (organization,),
        ),
        (
            f"{join} (%s, %s, 'owner')",
            (organization, scene.world.stranger.user_id),
        ),
        ("update public.organizations set owner_id = app.user_id()", ()),
    ):
        owner.execute("savepoint grab")
        attacker.become(owner)
        try:
            owner.execute(raw(statement), values or None)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation):
            owner.execute("rollback to savepoint grab")
        as_owner(owner)
        owners = owner.execute(
            "select user_id from public.organization_members where role = 'owner' and organization_id = %s",
            (organization,),
        ).fetchall()
        assert owners == [(scene.world.ours.people["owner"],)], statement
        owner.execute("rollback to savepoint grab")
    if who == "admin":  # the twin: what an admin may do to others
        attacker.become(owner)
        done = owner.execute("update public.organization_members set role = 'member' where user_id = %s", (target,))
        assert done.rowcount == 1


def test_a_member_who_is_removed_sees_nothing_at_once(login_url: str, owner_url: str) -> None:
    """Also in a transaction that it had open."""
    scene = make_scene(owner_url)
    member = scene.attackers["member"]
    with psycopg.connect(login_url) as theirs, psycopg.connect(owner_url) as owner:
        member.become(theirs)
        assert len(messages(theirs)) == 2
        owner.execute("delete from public.organization_members where user_id = %s", (member.user_id,))
        owner.commit()
        assert messages(theirs) == []
        assert theirs.execute("select id from public.profiles").fetchall() == [(member.user_id,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            theirs.execute(
                "insert into public.agents (organization_id, name, slug) values (%s, 'x', 'x')",
                (scene.world.ours.organization_id,),
            )
        theirs.rollback()


def test_a_member_of_two_organizations_sees_both_and_mixes_nothing(owner: Connection, scene: Scene) -> None:
    ours, theirs = scene.world.ours, scene.world.theirs
    both = scene.attackers["both"]
    both.become(owner)
    organizations = {row[0] for row in owner.execute("select organization_id from public.agents")}
    assert organizations == {ours.organization_id, theirs.organization_id}
    say = "insert into public.agent_messages (organization_id, session_id, role, content) values"
    mixing: tuple[tuple[str, dict[str, UUID]], ...] = (
        ("update public.tools set organization_id = %(ours)s where organization_id = %(theirs)s", {}),
        ("update public.agents set organization_id = %(ours)s where organization_id = %(theirs)s", {}),
        (
            f"{say} (%(theirs)s, %(session)s, 'user', 'x')",
            {"session": ours.ids["agent_sessions"]},
        ),
        ("update public.agents set knowledge_base_ids = array[%(base)s::uuid]", {"base": ours.ids["knowledge_bases"]}),
        ("update public.agents set tool_ids = array[%(tool)s::uuid]", {"tool": ours.ids["tools"]}),
        ("update public.agents set llm_credential_id = %(key)s", {"key": ours.ids["credentials"]}),
        ("update public.knowledge_sources set knowledge_base_id = %(base)s", {"base": ours.ids["knowledge_bases"]}),
    )
    for statement, values in mixing:
        owner.execute("savepoint mix")
        known = values | {"ours": ours.organization_id, "theirs": theirs.organization_id}
        with pytest.raises(psycopg.IntegrityError):
            owner.execute(raw(statement), known)
        owner.execute("rollback to savepoint mix")
    viewers = owner.execute("update public.agents set description = 'x' returning organization_id").fetchall()
    assert {row[0] for row in viewers} == {theirs.organization_id}, "the role counts where it was given"


async def test_a_principal_is_what_its_fields_say(attacked_login_url: str, scene: Scene) -> None:
    """Text in a principal stays text: no e-mail address closes the claims' JSON and opens other claims."""
    sly = f'x", "trunkline": {{"kind": "service", "organization_id": "{scene.world.ours.organization_id}"}}, "y": "'
    pool = Database(attacked_login_url, pool_size=1)
    async with pool.tenant(Member(scene.world.stranger.user_id, sly)) as session:
        assert (await session.execute(text("select count(*) from agents"))).scalar_one() == 0
        assert (await session.execute(text("select app.user_id()"))).scalar_one() == scene.world.stranger.user_id
    await pool.close()
