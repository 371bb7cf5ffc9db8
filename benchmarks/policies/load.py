"""A full database, made by SQL alone: many organizations whose rows lie mixed on the same pages, as they do in life."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg

WEBSITE = "bench.example"

PERSON, ORGANIZATION, AGENT, VERSION, SESSION, TURN, MESSAGE = (f"{number:08x}" for number in range(1, 8))
"""How the ids of each table begin."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows; sessions are dealt out to the organizations in turn, messages to the sessions."""

    organizations: int
    sessions: int
    messages: int

    def organization_of(self, session: int) -> int:
        """The organization that a session belongs to."""
        return 1 + session % self.organizations


def row_id(table: str, number: int) -> UUID:
    """The id of a generated row; ids increase with numbers, as those of UUIDv7 do with time."""
    return UUID(f"{table}-0000-7000-8000-{number:012x}")


def handle(session: int) -> str:
    """The public handle of a generated session."""
    return f"ses_{session:032x}"


def load(connection: psycopg.Connection, size: Size) -> None:
    """Fill the tables as a superuser, past policies, triggers and foreign keys: the rows satisfy them."""
    values = {"organizations": size.organizations, "sessions": size.sessions, "messages": size.messages}
    connection.execute("set session_replication_role = replica")
    with psycopg.ClientCursor(connection) as cursor:
        for statement in _LOAD.split(";\n"):
            cursor.execute(statement.encode(), values)
    connection.execute("reset session_replication_role")
    connection.execute("vacuum analyze")


def _id(table: str, number: str) -> str:
    return f"('{table}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


_LOAD = f"""
insert into auth.users (id, email) select {_id(PERSON, "n")}, n || '@{WEBSITE}'
from generate_series(1, %(organizations)s) n;

insert into public.profiles (id, email) select {_id(PERSON, "n")}, n || '@{WEBSITE}'
from generate_series(1, %(organizations)s) n;

insert into public.organizations (id, name, slug, owner_id)
select {_id(ORGANIZATION, "n")}, 'Bench', 'bench-' || n, {_id(PERSON, "n")}
from generate_series(1, %(organizations)s) n;

insert into public.organization_members (organization_id, user_id, role)
select {_id(ORGANIZATION, "n")}, {_id(PERSON, "n")}, 'owner' from generate_series(1, %(organizations)s) n;

insert into public.agents (id, organization_id, name, slug, is_published)
select {_id(AGENT, "n")}, {_id(ORGANIZATION, "n")}, 'Bench', 'bench', true
from generate_series(1, %(organizations)s) n;

insert into public.agent_versions (id, organization_id, agent_id, version, snapshot)
select {_id(VERSION, "n")}, {_id(ORGANIZATION, "n")}, {_id(AGENT, "n")}, 1, '{{}}'
from generate_series(1, %(organizations)s) n;

insert into public.agent_sessions
  (id, organization_id, session_id, agent_id, agent_version_id, website_domain, message_count)
select {_id(SESSION, "n")}, {_id(ORGANIZATION, "organization")}, 'ses_' || lpad(to_hex(n), 32, '0'),
  {_id(AGENT, "organization")}, {_id(VERSION, "organization")}, '{WEBSITE}', %(messages)s / %(sessions)s
from (select n, 1 + n %% %(organizations)s as organization from generate_series(1, %(sessions)s) n) as session;

insert into public.agent_turns (id, organization_id, session_id, idempotency_key, status, ended_at)
select {_id(TURN, "n")}, {_id(ORGANIZATION, "1 + session %% %(organizations)s")}, {_id(SESSION, "session")},
  'key-' || n, 'complete', now()
from (select n, 1 + (n - 1) %% %(sessions)s as session from generate_series(1, %(messages)s / 2) n) as turn;

insert into public.agent_messages (id, organization_id, session_id, turn_id, sequence, role, content)
select {_id(MESSAGE, "n")}, {_id(ORGANIZATION, "1 + session %% %(organizations)s")}, {_id(SESSION, "session")},
  {_id(TURN, "round / 2 * %(sessions)s + session")}, n, case round %% 2 when 0 then 'user' else 'assistant' end,
  repeat(md5(n::text), 5)
from (select n, 1 + (n - 1) %% %(sessions)s as session, (n - 1) / %(sessions)s as round
      from generate_series(1, %(messages)s) n) as message;

select setval('public.agent_messages_sequence_seq', %(messages)s)
"""
