-- Tenants, API keys, conversations, turns and answers.
--
-- Every table is bound to a tenant by forced row-level security. The application's role names its tenant with
-- the setting `aither.tenant`, for one transaction at a time; the functions below do that themselves, so that
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

-- A turn as its readers see it. One place says what that is: REST, events and the compat endpoint share it.
create function aither.turn_view(t aither.turns) returns json
language sql stable
return (
    select json_build_object(
        'id', t.id,
        'status', t.status,
        'conversation_id', t.conversation_id,
        'model', t.model,
        'effort', t.effort,
        'effort_why', t.effort_why,
        'priority', t.priority,
        'agent', t.agent,
        'metadata', t.metadata,
        'answer', case when a.step is not null then json_build_object(
            'text', a.text,
            'finish_reason', a.finish_reason,
            'tool_calls', coalesce(a.tool_calls, '[]'::json),
            'reasoning', a.reasoning,
            'logprobs', a.logprobs,
            'backend', a.backend,
            'model', a.model) end,
        'usage', json_build_object(
            'prompt_tokens', coalesce(a.prompt_tokens, 0),
            'completion_tokens', coalesce(a.completion_tokens, 0),
            'cached_tokens', coalesce(a.cached_tokens, 0),
            'reasoning_tokens', coalesce(a.reasoning_tokens, 0)),
        'route', t.route,
        'error', t.error,
        'accepted_at', t.accepted_at,
        'ended_at', t.ended_at)
    from (select 1) one
    left join aither.answers a
        on a.tenant_id = t.tenant_id and a.turn_id = t.id and a.step = t.answer_step
);

-- Accepts a turn, or finds the one that the same idempotency key accepted before.
-- outcome: accepted | replayed | conflict (same key, other request) | no_conversation
create function aither.accept_turn(
    p_tenant text, p_id text, p_conversation text, p_new_conversation boolean, p_model text,
    p_effort smallint, p_effort_why text, p_priority smallint, p_agent text, p_input json, p_sampling json,
    p_metadata json, p_key text, p_idempotency_key text, p_request_sha256 bytea,
    out outcome text, out turn_id text, out status text
) language plpgsql as $$
declare
    v_seq integer;
    v_sha bytea;
    v_busy boolean := false;
begin
    perform set_config('aither.tenant', p_tenant, true);
    if p_idempotency_key is not null then
        -- One request of a key at a time, so that the one that comes second leaves no conversation behind.
        perform pg_advisory_xact_lock(hashtextextended('aither.accept/' || p_tenant || '/' || p_idempotency_key, 0));
        select t.id, t.status, t.request_sha256 into turn_id, accept_turn.status, v_sha
        from aither.turns t where t.tenant_id = p_tenant and t.idempotency_key = p_idempotency_key;
        if found then
            outcome := case when v_sha = p_request_sha256 then 'replayed' else 'conflict' end;
            return;
        end if;
    end if;

    if p_new_conversation then
        insert into aither.conversations (tenant_id, id, last_seq) values (p_tenant, p_conversation, 1)
        on conflict do nothing;
        v_seq := 1;
    elsif p_conversation is not null then
        update aither.conversations c set last_seq = last_seq + 1
        where c.tenant_id = p_tenant and c.id = p_conversation returning last_seq into v_seq;
        if not found then
            outcome := 'no_conversation';
            return;
        end if;
        v_busy := exists (
            select from aither.turns t
            where t.tenant_id = p_tenant and t.conversation_id = p_conversation and t.status in ('queued', 'running'));
    end if;

    turn_id := p_id;
    status := case when v_busy then 'queued' else 'running' end;
    outcome := 'accepted';
    insert into aither.turns (
        tenant_id, id, conversation_id, seq, status, model, effort, effort_why, priority, agent, input, input_bytes,
        sampling, metadata, key_id, idempotency_key, request_sha256)
    values (
        p_tenant, p_id, p_conversation, v_seq, accept_turn.status, p_model, p_effort, p_effort_why, p_priority, p_agent,
        p_input, octet_length(p_input::text), p_sampling, p_metadata, p_key, p_idempotency_key, p_request_sha256)
    on conflict do nothing;
    if not found then
        -- Either this very turn is being accepted again after a lost reply, or its idempotency key was taken
        -- by a concurrent request between the look-up and the insert.
        select t.id, t.status, case when t.id = p_id then 'accepted'
                                    when t.request_sha256 = p_request_sha256 then 'replayed' else 'conflict' end
        into turn_id, accept_turn.status, outcome
        from aither.turns t
        where t.tenant_id = p_tenant and (t.id = p_id or t.idempotency_key = p_idempotency_key)
        order by t.id = p_id desc limit 1;
    end if;
end $$;

-- What a step needs to know, in one read: see TurnContext.
create function aither.turn_context(p_tenant text, p_turn text, p_step smallint, p_history_bytes bigint)
returns json language plpgsql as $$
declare
    t aither.turns;
    v_answer json;
    v_history json;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    if not found then
        return null;
    end if;
    select json_build_object(
        'step', a.step, 'text', a.text, 'finish_reason', a.finish_reason,
        'tool_calls', coalesce(a.tool_calls, '[]'::json), 'reasoning', a.reasoning,
        'logprobs', coalesce(a.logprobs, '[]'::json), 'backend', a.backend, 'model', a.model,
        'usage', json_build_object(
            'prompt_tokens', a.prompt_tokens, 'completion_tokens', a.completion_tokens,
            'cached_tokens', a.cached_tokens, 'reasoning_tokens', a.reasoning_tokens))
    into v_answer
    from aither.answers a where a.tenant_id = p_tenant and a.turn_id = p_turn and a.step = p_step;
    if t.seq > 1 and v_answer is null then
        select json_agg(
            json_build_object(
                'input', e.input, 'text', e.text, 'tool_calls', coalesce(e.tool_calls, '[]'::json)) order by e.seq)
        into v_history
        from (
            select h.seq, h.input, a.text, a.tool_calls,
                   sum(h.input_bytes + a.text_bytes) over (order by h.seq desc) as bytes
            from aither.turns h
            join aither.answers a
                on a.tenant_id = h.tenant_id and a.turn_id = h.id and a.step = h.answer_step
            where h.tenant_id = p_tenant and h.conversation_id = t.conversation_id and h.seq < t.seq
              and h.status = 'completed'
            order by h.seq desc
            limit 1000
        ) e
        where e.bytes <= p_history_bytes;
    end if;
    return json_build_object(
        'status', t.status, 'input', t.input, 'sampling', t.sampling,
        'answer', v_answer, 'history', coalesce(v_history, '[]'::json));
end $$;

-- Ends a turn unless it has ended, and lets the next turn of its conversation run.
-- Returns {"won", "status", "next_turn_id", "turn"}, or null where there is no such turn.
create function aither.end_turn(
    p_tenant text, p_turn text, p_status text, p_step smallint, p_route json, p_error json
) returns json language plpgsql as $$
declare
    t aither.turns;
    v_won boolean;
    v_next text;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    if not found then
        return null;
    end if;
    if t.conversation_id is not null then
        -- Accepting a turn takes the same lock first, so none can slip in behind a turn that is ending.
        perform from aither.conversations c
        where c.tenant_id = p_tenant and c.id = t.conversation_id for update;
    end if;
    update aither.turns x
    set status = p_status, route = p_route, answer_step = p_step, error = p_error, ended_at = clock_timestamp()
    where x.tenant_id = p_tenant and x.id = p_turn and x.status in ('queued', 'running')
    returning * into t;
    v_won := found;
    if t.conversation_id is not null then
        if v_won then
            update aither.turns x set status = 'running'
            where x.tenant_id = p_tenant and x.conversation_id = t.conversation_id and x.status = 'queued'
              and not exists (
                select from aither.turns r
                where r.tenant_id = p_tenant and r.conversation_id = t.conversation_id
                  and r.status in ('queued', 'running') and r.seq < x.seq);
        end if;
        -- Looked up rather than returned by the update, so that a repeated call names it too.
        select x.id into v_next from aither.turns x
        where x.tenant_id = p_tenant and x.conversation_id = t.conversation_id and x.seq > t.seq
          and x.status = 'running'
        order by x.seq limit 1;
    end if;
    if not v_won then
        select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    end if;
    return json_build_object(
        'won', v_won, 'status', t.status, 'next_turn_id', v_next, 'turn', aither.turn_view(t));
end $$;

-- Records an answer unless the step has one; a final one completes the turn. Returns what end_turn returns.
create function aither.record_answer(
    p_tenant text, p_turn text, p_step smallint, p_text text, p_finish_reason text, p_tool_calls json,
    p_reasoning text, p_logprobs json, p_backend text, p_model text, p_prompt_tokens integer,
    p_completion_tokens integer, p_cached_tokens integer, p_reasoning_tokens integer, p_route json, p_final boolean
) returns json language plpgsql as $$
declare
    t aither.turns;
    v_won boolean;
    v_end json;
begin
    perform set_config('aither.tenant', p_tenant, true);
    if not exists (select from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn) then
        return null;
    end if;
    insert into aither.answers (
        tenant_id, turn_id, step, text, text_bytes, finish_reason, tool_calls, reasoning, logprobs, backend, model,
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens)
    values (
        p_tenant, p_turn, p_step, p_text, octet_length(p_text), p_finish_reason, p_tool_calls, p_reasoning, p_logprobs,
        p_backend, p_model, p_prompt_tokens, p_completion_tokens, p_cached_tokens, p_reasoning_tokens)
    on conflict do nothing;
    v_won := found;
    if p_final then
        v_end := aither.end_turn(p_tenant, p_turn, 'completed', p_step, p_route, null);
        return json_build_object(
            'won', v_won, 'status', v_end -> 'status', 'next_turn_id', v_end -> 'next_turn_id', 'turn', v_end -> 'turn');
    end if;
    select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    return json_build_object('won', v_won, 'status', t.status, 'next_turn_id', null, 'turn', aither.turn_view(t));
end $$;

-- Who a key belongs to; nothing for an unknown or revoked one. The tenant is not known before this.
create function aither.authenticate(p_sha256 bytea)
returns table (tenant_id text, key_id text, priority_ceiling smallint, secret_sha256 bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select k.tenant_id, k.id, k.priority_ceiling, k.secret_sha256
    from aither.api_keys k where k.secret_sha256 = p_sha256 and k.revoked_at is null
$$;

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
