"""What owners do to their databases, one thing each. In the order in which they are made."""

from __future__ import annotations

from tests.factories.legacy.make import Planted, Variation

BIGINT_IDS = Variation(
    "bigint ids",
    """
    alter table chat_messages drop constraint chat_messages_session_id_fkey;
    create sequence chat_sessions_id_seq;
    create sequence chat_messages_id_seq;
    alter table chat_sessions add new_id bigint;
    alter table chat_messages add new_id bigint, add new_session_id bigint;
    update chat_sessions s set new_id = o.n
        from (select id, row_number() over (order by created_at, id) as n from chat_sessions) o where o.id = s.id;
    update chat_messages m set new_id = o.n, new_session_id = o.new_session_id
        from (select m.id, row_number() over (order by m.timestamp, m.id) as n, s.new_id as new_session_id
              from chat_messages m join chat_sessions s on s.id = m.session_id) o
        where o.id = m.id;
    alter table chat_sessions drop id;
    alter table chat_messages drop id, drop session_id;
    alter table chat_sessions rename new_id to id;
    alter table chat_messages rename new_id to id;
    alter table chat_messages rename new_session_id to session_id;
    alter table chat_sessions alter id set default nextval('chat_sessions_id_seq'), add primary key (id);
    alter table chat_messages alter id set default nextval('chat_messages_id_seq'), add primary key (id),
        alter session_id set not null,
        add foreign key (session_id) references chat_sessions (id) on delete cascade;
    select setval('chat_sessions_id_seq', (select max(id) from chat_sessions)),
           setval('chat_messages_id_seq', (select max(id) from chat_messages));
    """,
    plants=(
        Planted("other type", "chat_sessions.id"),
        Planted("other type", "chat_messages.id"),
        Planted("other type", "chat_messages.session_id"),
    ),
)

TEXT_IDS = Variation(
    "text ids",
    """
    alter table chat_sessions drop constraint chat_sessions___bot_id___fkey;
    alter table usage_logs drop constraint usage_logs___bot_id___fkey;
    alter table __bots__ alter id drop default, alter id type text using 'bot_' || left(md5(id::text), 12);
    alter table chat_sessions alter __bot_id__ type text using 'bot_' || left(md5(__bot_id__::text), 12);
    alter table usage_logs alter __bot_id__ type text using 'bot_' || left(md5(__bot_id__::text), 12);
    alter table __bots__ alter id set default 'bot_' || left(md5(random()::text), 12);
    alter table chat_sessions add foreign key (__bot_id__) references __bots__ (id) on delete cascade;
    alter table usage_logs add foreign key (__bot_id__) references __bots__ (id) on delete cascade;
    """,
    plants=(
        Planted("other type", "__bots__.id"),
        Planted("other type", "chat_sessions.__bot_id__"),
        Planted("other type", "usage_logs.__bot_id__"),
    ),
)

TIMES_WITHOUT_ZONE = Variation(
    "times without zone",
    """
    alter table chat_messages alter timestamp type timestamp using timestamp at time zone 'UTC';
    alter table chat_sessions alter created_at type timestamp using created_at at time zone 'UTC';
    alter table __bots__ alter created_at type timestamp using created_at at time zone 'UTC';
    """,
    plants=(
        Planted("other type", "chat_messages.timestamp"),
        Planted("other type", "chat_sessions.created_at"),
        Planted("other type", "__bots__.created_at"),
    ),
)

ENUM_ROLE = Variation(
    "enum role",
    """
    create type message_role as enum ('user', 'model');
    alter table chat_messages drop constraint chat_messages_role_check;
    alter table chat_messages alter role type message_role using role::message_role;
    """,
    plants=(Planted("other type", "chat_messages.role"),),
)

STRAY_ROLES = Variation(
    "stray roles",
    """
    alter table chat_messages drop constraint chat_messages_role_check;
    update chat_messages m set role = case o.n % 3 when 0 then 'bot' when 1 then 'human' else 'system' end
        from (select id, row_number() over (order by timestamp, id) as n from chat_messages) o
        where o.id = m.id and o.n % 10 < 3;
    """,
    plants=(Planted("outside check", "chat_messages.role"),),
    excludes=frozenset({"enum role"}),
)

NULLS = Variation(
    "nulls",
    """
    alter table chat_messages alter text drop not null;
    update chat_messages set text = null
        where id in (select id from chat_messages order by timestamp, id offset 100 limit 6);
    alter table __bots__ alter name drop not null;
    update __bots__ set name = null where id in (select id from __bots__ order by created_at, id offset 3 limit 2);
    """,
    plants=(Planted("nulls", "chat_messages.__text__"), Planted("nulls", "__bots__.name")),
)

DUPLICATES = Variation(
    "duplicates",
    """
    alter table organization_members drop constraint organization_members_organization_id_user_id_key;
    insert into organization_members (organization_id, user_id, role)
        select organization_id, user_id, 'member' from organization_members order by created_at, id limit 3;
    create index on organization_members (organization_id);
    """,
    plants=(Planted("duplicates", "organization_members.organization_id,user_id"),),
    generations=("newer",),
)

ORPHANS = Variation(
    "orphans",
    """
    alter table chat_messages drop constraint chat_messages_session_id_fkey;
    alter table chat_sessions drop constraint chat_sessions___bot_id___fkey;
    delete from chat_sessions where id in (select id from chat_sessions order by created_at, id limit 3);
    delete from __bots__ where id in (select id from __bots__ order by created_at, id offset 9 limit 1);
    """,
    plants=(
        Planted("orphans", "chat_messages.session_id"),
        Planted("orphans", "chat_sessions.__bot_id__"),
        Planted("no foreign key", "chat_messages.session_id"),
        Planted("no foreign key", "chat_sessions.__bot_id__"),
    ),
    mends=(
        Planted("foreign key without index", "chat_messages.session_id"),
        Planted("foreign key without index", "chat_sessions.__bot_id__"),
    ),
)

CONTENT_FOR_TEXT = Variation(
    "content for text",
    "alter table chat_messages rename text to content",
    text="content",
)
"""The target's own name: nothing is wrong with it."""

MESSAGE_FOR_TEXT = Variation(
    "message for text",
    "alter table chat_messages rename text to message",
    plants=(Planted("other name", "chat_messages.message"),),
    text="message",
    excludes=frozenset({"content for text"}),
)

_MONTHS = tuple(f"2024_{month:02}" for month in range(2, 8))

PARTITIONS = Variation(
    "partitions by month",
    """
    alter table chat_messages rename to chat_messages_old;
    create table chat_messages (like chat_messages_old including defaults including constraints)
        partition by range (timestamp);
    do $do$
    begin
        for month in 2..7 loop
            execute format('create table chat_messages_2024_%s partition of chat_messages for values from (%L) to (%L)',
                           lpad(month::text, 2, '0'), make_date(2024, month, 1), make_date(2024, month + 1, 1));
        end loop;
    end
    $do$;
    create table chat_messages_rest partition of chat_messages default;
    insert into chat_messages select * from chat_messages_old;
    do $do$
    declare
        had_foreign_key boolean := exists (
            select from pg_constraint where conrelid = 'chat_messages_old'::regclass and contype = 'f');
    begin
        drop table chat_messages_old;
        alter table chat_messages add primary key (id, timestamp);
        if had_foreign_key then
            alter table chat_messages add foreign key (session_id) references chat_sessions (id) on delete cascade;
        end if;
    end
    $do$;
    """,
    plants=(
        Planted("partitioned", "chat_messages"),
        *(Planted("row security off", f"chat_messages_{month}") for month in (*_MONTHS, "rest")),
        *(Planted("truncate granted to visitors", f"chat_messages_{month}") for month in (*_MONTHS, "rest")),
    ),
)

MIXED_CASE_COLUMNS = Variation(
    "mixed-case columns",
    """
    alter table __bots__ add "displayName" text;
    update __bots__ set "displayName" = upper(name);
    alter table chat_sessions add "visitorId" uuid default gen_random_uuid();
    alter table chat_messages add "audioUrl" text;
    """,
    plants=(
        Planted("mixed-case column", '__bots__."displayName"'),
        Planted("mixed-case column", 'chat_sessions."visitorId"'),
        Planted("mixed-case column", 'chat_messages."audioUrl"'),
    ),
)

CAMEL_CONFIG = Variation(
    "nested camelCase config",
    """
    update __bots__ b set config = jsonb_build_object(
            'llm', jsonb_build_object('modelName', 'gpt-4o', 'temperature',
                                      case o.n when 1 then 'warm' when 2 then '7' else '0.' || o.n % 10 end,
                                      'maxTokens', (256 * o.n)::text),
            'systemPrompt', 'You are number ' || o.n || '.',
            'voice', jsonb_build_object('voiceId', 'nova', 'voiceSettings', jsonb_build_object('speed', '1.1')))
        from (select id, row_number() over (order by created_at, id) as n from __bots__) o where o.id = b.id;
    """,
    plants=(Planted("config value does not fit", "__bots__.config"),),
)

VIEWS = Variation(
    "views",
    """
    create view recent_messages as
        select id, session_id, role, __text__ as body, timestamp
        from chat_messages order by timestamp desc limit 100;
    create materialized view message_counts as
        select session_id, count(*) as messages, max(timestamp) as last_at from chat_messages group by session_id;
    """,
    plants=(
        Planted("view goes around policies", "recent_messages"),
        Planted("materialized view is exposed", "message_counts"),
        Planted("truncate granted to visitors", "recent_messages"),
        Planted("truncate granted to visitors", "message_counts"),
    ),
    is_late=True,
)

DEFINER_FUNCTION = Variation(
    "definer function",
    """
    create function get_history(session text) returns setof jsonb language sql stable security definer as $$
        select to_jsonb(m) from public.chat_messages m where m.session_id::text = session order by m.timestamp
    $$;
    """,
    plants=(Planted("definer function", "get_history"), Planted("search_path not set", "get_history")),
    is_late=True,
)

TRIGGERS = Variation(
    "triggers",
    """
    alter table chat_sessions add last_message_at timestamptz;
    create function touch_session() returns trigger language plpgsql security definer as $$
    begin
        update public.chat_sessions set last_message_at = now() where id = new.session_id;
        return new;
    end
    $$;
    create trigger touch_session after insert on chat_messages for each row execute function touch_session();
    """,
    plants=(Planted("trigger", "chat_messages.touch_session"), Planted("search_path not set", "touch_session")),
    is_late=True,
)

OWN_TABLE = Variation(
    "own table",
    """
    create table feedback as select id as session_id from chat_sessions order by created_at, id limit 5;
    alter table feedback add rating integer not null default 5,
        add foreign key (session_id) references chat_sessions (id);
    alter table feedback enable row level security;
    create policy "Seen by the bot's owner" on feedback for select using (
        exists (select 1 from chat_sessions s join __bots__ b on b.id = s.__bot_id__
                where s.id = feedback.session_id and b.name is not null));
    """,
    plants=(
        Planted("policy names an old table", "feedback"),
        Planted("no primary key", "feedback"),
        Planted("foreign key without index", "feedback.session_id"),
        Planted("truncate granted to visitors", "feedback"),
    ),
    is_late=True,
)

PUBLICATION = Variation(
    "publication",
    "create publication supabase_realtime for table chat_messages, chat_sessions",
    plants=(Planted("publication", "supabase_realtime"),),
    is_late=True,
)

EXTRA_GRANTS = Variation(
    "extra grants",
    """
    grant select on usage_logs to public;
    grant select, update on chat_messages to authenticated with grant option;
    """,
    plants=(Planted("granted to everybody", "usage_logs"), Planted("grant option", "chat_messages")),
    is_late=True,
)

ROW_SECURITY_OFF = Variation(
    "row security off",
    "alter table chat_messages disable row level security",
    plants=(Planted("row security off", "chat_messages"), Planted("policies without effect", "chat_messages")),
    mends=(Planted("policy fails", "chat_messages"),),
    is_late=True,
)

VARIATIONS = (
    BIGINT_IDS,
    TEXT_IDS,
    TIMES_WITHOUT_ZONE,
    ENUM_ROLE,
    STRAY_ROLES,
    NULLS,
    DUPLICATES,
    ORPHANS,
    CONTENT_FOR_TEXT,
    MESSAGE_FOR_TEXT,
    PARTITIONS,
    MIXED_CASE_COLUMNS,
    CAMEL_CONFIG,
    VIEWS,
    DEFINER_FUNCTION,
    TRIGGERS,
    OWN_TABLE,
    PUBLICATION,
    EXTRA_GRANTS,
    ROW_SECURITY_OFF,
)
