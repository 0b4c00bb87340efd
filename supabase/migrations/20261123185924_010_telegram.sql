-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/010_telegram.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Approvals on Telegram: who is bound, where cards stand, what their buttons mean, and what has come in. An
-- approval never depends on any of it.

create table aither.telegram_bindings (
    tenant_id text not null,
    person text not null,
    user_id bigint not null check (user_id > 0),
    account text not null default '',
    bound_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, person),
    unique (tenant_id, user_id),
    foreign key (tenant_id, person) references aither.people (tenant_id, name) on delete cascade
);
comment on column aither.telegram_bindings.user_id is 'Telegram''s id of the person, which is also that of the private chat.';
comment on column aither.telegram_bindings.account is 'What the account was called when it was bound; for listings alone.';

create table aither.telegram_codes (
    sha256 bytea primary key,
    tenant_id text not null,
    person text not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    foreign key (tenant_id, person) references aither.people (tenant_id, name) on delete cascade
);

create table aither.telegram_groups (
    tenant_id text not null references aither.tenants (id),
    chat_id bigint not null check (chat_id < 0),
    time_zone text not null default 'UTC',
    added_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, chat_id)
);
comment on table aither.telegram_groups is 'Groups that get a tenant''s cards as well, for as long as the settings allow them.';

create table aither.telegram_cards (
    tenant_id text not null,
    approval_id text not null,
    chat_id bigint not null,
    person text,
    reminded smallint not null default 0,
    trouble text not null default '',
    made_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, approval_id, chat_id),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id) on delete cascade
);
comment on column aither.telegram_cards.person is 'Whose card it is; null in a group.';
comment on column aither.telegram_cards.trouble is 'Why it cannot be shown, such as a person who has blocked the bot.';

-- A crash between sending and noting leaves a second message behind: a card may have several.
create table aither.telegram_messages (
    bot_id bigint not null,
    chat_id bigint not null,
    message_id bigint not null,
    tenant_id text not null,
    approval_id text not null,
    is_card boolean not null,
    shown text,
    sent_at timestamptz not null default clock_timestamp(),
    primary key (bot_id, chat_id, message_id),
    foreign key (tenant_id, approval_id, chat_id)
        references aither.telegram_cards (tenant_id, approval_id, chat_id) on delete cascade
);
create index telegram_messages_of on aither.telegram_messages (tenant_id, approval_id, chat_id);
comment on column aither.telegram_messages.is_card is 'False for a reminder, or details: they stay as they were sent.';
comment on column aither.telegram_messages.shown is 'A digest of what it shows; null: not known.';

create table aither.telegram_buttons (
    id text primary key check (length(id) between 16 and 64),
    tenant_id text not null,
    approval_id text not null,
    chat_id bigint not null,
    verb text not null check (verb in ('choose', 'details')),
    option text not null default '',
    scope text not null default '',
    unique (tenant_id, approval_id, chat_id, verb, option, scope),
    foreign key (tenant_id, approval_id, chat_id)
        references aither.telegram_cards (tenant_id, approval_id, chat_id) on delete cascade
);

create table aither.telegram_notes (
    tenant_id text not null,
    approval_id text not null,
    person text not null,
    note text not null,
    at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, approval_id, person),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id) on delete cascade
);
comment on table aither.telegram_notes is 'What a person replied to an open card: the note of what they then choose.';

do $$
declare
    t text;
begin
    foreach t in array array[
        'telegram_bindings', 'telegram_codes', 'telegram_groups', 'telegram_cards', 'telegram_messages',
        'telegram_buttons', 'telegram_notes'
    ] loop
        execute format('alter table aither.%I enable row level security', t);
        execute format('alter table aither.%I force row level security', t);
        execute format(
            'create policy tenant on aither.%I to aither_app'
            ' using (tenant_id = (select aither.current_tenant()))'
            ' with check (tenant_id = (select aither.current_tenant()))', t);
    end loop;
end $$;

-- What follows is the house's: of which tenant an update is, is known only once it has been read.

create table aither.telegram_updates (
    bot_id bigint not null,
    update_id bigint not null,
    body text,
    attempts smallint not null default 0,
    due_at timestamptz default clock_timestamp(),
    received_at timestamptz not null default clock_timestamp(),
    primary key (bot_id, update_id)
);
create index telegram_updates_due on aither.telegram_updates (bot_id, due_at) where due_at is not null;
comment on column aither.telegram_updates.body is 'What came, until it has been dealt with.';
comment on column aither.telegram_updates.due_at is 'When somebody may take it up, again; null: dealt with.';

create table aither.telegram_chats (
    chat_id bigint primary key,
    next_at timestamptz not null default '-infinity',
    blocked_at timestamptz
);
comment on table aither.telegram_chats is 'When the next message may go to a chat; chat 0 stands for all of them together.';

create table aither.telegram_leads (
    bot_id bigint primary key,
    holder text not null,
    expires_at timestamptz not null
);
comment on table aither.telegram_leads is 'Which process reads a bot''s updates, or has set its webhook.';

-- Binds whoever sends a code that is still good; null where it is not. A person has one account, an account is one
-- person of a tenant.
create function aither.telegram_bind(p_sha256 bytea, p_user bigint, p_account text)
returns table (tenant_id text, person text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    c aither.telegram_codes;
begin
    update aither.telegram_codes x set used_at = clock_timestamp()
    where x.sha256 = p_sha256 and x.used_at is null and x.expires_at > clock_timestamp() returning * into c;
    if not found then
        -- The same update, read again after a crash: the code is used up, and did what it was to do.
        return query
            select b.tenant_id, b.person from aither.telegram_codes x
            join aither.telegram_bindings b on b.tenant_id = x.tenant_id and b.person = x.person
            where x.sha256 = p_sha256 and b.user_id = p_user and b.bound_at >= x.used_at;
        return;
    end if;
    delete from aither.telegram_bindings b
    where b.tenant_id = c.tenant_id and (b.person = c.person or b.user_id = p_user);
    insert into aither.telegram_bindings (tenant_id, person, user_id, account)
    values (c.tenant_id, c.person, p_user, p_account);
    update aither.telegram_chats h set blocked_at = null where h.chat_id = p_user;
    return query select c.tenant_id, c.person;
end $$;

-- What a button means, and who it is that has tapped it.
create function aither.telegram_button(p_id text, p_user bigint)
returns table (
    tenant_id text, approval_id text, chat_id bigint, verb text, option text, scope text, person text,
    time_zone text, note text)
language sql security definer stable set search_path = pg_catalog, pg_temp
as $$
    select b.tenant_id, b.approval_id, b.chat_id, b.verb, b.option, b.scope, p.name, p.time_zone,
           coalesce(n.note, '')
    from aither.telegram_buttons b
    left join aither.telegram_bindings w on w.tenant_id = b.tenant_id and w.user_id = p_user
    left join aither.people p on p.tenant_id = w.tenant_id and p.name = w.person
    left join aither.telegram_notes n
      on n.tenant_id = b.tenant_id and n.approval_id = b.approval_id and n.person = w.person
    where b.id = p_id
$$;

-- Which approval a message was about, and who it is that replies to it.
create function aither.telegram_reply(p_bot bigint, p_chat bigint, p_message bigint, p_user bigint)
returns table (tenant_id text, approval_id text, person text, time_zone text)
language sql security definer stable set search_path = pg_catalog, pg_temp
as $$
    select m.tenant_id, m.approval_id, p.name, p.time_zone
    from aither.telegram_messages m
    left join aither.telegram_bindings w on w.tenant_id = m.tenant_id and w.user_id = p_user
    left join aither.people p on p.tenant_id = w.tenant_id and p.name = w.person
    where m.bot_id = p_bot and m.chat_id = p_chat and m.message_id = p_message
$$;

-- Makes the cards of an approval that are missing, for these people and for the tenant's groups among those allowed,
-- with a button for each choice; the chats of all its cards.
create function aither.telegram_plan(
    p_tenant text, p_id text, p_people text[], p_groups bigint[], p_verbs text[], p_options text[],
    p_scopes text[]
) returns setof bigint language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    insert into aither.telegram_cards (tenant_id, approval_id, chat_id, person)
    select p_tenant, p_id, b.user_id, b.person
    from aither.telegram_bindings b where b.tenant_id = p_tenant and b.person = any (p_people)
    union all
    select p_tenant, p_id, g.chat_id, null
    from aither.telegram_groups g where g.tenant_id = p_tenant and g.chat_id = any (p_groups)
    on conflict do nothing;
    insert into aither.telegram_buttons (id, tenant_id, approval_id, chat_id, verb, option, scope)
    select replace(gen_random_uuid()::text, '-', ''), p_tenant, p_id, c.chat_id, b.verb, b.option, b.scope
    from aither.telegram_cards c, unnest(p_verbs, p_options, p_scopes) b (verb, option, scope)
    where c.tenant_id = p_tenant and c.approval_id = p_id
    on conflict do nothing;
    return query
        select c.chat_id from aither.telegram_cards c
        where c.tenant_id = p_tenant and c.approval_id = p_id order by c.chat_id;
end $$;

-- What has to be known to show a card; nothing where there is none, or it is another's account's by now.
create function aither.telegram_card(p_tenant text, p_id text, p_chat bigint, p_bot bigint)
returns table (person text, time_zone text, reminded smallint, buttons json, messages json)
language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    return query
        select c.person, coalesce(p.time_zone, g.time_zone), c.reminded,
               coalesce((
                   select json_agg(json_build_object(
                       'id', b.id, 'verb', b.verb, 'option', b.option, 'scope', b.scope))
                   from aither.telegram_buttons b
                   where b.tenant_id = p_tenant and b.approval_id = p_id and b.chat_id = p_chat), '[]'),
               coalesce((
                   select json_agg(json_build_object('id', m.message_id, 'shown', m.shown) order by m.message_id)
                   from aither.telegram_messages m
                   where m.tenant_id = p_tenant and m.approval_id = p_id and m.chat_id = p_chat and m.bot_id = p_bot
                     and m.is_card), '[]')
        from aither.telegram_cards c
        left join aither.telegram_bindings b
          on b.tenant_id = c.tenant_id and b.person = c.person and b.user_id = c.chat_id
        left join aither.people p on p.tenant_id = b.tenant_id and p.name = b.person
        left join aither.telegram_groups g on g.tenant_id = c.tenant_id and g.chat_id = c.chat_id
        where c.tenant_id = p_tenant and c.approval_id = p_id and c.chat_id = p_chat
          and (p.name is not null or g.chat_id is not null);
end $$;

-- Keeps what a person replied: in the audit trail, and while the approval is open as the note of what they choose.
-- 'kept', 'late' where it has ended, 'stranger' where they may not decide it; null where there is none.
create function aither.telegram_note(p_tenant text, p_id text, p_person text, p_note text) returns text
language plpgsql as $$
declare
    a aither.approvals := aither.lock_approval(p_tenant, p_id);
begin
    if a.id is null then
        return null;
    end if;
    if not aither.may_decide(a, p_person, '{}') then
        return 'stranger';
    end if;
    -- The same update may be read twice.
    if not exists (
        select from aither.approval_audit x
        where x.tenant_id = p_tenant and x.approval_id = p_id and x.event = 'noted' and x.by = p_person
          and x.note = left(p_note, 2000))
    then
        perform aither.note_approval(a, 'noted', p_person, 'telegram', '', '', p_note);
    end if;
    if a.status <> 'open' then
        return 'late';
    end if;
    insert into aither.telegram_notes as n (tenant_id, approval_id, person, note)
    values (p_tenant, p_id, p_person, p_note)
    on conflict (tenant_id, approval_id, person) do update set note = excluded.note, at = clock_timestamp();
    return 'kept';
end $$;

-- Open approvals that a person may decide now, newest first: for one who has just been bound.
create function aither.telegram_waiting(p_tenant text, p_person text, p_limit integer) returns setof text
language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    return query
        select a.id from aither.approvals a
        where a.tenant_id = p_tenant and a.status = 'open' and a.deadline > clock_timestamp()
          and aither.may_decide(a, p_person, '{}')
        order by a.seq desc limit p_limit;
end $$;

-- As whom somebody is bound.
create function aither.telegram_bound(p_user bigint) returns table (tenant_id text, person text)
language sql security definer stable set search_path = pg_catalog, pg_temp
as $$
    select w.tenant_id, w.person from aither.telegram_bindings w where w.user_id = p_user order by w.tenant_id
$$;

-- When a message may go to a chat, in seconds from now; the place in the row is then taken, unless that is more than
-- p_most from now.
create function aither.telegram_pace(
    p_chat bigint, p_gap interval, p_gap_all interval, p_most interval, out taken boolean, out wait_s float8
) language plpgsql as $$
declare
    v_now timestamptz := clock_timestamp();
    v_at timestamptz;
begin
    insert into aither.telegram_chats (chat_id) values (0), (p_chat) on conflict do nothing;
    perform from aither.telegram_chats c where c.chat_id = p_chat for update;
    perform from aither.telegram_chats c where c.chat_id = 0 for update;
    select greatest(v_now, max(c.next_at)) into v_at from aither.telegram_chats c where c.chat_id in (0, p_chat);
    taken := v_at - v_now <= p_most;
    wait_s := extract(epoch from v_at - v_now)::float8;
    if taken then
        update aither.telegram_chats c
        set next_at = case c.chat_id
            when 0 then greatest(c.next_at, v_now) + p_gap_all else v_at + p_gap end
        where c.chat_id in (0, p_chat);
    end if;
end $$;

-- Takes up updates that are due, so that nobody else does for p_hold; later ones wait longer each time.
create function aither.telegram_due(p_bot bigint, p_limit integer, p_hold interval)
returns table (update_id bigint, body text, attempts smallint)
language sql as $$
    update aither.telegram_updates u
    set attempts = u.attempts + 1, due_at = clock_timestamp() + p_hold
    from (
        select d.update_id from aither.telegram_updates d
        where d.bot_id = p_bot and d.due_at <= clock_timestamp()
        order by d.update_id limit p_limit for update skip locked
    ) due
    where u.bot_id = p_bot and u.update_id = due.update_id
    returning u.update_id, u.body, u.attempts
$$;

-- Whether this process leads, until p_ttl from now: it did, nobody does, or who did has been silent.
create function aither.telegram_lead(p_bot bigint, p_holder text, p_ttl interval) returns boolean
language plpgsql as $$
begin
    insert into aither.telegram_leads as l (bot_id, holder, expires_at)
    values (p_bot, p_holder, clock_timestamp() + p_ttl)
    on conflict (bot_id) do update set holder = excluded.holder, expires_at = excluded.expires_at
    where l.holder = excluded.holder or l.expires_at < clock_timestamp();
    return found;
end $$;

revoke all on all functions in schema aither from public;
grant select, insert, update, delete on aither.telegram_bindings, aither.telegram_groups to aither_app;
grant select, insert, delete on aither.telegram_codes to aither_app;
grant select, insert, update on
    aither.telegram_cards, aither.telegram_messages, aither.telegram_notes to aither_app;
grant select, insert on aither.telegram_buttons to aither_app;
grant select, insert, update, delete on
    aither.telegram_updates, aither.telegram_chats, aither.telegram_leads to aither_app;
grant execute on all functions in schema aither to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (10, '010_telegram.sql', 'b53a2647894905fc6219240221a281a67dee6c16b37b417f6beb7c6ebf85dc7b');
end $aither$;
