"""All that a schema is, read from PostgreSQL's catalogue: two databases are equal where this is."""

from __future__ import annotations

from typing import LiteralString

import psycopg

_OURS: LiteralString = """
  n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'trunkline')
"""
"""Everybody's schemas but PostgreSQL's own and that of Alembic's version table."""

_QUERIES: dict[str, LiteralString] = {
    "schemas": f"""
        select n.nspname, obj_description(n.oid, 'pg_namespace'),
          array(select a::text from unnest(coalesce(n.nspacl, acldefault('n', n.nspowner))) a order by 1)
        from pg_namespace n where {_OURS}""",
    "extensions": """
        select extname, extnamespace::regnamespace::text, obj_description(oid, 'pg_extension') from pg_extension""",
    "relations": f"""
        select n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relrowsecurity, c.relforcerowsecurity,
          c.relowner::regrole::text, c.reloptions::text,
          array(select a::text from unnest(coalesce(c.relacl, acldefault('r', c.relowner))) a order by 1)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where {_OURS} and c.relkind <> 'i'""",
    "columns": f"""
        select n.nspname, c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull,
          a.attidentity::text, a.attgenerated::text, a.attcollation::regcollation::text, a.attcompression::text,
          pg_get_expr(d.adbin, d.adrelid), array(select x::text from unnest(a.attacl) x order by 1)
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where {_OURS} and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped""",
    "constraints": f"""
        select n.nspname, k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid), k.convalidated
        from pg_constraint k join pg_namespace n on n.oid = k.connamespace where {_OURS}""",
    "indexes": f"""
        select n.nspname, pg_get_indexdef(x.indexrelid), x.indisvalid, x.indnullsnotdistinct
        from pg_index x join pg_class c on c.oid = x.indexrelid join pg_namespace n on n.oid = c.relnamespace
        where {_OURS}""",
    "policies": """
        select schemaname, tablename, policyname, permissive, roles::text, cmd, qual, with_check from pg_policies""",
    "functions": f"""
        select p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.proowner::regrole::text,
          array(select a::text from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a order by 1)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {_OURS} and p.prokind = 'f'
          and not exists (select 1 from pg_depend where objid = p.oid and deptype = 'e')""",
    "triggers": """
        select pg_get_triggerdef(oid), tgenabled::text from pg_trigger where not tgisinternal""",
    "sequences": """
        select schemaname, sequencename, data_type::text, start_value, increment_by, min_value, max_value, cycle
        from pg_sequences""",
    "types": f"""
        select n.nspname, t.typname, t.typtype::text from pg_type t join pg_namespace n on n.oid = t.typnamespace
        where {_OURS} and t.typtype in ('d', 'e', 'r')
          and not exists (select 1 from pg_depend where objid = t.oid and deptype = 'e')""",
    "default rights": """
        select defaclrole::regrole::text, defaclnamespace::regnamespace::text, defaclobjtype::text, defaclacl::text
        from pg_default_acl""",
}


def catalogue(owner_url: str) -> dict[str, list[str]]:
    """Every object of a database, one line each, sorted; without PostgreSQL's own and without Alembic's table."""
    with psycopg.connect(owner_url) as connection:
        connection.execute("set search_path = ''")  # so that every name is printed with its schema
        return {
            what: sorted(repr(row) for row in connection.execute(query).fetchall()) for what, query in _QUERIES.items()
        }
