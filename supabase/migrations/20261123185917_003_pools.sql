-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/003_pools.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- How the worker processes of a pool divide its members' slots between them. Operational data of the
-- installation: it belongs to no tenant, and names no tenant's anything.

create table aither.shares (
    member text not null,
    worker text not null,
    slots integer not null check (slots >= 0),
    used integer not null check (used >= 0),
    beat bigint not null,
    primary key (member, worker)
);
comment on table aither.shares is 'Slots of a member that a worker process may use, until its beat stands still.';

grant select, insert, update, delete on aither.shares to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (3, '003_pools.sql', '9e5a0e1b78c11110ddd9a01f81615161079a6296edd0a45ef6886e19024595c9');
end $aither$;
