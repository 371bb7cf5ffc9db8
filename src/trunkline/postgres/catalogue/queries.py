"""The queries behind `read`, one for each kind of object, for PostgreSQL 15 to 18.

They run with `search_path = pg_catalog, pg_temp`: names that PostgreSQL writes out come with their schema. Those that
take `relations` get the oids of all relations to describe. Access lists come as text, and are taken apart once for
each distinct text by ACCESS_LISTS: 2,000 tables mostly share one.
"""

from __future__ import annotations

USE_UTF8 = "select pg_catalog.set_config('client_encoding', 'UTF8', true)"
"""For the present savepoint only: from a database without an encoding (SQL_ASCII), psycopg would hand out bytes."""

PREPARE = """
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('quote_all_identifiers', 'off', true),
       pg_catalog.set_config('lock_timeout', %(lock_timeout)s, true)
"""
"""For the present savepoint only."""

SERVER = """
select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version,
       pg_catalog.current_setting('server_version') as version_text,
       pg_catalog.pg_is_in_recovery() as is_standby,
       pg_catalog.pg_backend_pid() as backend_pid,
       d.datname as database,
       pg_catalog.pg_get_userbyid(d.datdba) as owner,
       r.rolname as "user",
       r.rolsuper as is_superuser,
       r.rolbypassrls as bypasses_rls,
       case when pg_catalog.has_database_privilege(d.oid, 'connect')
            then pg_catalog.pg_database_size(d.oid) end as size_bytes
from pg_catalog.pg_database d
cross join pg_catalog.pg_roles r
where d.datname = pg_catalog.current_database() and r.rolname = current_user
"""

SETTINGS = """
select name,
       case when source <> 'session' then pg_catalog.current_setting(name)
            when reset_val = '0' then reset_val
            else pg_catalog.concat(reset_val, unit) end as value
from pg_catalog.pg_settings
where name = any(%(names)s)
"""
"""What this session has set for itself doesn't count: then it is the value that a new session would get."""

AVAILABLE_EXTENSIONS = "select name, default_version as version from pg_catalog.pg_available_extensions()"

EXTENSIONS = """
select e.extname as name, n.nspname as schema, e.extversion as version
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
order by e.extname
"""

ROLES = """
select r.rolname as name,
       r.rolcanlogin as can_login,
       r.rolsuper as is_superuser,
       r.rolbypassrls as bypasses_rls,
       r.rolinherit as inherits,
       array(select distinct g.rolname::pg_catalog.text
             from pg_catalog.pg_auth_members m
             join pg_catalog.pg_roles g on g.oid = m.roleid
             where m.member = r.oid
               and (coalesce((pg_catalog.to_jsonb(m) ->> 'inherit_option')::pg_catalog.bool, true)
                    or coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::pg_catalog.bool, true))
             order by 1) as member_of
from pg_catalog.pg_roles r
where r.rolname !~ '^pg_'
order by r.rolname
"""
"""Since PostgreSQL 16 a membership can give none of the role's rights, and only allow to make others members."""

SCHEMAS = """
select n.nspname as name,
       coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))::pg_catalog.text as acl,
       pg_catalog.has_schema_privilege(n.oid, 'usage') as is_usable
from pg_catalog.pg_namespace n
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by n.nspname
"""

RELATIONS = """
select c.oid,
       n.nspname as schema,
       c.relname as name,
       c.relkind::pg_catalog.text as kind,
       pg_catalog.pg_get_userbyid(c.relowner) as owner,
       coalesce(c.relacl, pg_catalog.acldefault(case c.relkind when 'S' then 's' else 'r' end::pg_catalog."char",
                                                c.relowner))::pg_catalog.text as acl,
       c.relrowsecurity as has_row_security,
       c.relforcerowsecurity as forces_row_security,
       c.relispartition as is_partition,
       array(select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = c.oid order by i.inhseqno) as parents,
       case when c.reltuples > 0 then c.reltuples
            else pg_catalog.pg_stat_get_live_tuples(c.oid) end::pg_catalog.int8 as rows,
       coalesce(pg_catalog.pg_stat_get_dead_tuples(c.oid), 0) as dead_rows,
       case when c.relkind in ('r', 'm', 'S') then pg_catalog.pg_total_relation_size(c.oid) end as size_bytes,
       coalesce((select o.option_value::pg_catalog.bool from pg_catalog.pg_options_to_table(c.reloptions) o
                 where o.option_name = 'security_invoker'), false) as is_security_invoker,
       pg_catalog.has_schema_privilege(c.relnamespace, 'usage') and case
           when pg_catalog.has_table_privilege(c.oid, 'select') then true
           else exists (select from pg_catalog.pg_attribute a
                        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
                and not exists (select from pg_catalog.pg_attribute a
                                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                                  and pg_catalog.has_column_privilege(c.oid, a.attnum, 'select') is not true)
       end as can_select,
       pg_catalog.has_schema_privilege(c.relnamespace, 'usage')
           and pg_catalog.has_table_privilege(c.oid, 'insert')
           and pg_catalog.has_table_privilege(c.oid, 'update')
           and pg_catalog.has_table_privilege(c.oid, 'delete') as can_write,
       d.description as comment
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_description d
  on d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objoid = c.oid and d.objsubid = 0
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and pg_catalog.pg_table_is_visible(c.oid) is not null
  and not exists (select from pg_catalog.pg_depend e
                  where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = c.oid
                    and e.objsubid = 0 and e.deptype = 'e')
order by n.nspname, c.relname
"""
"""`pg_table_is_visible` is null for what was dropped since the transaction's snapshot."""

COLUMNS = """
with recursive chain as (
    select t.oid as domain, t.typbasetype as base, t.typtypmod as modifier, t.typnotnull as is_not_null
    from pg_catalog.pg_type t where t.typtype = 'd'
    union all
    select chain.domain, t.typbasetype, t.typtypmod, chain.is_not_null or t.typnotnull
    from chain
    join pg_catalog.pg_type t on t.oid = chain.base
    where t.typtype = 'd'
), domains as (
    select chain.domain, chain.base, chain.modifier, chain.is_not_null
    from chain
    join pg_catalog.pg_type t on t.oid = chain.base
    where t.typtype <> 'd'
), enums as (
    select e.enumtypid as type, pg_catalog.array_agg(e.enumlabel::pg_catalog.text order by e.enumsortorder) as labels
    from pg_catalog.pg_enum e group by e.enumtypid
)
select a.attrelid as relation,
       a.attname as name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
       pg_catalog.format_type(coalesce(domains.base, a.atttypid),
                              coalesce(domains.modifier, a.atttypmod)) as base_type,
       not (a.attnotnull or coalesce(domains.is_not_null, false)) as is_nullable,
       a.attgenerated <> '' as is_generated,
       a.attidentity <> '' as is_identity,
       pg_catalog.pg_get_expr(def.adbin, def.adrelid) as expression,
       def.oid is not null and exists (
           select from pg_catalog.pg_depend d
           join pg_catalog.pg_proc p on p.oid = d.refobjid
           where d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = def.oid
             and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
             and pg_catalog.strpos(pg_catalog.lower(p.prosrc), 'nextval') > 0) as calls_nextval,
       enums.labels as enum_values,
       a.attacl::pg_catalog.text as acl,
       c.description as comment
from pg_catalog.pg_attribute a
left join domains on domains.domain = a.atttypid
left join enums on enums.type = coalesce(domains.base, a.atttypid)
left join pg_catalog.pg_attrdef def on def.adrelid = a.attrelid and def.adnum = a.attnum
left join pg_catalog.pg_description c
  on c.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.objoid = a.attrelid and c.objsubid = a.attnum
where a.attrelid = any(%(relations)s::pg_catalog.oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""

CONSTRAINTS = """
select o.conrelid as relation,
       o.conname as name,
       o.contype::pg_catalog.text as kind,
       array(select a.attname::pg_catalog.text
             from pg_catalog.unnest(o.conkey) with ordinality as k (number, place)
             join pg_catalog.pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.number
             order by k.place) as columns,
       pg_catalog.pg_get_constraintdef(o.oid) as definition,
       o.convalidated as is_validated,
       o.condeferrable as is_deferrable,
       n.nspname as parent_schema,
       p.relname as parent_name,
       array(select a.attname::pg_catalog.text
             from pg_catalog.unnest(o.confkey) with ordinality as k (number, place)
             join pg_catalog.pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number
             order by k.place) as referenced_columns,
       o.confdeltype::pg_catalog.text as on_delete
from pg_catalog.pg_constraint o
left join pg_catalog.pg_class p on p.oid = o.confrelid
left join pg_catalog.pg_namespace n on n.oid = p.relnamespace
where o.conrelid = any(%(relations)s::pg_catalog.oid[])
  and (o.contype in ('p', 'u', 'f', 'c', 'x') or (o.contype = 'n' and not o.convalidated))
  and not exists (select from pg_catalog.pg_constraint whole
                  where whole.oid = o.conparentid and whole.conrelid = o.conrelid)
order by o.conrelid, o.conname
"""
"""NOT NULL has rows of its own since PostgreSQL 18: only one that isn't valid yet says more than its column does.

A foreign key to a partitioned table has a hidden row for each partition, which is left out."""

INDEXES = """
select i.indrelid as relation,
       c.relname as name,
       m.amname as method,
       array(select a.attname::pg_catalog.text
             from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality as k (number, place)
             left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number and a.attnum <> 0
             order by k.place) as columns,
       i.indnkeyatts as key_columns,
       i.indisunique as is_unique,
       i.indisprimary as is_primary,
       i.indisvalid and i.indisready and i.indislive as is_valid,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid) as predicate,
       pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
       case when c.relkind = 'i' then pg_catalog.pg_relation_size(c.oid) end as size_bytes,
       case when pg_catalog.current_setting('track_counts')::pg_catalog.bool and not pg_catalog.pg_is_in_recovery()
            then pg_catalog.pg_stat_get_numscans(c.oid) end as scans,
       (select o.conname from pg_catalog.pg_constraint o
        where o.conrelid = i.indrelid and o.conindid = i.indexrelid and o.contype in ('p', 'u', 'x')) as "constraint"
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = c.relam
where i.indrelid = any(%(relations)s::pg_catalog.oid[])
order by i.indrelid, c.relname
"""

POLICIES = """
select p.polrelid as relation,
       p.polname as name,
       p.polcmd::pg_catalog.text as command,
       array(select case when r.role = 0 then 'public' else pg_catalog.pg_get_userbyid(r.role)::pg_catalog.text end
             from pg_catalog.unnest(p.polroles) with ordinality as r (role, place) order by r.place) as roles,
       p.polpermissive as is_permissive,
       pg_catalog.pg_get_expr(p.polqual, p.polrelid) as "using",
       pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) as "check"
from pg_catalog.pg_policy p
where p.polrelid = any(%(relations)s::pg_catalog.oid[])
order by p.polrelid, p.polname
"""

TRIGGERS = """
select t.tgrelid as relation,
       t.tgname as name,
       n.nspname as function_schema,
       p.proname as function_name,
       pg_catalog.pg_get_triggerdef(t.oid) as definition,
       t.tgenabled <> 'D' as is_enabled
from pg_catalog.pg_trigger t
join pg_catalog.pg_proc p on p.oid = t.tgfoid
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where t.tgrelid = any(%(relations)s::pg_catalog.oid[]) and not t.tgisinternal
order by t.tgrelid, t.tgname
"""

VIEWS = """
select c.oid as relation,
       pg_catalog.pg_get_viewdef(c.oid) as definition,
       array(select distinct d.refobjid
             from pg_catalog.pg_rewrite r
             join pg_catalog.pg_depend d
               on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
             where r.ev_class = c.oid and r.ev_type = '1' and d.refobjid <> c.oid
               and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
             order by 1) as reads
from pg_catalog.pg_class c
where c.oid = any(%(relations)s::pg_catalog.oid[]) and c.relkind in ('v', 'm')
order by c.oid
"""

NAMES = """
select c.oid, n.nspname as schema, c.relname as name
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%(relations)s::pg_catalog.oid[])
"""

FUNCTIONS = """
select p.oid,
       n.nspname as schema,
       p.proname as name,
       pg_catalog.pg_get_function_identity_arguments(p.oid) as arguments,
       coalesce(pg_catalog.pg_get_function_result(p.oid), 'void') as returns,
       l.lanname as language,
       pg_catalog.pg_get_userbyid(p.proowner) as owner,
       p.prosecdef as is_definer,
       p.prorettype in ('pg_catalog.trigger'::pg_catalog.regtype,
                        'pg_catalog.event_trigger'::pg_catalog.regtype) as is_trigger,
       p.provolatile::pg_catalog.text as volatility,
       p.proconfig as settings,
       coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) as source,
       pg_catalog.pg_get_expr(p.proargdefaults, 0) as argument_defaults,
       coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))::pg_catalog.text as acl
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where p.prokind in ('f', 'p', 'w')
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and pg_catalog.pg_function_is_visible(p.oid) is not null
  and not exists (select from pg_catalog.pg_depend e
                  where e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and e.objid = p.oid
                    and e.deptype = 'e')
order by n.nspname, p.proname, arguments
"""

STEADY_FUNCTIONS = """
select n.nspname as schema, p.proname as name
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'pg_catalog'
   or exists (select from pg_catalog.pg_depend e
              where e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and e.objid = p.oid and e.deptype = 'e')
group by n.nspname, p.proname
having not pg_catalog.bool_or(p.provolatile = 'v')
"""

DOMAINS = """
select n.nspname as schema,
       t.typname as name,
       pg_catalog.format_type(t.typbasetype, null) as base,
       pg_catalog.pg_get_expr(t.typdefaultbin, 0) as "default",
       array(select pg_catalog.pg_get_constraintdef(o.oid)
             from pg_catalog.pg_constraint o where o.contypid = t.oid and o.contype = 'c') as checks
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.typtype = 'd' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by n.nspname, t.typname
"""

PUBLICATIONS = """
select p.pubname as name,
       p.puballtables as all_tables,
       array(select r.prrelid from pg_catalog.pg_publication_rel r where r.prpubid = p.oid
             union
             select c.oid
             from pg_catalog.pg_publication_namespace s
             join pg_catalog.pg_class c on c.relnamespace = s.pnnspid
             where s.pnpubid = p.oid and c.relkind in ('r', 'p') and not c.relispartition) as relations
from pg_catalog.pg_publication p
order by p.pubname
"""

DEFAULT_PRIVILEGES = """
select pg_catalog.pg_get_userbyid(d.defaclrole) as owner,
       n.nspname as schema,
       d.defaclobjtype::pg_catalog.text as kind,
       d.defaclacl::pg_catalog.text as acl
from pg_catalog.pg_default_acl d
left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
order by owner, schema, kind
"""

ACCESS_LISTS = """
with lists as (
    select distinct on (acl::pg_catalog.text) acl::pg_catalog.text as text, acl
    from (
        select coalesce(relacl, pg_catalog.acldefault(case relkind when 'S' then 's' else 'r' end::pg_catalog."char",
                                                      relowner)) as acl
        from pg_catalog.pg_class where oid = any(%(relations)s::pg_catalog.oid[])
        union all
        select attacl from pg_catalog.pg_attribute
        where attrelid = any(%(relations)s::pg_catalog.oid[]) and attacl is not null
        union all
        select coalesce(proacl, pg_catalog.acldefault('f', proowner))
        from pg_catalog.pg_proc where oid = any(%(functions)s::pg_catalog.oid[])
        union all
        select coalesce(nspacl, pg_catalog.acldefault('n', nspowner)) from pg_catalog.pg_namespace
        union all
        select defaclacl from pg_catalog.pg_default_acl
    ) as every_list
)
select lists.text as acl,
       case when g.grantee = 0 then 'public' else pg_catalog.pg_get_userbyid(g.grantee)::pg_catalog.text end as grantee,
       pg_catalog.lower(g.privilege_type) as privilege,
       pg_catalog.bool_or(g.is_grantable) as is_grantable
from lists
cross join lateral pg_catalog.aclexplode(lists.acl) as g
group by 1, 2, 3
order by 1, 2, 3
"""

EXCLUSIVE_LOCKS = """
select n.nspname as schema, c.relname as name, l.pid
from pg_catalog.pg_locks l
join pg_catalog.pg_database d on d.oid = l.database and d.datname = pg_catalog.current_database()
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where l.mode = 'AccessExclusiveLock' and l.granted and c.relkind <> 'i' and n.nspname !~ '^pg_'
order by 1, 2
"""
