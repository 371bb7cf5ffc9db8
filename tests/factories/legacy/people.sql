-- 40 people, of both generations.
insert into auth.users (id, email, raw_user_meta_data, created_at)
select md5('person ' || n)::uuid,
       'person' || n || '@example.com',
       jsonb_build_object('full_name', 'Person ' || n),
       timestamptz '2024-01-01 09:00+00' + n * interval '7 hours'
from generate_series(1, 40) n;

create table profiles (
    id uuid primary key references auth.users (id) on delete cascade,
    email text,
    full_name text,
    avatar_url text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

insert into profiles (id, email, full_name, avatar_url, created_at, updated_at)
select id,
       email,
       raw_user_meta_data ->> 'full_name',
       case when right(id::text, 1) < '8' then 'https://example.com/' || left(id::text, 8) || '.png' end,
       created_at,
       created_at
from auth.users;
