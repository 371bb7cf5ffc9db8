drop table trunkline_runtime.turn_states, usage_logs, agent_messages, agent_turns, agent_sessions, knowledge_chunks,
  knowledge_sources, knowledge_bases, tools, agent_versions, agents, audit_logs, credentials, api_keys,
  organization_members, organizations, profiles cascade;
-- next
drop sequence agent_messages_sequence_seq;
-- next
drop schema app cascade;
-- next
drop schema trunkline_runtime;
-- next
do $$
declare
  made text;
begin
  execute format('revoke usage on schema %I from trunkline_service, trunkline_definer',
    (select extnamespace::regnamespace::name from pg_catalog.pg_extension where extname = 'vector'));
  -- Only what the baseline made carries this comment; what was there before, or is in use elsewhere, stays.
  if obj_description((select oid from pg_catalog.pg_extension where extname = 'vector'), 'pg_extension')
     = 'Made by Trunkline' then
    drop extension vector;
  end if;
  if obj_description(to_regnamespace('extensions'), 'pg_namespace') = 'Made by Trunkline' then
    drop schema extensions;
  end if;
  if obj_description(to_regnamespace('auth'), 'pg_namespace') = 'Made by Trunkline' then
    drop schema auth cascade;
  end if;
  foreach made in array array['anon', 'authenticated', 'service_role', 'trunkline_service', 'trunkline_definer'] loop
    if shobj_description(to_regrole(made), 'pg_authid') = 'Made by Trunkline' then
      begin
        execute format('drop role %I', made);
      exception when dependent_objects_still_exist then
        null;  -- another database of this server still uses it
      end;
    end if;
  end loop;
end
$$
