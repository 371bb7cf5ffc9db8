"""The matrix would notice: each policy in turn is opened, then dropped; each table loses its policies, then its grants.

Opened, at least one denied cell goes through; dropped, at least one allowed twin fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from tests.attack.expected import TABLES, Rights
from tests.attack.matrix import Range, cells
from tests.attack.scene import Attacker, Connection, Scene, qualified, raw

from trunkline.db.access import DEFINER, policies_of
from trunkline.db.schema import own_tables
from trunkline.models import Base


@dataclass(frozen=True)
class Policy:
    """One policy as the catalogue has it."""

    name: str
    table: str
    role: str
    command: str


def policies(connection: Connection, table: str) -> list[Policy]:
    """The policies on a table, but for those of the definer functions."""
    found = connection.execute(
        "select policyname, tablename, roles[1], cmd from pg_policies where tablename = %s and roles <> %s order by 1",
        (table, [DEFINER]),
    ).fetchall()
    return [Policy(*map(str, row)) for row in found]


def first_fault(owner: Connection, scene: Scene, rights: Rights, table: str, role: str) -> str | None:
    """The first cell of this role on this table that doesn't hold."""
    field = Range(owner, scene)
    attackers = [one for one in scene.attackers.values() if one.role == role and one.name != "both"]
    for attacker in attackers:
        for cell in cells(scene, rights, table, attacker):
            if fault := field.fault(cell):
                return fault
    return None


def changed(owner: Connection, *statements: str) -> Iterator[None]:
    """The statements hold until the next step of the loop over this."""
    owner.execute("savepoint changed")
    for statement in statements:
        owner.execute(raw(statement))
    yield
    owner.execute("rollback to savepoint changed")
    owner.execute("release savepoint changed")


@pytest.mark.parametrize("table", TABLES)
def test_opening_or_dropping_a_policy_is_noticed(table: str, owner: Connection, scene: Scene, rights: Rights) -> None:
    unnoticed: list[str] = []
    for policy in policies(owner, table):
        using = "" if policy.command == "INSERT" else " using (true)"
        check = " with check (true)" if policy.command in ("INSERT", "UPDATE") else ""
        on = f"{policy.name} on {qualified(table)}"
        for change in (f"alter policy {on}{using}{check}", f"drop policy {on}"):
            unnoticed += [
                change for _ in changed(owner, change) if not first_fault(owner, scene, rights, table, policy.role)
            ]
    assert not unnoticed, "\n".join(unnoticed)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_policies_is_noticed(table: str, owner: Connection, scene: Scene, rights: Rights) -> None:
    """Row-level security off, where a role has any grant on the table."""
    name = qualified(table)
    for role in sorted({policy.role for policy in policies(owner, table)}):
        for _ in changed(owner, f"alter table {name} disable row level security"):
            assert first_fault(owner, scene, rights, table, role), f"{role} on {table} without policies"


@pytest.mark.parametrize("table", TABLES)
def test_a_grant_too_many_is_noticed(table: str, owner: Connection, scene: Scene, rights: Rights) -> None:
    """As a host's default privileges would give it: TRUNCATE and TRIGGER obey no policy."""
    everything = "all tables in schema public, trunkline_runtime"  # a TRUNCATE takes the children along
    for role in ("anon", "authenticated", "trunkline_service"):
        for privilege, what in (("truncate", everything), ("trigger", qualified(table))):
            grants = f"grant usage on schema trunkline_runtime to {role}", f"grant {privilege} on {what} to {role}"
            for _ in changed(owner, *grants):
                assert first_fault(owner, scene, rights, table, role), f"{privilege} on {table} to {role}"


def test_the_policies_are_those_declared(owner: Connection) -> None:
    declared = {(policy.name, policy.role) for table in own_tables(Base.metadata) for policy in policies_of(table)}
    found = {(policy.name, policy.role) for table in TABLES for policy in policies(owner, table)}
    assert found == declared
    assert len(found) > 100


# The definer's policies let its functions work, and are `true` already: what can be missed is their absence.

DEFINER_DUTIES = {
    "a member sees its organization": ("owner", "select 1 / count(*) from public.organizations"),
    "a newcomer founds an organization": ("newcomer", "select app.create_organization(null, 'New', 'new')"),
    "a key is found": (
        "login",
        "select 1 / count(*) from app.authenticate_key((select decode(current_setting('tests.key_hash'), 'hex')))",
    ),
    "turns of a dead server fail": ("login", "select 1 / app.fail_expired_turns()"),
}
DEFINER_REFUSALS = {
    "the last owner leaves": ("owner", "delete from public.organization_members where user_id = app.user_id()"),
    "an agent takes a key elsewhere": (
        "key",
        "update public.agents a set llm_base_url = 'https://x.example', llm_credential_id = c.id from credentials c",
    ),
}


def fails(owner: Connection, attacker: Attacker, statement: str) -> bool:
    """Whether the statement ends in an error; its effect is undone."""
    owner.execute("savepoint duty")
    try:
        attacker.become(owner)
        owner.execute(raw(statement))
    except psycopg.Error:
        return True
    finally:
        owner.execute("rollback to savepoint duty")
    return False


def neglected(owner: Connection, scene: Scene) -> list[str]:
    """What the definer's functions don't do, of what they are there for."""
    owner.execute("select set_config('tests.key_hash', encode(key_hash, 'hex'), true) from public.api_keys limit 1")
    owner.execute(
        "update public.agent_turns set status = 'running', lease_until = now() - interval '1 minute' where id = %s",
        (scene.spare_turns["theirs"],),
    )
    duties = [duty for duty, (name, sql) in DEFINER_DUTIES.items() if fails(owner, scene.attackers[name], sql)]
    return duties + [
        refusal for refusal, (name, sql) in DEFINER_REFUSALS.items() if not fails(owner, scene.attackers[name], sql)
    ]


def test_dropping_a_policy_of_the_definer_is_noticed(owner: Connection, scene: Scene) -> None:
    found = owner.execute(
        "select policyname, tablename from pg_policies where roles = %s order by 1", ([DEFINER],)
    ).fetchall()
    assert len(found) > 8
    for _ in changed(owner, "select 1"):
        assert neglected(owner, scene) == []
    for name, table in found:
        for _ in changed(owner, f"drop policy {name} on public.{table}"):
            assert neglected(owner, scene), name


def test_the_matrix_has_thousands_of_cells(scene: Scene, rights: Rights) -> None:
    everybody: list[Attacker] = list(scene.attackers.values())
    attacks = [str(cell) for table in TABLES for one in everybody for cell in cells(scene, rights, table, one)]
    assert len(attacks) > 10_000
    assert len({re.sub(r".* · ", "", attack) for attack in attacks}) > 30
