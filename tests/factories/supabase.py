"""What Supabase has before anybody makes a table: roles, and a schema `auth` whose functions read the claims."""

from __future__ import annotations

import psycopg
from psycopg import sql

ROLES = ("anon", "authenticated", "service_role")

_AUTH = """
create schema auth;
grant usage on schema auth to anon, authenticated, service_role;
create table auth.users (id uuid primary key, email text unique, phone text unique, raw_user_meta_data jsonb);
create function auth.jwt() returns jsonb language sql stable as
    $$select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb$$;
create function auth.uid() returns uuid language sql stable as
    $$select nullif(auth.jwt() ->> 'sub', '')::uuid$$;
create function auth.role() returns text language sql stable as
    $$select auth.jwt() ->> 'role'$$;
"""


def make_supabase(connection: psycopg.Connection) -> None:
    """Make them in the connection's database; the roles are the server's, and stay."""
    connection.execute("select pg_advisory_lock(20260102)")
    for role in ROLES:
        if connection.execute("select from pg_roles where rolname = %s", (role,)).fetchone() is None:
            bypass = "bypassrls" if role == "service_role" else "nobypassrls"
            connection.execute(sql.SQL("create role {} nologin " + bypass).format(sql.Identifier(role)))
    connection.execute("select pg_advisory_unlock(20260102)")
    connection.execute(_AUTH)
