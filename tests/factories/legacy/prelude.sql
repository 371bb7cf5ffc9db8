-- What a Supabase project has before its owner adds anything, as far as policies and grants need it.
do $do$
declare
    role text;
begin
    foreach role in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_roles where rolname = role) then
            begin
                execute format('create role %I nologin %s', role, case role when 'service_role' then 'bypassrls' end);
            exception when duplicate_object or unique_violation then
                null;  -- roles belong to the whole server, and tests run beside each other
            end;
        end if;
    end loop;
end
$do$;

create schema auth;
grant usage on schema auth to anon, authenticated, service_role;

create table auth.users (
    id uuid primary key,
    email text unique,
    raw_user_meta_data jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create function auth.jwt() returns jsonb language sql stable
    as $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $$;
create function auth.uid() returns uuid language sql stable
    as $$ select (coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable
    as $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb ->> 'role' $$;

grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
