-- Users who come with a token of an identity provider; owners that row-level security binds; shared model files.

-- An owner is bound by forced row-level security as anybody else, unless it bypasses all of it (a superuser does, and
-- the role `postgres` of a Supabase project). The functions that see more than one tenant run as their owner, so one
-- that is bound is let in. It could take the policies away in any case; the application is never it. A migration
-- that makes tables calls this in its end.
create function aither.let_owner_in() returns void language plpgsql as $$
declare
    t regclass;
begin
    if (select r.rolsuper or r.rolbypassrls from pg_roles r where r.rolname = current_user) then
        return;
    end if;
    for t in
        select c.oid from pg_class c
        where c.relnamespace = 'aither'::regnamespace and c.relkind in ('r', 'p') and c.relrowsecurity
          and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'owner')
    loop
        execute format('create policy owner on %s to current_user using (true) with check (true)', t);
    end loop;
end $$;

-- Shared files are everybody's to read. Whoever writes them has said so: with `shared` in the place of a tenant.
drop policy tenant on aither.model_files;
create policy tenant on aither.model_files to aither_app
    using (scope = (select aither.current_tenant())) with check (scope = (select aither.current_tenant()));
create policy shared on aither.model_files for select to aither_app using (scope = 'shared');

-- Hence no tenant is called so. One that was made before stays as it is.
alter table aither.tenants add constraint tenants_not_shared check (id <> 'shared') not valid;

-- An answer that was recorded stands.
revoke update on aither.answers from aither_app;

-- A user of an identity provider, as a key that only such a token stands for: turns, spend and limits are by key.
-- What the token says goes before what the row says, but for bounds, priority and revocation, which are ours.
-- Nothing for a tenant that does not exist; `revoked` where the user was shut out by hand.
create function aither.admit_user(p_tenant text, p_key text, p_name text, p_role text, p_person text)
returns table (
    priority_ceiling smallint, ladder text, policy json, tenant_policy json, fairness_weight double precision,
    revoked boolean
) language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    update aither.api_keys k set name = p_name, role = p_role, person = p_person
    where k.tenant_id = p_tenant and k.id = p_key
      and (k.name, k.role, k.person) is distinct from (p_name, p_role, p_person);
    -- No secret has these random bytes as its digest.
    insert into aither.api_keys (tenant_id, id, name, secret_sha256, shown, role, person)
    select t.id, p_key, p_name,
           decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'), 'token', p_role,
           p_person
    from aither.tenants t
    where t.id = p_tenant and not exists (
        select from aither.api_keys k where k.tenant_id = p_tenant and k.id = p_key)
    on conflict do nothing;
    return query
        select k.priority_ceiling, k.ladder, k.policy, t.policy, t.fairness_weight, k.revoked_at is not null
        from aither.api_keys k join aither.tenants t on t.id = k.tenant_id
        where k.tenant_id = p_tenant and k.id = p_key;
end $$;

grant execute on function aither.admit_user(text, text, text, text, text) to aither_app;

-- Nobody else has any business here: a project's default privileges may have said otherwise.
do $$
declare
    r text;
begin
    foreach r in array array['anon', 'authenticated', 'service_role'] loop
        if exists (select from pg_roles where rolname = r) then
            execute format('revoke all on schema aither, aither_ops from %I', r);
            execute format('revoke all on all tables in schema aither, aither_ops from %I', r);
            execute format('revoke all on all sequences in schema aither from %I', r);
            execute format('revoke all on all functions in schema aither from %I', r);
        end if;
    end loop;
end $$;
revoke all on all tables in schema aither from public;
revoke all on all functions in schema aither from public;

select aither.let_owner_in();
