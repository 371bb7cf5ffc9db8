-- The newer generation: organizations, their members and their bots.
create table organizations (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    owner_id uuid not null references auth.users (id),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table organization_members (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null references organizations (id) on delete cascade,
    user_id uuid not null references auth.users (id) on delete cascade,
    role text not null default 'member' check (role in ('owner', 'admin', 'member')),
    created_at timestamptz not null default now(),
    unique (organization_id, user_id)
);

create table bots (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null references organizations (id) on delete cascade,
    name text not null,
    description text,
    config jsonb not null default '{}',
    is_active boolean not null default true,
    created_by uuid references auth.users (id),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table chat_sessions (
    id uuid primary key default gen_random_uuid(),
    bot_id uuid not null references bots (id) on delete cascade,
    user_id uuid references auth.users (id),
    created_at timestamptz not null default now()
);

create table chat_messages (
    id uuid primary key default gen_random_uuid(),
    session_id uuid not null references chat_sessions (id) on delete cascade,
    role text not null check (role in ('user', 'model')),
    text text not null,
    timestamp timestamptz not null default now()
);

create table usage_logs (
    id uuid primary key default gen_random_uuid(),
    bot_id uuid references bots (id) on delete cascade,
    user_id uuid references auth.users (id),
    tokens_used integer not null default 0,
    created_at timestamptz not null default now()
);

insert into organizations (id, name, owner_id, created_at, updated_at)
select md5('organization ' || n)::uuid, 'Organization ' || n, md5('person ' || n)::uuid, t, t
from generate_series(1, 8) n, lateral (select timestamptz '2024-01-02 10:00+00' + n * interval '1 day' as t) at;

insert into organization_members (id, organization_id, user_id, role, created_at)
select md5('member ' || n)::uuid,
       md5('organization ' || 1 + (n - 1) % 8)::uuid,
       md5('person ' || n)::uuid,
       case when n <= 8 then 'owner' when n <= 16 then 'admin' else 'member' end,
       timestamptz '2024-01-11 08:00+00' + n * interval '1 hour'
from generate_series(1, 40) n;

insert into bots (id, organization_id, name, description, config, is_active, created_by, created_at, updated_at)
select md5('bot ' || n)::uuid,
       md5('organization ' || 1 + (n - 1) % 8)::uuid,
       'Bot ' || n,
       case when n % 3 > 0 then 'Answers questions, number ' || n end,
       legacy_config(n),
       n % 5 > 0,
       md5('person ' || 1 + (n - 1) % 8)::uuid,
       t,
       t
from generate_series(1, 16) n, lateral (select timestamptz '2024-01-15 12:00+00' + n * interval '3 hours' as t) at;

insert into chat_sessions (id, bot_id, user_id, created_at)
select md5('session ' || n)::uuid,
       md5('bot ' || 1 + n % 16)::uuid,
       case when n % 3 = 0 then md5('person ' || 1 + n % 40)::uuid end,
       timestamptz '2024-02-01 06:00+00' + n * interval '29 hours'
from generate_series(1, 120) n;

insert into usage_logs (id, bot_id, user_id, tokens_used, created_at)
select md5('usage ' || n)::uuid,
       md5('bot ' || 1 + n % 16)::uuid,
       case when n % 3 = 0 then md5('person ' || 1 + n % 40)::uuid end,
       10 + n % 400,
       timestamptz '2024-02-01 06:00+00' + n * interval '17 hours'
from generate_series(1, 200) n;
