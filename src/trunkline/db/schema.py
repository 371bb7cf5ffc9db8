"""The whole declared schema as SQL, in the order in which it can be run.

This is what a fresh database should be. Revisions are frozen copies of it and of its changes; a test proves that both
ways end in the same catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable, ForeignKeyConstraint
from sqlalchemy.sql.ddl import ExecutableDDLElement

from trunkline.db.access import ANON, AUTHENTICATED, DEFINER, SERVICE, SUPABASE_SERVICE, access_of, policies_of
from trunkline.db.functions import AFTER_TABLES, BEFORE_TABLES, DEFINER_READS, SEQUENCES, Function, triggers

DIALECT = postgresql.dialect()

MADE_BY_US = "Made by Trunkline"
"""Comment on what Supabase has of its own and others lack, so that going back removes just what we made."""

PROLOGUE = (
    f"""
do $$
begin
  if not exists (select 1 from pg_catalog.pg_extension where extname = 'vector') then
    if not exists (select 1 from pg_catalog.pg_namespace where nspname = 'extensions') then
      create schema extensions;
      comment on schema extensions is '{MADE_BY_US}';
      grant usage on schema extensions to public;
    end if;
    create extension vector with schema extensions;
    comment on extension vector is '{MADE_BY_US}';
  end if;
end
$$
""",
    """
-- A server may have had the extension before, in another schema.
select set_config('search_path', 'public, ' || quote_ident(n.nspname), true)
from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'
""",
    f"""
do $$
declare
  wanted text;
begin
  foreach wanted in array array['{ANON}', '{AUTHENTICATED}', '{SUPABASE_SERVICE}', '{SERVICE}', '{DEFINER}'] loop
    begin
      if not exists (select 1 from pg_catalog.pg_roles where rolname = wanted) then
        execute format('create role %I nologin noinherit', wanted);
        execute format('comment on role %I is %L', wanted, '{MADE_BY_US}');
      end if;
    exception when duplicate_object or unique_violation then
      null;  -- another database of this server is being set up at the same time
    end;
  end loop;
  if not pg_catalog.pg_has_role(current_user, '{DEFINER}', 'usage') then
    execute 'grant {DEFINER} to current_user';
  end if;
  -- Where the extension was there before us, its schema's other rights are its owner's to give.
  execute format('grant usage on schema %I to {SERVICE}, {DEFINER}',
    (select n.nspname from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
     where e.extname = 'vector'));
end
$$
""",
    f"""
do $$
begin
  if not exists (select 1 from pg_catalog.pg_namespace where nspname = 'auth') then
    create schema auth;
    comment on schema auth is '{MADE_BY_US}';
    create table auth.users (
      id uuid primary key default gen_random_uuid(),
      email text unique,
      raw_app_meta_data jsonb not null default '{{}}',
      raw_user_meta_data jsonb not null default '{{}}',
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    revoke all on auth.users from public;
    create function auth.jwt() returns jsonb language sql stable
    begin atomic
      select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{{}}'::jsonb);
    end;
    create function auth.uid() returns uuid language sql stable
    begin atomic
      select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
    end;
    create function auth.role() returns text language sql stable
    begin atomic
      select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role';
    end;
    grant usage on schema auth to {ANON}, {AUTHENTICATED}, {SUPABASE_SERVICE}, {SERVICE};
    grant execute on all functions in schema auth to {ANON}, {AUTHENTICATED}, {SUPABASE_SERVICE}, {SERVICE};
  end if;
end
$$
""",
    """
create schema app
""",
    f"""
grant usage on schema app to {ANON}, {AUTHENTICATED}, {SUPABASE_SERVICE}, {SERVICE}, {DEFINER}
""",
    """
create schema trunkline_runtime
""",
    f"""
grant usage on schema trunkline_runtime to {SERVICE}
""",
)


def statements(metadata: MetaData) -> Iterator[str]:
    """Every statement that makes the declared schema, without the trailing semicolon."""
    yield from (statement.strip() for statement in PROLOGUE)
    yield from _functions(BEFORE_TABLES)
    tables = own_tables(metadata)
    for sequence in SEQUENCES:
        yield f"create sequence public.{sequence}"
        yield f"revoke all on sequence public.{sequence} from {_ALL_ROLES}"
        yield f"grant usage on sequence public.{sequence} to {DEFINER}"
    for table in tables:
        yield from _table(table)
    for table in tables:
        yield from _deferred_foreign_keys(table)
    yield from _functions(AFTER_TABLES)
    tenant = [qualified(table) for table in tables if "organization_id" in table.columns]
    updated = [qualified(table) for table in tables if "updated_at" in table.columns]
    for trigger in triggers(tenant, updated):
        yield f"create trigger {trigger.name} {trigger.ddl}"
    for table in tables:
        yield from access_statements(table)


def own_tables(metadata: MetaData) -> list[Table]:
    """Tables that Trunkline makes, parents first; those of the host (`auth.users`) are left out."""
    return [table for table in metadata.sorted_tables if not table.info.get("external")]


def qualified(table: Table) -> str:
    """The table's name with its schema."""
    return f"{table.schema or 'public'}.{table.name}"


_ALL_ROLES = f"public, {ANON}, {AUTHENTICATED}, {SUPABASE_SERVICE}, {SERVICE}"


def access_statements(table: Table) -> Iterator[str]:
    """Grants and policies of one table.

    Everything is revoked first: Supabase's default privileges give `anon` and `authenticated` all rights on new
    tables, TRUNCATE and TRIGGER included.
    """
    name = qualified(table)
    yield f"revoke all on table {name} from {_ALL_ROLES}"
    if table.schema is None:
        yield f"grant select, insert, update, delete on table {name} to {SUPABASE_SERVICE}"
    for allow in access_of(table):
        columns = f" ({', '.join(allow.columns)})" if allow.columns else ""
        grants = ", ".join(command + (columns if command != "delete" else "") for command in allow.commands)
        yield f"grant {grants} on table {name} to {allow.role}"
    yield f"alter table {name} enable row level security"
    for policy in policies_of(table):
        using = f"\n  using ({policy.using})" if policy.using else ""
        check = f"\n  with check ({policy.check})" if policy.check else ""
        yield f"create policy {policy.name} on {name} for {policy.command} to {policy.role}{using}{check}"
    if rights := DEFINER_READS.get(table.name):
        yield f"grant {', '.join(rights)} on table {name} to {DEFINER}"
        for command in (right.partition(" ")[0] for right in rights):
            rule = "with check (true)" if command == "insert" else "using (true)"
            yield f"create policy {table.name}_{command}_{DEFINER} on {name} for {command} to {DEFINER} {rule}"
    yield f"alter table {name} force row level security"


def _functions(functions: tuple[Function, ...]) -> Iterator[str]:
    for function in functions:
        yield function.ddl.strip()
        if function.definer:
            yield f"grant create on schema app to {DEFINER}"
            yield f"alter function {function.signature} owner to {DEFINER}"
            yield f"revoke create on schema app from {DEFINER}"
        yield f"revoke all on function {function.signature} from {_ALL_ROLES}"
        if function.callers:
            yield f"grant execute on function {function.signature} to {', '.join(function.callers)}"


def _table(table: Table) -> Iterator[str]:
    yield _compile(CreateTable(table))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield _compile(CreateIndex(index))


def _deferred_foreign_keys(table: Table) -> Iterator[str]:
    for constraint in table.constraints:
        if isinstance(constraint, ForeignKeyConstraint) and constraint.use_alter:
            yield _compile(AddConstraint(constraint))


def _compile(element: ExecutableDDLElement) -> str:
    return str(element.compile(dialect=DIALECT)).strip()
