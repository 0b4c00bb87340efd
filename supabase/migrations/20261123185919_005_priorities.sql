-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/005_priorities.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Who may run the house, and how large a tenant's share of it is.

alter table aither.api_keys
    add column role text not null default 'user' check (role in ('user', 'service', 'operator'));
comment on column aither.api_keys.role is
    'user: asks; service: a backend that joins by itself; operator: runs the house. No role sees another tenant''s turns.';

-- The key of whoever set the house up.
update aither.api_keys set role = 'operator'
where tenant_id = 'default' and name = 'first key, made by aither up';

alter table aither.tenants
    add column fairness_weight double precision not null default 1
        check (fairness_weight >= 0.001 and fairness_weight <= 1000);
comment on column aither.tenants.fairness_weight is
    'Its share of a pool, against other tenants'' of the same priority that wait there too.';

-- Of any tenant, hence SECURITY DEFINER: a key is looked up before its tenant is known.
drop function aither.authenticate(bytea);
create function aither.authenticate(p_sha256 bytea) returns table (
    tenant_id text, key_id text, priority_ceiling smallint, ladder text, policy json, tenant_policy json,
    secret_sha256 bytea, role text, fairness_weight double precision
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select k.tenant_id, k.id, k.priority_ceiling, k.ladder, k.policy, t.policy, k.secret_sha256, k.role,
           t.fairness_weight
    from aither.api_keys k join aither.tenants t on t.id = k.tenant_id
    where k.secret_sha256 = p_sha256 and k.revoked_at is null
$$;

-- All tenants, for whoever runs the house: the command line lists them.
create function aither.tenant_list() returns table (
    id text, name text, policy json, fairness_weight double precision, created_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select t.id, t.name, t.policy, t.fairness_weight, t.created_at from aither.tenants t order by t.id
$$;

revoke all on function aither.authenticate(bytea), aither.tenant_list() from public;
grant execute on function aither.authenticate(bytea), aither.tenant_list() to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (5, '005_priorities.sql', 'f0b4583c653792654f685f4d6bf27561d0f0262fa31722662f74313aecedcad2');
end $aither$;
