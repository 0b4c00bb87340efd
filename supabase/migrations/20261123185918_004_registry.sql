-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/004_registry.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- The registry of services: APIs, workers, pools, cards and backends, as their heartbeats tell of them. Operational
-- data of the installation: it belongs to no tenant, and names no tenant's anything.

-- Room is left on every page, so that a heartbeat's update stays on the page of its row.
create table aither.services (
    name text primary key check (length(name) between 1 and 200),
    kind text not null check (kind in ('api', 'worker', 'pool', 'card', 'backend', 'other')),
    version text not null,
    capabilities json not null,
    load double precision check (load between 0 and 1),
    metadata json not null,
    backend json,
    draining boolean not null,
    said text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    left_at timestamptz,
    check (kind <> 'backend' or backend is not null)
) with (fillfactor = 50);
comment on table aither.services is 'Services by their heartbeats. One that is silent is offline; that is never stored.';
comment on column aither.services.backend is 'How a backend that joined is asked: activities.contracts.backends.Backend, without any key.';
comment on column aither.services.said is
    'A digest of what the service last said of itself, but for its load: a heartbeat that repeats it need not say it again.';
comment on column aither.services.left_at is 'When it said goodbye, unless a heartbeat came after that.';

grant select, insert, update, delete on aither.services to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (4, '004_registry.sql', '7a03ad62beba878fda7a7da4826a620733f13c866f20176c6664eebf582c7e02');
end $aither$;
