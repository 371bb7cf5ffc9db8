do $$
begin
  if not exists (select 1 from pg_catalog.pg_extension where extname = 'vector') then
    if not exists (select 1 from pg_catalog.pg_namespace where nspname = 'extensions') then
      create schema extensions;
      comment on schema extensions is 'Made by Trunkline';
      grant usage on schema extensions to public;
    end if;
    create extension vector with schema extensions;
    comment on extension vector is 'Made by Trunkline';
  end if;
end
$$;
-- next
-- A server may have had the extension before, in another schema.
select set_config('search_path', 'public, ' || quote_ident(n.nspname), true)
from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector';
-- next
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'trunkline_service', 'trunkline_definer'] loop
    begin
      if not exists (select 1 from pg_catalog.pg_roles where rolname = wanted) then
        execute format('create role %I nologin noinherit', wanted);
        execute format('comment on role %I is %L', wanted, 'Made by Trunkline');
      end if;
    exception when duplicate_object or unique_violation then
      null;  -- another database of this server is being set up at the same time
    end;
  end loop;
  if not pg_catalog.pg_has_role(current_user, 'trunkline_definer', 'usage') then
    execute 'grant trunkline_definer to current_user';
  end if;
  -- Where the extension was there before us, its schema's other rights are its owner's to give.
  execute format('grant usage on schema %I to trunkline_service, trunkline_definer',
    (select n.nspname from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
     where e.extname = 'vector'));
end
$$;
-- next
do $$
begin
  if not exists (select 1 from pg_catalog.pg_namespace where nspname = 'auth') then
    create schema auth;
    comment on schema auth is 'Made by Trunkline';
    create table auth.users (
      id uuid primary key default gen_random_uuid(),
      email text unique,
      raw_app_meta_data jsonb not null default '{}',
      raw_user_meta_data jsonb not null default '{}',
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    revoke all on auth.users from public;
    create function auth.jwt() returns jsonb language sql stable
    begin atomic
      select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}'::jsonb);
    end;
    create function auth.uid() returns uuid language sql stable
    begin atomic
      select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
    end;
    create function auth.role() returns text language sql stable
    begin atomic
      select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role';
    end;
    grant usage on schema auth to anon, authenticated, service_role, trunkline_service;
    grant execute on all functions in schema auth to anon, authenticated, service_role, trunkline_service;
  end if;
end
$$;
-- next
create schema app;
-- next
grant usage on schema app to anon, authenticated, service_role, trunkline_service, trunkline_definer;
-- next
create schema trunkline_runtime;
-- next
grant usage on schema trunkline_runtime to trunkline_service;
-- next
create function app.uuid7() returns uuid language sql volatile parallel safe
begin atomic
  -- RFC 9562, 5.7: 48 bits of Unix milliseconds, then a random UUIDv4 whose version bits are turned from 4 to 7.
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;
end;
-- next
revoke all on function app.uuid7() from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.uuid7() to anon, authenticated, trunkline_service, service_role, trunkline_definer;
-- next
create function app.claim(name text) returns text language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'trunkline' ->> name;
end
$$;
-- next
revoke all on function app.claim(text) from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.claim(text) to anon, authenticated, trunkline_service, service_role, trunkline_definer;
-- next
create function app.organization_id() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
  ours jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'trunkline';
begin
  return case when ours ->> 'kind' in ('api_key', 'service') then (ours ->> 'organization_id')::uuid end;
end
$$;
-- next
revoke all on function app.organization_id() from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.organization_id() to anon, authenticated, trunkline_service, service_role, trunkline_definer;
-- next
create function app.user_id() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
end
$$;
-- next
revoke all on function app.user_id() from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.user_id() to anon, authenticated, trunkline_service, service_role, trunkline_definer;
-- next
create function app.claimed_session_id() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  -- The uuid of the session whose handle is claimed, found under the caller's own policies.
  return (select s.id from public.agent_sessions s where s.session_id = app.claim('session_id'));
end
$$;
-- next
revoke all on function app.claimed_session_id() from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.claimed_session_id() to anon, trunkline_service;
-- next
create function app.keep_organization() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'organization_id of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$;
-- next
revoke all on function app.keep_organization() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.touch_updated_at() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
-- next
revoke all on function app.touch_updated_at() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.refuse_change() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'rows of % never change', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$;
-- next
revoke all on function app.refuse_change() from public, anon, authenticated, service_role, trunkline_service;
-- next
create sequence public.agent_messages_sequence_seq;
-- next
revoke all on sequence public.agent_messages_sequence_seq from public, anon, authenticated, service_role, trunkline_service;
-- next
grant usage on sequence public.agent_messages_sequence_seq to trunkline_definer;
-- next
CREATE TABLE profiles (
	id UUID NOT NULL, 
	email TEXT, 
	full_name TEXT, 
	avatar_url TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT profiles_pkey PRIMARY KEY (id), 
	CONSTRAINT profiles_id_fkey FOREIGN KEY(id) REFERENCES auth.users (id) ON DELETE CASCADE
);
-- next
CREATE TABLE organizations (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	name TEXT NOT NULL, 
	slug TEXT NOT NULL, 
	owner_id UUID NOT NULL, 
	description TEXT DEFAULT '' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT organizations_pkey PRIMARY KEY (id), 
	CONSTRAINT organizations_slug_key UNIQUE (slug), 
	CONSTRAINT organizations_name_check CHECK (char_length(name) between 1 and 120), 
	CONSTRAINT organizations_slug_check CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'), 
	CONSTRAINT organizations_description_check CHECK (char_length(description) <= 2000), 
	CONSTRAINT organizations_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES profiles (id) ON DELETE RESTRICT
);
-- next
CREATE INDEX organizations_owner_id_idx ON organizations (owner_id);
-- next
CREATE TABLE api_keys (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	name TEXT NOT NULL, 
	prefix VARCHAR(16) NOT NULL, 
	key_hash BYTEA NOT NULL, 
	scopes TEXT[] DEFAULT '{}' NOT NULL, 
	created_by UUID, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT api_keys_pkey PRIMARY KEY (id), 
	CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash), 
	CONSTRAINT api_keys_name_check CHECK (char_length(name) between 1 and 120), 
	CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) = 32), 
	CONSTRAINT api_keys_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT api_keys_created_by_fkey FOREIGN KEY(created_by) REFERENCES profiles (id) ON DELETE SET NULL
);
-- next
CREATE INDEX api_keys_created_by_idx ON api_keys (created_by);
-- next
CREATE INDEX api_keys_organization_id_idx ON api_keys (organization_id);
-- next
CREATE TABLE audit_logs (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	actor_kind TEXT NOT NULL, 
	actor_id UUID, 
	action TEXT NOT NULL, 
	object_type TEXT NOT NULL, 
	object_id UUID, 
	details JSONB DEFAULT '{}' NOT NULL, 
	ip_address VARCHAR(45), 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT audit_logs_pkey PRIMARY KEY (id), 
	CONSTRAINT audit_logs_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE INDEX audit_logs_organization_id_created_at_idx ON audit_logs (organization_id, created_at);
-- next
CREATE TABLE credentials (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	name TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	base_url TEXT, 
	ciphertext BYTEA NOT NULL, 
	hint VARCHAR(8) DEFAULT '' NOT NULL, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT credentials_pkey PRIMARY KEY (id), 
	CONSTRAINT credentials_organization_id_name_key UNIQUE (organization_id, name), 
	CONSTRAINT credentials_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT credentials_name_check CHECK (char_length(name) between 1 and 120), 
	CONSTRAINT credentials_base_url_check CHECK (base_url ~ '^https?://' and base_url !~ '/$' and char_length(base_url) <= 2000), 
	CONSTRAINT credentials_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT credentials_created_by_fkey FOREIGN KEY(created_by) REFERENCES profiles (id) ON DELETE SET NULL
);
-- next
CREATE INDEX credentials_created_by_idx ON credentials (created_by);
-- next
CREATE TABLE knowledge_bases (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT DEFAULT '' NOT NULL, 
	embedding_model TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT knowledge_bases_pkey PRIMARY KEY (id), 
	CONSTRAINT knowledge_bases_organization_id_name_key UNIQUE (organization_id, name), 
	CONSTRAINT knowledge_bases_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT knowledge_bases_name_check CHECK (char_length(name) between 1 and 120), 
	CONSTRAINT knowledge_bases_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE TABLE organization_members (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	role TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT organization_members_pkey PRIMARY KEY (id), 
	CONSTRAINT organization_members_organization_id_user_id_key UNIQUE (organization_id, user_id), 
	CONSTRAINT organization_members_role_check CHECK (role in ('owner', 'admin', 'member', 'viewer')), 
	CONSTRAINT organization_members_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT organization_members_user_id_fkey FOREIGN KEY(user_id) REFERENCES profiles (id) ON DELETE CASCADE
);
-- next
CREATE INDEX organization_members_user_id_idx ON organization_members (user_id);
-- next
CREATE TABLE agents (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	created_by UUID, 
	is_active BOOLEAN DEFAULT true NOT NULL, 
	name TEXT NOT NULL, 
	slug TEXT NOT NULL, 
	description TEXT DEFAULT '' NOT NULL, 
	avatar_url TEXT, 
	language TEXT DEFAULT 'en' NOT NULL, 
	timezone TEXT DEFAULT 'UTC' NOT NULL, 
	tags TEXT[] DEFAULT '{}' NOT NULL, 
	llm_provider TEXT DEFAULT 'openai' NOT NULL, 
	llm_model TEXT DEFAULT 'gpt-4o-mini' NOT NULL, 
	temperature DOUBLE PRECISION DEFAULT 0.7, 
	top_p DOUBLE PRECISION, 
	max_tokens INTEGER DEFAULT 1000 NOT NULL, 
	reasoning_effort TEXT, 
	llm_timeout_ms INTEGER DEFAULT 30000 NOT NULL, 
	llm_fallbacks JSONB DEFAULT '[]' NOT NULL, 
	llm_base_url TEXT, 
	llm_credential_id UUID, 
	response_format JSONB, 
	system_prompt TEXT DEFAULT 'You are a helpful assistant.' NOT NULL, 
	first_message TEXT, 
	first_message_mode TEXT DEFAULT 'user' NOT NULL, 
	suggested_questions TEXT[] DEFAULT '{}' NOT NULL, 
	dynamic_variables JSONB DEFAULT '{}' NOT NULL, 
	fallback_message TEXT, 
	voice_provider TEXT DEFAULT 'none' NOT NULL, 
	voice_id TEXT, 
	voice_settings JSONB DEFAULT '{}' NOT NULL, 
	speech_processing JSONB DEFAULT '{}' NOT NULL, 
	record_audio BOOLEAN DEFAULT false NOT NULL, 
	knowledge_base_ids UUID[] DEFAULT '{}' NOT NULL, 
	retrieval JSONB DEFAULT '{}' NOT NULL, 
	citations_enabled BOOLEAN DEFAULT true NOT NULL, 
	tool_ids UUID[] DEFAULT '{}' NOT NULL, 
	mcp_servers JSONB DEFAULT '[]' NOT NULL, 
	tool_approval TEXT DEFAULT 'destructive' NOT NULL, 
	max_tool_iterations INTEGER DEFAULT 8 NOT NULL, 
	parallel_tool_calls BOOLEAN DEFAULT true NOT NULL, 
	session_ttl_seconds INTEGER DEFAULT 86400 NOT NULL, 
	idle_timeout_seconds INTEGER DEFAULT 1800 NOT NULL, 
	history_max_messages INTEGER DEFAULT 50 NOT NULL, 
	history_max_tokens INTEGER DEFAULT 8000 NOT NULL, 
	memory_strategy TEXT DEFAULT 'window' NOT NULL, 
	context_schema JSONB, 
	channels TEXT[] DEFAULT '{web}' NOT NULL, 
	allowed_domains TEXT[] DEFAULT '{}' NOT NULL, 
	widget_config JSONB DEFAULT '{}' NOT NULL, 
	handoff JSONB DEFAULT '{}' NOT NULL, 
	security JSONB DEFAULT '{}' NOT NULL, 
	retention_days INTEGER DEFAULT 90, 
	max_session_seconds INTEGER DEFAULT 3600 NOT NULL, 
	max_messages_per_session INTEGER DEFAULT 200 NOT NULL, 
	rate_limit_per_minute INTEGER DEFAULT 20 NOT NULL, 
	rate_limit_ip_per_minute INTEGER DEFAULT 60 NOT NULL, 
	max_concurrent_sessions INTEGER, 
	daily_session_limit INTEGER, 
	daily_token_budget BIGINT, 
	monthly_cost_limit_cents INTEGER, 
	is_published BOOLEAN DEFAULT false NOT NULL, 
	version INTEGER DEFAULT 1 NOT NULL, 
	published_version_id UUID, 
	version_notes TEXT, 
	webhooks JSONB DEFAULT '[]' NOT NULL, 
	config_json JSONB DEFAULT '{}' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT agents_pkey PRIMARY KEY (id), 
	CONSTRAINT agents_organization_id_slug_key UNIQUE (organization_id, slug), 
	CONSTRAINT agents_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT agents_organization_id_llm_credential_id_fkey FOREIGN KEY(organization_id, llm_credential_id) REFERENCES credentials (organization_id, id) ON DELETE SET NULL (llm_credential_id), 
	CONSTRAINT agents_name_check CHECK (char_length(name) >= 1 and char_length(name) <= 120), 
	CONSTRAINT agents_slug_check CHECK (char_length(slug) >= 1 and char_length(slug) <= 63 and slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'), 
	CONSTRAINT agents_description_check CHECK (char_length(description) <= 2000), 
	CONSTRAINT agents_avatar_url_check CHECK (char_length(avatar_url) <= 2000), 
	CONSTRAINT agents_language_check CHECK (char_length(language) >= 2 and char_length(language) <= 35), 
	CONSTRAINT agents_timezone_check CHECK (char_length(timezone) >= 1 and char_length(timezone) <= 64), 
	CONSTRAINT agents_tags_check CHECK (cardinality(tags) <= 50), 
	CONSTRAINT agents_llm_provider_check CHECK (char_length(llm_provider) >= 1 and char_length(llm_provider) <= 60), 
	CONSTRAINT agents_llm_model_check CHECK (char_length(llm_model) >= 1 and char_length(llm_model) <= 200), 
	CONSTRAINT agents_temperature_check CHECK (temperature >= 0 and temperature <= 2), 
	CONSTRAINT agents_top_p_check CHECK (top_p >= 0 and top_p <= 1), 
	CONSTRAINT agents_max_tokens_check CHECK (max_tokens >= 1 and max_tokens <= 32768), 
	CONSTRAINT agents_reasoning_effort_check CHECK (reasoning_effort in ('minimal', 'low', 'medium', 'high')), 
	CONSTRAINT agents_llm_timeout_ms_check CHECK (llm_timeout_ms >= 1000 and llm_timeout_ms <= 120000), 
	CONSTRAINT agents_llm_fallbacks_check CHECK (jsonb_array_length(llm_fallbacks) <= 3), 
	CONSTRAINT agents_llm_base_url_check CHECK (char_length(llm_base_url) <= 2000 and llm_base_url ~ '^https?://'), 
	CONSTRAINT agents_system_prompt_check CHECK (char_length(system_prompt) <= 100000), 
	CONSTRAINT agents_first_message_check CHECK (char_length(first_message) <= 2000), 
	CONSTRAINT agents_first_message_mode_check CHECK (first_message_mode in ('agent', 'user', 'generated')), 
	CONSTRAINT agents_suggested_questions_check CHECK (cardinality(suggested_questions) <= 8), 
	CONSTRAINT agents_dynamic_variables_check CHECK (jsonb_array_length(jsonb_path_query_array(dynamic_variables, '$.keyvalue()')) <= 50), 
	CONSTRAINT agents_fallback_message_check CHECK (char_length(fallback_message) <= 2000), 
	CONSTRAINT agents_voice_provider_check CHECK (char_length(voice_provider) >= 1 and char_length(voice_provider) <= 60), 
	CONSTRAINT agents_voice_id_check CHECK (char_length(voice_id) <= 200), 
	CONSTRAINT agents_knowledge_base_ids_check CHECK (cardinality(knowledge_base_ids) <= 20), 
	CONSTRAINT agents_tool_ids_check CHECK (cardinality(tool_ids) <= 64), 
	CONSTRAINT agents_mcp_servers_check CHECK (jsonb_array_length(mcp_servers) <= 10), 
	CONSTRAINT agents_tool_approval_check CHECK (tool_approval in ('never', 'destructive', 'always')), 
	CONSTRAINT agents_max_tool_iterations_check CHECK (max_tool_iterations >= 1 and max_tool_iterations <= 50), 
	CONSTRAINT agents_session_ttl_seconds_check CHECK (session_ttl_seconds >= 60 and session_ttl_seconds <= 31536000), 
	CONSTRAINT agents_idle_timeout_seconds_check CHECK (idle_timeout_seconds >= 30 and idle_timeout_seconds <= 2592000), 
	CONSTRAINT agents_history_max_messages_check CHECK (history_max_messages >= 2 and history_max_messages <= 500), 
	CONSTRAINT agents_history_max_tokens_check CHECK (history_max_tokens >= 100 and history_max_tokens <= 1000000), 
	CONSTRAINT agents_memory_strategy_check CHECK (memory_strategy in ('window', 'summary', 'none')), 
	CONSTRAINT agents_channels_check CHECK (cardinality(channels) <= 20), 
	CONSTRAINT agents_allowed_domains_check CHECK (cardinality(allowed_domains) <= 200), 
	CONSTRAINT agents_retention_days_check CHECK (retention_days >= 1 and retention_days <= 36500), 
	CONSTRAINT agents_max_session_seconds_check CHECK (max_session_seconds >= 60 and max_session_seconds <= 604800), 
	CONSTRAINT agents_max_messages_per_session_check CHECK (max_messages_per_session >= 1 and max_messages_per_session <= 100000), 
	CONSTRAINT agents_rate_limit_per_minute_check CHECK (rate_limit_per_minute >= 1 and rate_limit_per_minute <= 10000), 
	CONSTRAINT agents_rate_limit_ip_per_minute_check CHECK (rate_limit_ip_per_minute >= 1 and rate_limit_ip_per_minute <= 100000), 
	CONSTRAINT agents_max_concurrent_sessions_check CHECK (max_concurrent_sessions >= 1 and max_concurrent_sessions <= 1000000), 
	CONSTRAINT agents_daily_session_limit_check CHECK (daily_session_limit >= 1 and daily_session_limit <= 100000000), 
	CONSTRAINT agents_daily_token_budget_check CHECK (daily_token_budget >= 1 and daily_token_budget <= 1000000000000), 
	CONSTRAINT agents_monthly_cost_limit_cents_check CHECK (monthly_cost_limit_cents >= 1 and monthly_cost_limit_cents <= 1000000000), 
	CONSTRAINT agents_version_notes_check CHECK (char_length(version_notes) <= 2000), 
	CONSTRAINT agents_webhooks_check CHECK (jsonb_array_length(webhooks) <= 20), 
	CONSTRAINT agents_version_check CHECK (version >= 1), 
	CONSTRAINT agents_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT agents_created_by_fkey FOREIGN KEY(created_by) REFERENCES profiles (id) ON DELETE SET NULL
);
-- next
CREATE INDEX agents_created_by_idx ON agents (created_by);
-- next
CREATE INDEX agents_llm_credential_id_idx ON agents (llm_credential_id);
-- next
CREATE INDEX agents_organization_id_is_published_idx ON agents (organization_id, is_published);
-- next
CREATE INDEX agents_published_version_id_idx ON agents (published_version_id);
-- next
CREATE TABLE knowledge_sources (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	knowledge_base_id UUID NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	uri TEXT, 
	content_hash TEXT, 
	status TEXT DEFAULT 'pending' NOT NULL, 
	error TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT knowledge_sources_pkey PRIMARY KEY (id), 
	CONSTRAINT knowledge_sources_organization_id_knowledge_base_id_fkey FOREIGN KEY(organization_id, knowledge_base_id) REFERENCES knowledge_bases (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT knowledge_sources_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT knowledge_sources_kind_check CHECK (kind in ('file', 'url', 'text')), 
	CONSTRAINT knowledge_sources_status_check CHECK (status in ('pending', 'ready', 'failed')), 
	CONSTRAINT knowledge_sources_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE INDEX knowledge_sources_knowledge_base_id_idx ON knowledge_sources (knowledge_base_id);
-- next
CREATE TABLE tools (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT DEFAULT '' NOT NULL, 
	method TEXT NOT NULL, 
	url TEXT NOT NULL, 
	headers JSONB DEFAULT '{}' NOT NULL, 
	parameters JSONB DEFAULT '{}' NOT NULL, 
	credential_id UUID, 
	is_destructive BOOLEAN DEFAULT true NOT NULL, 
	timeout_ms INTEGER DEFAULT 10000 NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT tools_pkey PRIMARY KEY (id), 
	CONSTRAINT tools_organization_id_name_key UNIQUE (organization_id, name), 
	CONSTRAINT tools_organization_id_credential_id_fkey FOREIGN KEY(organization_id, credential_id) REFERENCES credentials (organization_id, id) ON DELETE SET NULL (credential_id), 
	CONSTRAINT tools_name_check CHECK (name ~ '^[a-zA-Z0-9_-]{1,64}$'), 
	CONSTRAINT tools_method_check CHECK (method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')), 
	CONSTRAINT tools_timeout_ms_check CHECK (timeout_ms between 100 and 120000), 
	CONSTRAINT tools_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE INDEX tools_credential_id_idx ON tools (credential_id);
-- next
CREATE TABLE agent_versions (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	agent_id UUID NOT NULL, 
	version INTEGER NOT NULL, 
	snapshot JSONB NOT NULL, 
	notes TEXT, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT agent_versions_pkey PRIMARY KEY (id), 
	CONSTRAINT agent_versions_agent_id_version_key UNIQUE (agent_id, version), 
	CONSTRAINT agent_versions_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT agent_versions_organization_id_agent_id_fkey FOREIGN KEY(organization_id, agent_id) REFERENCES agents (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT agent_versions_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT agent_versions_created_by_fkey FOREIGN KEY(created_by) REFERENCES profiles (id) ON DELETE SET NULL
);
-- next
CREATE INDEX agent_versions_created_by_idx ON agent_versions (created_by);
-- next
CREATE TABLE knowledge_chunks (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	source_id UUID NOT NULL, 
	position INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	embedding VECTOR(384), 
	search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT knowledge_chunks_pkey PRIMARY KEY (id), 
	CONSTRAINT knowledge_chunks_organization_id_source_id_fkey FOREIGN KEY(organization_id, source_id) REFERENCES knowledge_sources (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT knowledge_chunks_source_id_position_key UNIQUE (source_id, position), 
	CONSTRAINT knowledge_chunks_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE INDEX knowledge_chunks_embedding_idx ON knowledge_chunks USING hnsw (embedding vector_cosine_ops);
-- next
CREATE INDEX knowledge_chunks_organization_id_idx ON knowledge_chunks (organization_id);
-- next
CREATE INDEX knowledge_chunks_search_idx ON knowledge_chunks USING gin (search);
-- next
CREATE TABLE agent_sessions (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	client_reference VARCHAR(255), 
	agent_id UUID NOT NULL, 
	agent_version_id UUID, 
	user_id UUID, 
	visitor_id VARCHAR(255), 
	website_domain VARCHAR(255), 
	ip_address VARCHAR(45), 
	channel VARCHAR(32) DEFAULT 'web' NOT NULL, 
	message_count INTEGER DEFAULT 0 NOT NULL, 
	conversation_history JSONB DEFAULT '[]' NOT NULL, 
	context_data JSONB DEFAULT '{}' NOT NULL, 
	status VARCHAR(32) DEFAULT 'active' NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	last_activity_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT agent_sessions_pkey PRIMARY KEY (id), 
	CONSTRAINT agent_sessions_session_id_key UNIQUE (session_id), 
	CONSTRAINT agent_sessions_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT agent_sessions_organization_id_agent_id_fkey FOREIGN KEY(organization_id, agent_id) REFERENCES agents (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT agent_sessions_organization_id_agent_version_id_fkey FOREIGN KEY(organization_id, agent_version_id) REFERENCES agent_versions (organization_id, id) ON DELETE SET NULL (agent_version_id), 
	CONSTRAINT agent_sessions_status_check CHECK (status in ('active', 'ended', 'timeout', 'handed_off')), 
	CONSTRAINT agent_sessions_message_count_check CHECK (message_count >= 0), 
	CONSTRAINT agent_sessions_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT agent_sessions_user_id_fkey FOREIGN KEY(user_id) REFERENCES profiles (id) ON DELETE SET NULL
)
 WITH (fillfactor = 70);
-- next
CREATE INDEX agent_sessions_active_idx ON agent_sessions (last_activity_at) WHERE status = 'active';
-- next
CREATE INDEX agent_sessions_agent_activity_idx ON agent_sessions (organization_id, agent_id, last_activity_at desc);
-- next
CREATE INDEX agent_sessions_agent_version_id_idx ON agent_sessions (agent_version_id);
-- next
CREATE UNIQUE INDEX agent_sessions_client_reference_key ON agent_sessions (organization_id, agent_id, channel, website_domain, client_reference) NULLS NOT DISTINCT WHERE client_reference is not null and status = 'active';
-- next
CREATE INDEX agent_sessions_organization_id_user_id_idx ON agent_sessions (organization_id, user_id) WHERE user_id is not null;
-- next
CREATE INDEX agent_sessions_user_id_idx ON agent_sessions (user_id) WHERE user_id is not null;
-- next
CREATE INDEX agent_sessions_website_activity_idx ON agent_sessions (organization_id, website_domain, last_activity_at desc);
-- next
CREATE TABLE agent_turns (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	session_id UUID NOT NULL, 
	idempotency_key VARCHAR(255) NOT NULL, 
	status VARCHAR(32) DEFAULT 'running' NOT NULL, 
	attempt INTEGER DEFAULT 1 NOT NULL, 
	lease_until TIMESTAMP WITH TIME ZONE, 
	answer_offset INTEGER DEFAULT 0 NOT NULL, 
	partial_text TEXT DEFAULT '' NOT NULL, 
	error TEXT, 
	started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT agent_turns_pkey PRIMARY KEY (id), 
	CONSTRAINT agent_turns_organization_id_session_id_fkey FOREIGN KEY(organization_id, session_id) REFERENCES agent_sessions (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT agent_turns_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT agent_turns_session_id_idempotency_key_key UNIQUE (session_id, idempotency_key), 
	CONSTRAINT agent_turns_status_check CHECK (status in ('running', 'waiting', 'complete', 'failed', 'cancelled')), 
	CONSTRAINT agent_turns_answer_offset_check CHECK (answer_offset >= 0), 
	CONSTRAINT agent_turns_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE INDEX agent_turns_lease_idx ON agent_turns (lease_until) WHERE status = 'running';
-- next
CREATE UNIQUE INDEX agent_turns_one_at_a_time_key ON agent_turns (session_id) WHERE status in ('running', 'waiting');
-- next
CREATE TABLE agent_messages (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	session_id UUID NOT NULL, 
	sequence BIGINT NOT NULL, 
	turn_id UUID, 
	role VARCHAR(16) NOT NULL, 
	content TEXT NOT NULL, 
	audio_url TEXT, 
	audio_duration_ms INTEGER, 
	tokens_used INTEGER, 
	latency_ms INTEGER, 
	model_used TEXT, 
	citations JSONB DEFAULT '[]' NOT NULL, 
	tool_calls JSONB DEFAULT '[]' NOT NULL, 
	status VARCHAR(16) DEFAULT 'complete' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT agent_messages_pkey PRIMARY KEY (id), 
	CONSTRAINT agent_messages_organization_id_session_id_fkey FOREIGN KEY(organization_id, session_id) REFERENCES agent_sessions (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT agent_messages_organization_id_turn_id_fkey FOREIGN KEY(organization_id, turn_id) REFERENCES agent_turns (organization_id, id) ON DELETE SET NULL (turn_id), 
	CONSTRAINT agent_messages_organization_id_id_key UNIQUE (organization_id, id), 
	CONSTRAINT agent_messages_session_id_sequence_key UNIQUE (session_id, sequence), 
	CONSTRAINT agent_messages_role_check CHECK (role in ('user', 'assistant', 'system', 'tool')), 
	CONSTRAINT agent_messages_status_check CHECK (status in ('complete', 'interrupted', 'failed')), 
	CONSTRAINT agent_messages_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE INDEX agent_messages_organization_id_created_at_idx ON agent_messages (organization_id, created_at);
-- next
CREATE INDEX agent_messages_turn_id_idx ON agent_messages (turn_id);
-- next
CREATE TABLE trunkline_runtime.turn_states (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	turn_id UUID NOT NULL, 
	state BYTEA NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT turn_states_pkey PRIMARY KEY (id), 
	CONSTRAINT turn_states_organization_id_turn_id_fkey FOREIGN KEY(organization_id, turn_id) REFERENCES agent_turns (organization_id, id) ON DELETE CASCADE, 
	CONSTRAINT turn_states_organization_id_turn_id_key UNIQUE (organization_id, turn_id), 
	CONSTRAINT turn_states_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
-- next
CREATE TABLE usage_logs (
	id UUID DEFAULT app.uuid7() NOT NULL, 
	organization_id UUID NOT NULL, 
	agent_id UUID, 
	session_id UUID, 
	message_id UUID, 
	user_id UUID, 
	kind TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	tokens_used BIGINT NOT NULL, 
	input_tokens BIGINT, 
	output_tokens BIGINT, 
	is_estimated BOOLEAN DEFAULT false NOT NULL, 
	audio_ms INTEGER, 
	cost_usd NUMERIC(18, 9), 
	latency_ms INTEGER, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT usage_logs_pkey PRIMARY KEY (id), 
	CONSTRAINT usage_logs_organization_id_agent_id_fkey FOREIGN KEY(organization_id, agent_id) REFERENCES agents (organization_id, id) ON DELETE SET NULL (agent_id), 
	CONSTRAINT usage_logs_organization_id_session_id_fkey FOREIGN KEY(organization_id, session_id) REFERENCES agent_sessions (organization_id, id) ON DELETE SET NULL (session_id), 
	CONSTRAINT usage_logs_organization_id_message_id_fkey FOREIGN KEY(organization_id, message_id) REFERENCES agent_messages (organization_id, id) ON DELETE SET NULL (message_id), 
	CONSTRAINT usage_logs_kind_check CHECK (kind in ('llm', 'stt', 'tts', 'embedding', 'tool')), 
	CONSTRAINT usage_logs_tokens_check CHECK (tokens_used >= 0 and input_tokens >= 0 and output_tokens >= 0), 
	CONSTRAINT usage_logs_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT usage_logs_user_id_fkey FOREIGN KEY(user_id) REFERENCES profiles (id) ON DELETE SET NULL
);
-- next
CREATE INDEX usage_logs_message_id_idx ON usage_logs (message_id);
-- next
CREATE INDEX usage_logs_organization_id_agent_id_created_at_idx ON usage_logs (organization_id, agent_id, created_at);
-- next
CREATE INDEX usage_logs_organization_id_created_at_idx ON usage_logs (organization_id, created_at);
-- next
CREATE INDEX usage_logs_session_id_idx ON usage_logs (session_id);
-- next
CREATE INDEX usage_logs_user_id_idx ON usage_logs (user_id);
-- next
ALTER TABLE agents ADD CONSTRAINT agents_organization_id_published_version_id_fkey FOREIGN KEY(organization_id, published_version_id) REFERENCES agent_versions (organization_id, id) ON DELETE SET NULL (published_version_id);
-- next
create function app.organization_ids(minimum text default 'viewer') returns uuid[]
language sql stable security definer parallel safe set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(m.organization_id), '{}'::uuid[])
  from public.organization_members m
  where m.user_id = app.user_id()
    and array_position(array['viewer', 'member', 'admin', 'owner'], m.role)
        >= array_position(array['viewer', 'member', 'admin', 'owner'], minimum);
end;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.organization_ids(text) owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.organization_ids(text) from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.organization_ids(text) to authenticated, trunkline_definer;
-- next
create function app.visible_profile_ids() returns uuid[]
language sql stable security definer parallel safe set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(m.user_id), '{}'::uuid[]) || array_remove(array[app.user_id()], null)
  from public.organization_members m
  where m.organization_id = any (app.organization_ids('viewer'));
end;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.visible_profile_ids() owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.visible_profile_ids() from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.visible_profile_ids() to authenticated;
-- next
create function app.authenticate_key(hash bytea)
returns table (key_id uuid, organization_id uuid, scopes text[])
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  -- The SHA-256 of the whole key is the question, so this tells nothing to who doesn't hold the key. There is no
  -- principal yet: the login role itself asks (`prepare` grants it).
  select k.id, k.organization_id, k.scopes
  from public.api_keys k
  where k.key_hash = authenticate_key.hash and k.revoked_at is null and (k.expires_at is null or k.expires_at > now());
end;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.authenticate_key(bytea) owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.authenticate_key(bytea) from public, anon, authenticated, service_role, trunkline_service;
-- next
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
$$;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.create_organization(uuid, text, text, text) owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.create_organization(uuid, text, text, text) from public, anon, authenticated, service_role, trunkline_service;
-- next
grant execute on function app.create_organization(uuid, text, text, text) to authenticated;
-- next
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
$$;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.keep_an_owner() owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.keep_an_owner() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.number_message() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  new.sequence := nextval('public.agent_messages_sequence_seq');
  return new;
end
$$;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.number_message() owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.number_message() from public, anon, authenticated, service_role, trunkline_service;
-- next
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
end;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.fail_expired_turns() owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.fail_expired_turns() from public, anon, authenticated, service_role, trunkline_service;
-- next
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
$$;
-- next
revoke all on function app.check_agent_references() from public, anon, authenticated, service_role, trunkline_service;
-- next
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
$$;
-- next
grant create on schema app to trunkline_definer;
-- next
alter function app.check_agent_credential() owner to trunkline_definer;
-- next
revoke create on schema app from trunkline_definer;
-- next
revoke all on function app.check_agent_credential() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.check_created_by() returns trigger language plpgsql set search_path = '' as $$
begin
  -- A foreign key to profiles alone would tell who exists. This looks under the caller's own policies.
  if not exists (select 1 from public.profiles p where p.id = new.created_by) then
    raise exception 'created_by names a person that is not a member of this organization'
      using errcode = 'foreign_key_violation';
  end if;
  return new;
end
$$;
-- next
revoke all on function app.check_created_by() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.check_user_id() returns trigger language plpgsql set search_path = '' as $$
begin
  -- A foreign key to profiles alone would tell who exists. This looks under the caller's own policies.
  if not exists (select 1 from public.profiles p where p.id = new.user_id) then
    raise exception 'user_id names a person that is not a member of this organization'
      using errcode = 'foreign_key_violation';
  end if;
  return new;
end
$$;
-- next
revoke all on function app.check_user_id() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.organization_from_agent() returns trigger language plpgsql set search_path = '' as $$
begin
  select p.organization_id into new.organization_id from public.agents p where p.id = new.agent_id;
  return new;
end
$$;
-- next
revoke all on function app.organization_from_agent() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.organization_from_session() returns trigger language plpgsql set search_path = '' as $$
begin
  select p.organization_id into new.organization_id from public.agent_sessions p where p.id = new.session_id;
  return new;
end
$$;
-- next
revoke all on function app.organization_from_session() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.organization_from_knowledge_base() returns trigger language plpgsql set search_path = '' as $$
begin
  select p.organization_id into new.organization_id from public.knowledge_bases p where p.id = new.knowledge_base_id;
  return new;
end
$$;
-- next
revoke all on function app.organization_from_knowledge_base() from public, anon, authenticated, service_role, trunkline_service;
-- next
create function app.organization_from_source() returns trigger language plpgsql set search_path = '' as $$
begin
  select p.organization_id into new.organization_id from public.knowledge_sources p where p.id = new.source_id;
  return new;
end
$$;
-- next
revoke all on function app.organization_from_source() from public, anon, authenticated, service_role, trunkline_service;
-- next
create trigger api_keys_keep_organization before update of organization_id on public.api_keys for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger audit_logs_keep_organization before update of organization_id on public.audit_logs for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger credentials_keep_organization before update of organization_id on public.credentials for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger knowledge_bases_keep_organization before update of organization_id on public.knowledge_bases for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger organization_members_keep_organization before update of organization_id on public.organization_members for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger agents_keep_organization before update of organization_id on public.agents for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger knowledge_sources_keep_organization before update of organization_id on public.knowledge_sources for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger tools_keep_organization before update of organization_id on public.tools for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger agent_versions_keep_organization before update of organization_id on public.agent_versions for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger knowledge_chunks_keep_organization before update of organization_id on public.knowledge_chunks for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger agent_sessions_keep_organization before update of organization_id on public.agent_sessions for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger agent_turns_keep_organization before update of organization_id on public.agent_turns for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger agent_messages_keep_organization before update of organization_id on public.agent_messages for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger turn_states_keep_organization before update of organization_id on trunkline_runtime.turn_states for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger usage_logs_keep_organization before update of organization_id on public.usage_logs for each row when (old.organization_id is distinct from new.organization_id) execute function app.keep_organization();
-- next
create trigger profiles_touch before update on public.profiles for each row execute function app.touch_updated_at();
-- next
create trigger organizations_touch before update on public.organizations for each row execute function app.touch_updated_at();
-- next
create trigger credentials_touch before update on public.credentials for each row execute function app.touch_updated_at();
-- next
create trigger knowledge_bases_touch before update on public.knowledge_bases for each row execute function app.touch_updated_at();
-- next
create trigger agents_touch before update on public.agents for each row execute function app.touch_updated_at();
-- next
create trigger knowledge_sources_touch before update on public.knowledge_sources for each row execute function app.touch_updated_at();
-- next
create trigger tools_touch before update on public.tools for each row execute function app.touch_updated_at();
-- next
create trigger turn_states_touch before update on trunkline_runtime.turn_states for each row execute function app.touch_updated_at();
-- next
create trigger agents_created_by before insert or update of created_by on public.agents for each row when (new.created_by is not null) execute function app.check_created_by();
-- next
create trigger agent_versions_created_by before insert or update of created_by on public.agent_versions for each row when (new.created_by is not null) execute function app.check_created_by();
-- next
create trigger api_keys_created_by before insert or update of created_by on public.api_keys for each row when (new.created_by is not null) execute function app.check_created_by();
-- next
create trigger credentials_created_by before insert or update of created_by on public.credentials for each row when (new.created_by is not null) execute function app.check_created_by();
-- next
create trigger agent_versions_derive_organization before insert on public.agent_versions for each row when (new.organization_id is null) execute function app.organization_from_agent();
-- next
create trigger agent_sessions_derive_organization before insert on public.agent_sessions for each row when (new.organization_id is null) execute function app.organization_from_agent();
-- next
create trigger agent_messages_derive_organization before insert on public.agent_messages for each row when (new.organization_id is null) execute function app.organization_from_session();
-- next
create trigger agent_turns_derive_organization before insert on public.agent_turns for each row when (new.organization_id is null) execute function app.organization_from_session();
-- next
create trigger knowledge_sources_derive_organization before insert on public.knowledge_sources for each row when (new.organization_id is null) execute function app.organization_from_knowledge_base();
-- next
create trigger knowledge_chunks_derive_organization before insert on public.knowledge_chunks for each row when (new.organization_id is null) execute function app.organization_from_source();
-- next
create trigger agent_sessions_user_id before insert or update of user_id on public.agent_sessions for each row when (new.user_id is not null and current_user = 'authenticated') execute function app.check_user_id();
-- next
create trigger agent_messages_number before insert on public.agent_messages for each row when (new.sequence is null) execute function app.number_message();
-- next
create trigger agents_references before insert or update of knowledge_base_ids, tool_ids, organization_id on public.agents for each row when (new.knowledge_base_ids <> '{}' or new.tool_ids <> '{}') execute function app.check_agent_references();
-- next
create trigger agents_credential after insert or update of llm_credential_id, llm_provider, llm_base_url, organization_id on public.agents for each row when (new.llm_credential_id is not null) execute function app.check_agent_credential();
-- next
create trigger agent_versions_immutable before update on public.agent_versions for each row when (old.snapshot is distinct from new.snapshot or old.version <> new.version or old.agent_id <> new.agent_id) execute function app.refuse_change();
-- next
create trigger organization_members_keep_an_owner before update on public.organization_members for each row when (old.role = 'owner' and (new.role <> 'owner' or new.user_id <> old.user_id)) execute function app.keep_an_owner();
-- next
create trigger organization_members_keep_the_owner before delete on public.organization_members for each row when (old.role = 'owner') execute function app.keep_an_owner();
-- next
revoke all on table public.profiles from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.profiles to service_role;
-- next
grant select on table public.profiles to authenticated;
-- next
grant insert on table public.profiles to authenticated;
-- next
grant update (full_name, avatar_url) on table public.profiles to authenticated;
-- next
grant select on table public.profiles to trunkline_service;
-- next
alter table public.profiles enable row level security;
-- next
create policy profiles_select_authenticated on public.profiles for select to authenticated
  using (id = any ((select app.visible_profile_ids())::uuid[]));
-- next
create policy profiles_insert_authenticated on public.profiles for insert to authenticated
  with check (id = (select app.user_id()));
-- next
create policy profiles_update_authenticated on public.profiles for update to authenticated
  using (id = (select app.user_id()))
  with check (id = (select app.user_id()));
-- next
create policy profiles_select_trunkline_service on public.profiles for select to trunkline_service
  using (id in (select m.user_id from public.organization_members m where m.organization_id = (select app.organization_id())));
-- next
grant select, insert on table public.profiles to trunkline_definer;
-- next
create policy profiles_select_trunkline_definer on public.profiles for select to trunkline_definer using (true);
-- next
create policy profiles_insert_trunkline_definer on public.profiles for insert to trunkline_definer with check (true);
-- next
alter table public.profiles force row level security;
-- next
revoke all on table public.organizations from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.organizations to service_role;
-- next
grant select on table public.organizations to authenticated;
-- next
grant update (name, slug, description) on table public.organizations to authenticated;
-- next
grant delete on table public.organizations to authenticated;
-- next
grant select on table public.organizations to trunkline_service;
-- next
grant update (name, slug, description) on table public.organizations to trunkline_service;
-- next
alter table public.organizations enable row level security;
-- next
create policy organizations_select_authenticated on public.organizations for select to authenticated
  using (id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy organizations_update_authenticated on public.organizations for update to authenticated
  using (id = any ((select app.organization_ids('admin'))::uuid[]))
  with check (id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy organizations_delete_authenticated on public.organizations for delete to authenticated
  using (id = any ((select app.organization_ids('owner'))::uuid[]));
-- next
create policy organizations_select_trunkline_service on public.organizations for select to trunkline_service
  using (id = (select app.organization_id()));
-- next
create policy organizations_update_trunkline_service on public.organizations for update to trunkline_service
  using (id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
grant select, insert, update on table public.organizations to trunkline_definer;
-- next
create policy organizations_select_trunkline_definer on public.organizations for select to trunkline_definer using (true);
-- next
create policy organizations_insert_trunkline_definer on public.organizations for insert to trunkline_definer with check (true);
-- next
create policy organizations_update_trunkline_definer on public.organizations for update to trunkline_definer using (true);
-- next
alter table public.organizations force row level security;
-- next
revoke all on table public.api_keys from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.api_keys to service_role;
-- next
grant select (id, organization_id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at) on table public.api_keys to authenticated;
-- next
grant insert on table public.api_keys to authenticated;
-- next
grant update (name, revoked_at) on table public.api_keys to authenticated;
-- next
grant select (id, organization_id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at) on table public.api_keys to trunkline_service;
-- next
grant insert on table public.api_keys to trunkline_service;
-- next
grant update (name, revoked_at) on table public.api_keys to trunkline_service;
-- next
alter table public.api_keys enable row level security;
-- next
create policy api_keys_select_authenticated on public.api_keys for select to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy api_keys_insert_authenticated on public.api_keys for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy api_keys_update_authenticated on public.api_keys for update to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy api_keys_select_trunkline_service on public.api_keys for select to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy api_keys_insert_trunkline_service on public.api_keys for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy api_keys_update_trunkline_service on public.api_keys for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
grant select on table public.api_keys to trunkline_definer;
-- next
create policy api_keys_select_trunkline_definer on public.api_keys for select to trunkline_definer using (true);
-- next
alter table public.api_keys force row level security;
-- next
revoke all on table public.audit_logs from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.audit_logs to service_role;
-- next
grant select on table public.audit_logs to authenticated;
-- next
grant insert (id, organization_id, actor_kind, actor_id, action, object_type, object_id, details, ip_address) on table public.audit_logs to authenticated;
-- next
grant select on table public.audit_logs to trunkline_service;
-- next
grant insert on table public.audit_logs to trunkline_service;
-- next
alter table public.audit_logs enable row level security;
-- next
create policy audit_logs_select_authenticated on public.audit_logs for select to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy audit_logs_insert_authenticated on public.audit_logs for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('viewer'))::uuid[]) and actor_kind = 'member' and actor_id = (select app.user_id()));
-- next
create policy audit_logs_select_trunkline_service on public.audit_logs for select to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy audit_logs_insert_trunkline_service on public.audit_logs for insert to trunkline_service
  with check (organization_id = (select app.organization_id()));
-- next
alter table public.audit_logs force row level security;
-- next
revoke all on table public.credentials from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.credentials to service_role;
-- next
grant select (id, organization_id, name, provider, base_url, hint, created_by, created_at, updated_at) on table public.credentials to authenticated;
-- next
grant insert on table public.credentials to authenticated;
-- next
grant update (name, ciphertext, hint) on table public.credentials to authenticated;
-- next
grant delete on table public.credentials to authenticated;
-- next
grant select on table public.credentials to trunkline_service;
-- next
grant insert, delete on table public.credentials to trunkline_service;
-- next
grant update (name, ciphertext, hint) on table public.credentials to trunkline_service;
-- next
alter table public.credentials enable row level security;
-- next
create policy credentials_select_authenticated on public.credentials for select to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy credentials_insert_authenticated on public.credentials for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy credentials_update_authenticated on public.credentials for update to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy credentials_delete_authenticated on public.credentials for delete to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy credentials_select_trunkline_service on public.credentials for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy credentials_insert_trunkline_service on public.credentials for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy credentials_delete_trunkline_service on public.credentials for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy credentials_update_trunkline_service on public.credentials for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
grant select (id, organization_id, name, provider, base_url) on table public.credentials to trunkline_definer;
-- next
create policy credentials_select_trunkline_definer on public.credentials for select to trunkline_definer using (true);
-- next
alter table public.credentials force row level security;
-- next
revoke all on table public.knowledge_bases from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.knowledge_bases to service_role;
-- next
grant select on table public.knowledge_bases to authenticated;
-- next
grant insert, update, delete on table public.knowledge_bases to authenticated;
-- next
grant select on table public.knowledge_bases to trunkline_service;
-- next
grant insert, update, delete on table public.knowledge_bases to trunkline_service;
-- next
alter table public.knowledge_bases enable row level security;
-- next
create policy knowledge_bases_select_authenticated on public.knowledge_bases for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy knowledge_bases_insert_authenticated on public.knowledge_bases for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_bases_update_authenticated on public.knowledge_bases for update to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_bases_delete_authenticated on public.knowledge_bases for delete to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_bases_select_trunkline_service on public.knowledge_bases for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy knowledge_bases_insert_trunkline_service on public.knowledge_bases for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy knowledge_bases_update_trunkline_service on public.knowledge_bases for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy knowledge_bases_delete_trunkline_service on public.knowledge_bases for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
alter table public.knowledge_bases force row level security;
-- next
revoke all on table public.organization_members from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.organization_members to service_role;
-- next
grant select on table public.organization_members to authenticated;
-- next
grant insert on table public.organization_members to authenticated;
-- next
grant update (role) on table public.organization_members to authenticated;
-- next
grant delete on table public.organization_members to authenticated;
-- next
grant select on table public.organization_members to trunkline_service;
-- next
alter table public.organization_members enable row level security;
-- next
create policy organization_members_select_authenticated on public.organization_members for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy organization_members_insert_authenticated on public.organization_members for insert to authenticated
  with check ((organization_id = any ((select app.organization_ids('owner'))::uuid[]) or (organization_id = any ((select app.organization_ids('admin'))::uuid[]) and role <> 'owner')));
-- next
create policy organization_members_update_authenticated on public.organization_members for update to authenticated
  using ((organization_id = any ((select app.organization_ids('owner'))::uuid[]) or (organization_id = any ((select app.organization_ids('admin'))::uuid[]) and role <> 'owner')))
  with check ((organization_id = any ((select app.organization_ids('owner'))::uuid[]) or (organization_id = any ((select app.organization_ids('admin'))::uuid[]) and role <> 'owner')));
-- next
create policy organization_members_delete_authenticated on public.organization_members for delete to authenticated
  using (((organization_id = any ((select app.organization_ids('owner'))::uuid[]) or (organization_id = any ((select app.organization_ids('admin'))::uuid[]) and role <> 'owner')) or user_id = (select app.user_id())));
-- next
create policy organization_members_select_trunkline_service on public.organization_members for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
grant select, insert on table public.organization_members to trunkline_definer;
-- next
create policy organization_members_select_trunkline_definer on public.organization_members for select to trunkline_definer using (true);
-- next
create policy organization_members_insert_trunkline_definer on public.organization_members for insert to trunkline_definer with check (true);
-- next
alter table public.organization_members force row level security;
-- next
revoke all on table public.agents from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.agents to service_role;
-- next
grant select (id, organization_id, name, slug, description, avatar_url, language, is_active, is_published, first_message, suggested_questions, allowed_domains, channels, widget_config) on table public.agents to anon;
-- next
grant select on table public.agents to authenticated;
-- next
grant insert, update on table public.agents to authenticated;
-- next
grant delete on table public.agents to authenticated;
-- next
grant select on table public.agents to trunkline_service;
-- next
grant insert, update, delete on table public.agents to trunkline_service;
-- next
alter table public.agents enable row level security;
-- next
create policy agents_select_anon on public.agents for select to anon
  using (id = (select app.claim('agent_id')::uuid) and is_published and is_active and (select app.claim('kind')) = 'visitor');
-- next
create policy agents_select_authenticated on public.agents for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy agents_insert_authenticated on public.agents for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy agents_update_authenticated on public.agents for update to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy agents_delete_authenticated on public.agents for delete to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy agents_select_trunkline_service on public.agents for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy agents_insert_trunkline_service on public.agents for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy agents_update_trunkline_service on public.agents for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy agents_delete_trunkline_service on public.agents for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
alter table public.agents force row level security;
-- next
revoke all on table public.knowledge_sources from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.knowledge_sources to service_role;
-- next
grant select on table public.knowledge_sources to authenticated;
-- next
grant insert, update, delete on table public.knowledge_sources to authenticated;
-- next
grant select on table public.knowledge_sources to trunkline_service;
-- next
grant insert, update, delete on table public.knowledge_sources to trunkline_service;
-- next
alter table public.knowledge_sources enable row level security;
-- next
create policy knowledge_sources_select_authenticated on public.knowledge_sources for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy knowledge_sources_insert_authenticated on public.knowledge_sources for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_sources_update_authenticated on public.knowledge_sources for update to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_sources_delete_authenticated on public.knowledge_sources for delete to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_sources_select_trunkline_service on public.knowledge_sources for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy knowledge_sources_insert_trunkline_service on public.knowledge_sources for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy knowledge_sources_update_trunkline_service on public.knowledge_sources for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy knowledge_sources_delete_trunkline_service on public.knowledge_sources for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
alter table public.knowledge_sources force row level security;
-- next
revoke all on table public.tools from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.tools to service_role;
-- next
grant select on table public.tools to authenticated;
-- next
grant insert, update, delete on table public.tools to authenticated;
-- next
grant select on table public.tools to trunkline_service;
-- next
grant insert, update, delete on table public.tools to trunkline_service;
-- next
alter table public.tools enable row level security;
-- next
create policy tools_select_authenticated on public.tools for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy tools_insert_authenticated on public.tools for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy tools_update_authenticated on public.tools for update to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy tools_delete_authenticated on public.tools for delete to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy tools_select_trunkline_service on public.tools for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy tools_insert_trunkline_service on public.tools for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy tools_update_trunkline_service on public.tools for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
create policy tools_delete_trunkline_service on public.tools for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
alter table public.tools force row level security;
-- next
revoke all on table public.agent_versions from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.agent_versions to service_role;
-- next
grant select on table public.agent_versions to authenticated;
-- next
grant insert on table public.agent_versions to authenticated;
-- next
grant select on table public.agent_versions to trunkline_service;
-- next
grant insert on table public.agent_versions to trunkline_service;
-- next
alter table public.agent_versions enable row level security;
-- next
create policy agent_versions_select_authenticated on public.agent_versions for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy agent_versions_insert_authenticated on public.agent_versions for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]) and exists (select 1 from public.agents as parent where parent.id = agent_versions.agent_id));
-- next
create policy agent_versions_select_trunkline_service on public.agent_versions for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy agent_versions_insert_trunkline_service on public.agent_versions for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null and exists (select 1 from public.agents as parent where parent.id = agent_versions.agent_id));
-- next
alter table public.agent_versions force row level security;
-- next
revoke all on table public.knowledge_chunks from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.knowledge_chunks to service_role;
-- next
grant select on table public.knowledge_chunks to authenticated;
-- next
grant insert, update, delete on table public.knowledge_chunks to authenticated;
-- next
grant select on table public.knowledge_chunks to trunkline_service;
-- next
grant insert, update, delete on table public.knowledge_chunks to trunkline_service;
-- next
alter table public.knowledge_chunks enable row level security;
-- next
create policy knowledge_chunks_select_authenticated on public.knowledge_chunks for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy knowledge_chunks_insert_authenticated on public.knowledge_chunks for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]) and exists (select 1 from public.knowledge_sources as parent where parent.id = knowledge_chunks.source_id));
-- next
create policy knowledge_chunks_update_authenticated on public.knowledge_chunks for update to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]) and exists (select 1 from public.knowledge_sources as parent where parent.id = knowledge_chunks.source_id));
-- next
create policy knowledge_chunks_delete_authenticated on public.knowledge_chunks for delete to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy knowledge_chunks_select_trunkline_service on public.knowledge_chunks for select to trunkline_service
  using (organization_id = (select app.organization_id()));
-- next
create policy knowledge_chunks_insert_trunkline_service on public.knowledge_chunks for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null and exists (select 1 from public.knowledge_sources as parent where parent.id = knowledge_chunks.source_id));
-- next
create policy knowledge_chunks_update_trunkline_service on public.knowledge_chunks for update to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null)
  with check (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null and exists (select 1 from public.knowledge_sources as parent where parent.id = knowledge_chunks.source_id));
-- next
create policy knowledge_chunks_delete_trunkline_service on public.knowledge_chunks for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and (select app.claim('session_id')) is null);
-- next
alter table public.knowledge_chunks force row level security;
-- next
revoke all on table public.agent_sessions from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.agent_sessions to service_role;
-- next
grant select (id, organization_id, session_id, agent_id, website_domain, channel, message_count, status, started_at, last_activity_at, ended_at) on table public.agent_sessions to anon;
-- next
grant select on table public.agent_sessions to authenticated;
-- next
grant insert, update on table public.agent_sessions to authenticated;
-- next
grant delete on table public.agent_sessions to authenticated;
-- next
grant select, insert, update, delete on table public.agent_sessions to trunkline_service;
-- next
alter table public.agent_sessions enable row level security;
-- next
create policy agent_sessions_select_anon on public.agent_sessions for select to anon
  using (session_id = (select app.claim('session_id') where app.claim('kind') = 'visitor') and coalesce((organization_id, agent_id, website_domain) = (select app.claim('organization_id')::uuid, app.claim('agent_id')::uuid, app.claim('website_domain')), false));
-- next
create policy agent_sessions_select_authenticated on public.agent_sessions for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy agent_sessions_insert_authenticated on public.agent_sessions for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy agent_sessions_update_authenticated on public.agent_sessions for update to authenticated
  using (organization_id = any ((select app.organization_ids('member'))::uuid[]))
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]));
-- next
create policy agent_sessions_delete_authenticated on public.agent_sessions for delete to authenticated
  using (organization_id = any ((select app.organization_ids('admin'))::uuid[]));
-- next
create policy agent_sessions_select_trunkline_service on public.agent_sessions for select to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claim('session_id')), true));
-- next
create policy agent_sessions_insert_trunkline_service on public.agent_sessions for insert to trunkline_service
  with check (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claim('session_id')), true));
-- next
create policy agent_sessions_update_trunkline_service on public.agent_sessions for update to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claim('session_id')), true))
  with check (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claim('session_id')), true));
-- next
create policy agent_sessions_delete_trunkline_service on public.agent_sessions for delete to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claim('session_id')), true));
-- next
alter table public.agent_sessions force row level security;
-- next
revoke all on table public.agent_turns from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.agent_turns to service_role;
-- next
grant select on table public.agent_turns to authenticated;
-- next
grant select, insert, update on table public.agent_turns to trunkline_service;
-- next
alter table public.agent_turns enable row level security;
-- next
create policy agent_turns_select_authenticated on public.agent_turns for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy agent_turns_select_trunkline_service on public.agent_turns for select to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claimed_session_id()), (select app.claim('session_id')) is null));
-- next
create policy agent_turns_insert_trunkline_service on public.agent_turns for insert to trunkline_service
  with check (coalesce(organization_id = (select app.organization_id()), false) and exists (select 1 from public.agent_sessions as parent where parent.id = agent_turns.session_id));
-- next
create policy agent_turns_update_trunkline_service on public.agent_turns for update to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claimed_session_id()), (select app.claim('session_id')) is null))
  with check (coalesce(organization_id = (select app.organization_id()), false) and exists (select 1 from public.agent_sessions as parent where parent.id = agent_turns.session_id));
-- next
grant select, update on table public.agent_turns to trunkline_definer;
-- next
create policy agent_turns_select_trunkline_definer on public.agent_turns for select to trunkline_definer using (true);
-- next
create policy agent_turns_update_trunkline_definer on public.agent_turns for update to trunkline_definer using (true);
-- next
alter table public.agent_turns force row level security;
-- next
revoke all on table public.agent_messages from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.agent_messages to service_role;
-- next
grant select (id, organization_id, session_id, sequence, turn_id, role, content, audio_url, audio_duration_ms, tokens_used, latency_ms, model_used, citations, status, created_at) on table public.agent_messages to anon;
-- next
grant select on table public.agent_messages to authenticated;
-- next
grant insert on table public.agent_messages to authenticated;
-- next
grant select, insert on table public.agent_messages to trunkline_service;
-- next
alter table public.agent_messages enable row level security;
-- next
create policy agent_messages_select_anon on public.agent_messages for select to anon
  using (session_id = (select app.claimed_session_id()) and role in ('user', 'assistant') and coalesce(organization_id = (select app.claim('organization_id')::uuid), false));
-- next
create policy agent_messages_select_authenticated on public.agent_messages for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy agent_messages_insert_authenticated on public.agent_messages for insert to authenticated
  with check (organization_id = any ((select app.organization_ids('member'))::uuid[]) and exists (select 1 from public.agent_sessions as parent where parent.id = agent_messages.session_id));
-- next
create policy agent_messages_select_trunkline_service on public.agent_messages for select to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claimed_session_id()), (select app.claim('session_id')) is null));
-- next
create policy agent_messages_insert_trunkline_service on public.agent_messages for insert to trunkline_service
  with check (coalesce(organization_id = (select app.organization_id()), false) and exists (select 1 from public.agent_sessions as parent where parent.id = agent_messages.session_id));
-- next
alter table public.agent_messages force row level security;
-- next
revoke all on table trunkline_runtime.turn_states from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table trunkline_runtime.turn_states to trunkline_service;
-- next
alter table trunkline_runtime.turn_states enable row level security;
-- next
create policy turn_states_select_trunkline_service on trunkline_runtime.turn_states for select to trunkline_service
  using (organization_id = (select app.organization_id()) and ((select app.claim('session_id')) is null or exists (select 1 from public.agent_turns turn where turn.id = turn_states.turn_id and turn.session_id = (select app.claimed_session_id()))));
-- next
create policy turn_states_insert_trunkline_service on trunkline_runtime.turn_states for insert to trunkline_service
  with check (organization_id = (select app.organization_id()) and ((select app.claim('session_id')) is null or exists (select 1 from public.agent_turns turn where turn.id = turn_states.turn_id and turn.session_id = (select app.claimed_session_id()))));
-- next
create policy turn_states_update_trunkline_service on trunkline_runtime.turn_states for update to trunkline_service
  using (organization_id = (select app.organization_id()) and ((select app.claim('session_id')) is null or exists (select 1 from public.agent_turns turn where turn.id = turn_states.turn_id and turn.session_id = (select app.claimed_session_id()))))
  with check (organization_id = (select app.organization_id()) and ((select app.claim('session_id')) is null or exists (select 1 from public.agent_turns turn where turn.id = turn_states.turn_id and turn.session_id = (select app.claimed_session_id()))));
-- next
create policy turn_states_delete_trunkline_service on trunkline_runtime.turn_states for delete to trunkline_service
  using (organization_id = (select app.organization_id()) and ((select app.claim('session_id')) is null or exists (select 1 from public.agent_turns turn where turn.id = turn_states.turn_id and turn.session_id = (select app.claimed_session_id()))));
-- next
alter table trunkline_runtime.turn_states force row level security;
-- next
revoke all on table public.usage_logs from public, anon, authenticated, service_role, trunkline_service;
-- next
grant select, insert, update, delete on table public.usage_logs to service_role;
-- next
grant select on table public.usage_logs to authenticated;
-- next
grant select, insert on table public.usage_logs to trunkline_service;
-- next
alter table public.usage_logs enable row level security;
-- next
create policy usage_logs_select_authenticated on public.usage_logs for select to authenticated
  using (organization_id = any ((select app.organization_ids('viewer'))::uuid[]));
-- next
create policy usage_logs_select_trunkline_service on public.usage_logs for select to trunkline_service
  using (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claimed_session_id()), (select app.claim('session_id')) is null));
-- next
create policy usage_logs_insert_trunkline_service on public.usage_logs for insert to trunkline_service
  with check (coalesce(organization_id = (select app.organization_id()), false) and coalesce(session_id = (select app.claimed_session_id()), (select app.claim('session_id')) is null));
-- next
alter table public.usage_logs force row level security;
