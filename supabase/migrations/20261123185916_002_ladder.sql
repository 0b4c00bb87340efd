-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/002_ladder.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- The effort ladder: why a turn was given its effort, what it may do, what it cost, and who it speaks as; and the
-- functions that every step of a turn is made of.

alter table aither.turns
    add column intent text,
    add column intent_why text,
    add column policy json not null default '{}',
    add column prompt_tokens integer not null default 0,
    add column answer_tokens integer not null default 1024,
    add column agent_version integer;
comment on column aither.turns.policy is 'What the turn may do: its tenant''s, key''s, agent''s and request''s bounds together.';
comment on column aither.turns.prompt_tokens is 'An estimate of what cannot be trimmed away: the system part and the newest exchange.';

-- Defaults: a tenant's policy bounds its keys', a key's bounds its turns'.
alter table aither.tenants add column policy json not null default '{}';
alter table aither.api_keys
    add column policy json not null default '{}',
    add column ladder text;

-- Each version is a row; the newest is in use from the next turn on, and going back makes a new one.
create table aither.agents (
    tenant_id text not null references aither.tenants (id),
    name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    version integer not null check (version > 0),
    will text not null default '',
    spirit text not null default '',
    persona text not null default '',
    effort smallint check (effort between 1 and 10),
    tools json,
    policy json not null default '{}',
    restored_from integer,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, name, version)
);
alter table aither.turns
    add foreign key (tenant_id, agent, agent_version) references aither.agents (tenant_id, name, version);

-- Append-only. A call that can cost something is reserved before it and settled or released after it; a call
-- that costs nothing is settled alone, so that the share of local work is known too. Money is in nano-dollars.
-- `round` counts how often money was given back for the step: an attempt that is lost after that reserves anew.
create table aither.spend (
    tenant_id text not null,
    turn_id text not null,
    step smallint not null,
    round smallint not null default 0,
    kind text not null check (kind in ('reserved', 'settled', 'released')),
    key_id text not null,
    backend text not null,
    model text not null,
    local boolean not null,
    nano_usd bigint not null check (nano_usd >= 0),
    reference_nano_usd bigint not null default 0 check (reference_nano_usd >= 0),
    prompt_tokens integer not null default 0,
    completion_tokens integer not null default 0,
    cached_tokens integer not null default 0,
    reasoning_tokens integer not null default 0,
    day date not null default (now() at time zone 'utc')::date,
    at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, turn_id, step, round, kind),
    foreign key (tenant_id, turn_id) references aither.turns (tenant_id, id)
);
create index spend_by_day on aither.spend (tenant_id, day);

-- What a tenant has spent and set aside on a day (UTC): a sum kept beside the ledger, whose row is also the lock
-- that makes admission exact. A reservation counts on the day it was made, its settlement on the same day.
create table aither.spend_days (
    tenant_id text not null references aither.tenants (id),
    day date not null,
    spent_nano bigint not null default 0 check (spent_nano >= 0),
    reserved_nano bigint not null default 0 check (reserved_nano >= 0),
    primary key (tenant_id, day)
);

-- Text that a failed call had told the client before it broke off: the next rung goes on from it.
create table aither.partials (
    tenant_id text not null,
    turn_id text not null,
    step smallint not null,
    text text not null,
    backend text not null,
    model text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, turn_id, step),
    foreign key (tenant_id, turn_id) references aither.turns (tenant_id, id)
);

do $$
declare
    t text;
begin
    foreach t in array array['agents', 'spend', 'spend_days', 'partials'] loop
        execute format('alter table aither.%I enable row level security', t);
        execute format('alter table aither.%I force row level security', t);
        execute format(
            'create policy tenant on aither.%I to aither_app'
            ' using (tenant_id = (select aither.current_tenant()))'
            ' with check (tenant_id = (select aither.current_tenant()))', t);
    end loop;
end $$;

-- The step's round: how often what was set aside for it has been given back.
create function aither.spend_round(p_tenant text, p_turn text, p_step smallint) returns smallint
language sql stable
return (
    select count(*)::smallint from aither.spend s
    where s.tenant_id = p_tenant and s.turn_id = p_turn and s.step = p_step and s.kind = 'released'
);

-- Sets money aside for one call, within the caps (null: uncapped). Safe to run twice: a reservation stands.
-- Returns {"granted", "cap", "day_spent", "day_reserved", "month_spent", "month_reserved", "turn_spent",
-- "turn_reserved"}; `cap` names the one that a refused call would break, and is null where the step has its
-- answer or the turn its end, so that nobody would give the money back.
create function aither.reserve_spend(
    p_tenant text, p_turn text, p_step smallint, p_backend text, p_model text, p_local boolean, p_nano bigint,
    p_turn_cap bigint, p_day_cap bigint, p_month_cap bigint
) returns json language plpgsql as $$
declare
    v_day date := (now() at time zone 'utc')::date;
    v_key text;
    v_days record;
    v_month record;
    v_turn record;
    v_round smallint;
    v_cap text;
    v_open boolean;
begin
    perform set_config('aither.tenant', p_tenant, true);
    -- Locks are taken in one order everywhere: conversation, turn, day. The turn's end waits for this.
    select t.key_id, t.status = 'running' into v_key, v_open
    from aither.turns t where t.tenant_id = p_tenant and t.id = p_turn for share;
    v_open := v_open and not exists (
        select from aither.spend s where s.tenant_id = p_tenant and s.turn_id = p_turn and s.step = p_step
          and s.kind = 'settled');
    insert into aither.spend_days (tenant_id, day) values (p_tenant, v_day) on conflict do nothing;
    -- One admission of a tenant at a time, whatever the day: midnight must not let two through.
    perform pg_advisory_xact_lock(hashtextextended('aither.spend/' || p_tenant, 0));
    select spent_nano as spent, reserved_nano as reserved into v_days
    from aither.spend_days d where d.tenant_id = p_tenant and d.day = v_day;
    select coalesce(sum(spent_nano), 0)::bigint as spent, coalesce(sum(reserved_nano), 0)::bigint as reserved
    into v_month
    from aither.spend_days d
    where d.tenant_id = p_tenant and d.day >= date_trunc('month', v_day)::date;
    select coalesce(sum(s.nano_usd) filter (where s.kind = 'settled'), 0)::bigint as spent,
           coalesce(sum(s.nano_usd) filter (where s.kind = 'reserved' and not exists (
               select from aither.spend e where e.tenant_id = p_tenant and e.turn_id = p_turn and e.step = s.step
                 and e.round = s.round and e.kind <> 'reserved')), 0)::bigint as reserved
    into v_turn
    from aither.spend s where s.tenant_id = p_tenant and s.turn_id = p_turn;
    v_round := aither.spend_round(p_tenant, p_turn, p_step);
    if v_open and not exists (
        select from aither.spend s where s.tenant_id = p_tenant and s.turn_id = p_turn and s.step = p_step
          and s.round = v_round and s.kind = 'reserved'
    ) then
        v_cap := case
            when v_turn.spent + v_turn.reserved + p_nano > p_turn_cap then 'turn'
            when v_days.spent + v_days.reserved + p_nano > p_day_cap then 'day'
            when v_month.spent + v_month.reserved + p_nano > p_month_cap then 'month'
        end;
        if v_cap is null then
            insert into aither.spend (
                tenant_id, turn_id, step, round, kind, key_id, backend, model, local, nano_usd, day)
            values (p_tenant, p_turn, p_step, v_round, 'reserved', v_key, p_backend, p_model, p_local, p_nano, v_day);
            update aither.spend_days d set reserved_nano = reserved_nano + p_nano
            where d.tenant_id = p_tenant and d.day = v_day;
        end if;
    end if;
    return json_build_object(
        'granted', coalesce(v_open, false) and v_cap is null, 'cap', v_cap,
        'day_spent', v_days.spent, 'day_reserved', v_days.reserved,
        'month_spent', v_month.spent, 'month_reserved', v_month.reserved,
        'turn_spent', v_turn.spent, 'turn_reserved', v_turn.reserved);
end $$;

-- Books what a call cost, and gives back what was set aside for it. The first booking of a step stands.
create function aither.settle_spend(
    p_tenant text, p_turn text, p_step smallint, p_kind text, p_backend text, p_model text, p_local boolean,
    p_nano bigint, p_reference_nano bigint, p_prompt_tokens integer, p_completion_tokens integer,
    p_cached_tokens integer, p_reasoning_tokens integer
) returns void language plpgsql as $$
declare
    v_day date := (now() at time zone 'utc')::date;
    v_reserved record;
    v_round smallint;
    v_key text;
begin
    perform set_config('aither.tenant', p_tenant, true);
    v_round := aither.spend_round(p_tenant, p_turn, p_step);
    select s.nano_usd, s.day into v_reserved from aither.spend s
    where s.tenant_id = p_tenant and s.turn_id = p_turn and s.step = p_step and s.round = v_round
      and s.kind = 'reserved';
    if not found and p_kind = 'released' then
        return;
    end if;
    if exists (
        select from aither.spend s where s.tenant_id = p_tenant and s.turn_id = p_turn and s.step = p_step
          and s.kind = 'settled'
    ) then
        return;
    end if;
    select t.key_id into v_key from aither.turns t where t.tenant_id = p_tenant and t.id = p_turn;
    insert into aither.spend (
        tenant_id, turn_id, step, round, kind, key_id, backend, model, local, nano_usd, reference_nano_usd,
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, day)
    values (
        p_tenant, p_turn, p_step, v_round, p_kind, v_key, p_backend, p_model, p_local, p_nano, p_reference_nano,
        p_prompt_tokens, p_completion_tokens, p_cached_tokens, p_reasoning_tokens, coalesce(v_reserved.day, v_day))
    on conflict do nothing;
    if not found then
        return;
    end if;
    if v_reserved.nano_usd is not null or p_nano > 0 then
        insert into aither.spend_days as d (tenant_id, day, spent_nano)
        values (p_tenant, coalesce(v_reserved.day, v_day), p_nano)
        on conflict (tenant_id, day) do update
        set spent_nano = d.spent_nano + p_nano,
            reserved_nano = d.reserved_nano - coalesce(v_reserved.nano_usd, 0);
    end if;
end $$;

-- What one turn has cost in dollars, and what the same tokens would have cost on the reference model.
create function aither.turn_cost(p_tenant text, p_turn text, out usd float8, out reference_usd float8)
language sql stable
begin atomic
    select coalesce(sum(s.nano_usd), 0)::float8 / 1e9, coalesce(sum(s.reference_nano_usd), 0)::float8 / 1e9
    from aither.spend s where s.tenant_id = p_tenant and s.turn_id = p_turn and s.kind = 'settled';
end;

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
        'intent', t.intent,
        'intent_why', t.intent_why,
        'priority', t.priority,
        'agent', t.agent,
        'agent_version', t.agent_version,
        'policy', t.policy,
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
        'cost_usd', c.usd,
        'reference_cost_usd', c.reference_usd,
        'route', t.route,
        'error', t.error,
        'accepted_at', t.accepted_at,
        'ended_at', t.ended_at)
    from aither.turn_cost(t.tenant_id, t.id) c
    left join aither.answers a
        on a.tenant_id = t.tenant_id and a.turn_id = t.id and a.step = t.answer_step
);

-- Accepts a turn, or finds the one that the same idempotency key accepted before.
-- outcome: accepted | replayed | conflict (same key, other request) | no_conversation
create function aither.accept_turn(
    p_tenant text, p_id text, p_conversation text, p_new_conversation boolean, p_model text,
    p_effort smallint, p_effort_why text, p_intent text, p_intent_why text, p_priority smallint, p_agent text,
    p_agent_version integer, p_policy json, p_prompt_tokens integer, p_answer_tokens integer, p_input json,
    p_sampling json, p_metadata json, p_key text, p_idempotency_key text, p_request_sha256 bytea,
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
        tenant_id, id, conversation_id, seq, status, model, effort, effort_why, intent, intent_why, priority, agent,
        agent_version, policy, prompt_tokens, answer_tokens, input, input_bytes, sampling, metadata, key_id,
        idempotency_key, request_sha256)
    values (
        p_tenant, p_id, p_conversation, v_seq, accept_turn.status, p_model, p_effort, p_effort_why, p_intent,
        p_intent_why, p_priority, p_agent, p_agent_version, p_policy, p_prompt_tokens, p_answer_tokens, p_input,
        octet_length(p_input::text), p_sampling, p_metadata, p_key, p_idempotency_key, p_request_sha256)
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

-- Who a key belongs to, what it and its tenant may do, and which ladder it climbs; nothing for an unknown or
-- revoked one. The tenant is not known before this.
create function aither.authenticate(p_sha256 bytea) returns table (
    tenant_id text, key_id text, priority_ceiling smallint, ladder text, policy json, tenant_policy json,
    secret_sha256 bytea
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select k.tenant_id, k.id, k.priority_ceiling, k.ladder, k.policy, t.policy, k.secret_sha256
    from aither.api_keys k join aither.tenants t on t.id = k.tenant_id
    where k.secret_sha256 = p_sha256 and k.revoked_at is null
$$;

-- Ends a turn unless it has ended, gives back what its calls had set aside and never booked, and lets the next
-- turn of its conversation run. Returns {"won", "status", "next_turn_id", "turn"}, or null for no such turn.
create function aither.end_turn(
    p_tenant text, p_turn text, p_status text, p_step smallint, p_route json, p_error json
) returns json language plpgsql as $$
declare
    t aither.turns;
    v_won boolean;
    v_next text;
    v_open record;
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
    if v_won then
        for v_open in
            select s.step, s.backend, s.model, s.local from aither.spend s
            where s.tenant_id = p_tenant and s.turn_id = p_turn and s.kind = 'reserved' and not exists (
                select from aither.spend e where e.tenant_id = p_tenant and e.turn_id = p_turn
                  and e.step = s.step and e.round = s.round and e.kind <> 'reserved')
        loop
            perform aither.settle_spend(
                p_tenant, p_turn, v_open.step, 'released', v_open.backend, v_open.model, v_open.local,
                0, 0, 0, 0, 0, 0);
        end loop;
    end if;
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

-- An answer as the activities read it: see Answer.
create function aither.answer_record(a aither.answers) returns json
language sql immutable
return json_build_object(
    'step', a.step, 'text', a.text, 'finish_reason', a.finish_reason,
    'tool_calls', coalesce(a.tool_calls, '[]'::json), 'reasoning', a.reasoning,
    'logprobs', coalesce(a.logprobs, '[]'::json), 'backend', a.backend, 'model', a.model,
    'usage', json_build_object(
        'prompt_tokens', a.prompt_tokens, 'completion_tokens', a.completion_tokens,
        'cached_tokens', a.cached_tokens, 'reasoning_tokens', a.reasoning_tokens));

-- What a step needs to know, in one read: see TurnContext.
create function aither.turn_context(
    p_tenant text, p_turn text, p_step smallint, p_history_bytes bigint, p_earlier smallint[]
) returns json language plpgsql as $$
declare
    t aither.turns;
    v_answer json;
    v_history json;
    v_agent json;
    v_earlier json;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    if not found then
        return null;
    end if;
    select aither.answer_record(a) into v_answer
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
    if t.agent is not null then
        select json_build_object('will', g.will, 'spirit', g.spirit, 'persona', g.persona, 'tools', g.tools)
        into v_agent
        from aither.agents g
        where g.tenant_id = p_tenant and g.name = t.agent and g.version = t.agent_version;
    end if;
    if cardinality(p_earlier) > 0 then
        select json_agg(e.record) into v_earlier
        from (
            select aither.answer_record(a) as record
            from aither.answers a
            where a.tenant_id = p_tenant and a.turn_id = p_turn and a.step = any (p_earlier)
            union all
            select json_build_object(
                'step', p.step, 'text', p.text, 'finish_reason', 'length', 'backend', p.backend, 'model', p.model)
            from aither.partials p
            where p.tenant_id = p_tenant and p.turn_id = p_turn and p.step = any (p_earlier)
        ) e;
    end if;
    return json_build_object(
        'status', t.status, 'input', t.input, 'sampling', t.sampling, 'agent', v_agent,
        'answer', v_answer, 'earlier', coalesce(v_earlier, '[]'::json), 'history', coalesce(v_history, '[]'::json));
end $$;

-- Records an answer unless the step has one, with what it cost; a final one completes the turn.
-- Returns what end_turn returns.
create function aither.record_answer(
    p_tenant text, p_turn text, p_step smallint, p_text text, p_finish_reason text, p_tool_calls json,
    p_reasoning text, p_logprobs json, p_backend text, p_model text, p_prompt_tokens integer,
    p_completion_tokens integer, p_cached_tokens integer, p_reasoning_tokens integer, p_local boolean,
    p_nano bigint, p_reference_nano bigint, p_route json, p_final boolean
) returns json language plpgsql as $$
declare
    t aither.turns;
    v_won boolean;
    v_end json;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    if not found then
        return null;
    end if;
    -- In the one order of locks: conversation, turn, day.
    if p_final and t.conversation_id is not null then
        perform from aither.conversations c
        where c.tenant_id = p_tenant and c.id = t.conversation_id for update;
    end if;
    perform from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn for no key update;
    insert into aither.answers (
        tenant_id, turn_id, step, text, text_bytes, finish_reason, tool_calls, reasoning, logprobs, backend, model,
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens)
    values (
        p_tenant, p_turn, p_step, p_text, octet_length(p_text), p_finish_reason, p_tool_calls, p_reasoning, p_logprobs,
        p_backend, p_model, p_prompt_tokens, p_completion_tokens, p_cached_tokens, p_reasoning_tokens)
    on conflict do nothing;
    v_won := found;
    if v_won then
        perform aither.settle_spend(
            p_tenant, p_turn, p_step, 'settled', p_backend, p_model, p_local, p_nano, p_reference_nano, p_prompt_tokens,
            p_completion_tokens, p_cached_tokens, p_reasoning_tokens);
    end if;
    if p_final then
        v_end := aither.end_turn(p_tenant, p_turn, 'completed', p_step, p_route, null);
        return json_build_object(
            'won', v_won, 'status', v_end -> 'status', 'next_turn_id', v_end -> 'next_turn_id', 'turn', v_end -> 'turn');
    end if;
    select * into t from aither.turns x where x.tenant_id = p_tenant and x.id = p_turn;
    return json_build_object('won', v_won, 'status', t.status, 'next_turn_id', null, 'turn', aither.turn_view(t));
end $$;

revoke all on all functions in schema aither from public;
grant select, insert on aither.agents, aither.spend to aither_app;
grant select, insert, update on aither.partials to aither_app;
grant select, insert, update on aither.spend_days to aither_app;
grant execute on all functions in schema aither to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (2, '002_ladder.sql', 'ed8679157bd80f3d7b03bd171c0b7e92b91076ce739f28de7a1b00a22c500e4a');
end $aither$;
