-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/008_bookings.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- A release beside a booking or an end of the same turn gave the same money back twice: neither saw the other's entry
-- before both had committed. Now each waits for the other.

-- Books what a call cost, and gives back what was set aside for it. The first booking of a step stands.
create or replace function aither.settle_spend(
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
    -- One booking of a turn at a time, in the one order of locks: conversation, turn, day.
    select t.key_id into v_key from aither.turns t
    where t.tenant_id = p_tenant and t.id = p_turn for no key update;
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
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (8, '008_bookings.sql', '09da0d200722542e4b3d244c95db2d0d22502ad8623c01362e9f5d83b9e1c1de');
end $aither$;
