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
