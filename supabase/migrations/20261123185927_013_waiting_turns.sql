-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/013_waiting_turns.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- What a turn waits for while a person is asked.

create index approvals_of_subjects on aither.approvals (tenant_id, subject) where status = 'open';

-- The open approval that a turn's workflow has asked for; null where it waits for nobody.
create function aither.waiting_for(p_tenant text, p_turn text) returns json
language sql stable
return (
    select json_build_object(
        'approval_id', p.id, 'kind', p.kind, 'title', p.title, 'cost_usd', p.cost_usd,
        'leaves_building', p.leaves_building, 'deadline', p.deadline)
    from aither.approvals p
    where p.tenant_id = p_tenant and p.subject = p_turn and p.status = 'open' and p.opened_through = 'workflow'
    order by p.seq limit 1
);

create or replace function aither.turn_view(t aither.turns) returns json
language sql stable
return (
    select json_build_object(
        'id', t.id,
        'status', t.status,
        'waiting_for', case when t.status = 'running' then aither.waiting_for(t.tenant_id, t.id) end,
        'conversation_id', t.conversation_id,
        'model', t.model,
        'effort', t.effort,
        'effort_why', t.effort_why,
        'intent', t.intent,
        'intent_why', t.intent_why,
        'priority', t.priority,
        'agent', t.agent,
        'agent_version', t.agent_version,
        -- It was a flag once.
        'policy', case t.policy ->> 'approve_cloud'
            when 'true' then (t.policy::jsonb || '{"approve_cloud": "ask"}')::json
            when 'false' then (t.policy::jsonb || '{"approve_cloud": "never"}')::json
            else t.policy end,
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

revoke all on function aither.waiting_for(text, text) from public;
grant execute on function aither.waiting_for(text, text) to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (13, '013_waiting_turns.sql', '261eb3eb4de10f92843f270d8ea8b846527836b7933ec103c2b93d642149bcb8');
end $aither$;
