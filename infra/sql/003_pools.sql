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
