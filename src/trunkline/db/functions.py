"""SQL functions and triggers that the tables and policies stand on.

Bodies are `BEGIN ATOMIC` where they can be: names are bound when the function is made, so no search_path can turn
them. What must see more than its caller is SECURITY DEFINER, owned by `trunkline_definer`, a role that can neither log
in nor bypass policies and that reads just the tables listed in `DEFINER_READS`. Their search_path names pg_temp, last:
left out it comes first, and a caller's `pg_temp.jsonb` would be the type that a definer's body casts to.

What every policy asks (claims) is PL/pgSQL: an SQL function is inlined, which costs each planning of each statement
more than the call costs; nothing is prepared behind a transaction pooler, so each statement is planned.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.db.access import ANON, AUTHENTICATED, SERVICE


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its signature, its whole DDL, and who may call it."""

    signature: str
    ddl: str
    callers: tuple[str, ...] = ()
    definer: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger on a table of ours; `table` is named with its schema."""

    name: str
    table: str
    ddl: str


EVERYONE = (ANON, AUTHENTICATED, SERVICE, "service_role", "trunkline_definer")

SEQUENCES = ("agent_messages_sequence_seq",)
"""One source of numbers for all sessions: a counter on the session would make old transactions wait for each other."""

BEFORE_TABLES: tuple[Function, ...] = (
    Function(
        "app.uuid7()",
        """
create function app.uuid7() returns uuid language sql volatile parallel safe
begin atomic
  -- RFC 9562, 5.7: 48 bits of Unix milliseconds, then a random UUIDv4 whose version bits are turned from 4 to 7.
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;
end
""",
        EVERYONE,
    ),
    Function(
        "app.claim(text)",
        """
create function app.claim(name text) returns text language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'trunkline' ->> name;
end
$$
""",
        EVERYONE,
    ),
    Function(
        "app.organization_id()",
        """
create function app.organization_id() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
  ours jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'trunkline';
begin
  return case when ours ->> 'kind' in ('api_key', 'service') then (ours ->> 'organization_id')::uuid end;
end
$$
""",
        EVERYONE,
    ),
    Function(
        "app.user_id()",
        """
create function app.user_id() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
end
$$
""",
        EVERYONE,
    ),
    Function(
        "app.claimed_session_id()",
        """
create function app.claimed_session_id() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  -- The uuid of the session whose handle is claimed, found under the caller's own policies.
  return (select s.id from public.agent_sessions s where s.session_id = app.claim('session_id'));
end
$$
""",
        (ANON, SERVICE),
    ),
    Function(
        "app.keep_organization()",
        """
create function app.keep_organization() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'organization_id of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$
""",
    ),
    Function(
        "app.touch_updated_at()",
        """
create function app.touch_updated_at() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$
""",
    ),
    Function(
        "app.refuse_change()",
        """
create function app.refuse_change() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'rows of % never change', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$
""",
    ),
)


def _derive(name: str, parent: str, column: str) -> Function:
    return Function(
        f"app.{name}()",
        f"""
create function app.{name}() returns trigger language plpgsql set search_path = '' as $$
begin
  select p.organization_id into new.organization_id from public.{parent} p where p.id = new.{column};
  return new;
end
$$
""",
    )


def _person(column: str) -> Function:
    return Function(
        f"app.check_{column}()",
        f"""
create function app.check_{column}() returns trigger language plpgsql set search_path = '' as $$
begin
  -- A foreign key to profiles alone would tell who exists. This looks under the caller's own policies.
  if not exists (select 1 from public.profiles p where p.id = new.{column}) then
    raise exception '{column} names a person that is not a member of this organization'
      using errcode = 'foreign_key_violation';
  end if;
  return new;
end
$$
""",
    )


AFTER_TABLES: tuple[Function, ...] = (
    Function(
        "app.organization_ids(text)",
        """
create function app.organization_ids(minimum text default 'viewer') returns uuid[]
language sql stable security definer parallel safe set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(m.organization_id), '{}'::uuid[])
  from public.organization_members m
  where m.user_id = app.user_id()
    and array_position(array['viewer', 'member', 'admin', 'owner'], m.role)
        >= array_position(array['viewer', 'member', 'admin', 'owner'], minimum);
end
""",
        (AUTHENTICATED, "trunkline_definer"),
        definer=True,
    ),
    Function(
        "app.visible_profile_ids()",
        """
create function app.visible_profile_ids() returns uuid[]
language sql stable security definer parallel safe set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(m.user_id), '{}'::uuid[]) || array_remove(array[app.user_id()], null)
  from public.organization_members m
  where m.organization_id = any (app.organization_ids('viewer'));
end
""",
        (AUTHENTICATED,),
        definer=True,
    ),
    Function(
        "app.authenticate_key(bytea)",
        """
create function app.authenticate_key(hash bytea)
returns table (key_id uuid, organization_id uuid, scopes text[])
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  -- The SHA-256 of the whole key is the question, so this tells nothing to who doesn't hold the key. There is no
  -- principal yet: the login role itself asks (`prepare` grants it).
  select k.id, k.organization_id, k.scopes
  from public.api_keys k
  where k.key_hash = authenticate_key.hash and k.revoked_at is null and (k.expires_at is null or k.expires_at > now());
end
""",
        definer=True,
    ),
    Function(
        "app.create_organization(uuid, text, text, text)",
        """
create function app.create_organization(new_id uuid, name text, slug text, description text default '')
returns uuid language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  founder uuid := app.user_id();
  claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
begin
  if founder is null then
    raise exception 'only a member can create an organization' using errcode = 'insufficient_privilege';
  end if;
  insert into public.profiles (id, email) values (founder, claims ->> 'email') on conflict (id) do nothing;
  insert into public.organizations (id, name, slug, owner_id, description)
  values (coalesce(new_id, app.uuid7()), create_organization.name, create_organization.slug, founder,
          create_organization.description)
  returning organizations.id into new_id;
  insert into public.organization_members (organization_id, user_id, role) values (new_id, founder, 'owner');
  return new_id;
end
$$
""",
        (AUTHENTICATED,),
        definer=True,
    ),
    Function(
        "app.keep_an_owner()",
        """
create function app.keep_an_owner() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  -- Writing the organization's row makes two owners who leave at once wait for each other: the second sees that it is
  -- the last (or, in a serializable transaction, fails). Locking each other's rows, they would deadlock.
  update public.organizations o set updated_at = now() where o.id = old.organization_id;
  if not found then
    return old;  -- the organization itself is being deleted
  end if;
  if not exists (select 1 from public.organization_members m
                 where m.organization_id = old.organization_id and m.role = 'owner' and m.id <> old.id) then
    raise exception 'the last owner of an organization can neither leave nor be demoted'
      using errcode = 'restrict_violation', hint = 'Make another member an owner first.';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end
$$
""",
        definer=True,
    ),
    Function(
        "app.number_message()",
        """
create function app.number_message() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  new.sequence := nextval('public.agent_messages_sequence_seq');
  return new;
end
$$
""",
        definer=True,
    ),
    Function(
        "app.fail_expired_turns()",
        """
create function app.fail_expired_turns() returns integer
language sql volatile security definer set search_path = pg_catalog, pg_temp
begin atomic
  -- A turn whose server died keeps its lease for seconds only; its caller can retry with the same idempotency key.
  -- It goes over all organizations, so no principal may call it: the login role itself does (`prepare` grants it).
  with failed as (
    update public.agent_turns t
    set status = 'failed', ended_at = now(), error = 'The server that ran this turn stopped. Send the message again.'
    where t.id in (select e.id from public.agent_turns e where e.status = 'running' and e.lease_until < now()
                   for update skip locked)
    returning 1)
  select count(*)::integer from failed;
end
""",
        definer=True,
    ),
    Function(
        "app.check_agent_references()",
        """
create function app.check_agent_references() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (select unnest(new.knowledge_base_ids)
             except select k.id from public.knowledge_bases k where k.organization_id = new.organization_id) then
    raise exception 'knowledge_base_ids names a knowledge base that this organization does not have'
      using errcode = 'foreign_key_violation';
  end if;
  if exists (select unnest(new.tool_ids)
             except select t.id from public.tools t where t.organization_id = new.organization_id) then
    raise exception 'tool_ids names a tool that this organization does not have'
      using errcode = 'foreign_key_violation';
  end if;
  return new;
end
$$
""",
    ),
    Function(
        "app.check_agent_credential()",
        """
create function app.check_agent_credential() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  kept record;
begin
  -- Who edits agents need not see credentials, so this looks for them. It comes after the policies and foreign keys
  -- have spoken, and so tells nothing about another organization.
  select c.name, c.provider, c.base_url into kept
  from public.credentials c where c.id = new.llm_credential_id and c.organization_id = new.organization_id;
  if found and (kept.provider is distinct from new.llm_provider
                or kept.base_url is distinct from rtrim(new.llm_base_url, '/')) then
    raise exception 'The credential "%" is for llm_provider % with %, and its key is sent nowhere else. '
      'Set these, or choose another credential.', kept.name, kept.provider,
      coalesce('llm_base_url ' || kept.base_url, 'llm_base_url empty')
      using errcode = 'check_violation', constraint = 'agents_credential_fits';
  end if;
  return null;
end
$$
""",
        definer=True,
    ),
    _person("created_by"),
    _person("user_id"),
    _derive("organization_from_agent", "agents", "agent_id"),
    _derive("organization_from_session", "agent_sessions", "session_id"),
    _derive("organization_from_knowledge_base", "knowledge_bases", "knowledge_base_id"),
    _derive("organization_from_source", "knowledge_sources", "source_id"),
)

DEFINER_READS = {
    "organization_members": ("select", "insert"),
    "organizations": ("select", "insert", "update"),
    "profiles": ("select", "insert"),
    "api_keys": ("select",),
    "agent_turns": ("select", "update"),
    "credentials": ("select (id, organization_id, name, provider, base_url)",),
}
"""What `trunkline_definer` may do, each with a policy of its own: all that the definer functions need."""

_PARENTS = {
    "agent_versions": "organization_from_agent",
    "agent_sessions": "organization_from_agent",
    "agent_messages": "organization_from_session",
    "agent_turns": "organization_from_session",
    "knowledge_sources": "organization_from_knowledge_base",
    "knowledge_chunks": "organization_from_source",
}


_CREATED_BY = ("agents", "agent_versions", "api_keys", "credentials")


def triggers(tenant_tables: list[str], updated_tables: list[str]) -> list[Trigger]:
    """All triggers, for the tables that carry `organization_id` and for those that carry `updated_at`.

    Tables are named with their schema.
    """
    found = [
        Trigger(
            f"{table.partition('.')[2]}_keep_organization",
            table,
            f"before update of organization_id on {table} for each row"
            " when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization()",
        )
        for table in tenant_tables
    ]
    found += [
        Trigger(
            f"{table.partition('.')[2]}_touch",
            table,
            f"before update on {table} for each row execute function app.touch_updated_at()",
        )
        for table in updated_tables
    ]
    found += [
        Trigger(
            f"{table}_created_by",
            f"public.{table}",
            f"before insert or update of created_by on public.{table} for each row when (new.created_by is not null)"
            " execute function app.check_created_by()",
        )
        for table in _CREATED_BY
    ]
    found += [
        # BEFORE triggers run in the order of their names: this one comes before any that reads the organization.
        Trigger(
            f"{table}_derive_organization",
            f"public.{table}",
            f"before insert on public.{table} for each row when (new.organization_id is null)"
            f" execute function app.{function}()",
        )
        for table, function in _PARENTS.items()
    ]
    found += [
        Trigger(
            "agent_sessions_user_id",
            "public.agent_sessions",
            # The server names whom it has authenticated; that is often no member. A member names only whom it sees.
            "before insert or update of user_id on public.agent_sessions for each row"
            f" when (new.user_id is not null and current_user = '{AUTHENTICATED}')"
            " execute function app.check_user_id()",
        ),
        Trigger(
            "agent_messages_number",
            "public.agent_messages",
            "before insert on public.agent_messages for each row when (new.sequence is null)"
            " execute function app.number_message()",
        ),
        Trigger(
            "agents_references",
            "public.agents",
            "before insert or update of knowledge_base_ids, tool_ids, organization_id on public.agents for each row"
            " when (new.knowledge_base_ids <> '{}' or new.tool_ids <> '{}')"
            " execute function app.check_agent_references()",
        ),
        Trigger(
            "agents_credential",
            "public.agents",
            "after insert or update of llm_credential_id, llm_provider, llm_base_url, organization_id"
            " on public.agents for each row when (new.llm_credential_id is not null)"
            " execute function app.check_agent_credential()",
        ),
        Trigger(
            "agent_versions_immutable",
            "public.agent_versions",
            "before update on public.agent_versions for each row"
            " when (old.snapshot is distinct from new.snapshot or old.version <> new.version"
            " or old.agent_id <> new.agent_id) execute function app.refuse_change()",
        ),
        Trigger(
            "organization_members_keep_an_owner",
            "public.organization_members",
            "before update on public.organization_members for each row"
            " when (old.role = 'owner' and (new.role <> 'owner' or new.user_id <> old.user_id))"
            " execute function app.keep_an_owner()",
        ),
        Trigger(
            "organization_members_keep_the_owner",
            "public.organization_members",
            "before delete on public.organization_members for each row when (old.role = 'owner')"
            " execute function app.keep_an_owner()",
        ),
    ]
    return found
