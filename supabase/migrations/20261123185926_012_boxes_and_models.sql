-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/012_boxes_and_models.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Boxes of leases: what each is to do, how it proved itself, what it tells of itself. Operational data of the
-- installation: they belong to no tenant. No key is stored: what is here are the nonces that keys are derived over.

create table aither.boxes (
    lease_id text not null references aither.leases (id),
    attempt integer not null check (attempt >= 0),
    plan json not null,
    base_url text,
    probe_url text,
    -- One for each join: a box that rebooted joins again. Of one byte string each, ours and the box's nonce.
    salts bytea[] not null default '{}',
    sequence bigint not null default 0,
    phase text not null default 'expected' check (phase in ('expected', 'joined', 'pulling', 'starting', 'serving',
        'leaving', 'failed')),
    report json not null default '{}',
    joined_at timestamptz,
    heard_at timestamptz,
    primary key (lease_id, attempt)
);
comment on column aither.boxes.plan is 'activities.contracts.boxes.BoxPlan: no key, and no URL of a model''s file.';
comment on column aither.boxes.base_url is 'Where its server is asked, where that is not what the plan says.';
comment on column aither.boxes.probe_url is 'Where our side has to come for its words, if the box cannot reach us.';
comment on column aither.boxes.sequence is 'The count of its newest request in this session: an old one is a replay.';

-- Nonces that were used. One that is here is refused; one that is older than an hour is too old to be taken anyway.
create table aither.box_nonces (
    nonce text primary key check (length(nonce) <= 200),
    spent_at timestamptz not null default clock_timestamp()
);
create index box_nonces_by_age on aither.box_nonces (spent_at);

-- Attempts to speak as a box that were refused, counted by the minute, so that no flood of them fills the table.
-- Those that name no lease there is are counted together under an empty name. Nothing is ever taken away.
create table aither.box_refusals (
    lease_id text not null,
    reason text not null,
    minute timestamptz not null,
    times integer not null default 1,
    last_at timestamptz not null default clock_timestamp(),
    detail text not null default '',
    primary key (lease_id, reason, minute)
);

grant select, insert, update on aither.boxes, aither.box_refusals to aither_app;
grant select, insert, update, delete on aither.box_nonces to aither_app;

-- Counts a refusal. Takes as long whether there is such a lease or not.
create function aither.refuse_box(p_lease text, p_reason text, p_detail text) returns void
language sql as $$
    insert into aither.box_refusals as r (lease_id, reason, minute, detail)
    values (coalesce((select id from aither.leases where id = p_lease), ''), p_reason,
        date_trunc('minute', clock_timestamp()), left(p_detail, 300))
    on conflict (lease_id, reason, minute) do update
        set times = r.times + 1, last_at = clock_timestamp(), detail = excluded.detail
$$;

-- Lets a box whose signature was good join: `joined`, or `replay` (the nonce was used), `second` (of two joins with
-- one key only one counts) or `unwanted` (the lease waits for no box, or for another one).
create function aither.join_box(
    p_lease text, p_attempt integer, p_joins integer, p_nonce text, p_salt bytea, p_instance text, p_base_url text
) returns text language plpgsql as $$
declare
    v_box aither.boxes;
begin
    delete from aither.box_nonces where nonce in (
        select nonce from aither.box_nonces where spent_at < clock_timestamp() - interval '1 hour'
        order by spent_at limit 50 for update skip locked);
    insert into aither.box_nonces (nonce) values (p_nonce) on conflict do nothing;
    if not found then
        return 'replay';
    end if;
    -- The lease before its box: in this order everybody locks them.
    perform from aither.leases where id = p_lease for update;
    select * into v_box from aither.boxes where lease_id = p_lease and attempt = p_attempt for update;
    if not found then
        return 'unwanted';
    end if;
    if cardinality(v_box.salts) <> p_joins then
        return 'second';
    end if;
    if p_joins = 0 then
        if not aither.join_lease(p_lease, p_attempt, p_instance, p_base_url) then
            return 'unwanted';
        end if;
    elsif aither.hear_box(p_lease, p_attempt, 0, 0) is null then
        return 'unwanted';
    end if;
    update aither.boxes set salts = salts || p_salt, sequence = 0, phase = 'joined', report = '{}',
        base_url = coalesce(p_base_url, base_url), joined_at = coalesce(joined_at, clock_timestamp()),
        heard_at = clock_timestamp()
    where lease_id = p_lease and attempt = p_attempt;
    return 'joined';
end $$;

-- Takes the next word of a joined box: `heard` and the lease's state (null: the lease wants it no more), or why not.
create function aither.hear_joined_box(
    p_lease text, p_attempt integer, p_joins integer, p_sequence bigint, p_phase text, p_report json,
    p_calls integer, p_tokens bigint, out outcome text, out state text
) language plpgsql as $$
begin
    perform from aither.leases where id = p_lease for update;
    update aither.boxes set sequence = p_sequence, phase = coalesce(p_phase, phase),
        report = coalesce(p_report, report), heard_at = clock_timestamp()
    where lease_id = p_lease and attempt = p_attempt and cardinality(salts) = p_joins and sequence < p_sequence;
    if not found then
        outcome := 'replay';
        return;
    end if;
    outcome := 'heard';
    state := aither.hear_box(p_lease, p_attempt, p_calls, p_tokens);
end $$;

-- Model files: shared ones, and tenants' own, which nobody else sees.
create table aither.model_files (
    scope text not null check (scope <> ''),
    dir text not null,
    name text not null,
    size_bytes bigint not null check (size_bytes > 0),
    sha256 bytea not null check (length(sha256) = 32),
    object_key text,
    public json,
    added_by text not null,
    added_at timestamptz not null default clock_timestamp(),
    primary key (scope, dir, name)
);
comment on table aither.model_files is 'Files as aither://models/<scope>/<dir>/<name>; the scope is `shared` or a tenant''s id.';
alter table aither.model_files enable row level security;
alter table aither.model_files force row level security;
create policy tenant on aither.model_files to aither_app
    using (scope = 'shared' or scope = (select aither.current_tenant()))
    with check (scope = 'shared' or scope = (select aither.current_tenant()));
grant select, insert, update, delete on aither.model_files to aither_app;

revoke all on function aither.refuse_box(text, text, text),
    aither.join_box(text, integer, integer, text, bytea, text, text),
    aither.hear_joined_box(text, integer, integer, bigint, text, json, integer, bigint) from public;
grant execute on function aither.refuse_box(text, text, text),
    aither.join_box(text, integer, integer, text, bytea, text, text),
    aither.hear_joined_box(text, integer, integer, bigint, text, json, integer, bigint) to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (12, '012_boxes_and_models.sql', '622c6fc7d1a256bac9afcbe30b20f42da72c01f1e95f177128a97e810e8b223e');
end $aither$;
