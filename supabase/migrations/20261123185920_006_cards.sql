-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/006_cards.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- What GPU cards tell of themselves, newest word only. Operational data of the installation: the table belongs to
-- no tenant, so no tenant's row-level security binds it, and what the API shows of it is an operator's business.
-- The truth is in each card's workflow; a row that is gone comes back with the card's next change.

create table aither.cards (
    card text primary key,
    revision bigint not null,
    view json not null,
    at timestamptz not null,
    updated_at timestamptz not null default clock_timestamp()
);
comment on column aither.cards.revision is 'Grows with each change of residents, posture or problem; with equal ones the later `at` is newer.';

grant select, insert, update on aither.cards to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (6, '006_cards.sql', '17f39e412047fe0efb128962b7332a7c31282448abf5acdc3a0af31ae3c28363');
end $aither$;
