"""Functions and triggers: who may call them, whose rights they run with, and that no argument or name turns them.

Attacks 11, 12 and 22.
"""

from __future__ import annotations

import re

import psycopg
import pytest
from tests.attack.scene import LOGIN, Connection, Scene, as_owner, raw

CALLERS = {
    "app.authenticate_key": {LOGIN},
    "app.check_agent_credential": set[str](),
    "app.check_agent_references": set[str](),
    "app.check_created_by": set[str](),
    "app.check_user_id": set[str](),
    "app.claim": {"anon", "authenticated", "trunkline_service", "service_role"},
    "app.claimed_session_id": {"anon", "trunkline_service"},
    "app.create_organization": {"authenticated"},
    "app.fail_expired_turns": {LOGIN},
    "app.keep_an_owner": set[str](),
    "app.keep_organization": set[str](),
    "app.number_message": set[str](),
    "app.organization_from_agent": set[str](),
    "app.organization_from_knowledge_base": set[str](),
    "app.organization_from_session": set[str](),
    "app.organization_from_source": set[str](),
    "app.organization_id": {"anon", "authenticated", "trunkline_service", "service_role"},
    "app.organization_ids": {"authenticated"},
    "app.refuse_change": set[str](),
    "app.touch_updated_at": set[str](),
    "app.user_id": {"anon", "authenticated", "trunkline_service", "service_role"},
    "app.uuid7": {"anon", "authenticated", "trunkline_service", "service_role"},
    "app.visible_profile_ids": {"authenticated"},
}
"""Who may call which function, written by hand."""

INJECTIONS = (
    "x'; drop table public.agents; --",
    "x') returning id; update public.organization_members set role = 'owner'; --",
    "$$; select 1; $$",
    "%s %I {0} \\x27 ' || (select content from public.agent_messages limit 1) || '",
    "\u2019\u02bc' or '1'='1",
)


def test_everybody_may_call_what_it_is_meant_to_and_no_more(owner: Connection) -> None:
    roles = ("anon", "authenticated", "trunkline_service", "service_role", LOGIN)
    found = {
        str(name): {
            role
            for role in roles
            if owner.execute("select has_function_privilege(%s, %s::oid, 'execute')", (role, oid)).fetchone() == (True,)
        }
        for name, oid in owner.execute(
            "select 'app.' || proname, oid from pg_proc where pronamespace = 'app'::regnamespace"
        ).fetchall()
    }
    assert found == CALLERS


def test_a_definer_is_bound_by_policies_and_by_a_fixed_path(owner: Connection) -> None:
    rows = owner.execute(
        "select p.oid::regprocedure::text, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcanlogin, r.rolcreaterole,"
        " p.proconfig, p.prosecdef from pg_proc p join pg_roles r on r.oid = p.proowner"
        " where p.pronamespace in ('app'::regnamespace, 'public'::regnamespace, 'auth'::regnamespace)"
        " and (p.prosecdef or r.rolname = 'trunkline_definer')"
    ).fetchall()
    assert len(rows) >= 7
    for name, role, superuser, bypass, login, creates, config, definer in rows:
        assert (role, superuser, bypass, login, creates) == ("trunkline_definer", False, False, False, False), name
        assert definer, name
        # pg_temp last: left out, it would be searched first, for tables and for types.
        assert config == ["search_path=pg_catalog, pg_temp"], name


def test_nobody_who_serves_can_become_the_definer(owner: Connection) -> None:
    rows = owner.execute(
        "select m.rolname from pg_auth_members a"
        " join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member"
        " where r.rolname = 'trunkline_definer' and not m.rolsuper"
    ).fetchall()
    assert not {name for (name,) in rows} & {"anon", "authenticated", "trunkline_service", "service_role", LOGIN}


def test_every_other_function_names_its_path_or_is_bound_when_made(owner: Connection) -> None:
    loose = owner.execute(
        "select proname from pg_proc"
        " where pronamespace = 'app'::regnamespace and proconfig is null and prosqlbody is null"
    ).fetchall()
    assert loose == []


def test_trigger_functions_cannot_be_called(owner: Connection, scene: Scene) -> None:
    names = [name for name, callers in CALLERS.items() if not callers]
    for attacker in scene.attackers.values():
        for name in names:
            owner.execute("savepoint call")
            attacker.become(owner)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(raw(f"select {name}()"))
            owner.execute("rollback to savepoint call")


@pytest.mark.parametrize("text", INJECTIONS)
def test_arguments_stay_values(text: str, owner: Connection, scene: Scene) -> None:
    before = owner.execute("select count(*) from public.organization_members").fetchone()
    scene.attackers["stranger"].become(owner)
    create = "select app.create_organization(null, %s, 'fresh', %s)"
    (made,) = owner.execute(create, (text, text)).fetchone() or (None,)
    assert owner.execute("select organization_id from public.organization_members").fetchall() == [(made,)]
    assert owner.execute("select app.organization_ids(%s)", (text,)).fetchone() == ([],)
    assert owner.execute("select app.claim(%s)", (text,)).fetchone() == (None,)
    as_owner(owner)
    assert owner.execute("select name from public.organizations where id = %s", (made,)).fetchone() == (text,)
    after = owner.execute("select count(*) - 1 from public.organization_members").fetchone()
    assert before == after


def test_keys_are_found_by_their_whole_hash_only(owner: Connection, scene: Scene) -> None:
    (known,) = owner.execute("select key_hash from public.api_keys limit 1").fetchone() or (b"",)
    assert isinstance(known, bytes)
    scene.attackers["login"].become(owner)
    for guess, found in ((known, 1), (known[:-1], 0), (b"", 0), (b"' or true --", 0), (known + b"\x00", 0)):
        assert len(owner.execute("select * from app.authenticate_key(%s)", (guess,)).fetchall()) == found


HIJACKS = {
    "type": (
        "create domain pg_temp.{0} as pg_catalog.{0} check (pg_temp.evil())",
        ("uuid", "jsonb", "text", "int4", "int8", "bool", "timestamptz"),
    ),
    "table": (
        "create temp table {0} as select * from public.{0} with no data",
        ("organization_members", "organizations", "profiles", "api_keys", "agent_turns"),
    ),
}


@pytest.mark.parametrize("kind", HIJACKS)
def test_temporary_objects_do_not_turn_a_definer(kind: str, owner: Connection, scene: Scene) -> None:
    """A caller's own types and tables, under the names that the bodies use; each would run as the definer."""
    create, names = HIJACKS[kind]
    # In a session of its own, so that nothing of the function is cached yet.
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as fresh:
        scene.attackers["stranger"].become(fresh)
        ran: list[str] = []
        fresh.add_notice_handler(lambda notice: ran.append(notice.message_primary or ""))
        fresh.execute("set local client_min_messages = notice")
        fresh.execute(
            "create function pg_temp.evil() returns boolean language plpgsql as"
            " $$ begin raise notice 'ran as %', current_user; return true; end $$"
        )
        for name in names:
            fresh.execute(raw(create.format(name)))
        fresh.execute("set local search_path = pg_temp, public")
        made = fresh.execute("select app.create_organization(null, 'Mine', 'mine', '')").fetchone()
        assert made is not None
        fresh.execute("select app.organization_ids('viewer'), app.visible_profile_ids()")
        with pytest.raises(psycopg.errors.RestrictViolation):
            fresh.execute("delete from public.organization_members where user_id = app.user_id()")
        assert "ran as trunkline_definer" not in ran
        fresh.rollback()


def test_the_hijack_would_work_without_pg_temp_in_the_path(owner: Connection, scene: Scene) -> None:
    """The attack is real: with the path that such functions often have, the caller's code runs as the definer."""
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as fresh:
        fresh.execute("alter function app.create_organization(uuid, text, text, text) set search_path = ''")
        ran: list[str] = []
        fresh.add_notice_handler(lambda notice: ran.append(notice.message_primary or ""))
        fresh.execute("set local client_min_messages = notice")
        scene.attackers["stranger"].become(fresh)
        fresh.execute(
            "create function pg_temp.evil() returns boolean language plpgsql as"
            " $$ begin raise notice 'ran as %', current_user; return true; end $$"
        )
        fresh.execute("create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.evil())")
        fresh.execute("select app.create_organization(null, 'Mine', 'mine', '')")
        assert "ran as trunkline_definer" in ran
        fresh.rollback()


def test_triggers_of_ours_do_what_they_are_named_for(owner: Connection) -> None:
    """No trigger on a table of ours but those declared: an extra one runs with whoever writes."""
    rows = owner.execute(
        "select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid"
        " where not t.tgisinternal and c.relnamespace in ('public'::regnamespace, 'trunkline_runtime'::regnamespace)"
    ).fetchall()
    assert len(rows) > 30
    strange = [
        definition for (definition,) in rows if not re.search(r"EXECUTE FUNCTION app\.\w+\(\)$", str(definition))
    ]
    assert strange == []
