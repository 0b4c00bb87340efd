-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/011_leases.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Leases of rented boxes. Operational data of the installation: they belong to no tenant. A lease's row is the
-- promise that its box will be given back: it is written before the market is asked for anything, and an instance
-- of ours that no open row names is destroyed.

create table aither.leases (
    id text primary key check (id ~ '^lease_[0-9a-z]{8,40}$'),
    purpose text not null,
    pool text not null,
    state text not null default 'asked' check (state in ('asked', 'approved', 'renting', 'booting', 'joining',
        'serving', 'draining', 'destroying', 'gone', 'failed', 'denied')),
    state_at timestamptz not null default clock_timestamp(),
    asked_by text not null,
    why text not null default '',
    plan json not null,
    choices json not null default '[]',
    quotes integer not null default 0,
    quoted_at timestamptz,
    approval_id text,
    approved_by text,
    ending text,
    ending_code text,
    ending_at timestamptz,
    -- The attempt of now; earlier ones are over, their boxes verified gone.
    attempt integer not null default 0,
    boxes integer not null default 0,
    label text unique,
    creation text not null default 'none' check (creation in ('none', 'intended', 'made', 'void')),
    intended_at timestamptz,
    unseen_since timestamptz,
    offer json,
    machine_id text,
    machines_out text[] not null default '{}',
    instance_id text,
    made_at timestamptz,
    box_state text not null default '',
    box_seen_at timestamptz,
    address text,
    nano_hour bigint not null default 0 check (nano_hour >= 0),
    joined_at timestamptz,
    served_at timestamptz,
    heard_at timestamptz,
    busy_at timestamptz,
    looked_at timestamptz,
    watched_since timestamptz,
    calls integer not null default 0,
    tokens bigint not null default 0,
    asked_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    check ((ended_at is not null) = (state in ('gone', 'failed', 'denied'))),
    check (state in ('asked', 'approved', 'gone', 'failed', 'denied') or label is not null)
);
create index leases_open on aither.leases (asked_at) where ended_at is null;
create index leases_by_age on aither.leases (asked_at desc, id);
comment on column aither.leases.plan is 'What it needs and may cost: activities.contracts.lease_views.LeasePlan.';
comment on column aither.leases.choices is 'The offers of its newest quote that have not been tried, the best first.';
comment on column aither.leases.ending is 'Why it is to end; null while it is wanted. The code is a program''s word for it.';
comment on column aither.leases.label is 'Finds the box of this attempt at the market. Written before the box is ordered.';
comment on column aither.leases.creation is
    'intended: the order may have been sent; made: there is (or was) a box; void: there never was one.';
comment on column aither.leases.nano_hour is 'What the box bills an hour now, storage included, in nano-dollars.';
comment on column aither.leases.watched_since is
    'Since when its workflow has looked at it without a gap: while nobody looked, nobody was there to be heard by.';
comment on column aither.leases.calls is 'Calls that the box has in hand, by its own word.';

-- What happened to leases, and to strays that belong to none. Nothing is ever changed or taken away here.
create table aither.lease_audit (
    id bigint generated always as identity primary key,
    lease_id text not null,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    event text not null,
    state text,
    data json not null default '{}'
);
create index lease_audit_of_lease on aither.lease_audit (lease_id, id);
create index lease_audit_by_time on aither.lease_audit (at);

-- What boxes have cost: stretches of time that follow each other without a gap from the order to the verified end,
-- each at the price that was seen in it, and what is paid once.
create table aither.lease_spend (
    lease_id text not null references aither.leases (id),
    attempt integer not null,
    kind text not null check (kind in ('time', 'download')),
    from_at timestamptz not null,
    to_at timestamptz not null check (to_at >= from_at),
    nano_hour bigint not null check (nano_hour >= 0),
    nano_usd bigint not null check (nano_usd >= 0),
    primary key (lease_id, attempt, kind, from_at)
);
create index lease_spend_by_time on aither.lease_spend (to_at);

grant select, insert, update on aither.leases to aither_app;
grant select, insert on aither.lease_audit, aither.lease_spend to aither_app;

-- Books what the attempt's box has cost since it was last booked, at this price. Twice is once.
create function aither.bill_lease(p_lease text, p_nano_hour bigint) returns void
language plpgsql as $$
declare
    v_lease aither.leases;
    v_from timestamptz;
    v_to timestamptz;
begin
    select * into v_lease from aither.leases where id = p_lease for update;
    if v_lease.creation <> 'made' or v_lease.ended_at is not null then
        return;
    end if;
    v_to := clock_timestamp();
    select coalesce(max(to_at), v_lease.intended_at) into v_from from aither.lease_spend
    where lease_id = p_lease and attempt = v_lease.attempt and kind = 'time';
    if v_to > v_from then
        insert into aither.lease_spend (lease_id, attempt, kind, from_at, to_at, nano_hour, nano_usd)
        values (p_lease, v_lease.attempt, 'time', v_from, v_to, p_nano_hour,
            ceil(p_nano_hour * extract(epoch from v_to - v_from) / 3600)::bigint);
    end if;
end $$;

-- The first join of an attempt's box: true once, for the box that was ordered, while it is waited for.
create function aither.join_lease(p_lease text, p_attempt integer, p_instance text, p_address text)
returns boolean language plpgsql as $$
begin
    update aither.leases set joined_at = clock_timestamp(), heard_at = clock_timestamp(),
        busy_at = clock_timestamp(), address = coalesce(p_address, address)
    where id = p_lease and attempt = p_attempt and joined_at is null and ending is null
      and state in ('renting', 'booting', 'joining')
      and (p_instance is null or instance_id is null or instance_id = p_instance);
    if not found then
        return false;
    end if;
    insert into aither.lease_audit (lease_id, actor, event, data)
    values (p_lease, 'box', 'joined', json_build_object('told', 'instance ' || coalesce(p_instance, 'unnamed')));
    return true;
end $$;

-- A joined box's word: calls in hand, tokens served since it started. Returns the lease's state, or null where the
-- box has no business here any more and should end itself.
create function aither.hear_box(p_lease text, p_attempt integer, p_calls integer, p_tokens bigint)
returns text language sql as $$
    update aither.leases set heard_at = clock_timestamp(), calls = greatest(p_calls, 0),
        busy_at = case when p_calls > 0 or p_tokens > tokens then clock_timestamp() else busy_at end,
        tokens = greatest(tokens, p_tokens)
    where id = p_lease and attempt = p_attempt and joined_at is not null
      and state in ('renting', 'booting', 'joining', 'serving', 'draining')
    returning state
$$;

revoke all on function aither.bill_lease(text, bigint), aither.join_lease(text, integer, text, text),
    aither.hear_box(text, integer, integer, bigint) from public;
grant execute on function aither.bill_lease(text, bigint), aither.join_lease(text, integer, text, text),
    aither.hear_box(text, integer, integer, bigint) to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (11, '011_leases.sql', 'c185504e31b7a9f92bb0ff1d09405b7b2ff4c59bfaf2456a6caf99b337244c9d');
end $aither$;
