-- The older generation: everything belongs to a person's project, and there are no organizations.
create table projects (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    name text not null,
    config jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create table chat_sessions (
    id uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects (id) on delete cascade,
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
    project_id uuid references projects (id) on delete cascade,
    user_id uuid references auth.users (id),
    tokens_used integer not null default 0,
    created_at timestamptz not null default now()
);

insert into projects (id, user_id, name, config, created_at)
select md5('bot ' || n)::uuid,
       md5('person ' || 1 + (n - 1) % 8)::uuid,
       'Project ' || n,
       legacy_config(n),
       timestamptz '2024-01-15 12:00+00' + n * interval '3 hours'
from generate_series(1, 16) n;

insert into chat_sessions (id, project_id, user_id, created_at)
select md5('session ' || n)::uuid,
       md5('bot ' || 1 + n % 16)::uuid,
       case when n % 3 = 0 then md5('person ' || 1 + n % 40)::uuid end,
       timestamptz '2024-02-01 06:00+00' + n * interval '29 hours'
from generate_series(1, 120) n;

insert into usage_logs (id, project_id, user_id, tokens_used, created_at)
select md5('usage ' || n)::uuid,
       md5('bot ' || 1 + n % 16)::uuid,
       case when n % 3 = 0 then md5('person ' || 1 + n % 40)::uuid end,
       10 + n % 400,
       timestamptz '2024-02-01 06:00+00' + n * interval '17 hours'
from generate_series(1, 200) n;
