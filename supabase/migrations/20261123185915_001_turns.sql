-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/001_turns.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Tenants, API keys, conversations, turns and answers.
--
-- Every table is bound to a tenant by forced row-level security. The application's role names its tenant with
-- the setting `aither.tenant`, for one transaction at a time; the functions of a turn do that themselves, so that
-- a step of a turn costs one round trip. Only the SECURITY DEFINER functions see more than one tenant.

create schema aither;

do $$
begin
    if not exists (select from pg_roles where rolname = 'aither_app') then
        create role aither_app nologin nosuperuser nobypassrls;
    end if;
end $$;

create function aither.current_tenant() returns text
language sql stable
return nullif(current_setting('aither.tenant', true), '');

create table aither.tenants (
    id text primary key check (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name text not null,
    created_at timestamptz not null default now()
);

create table aither.api_keys (
    tenant_id text not null references aither.tenants (id),
    id text not null,
    name text not null,
    secret_sha256 bytea not null unique,
    shown text not null,
    priority_ceiling smallint not null default 1 check (priority_ceiling between 1 and 5),
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    primary key (tenant_id, id)
);
comment on column aither.api_keys.shown is 'The key''s first characters, enough to recognise it by.';
comment on column aither.api_keys.priority_ceiling is 'The most urgent priority that the key may ask for (1 is most urgent).';

create table aither.conversations (
    tenant_id text not null references aither.tenants (id),
    id text not null,
    last_seq integer not null default 0,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id)
);

-- The messages of a conversation are its turns' inputs and answers, in order of `seq`: kept once.
create table aither.turns (
    tenant_id text not null references aither.tenants (id),
    id text not null,
    conversation_id text,
    seq integer,
    status text not null check (status in ('queued', 'running', 'completed', 'failed', 'cancelled')),
    model text not null,
    effort smallint not null check (effort between 1 and 10),
    effort_why text not null,
    priority smallint not null check (priority between 1 and 5),
    agent text,
    input json not null,
    input_bytes integer not null,
    sampling json not null,
    metadata json not null,
    key_id text not null,
    idempotency_key text,
    request_sha256 bytea,
    route json not null default '[]',
    answer_step smallint,
    error json,
    accepted_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    swept_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, conversation_id) references aither.conversations (tenant_id, id),
    foreign key (tenant_id, key_id) references aither.api_keys (tenant_id, id),
    unique (tenant_id, idempotency_key),
    unique (tenant_id, conversation_id, seq)
);
create index turns_open on aither.turns (accepted_at) where status in ('queued', 'running');

create table aither.answers (
    tenant_id text not null,
    turn_id text not null,
    step smallint not null,
    text text not null,
    text_bytes integer not null,
    finish_reason text not null,
    tool_calls json,
    reasoning text not null default '',
    logprobs json,
    backend text not null,
    model text not null,
    prompt_tokens integer not null,
    completion_tokens integer not null,
    cached_tokens integer not null,
    reasoning_tokens integer not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, turn_id, step),
    foreign key (tenant_id, turn_id) references aither.turns (tenant_id, id)
);

do $$
declare
    t text;
begin
    foreach t in array array['api_keys', 'conversations', 'turns', 'answers'] loop
        execute format('alter table aither.%I enable row level security', t);
        execute format('alter table aither.%I force row level security', t);
        execute format(
            'create policy tenant on aither.%I to aither_app'
            ' using (tenant_id = (select aither.current_tenant()))'
            ' with check (tenant_id = (select aither.current_tenant()))', t);
    end loop;
end $$;
alter table aither.tenants enable row level security;
alter table aither.tenants force row level security;
create policy tenant on aither.tenants to aither_app
    using (id = (select aither.current_tenant())) with check (id = (select aither.current_tenant()));

-- Turns that should have a running workflow, of all tenants, each at most once a minute.
create function aither.due_turns(p_limit integer) returns table (tenant_id text, turn_id text)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    update aither.turns t set swept_at = now()
    from (
        select d.tenant_id, d.id from aither.turns d
        where d.status = 'running' and d.accepted_at < now() - interval '10 seconds'
          and (d.swept_at is null or d.swept_at < now() - interval '1 minute')
        order by d.accepted_at limit p_limit
        for update skip locked
    ) due
    where t.tenant_id = due.tenant_id and t.id = due.id
    returning t.tenant_id, t.id
$$;

revoke all on all functions in schema aither from public;
grant usage on schema aither to aither_app;
grant select, insert, update on all tables in schema aither to aither_app;
grant execute on all functions in schema aither to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (1, '001_turns.sql', '12ad7248ad46ceceaca0ae8d1fe82f2fe5edba6a3afbe8b6f801e9e0a50fc3a0');
end $aither$;
