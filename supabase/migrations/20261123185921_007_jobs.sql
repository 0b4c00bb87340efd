-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/007_jobs.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Jobs: work that is made of many turns. A swarm's every model call is a turn of its own, marked with its job, so
-- that caps, ledger, route and answers are those of any turn.

create table aither.jobs (
    tenant_id text not null references aither.tenants (id),
    id text not null,
    kind text not null check (kind in ('swarm')),
    status text not null default 'running' check (status in ('running', 'completed', 'failed', 'cancelled')),
    phase text not null default 'planning' check (phase in ('planning', 'working', 'synthesizing', 'ended')),
    goal text not null,
    context text not null default '',
    options json not null,
    policy json not null,
    priority smallint not null check (priority between 1 and 5),
    budget_nano bigint check (budget_nano >= 0),
    result json,
    error json,
    key_id text not null,
    idempotency_key text,
    request_sha256 bytea,
    accepted_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    swept_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, key_id) references aither.api_keys (tenant_id, id),
    unique (tenant_id, idempotency_key)
);
create index jobs_open on aither.jobs (accepted_at) where status = 'running';
comment on column aither.jobs.policy is 'What its turns may do: its tenant''s, key''s and request''s bounds together.';

alter table aither.turns
    add column job_id text,
    add column job_role text,
    add column job_task text,
    add column job_cap_nano bigint,
    add foreign key (tenant_id, job_id) references aither.jobs (tenant_id, id);
create index turns_of_job on aither.turns (tenant_id, job_id) where job_id is not null;
comment on column aither.turns.job_cap_nano is 'What the whole job may have come to with this turn; null: unbounded.';

-- The board: what the ledger of tasks says, as its readers see it. The ledger is the truth.
create table aither.job_tasks (
    tenant_id text not null,
    job_id text not null,
    id text not null,
    place integer not null,
    title text not null,
    status text not null default 'open' check (status in ('open', 'claimed', 'done', 'failed')),
    owner text not null default '',
    expires_at timestamptz,
    findings integer not null default 0,
    why text not null default '',
    changed_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, job_id, id),
    foreign key (tenant_id, job_id) references aither.jobs (tenant_id, id)
);

do $$
declare
    t text;
begin
    foreach t in array array['jobs', 'job_tasks'] loop
        execute format('alter table aither.%I enable row level security', t);
        execute format('alter table aither.%I force row level security', t);
        execute format(
            'create policy tenant on aither.%I to aither_app'
            ' using (tenant_id = (select aither.current_tenant()))'
            ' with check (tenant_id = (select aither.current_tenant()))', t);
    end loop;
end $$;

-- What a job's turns have cost, and what their calls in flight have set aside.
create function aither.job_spend(p_tenant text, p_job text, out spent_nano bigint, out reserved_nano bigint)
language sql stable
begin atomic
    select coalesce(sum(s.nano_usd) filter (where s.kind = 'settled'), 0)::bigint,
           coalesce(sum(s.nano_usd) filter (where s.kind = 'reserved' and not exists (
               select from aither.spend e where e.tenant_id = s.tenant_id and e.turn_id = s.turn_id
                 and e.step = s.step and e.round = s.round and e.kind <> 'reserved')), 0)::bigint
    from aither.turns t join aither.spend s on s.tenant_id = t.tenant_id and s.turn_id = t.id
    where t.tenant_id = p_tenant and t.job_id = p_job;
end;

-- Stores a turn of a job, once. Returns its status, or null where the job has ended.
create function aither.accept_job_turn(
    p_tenant text, p_id text, p_job text, p_role text, p_task text, p_job_cap bigint, p_model text, p_effort smallint,
    p_effort_why text, p_intent text, p_intent_why text, p_priority smallint, p_policy json, p_prompt_tokens integer,
    p_answer_tokens integer, p_input json, p_sampling json, p_metadata json, p_key text
) returns text language plpgsql as $$
declare
    v_status text;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select t.status into v_status from aither.turns t where t.tenant_id = p_tenant and t.id = p_id;
    if found then
        return v_status;
    end if;
    perform from aither.jobs j
    where j.tenant_id = p_tenant and j.id = p_job and j.status = 'running' for key share;
    if not found then
        return null;
    end if;
    select a.status into v_status from aither.accept_turn(
        p_tenant, p_id, null, false, p_model, p_effort, p_effort_why, p_intent, p_intent_why, p_priority, null, null,
        p_policy, p_prompt_tokens, p_answer_tokens, p_input, p_sampling, p_metadata, p_key, null, null) a;
    update aither.turns t
    set job_id = p_job, job_role = p_role, job_task = p_task, job_cap_nano = p_job_cap
    where t.tenant_id = p_tenant and t.id = p_id;
    return v_status;
end $$;

-- As before, and for a turn of a job also within what the whole job may come to: `cap` is then "job".
alter function aither.reserve_spend(
    text, text, smallint, text, text, boolean, bigint, bigint, bigint, bigint) rename to reserve_turn_spend;
create function aither.reserve_spend(
    p_tenant text, p_turn text, p_step smallint, p_backend text, p_model text, p_local boolean, p_nano bigint,
    p_turn_cap bigint, p_day_cap bigint, p_month_cap bigint
) returns json language plpgsql as $$
declare
    v_turn record;
    v_said json;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select t.job_id, t.job_cap_nano as cap into v_turn
    from aither.turns t where t.tenant_id = p_tenant and t.id = p_turn;
    if v_turn.cap is null then
        return aither.reserve_turn_spend(
            p_tenant, p_turn, p_step, p_backend, p_model, p_local, p_nano, p_turn_cap, p_day_cap, p_month_cap);
    end if;
    -- The locks of the function below, in its order: two calls of a job must not both take the last of its money.
    perform from aither.turns t where t.tenant_id = p_tenant and t.id = p_turn for share;
    insert into aither.spend_days (tenant_id, day) values (p_tenant, (now() at time zone 'utc')::date)
    on conflict do nothing;
    perform pg_advisory_xact_lock(hashtextextended('aither.spend/' || p_tenant, 0));
    if (select j.spent_nano + j.reserved_nano + p_nano > v_turn.cap from aither.job_spend(p_tenant, v_turn.job_id) j)
    then
        -- No turn has room under this cap, while a reservation that stands is still told as one.
        v_said := aither.reserve_turn_spend(
            p_tenant, p_turn, p_step, p_backend, p_model, p_local, p_nano, -1, p_day_cap, p_month_cap);
        if v_said ->> 'cap' = 'turn' then
            v_said := (v_said::jsonb || '{"cap": "job"}')::json;
        end if;
        return v_said;
    end if;
    return aither.reserve_turn_spend(
        p_tenant, p_turn, p_step, p_backend, p_model, p_local, p_nano, p_turn_cap, p_day_cap, p_month_cap);
end $$;

create function aither.job_view(j aither.jobs) returns json
language sql stable
return (
    select json_build_object(
        'id', j.id,
        'kind', j.kind,
        'status', j.status,
        'phase', j.phase,
        'goal', j.goal,
        'options', j.options,
        'policy', j.policy,
        'priority', j.priority,
        'tasks', (
            select json_build_object(
                'total', count(*),
                'open', count(*) filter (where k.status = 'open'),
                'claimed', count(*) filter (where k.status = 'claimed'),
                'done', count(*) filter (where k.status = 'done'),
                'failed', count(*) filter (where k.status = 'failed'),
                'findings', coalesce(sum(k.findings), 0))
            from aither.job_tasks k where k.tenant_id = j.tenant_id and k.job_id = j.id),
        'turns', (select count(*) from aither.turns t where t.tenant_id = j.tenant_id and t.job_id = j.id),
        'cost_usd', s.spent_nano::float8 / 1e9,
        'reserved_usd', s.reserved_nano::float8 / 1e9,
        'result', j.result,
        'error', j.error,
        'accepted_at', j.accepted_at,
        'ended_at', j.ended_at)
    from aither.job_spend(j.tenant_id, j.id) s
);

-- Accepts a job, or finds the one that the same idempotency key accepted before.
create function aither.accept_job(
    p_tenant text, p_id text, p_kind text, p_goal text, p_context text, p_options json, p_policy json,
    p_priority smallint, p_budget bigint, p_key text, p_idempotency_key text, p_request_sha256 bytea,
    out outcome text, out job_id text
) language plpgsql as $$
declare
    v_sha bytea;
begin
    perform set_config('aither.tenant', p_tenant, true);
    insert into aither.jobs (
        tenant_id, id, kind, goal, context, options, policy, priority, budget_nano, key_id, idempotency_key,
        request_sha256)
    values (
        p_tenant, p_id, p_kind, p_goal, p_context, p_options, p_policy, p_priority, p_budget, p_key,
        p_idempotency_key, p_request_sha256)
    on conflict do nothing;
    select j.id, j.request_sha256 into job_id, v_sha from aither.jobs j
    where j.tenant_id = p_tenant and (j.id = p_id or j.idempotency_key = p_idempotency_key)
    order by j.id = p_id desc limit 1;
    outcome := case when job_id = p_id then 'accepted'
                    when v_sha is not distinct from p_request_sha256 then 'replayed' else 'conflict' end;
end $$;

-- Ends a job unless it has ended; its view, and whether this was what ended it. Null for no such job.
create function aither.end_job(p_tenant text, p_job text, p_status text, p_result json, p_error json)
returns json language plpgsql as $$
declare
    j aither.jobs;
    v_won boolean;
begin
    perform set_config('aither.tenant', p_tenant, true);
    update aither.jobs x
    set status = p_status, phase = 'ended', result = coalesce(p_result, x.result), error = p_error,
        ended_at = clock_timestamp()
    where x.tenant_id = p_tenant and x.id = p_job and x.status = 'running' returning * into j;
    v_won := found;
    if not v_won then
        select * into j from aither.jobs x where x.tenant_id = p_tenant and x.id = p_job;
        if not found then
            return null;
        end if;
    end if;
    return json_build_object('won', v_won, 'job', aither.job_view(j));
end $$;

-- Jobs that should have a running workflow, of all tenants, each at most once a minute.
create function aither.due_jobs(p_limit integer) returns table (tenant_id text, job_id text)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    update aither.jobs j set swept_at = now()
    from (
        select d.tenant_id, d.id from aither.jobs d
        where d.status = 'running' and d.accepted_at < now() - interval '10 seconds'
          and (d.swept_at is null or d.swept_at < now() - interval '1 minute')
        order by d.accepted_at limit p_limit
        for update skip locked
    ) due
    where j.tenant_id = due.tenant_id and j.id = due.id
    returning j.tenant_id, j.id
$$;

revoke all on all functions in schema aither from public;
grant select, insert, update on aither.jobs, aither.job_tasks to aither_app;
grant execute on all functions in schema aither to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (7, '007_jobs.sql', '153b00b9d7e3bdc401514563cda89e17e1617b1a7b0700e7236b918bd5b6671f');
end $aither$;
