-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/009_approvals.sql: change that one.
do $aither$
begin
    create schema if not exists aither_ops;
    create table if not exists aither_ops.migrations ( number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now());
    execute $aither_migration$
-- Approvals: who is asked, what was asked, who said what. A row is the promise: it is decided here, under its lock,
-- and the first valid decision wins. Whoever waits is told by the approval's workflow; nothing is true only there.

create table aither.people (
    tenant_id text not null references aither.tenants (id),
    name text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    roles text[] not null default '{}',
    time_zone text not null default 'UTC',
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, name)
);

-- No foreign key: a key whose person was removed decides nothing, and does not fall back on its own role.
alter table aither.api_keys add column person text;
comment on column aither.api_keys.person is 'As whom the key decides; null: as key:<id>, with the key''s role.';

create table aither.approvals (
    tenant_id text not null references aither.tenants (id),
    id text not null unique check (id ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$'),
    seq bigint generated always as identity,
    status text not null default 'open' check (status in ('open', 'decided', 'expired', 'cancelled')),
    kind text not null,
    urgency text not null,
    title text not null,
    summary text not null,
    details text not null,
    options json not null,
    scopes text[] not null,
    default_option text not null,
    deadline timestamptz not null,
    opened_at timestamptz not null default clock_timestamp(),
    opened_by text not null,
    opened_through text not null,
    deciders json not null,
    people text[] not null,
    roles text[] not null,
    quorum smallint not null check (quorum >= 1),
    escalations timestamptz[] not null,
    reminders timestamptz[] not null,
    stage smallint not null default 0,
    reminded smallint not null default 0,
    revision integer not null default 1,
    requester text not null,
    subject text not null,
    cost_usd float8 check (cost_usd >= 0),
    leaves_building boolean not null,
    destination text not null,
    dedupe_key text,
    agent text not null,
    action text not null,
    fingerprint text not null,
    conversation_id text,
    grant_ttl interval not null,
    grant_most_usd float8,
    option text,
    approved boolean,
    scope text,
    decided_by text,
    decided_through text,
    note text,
    grant_id text not null default '',
    closed_at timestamptz,
    attended_at timestamptz,
    told_at timestamptz,
    swept_at timestamptz,
    primary key (tenant_id, id),
    check ((status = 'open') = (closed_at is null))
);
comment on column aither.approvals.people is 'Who may decide now, beside those who have one of `roles`; escalations add to both.';
comment on column aither.approvals.attended_at is 'Since when it has a workflow.';
comment on column aither.approvals.told_at is 'When its workflow had told all who waited for it.';
create index approvals_newest on aither.approvals (tenant_id, seq desc);
create index approvals_by_status on aither.approvals (tenant_id, status, seq desc);
create unique index approvals_deduped on aither.approvals (tenant_id, dedupe_key)
    where status = 'open' and dedupe_key is not null;
create index approvals_unattended on aither.approvals (opened_at) where status = 'open' and attended_at is null;
create index approvals_overdue on aither.approvals (deadline) where status = 'open';
create index approvals_untold on aither.approvals (closed_at) where status <> 'open' and told_at is null;

create table aither.approval_waiters (
    tenant_id text not null,
    approval_id text not null,
    workflow_id text not null,
    told_at timestamptz,
    primary key (tenant_id, approval_id, workflow_id),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id)
);

create table aither.approval_votes (
    tenant_id text not null,
    approval_id text not null,
    by text not null,
    option text not null,
    scope text not null,
    surface text not null,
    note text not null,
    at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, approval_id, by),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id)
);

create table aither.approval_audit (
    tenant_id text not null,
    approval_id text not null,
    number integer not null,
    at timestamptz not null default clock_timestamp(),
    event text not null,
    by text not null,
    surface text not null,
    option text not null,
    scope text not null,
    note text not null,
    primary key (tenant_id, approval_id, number),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id)
);

create table aither.grants (
    tenant_id text not null references aither.tenants (id),
    id text not null,
    seq bigint generated always as identity,
    agent text not null,
    action text not null,
    fingerprint text not null,
    kind text not null,
    conversation_id text,
    approval_id text not null,
    given_by text not null,
    option text not null,
    most_usd float8,
    leaves_building boolean not null,
    used integer not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_by text,
    primary key (tenant_id, id),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id)
);
create index grants_alike on aither.grants (tenant_id, agent, action, fingerprint) where revoked_at is null;
create index grants_newest on aither.grants (tenant_id, seq desc);

create table aither.webhook_endpoints (
    tenant_id text not null references aither.tenants (id),
    id text not null unique,
    url text,
    secret text not null,
    speaks_for text[] not null,
    created_at timestamptz not null default clock_timestamp(),
    removed_at timestamptz,
    primary key (tenant_id, id)
);
comment on column aither.webhook_endpoints.url is 'Where approvals are told; null for one that only tells us.';
comment on column aither.webhook_endpoints.speaks_for is 'The people as whom it may decide; * is everyone.';

create table aither.webhook_deliveries (
    tenant_id text not null,
    id text not null,
    endpoint_id text not null,
    approval_id text not null,
    event text not null,
    body text not null,
    attempts integer not null default 0,
    problem text not null default '',
    created_at timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    given_up_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, endpoint_id) references aither.webhook_endpoints (tenant_id, id),
    foreign key (tenant_id, approval_id) references aither.approvals (tenant_id, id)
);
create index webhook_deliveries_due on aither.webhook_deliveries (tenant_id, approval_id)
    where delivered_at is null and given_up_at is null;

-- What came by webhook, for as long as its timestamp would be taken: the same message decides once.
create table aither.webhook_received (
    tenant_id text not null,
    endpoint_id text not null,
    message_id text not null,
    answer json,
    received_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, endpoint_id, message_id),
    foreign key (tenant_id, endpoint_id) references aither.webhook_endpoints (tenant_id, id)
);
create index webhook_received_by_age on aither.webhook_received (received_at);

do $$
declare
    t text;
begin
    foreach t in array array[
        'people', 'approvals', 'approval_waiters', 'approval_votes', 'approval_audit', 'grants', 'webhook_endpoints',
        'webhook_deliveries', 'webhook_received'
    ] loop
        execute format('alter table aither.%I enable row level security', t);
        execute format('alter table aither.%I force row level security', t);
        execute format(
            'create policy tenant on aither.%I to aither_app'
            ' using (tenant_id = (select aither.current_tenant()))'
            ' with check (tenant_id = (select aither.current_tenant()))', t);
    end loop;
end $$;

-- Now also as whom a key decides.
drop function aither.authenticate(bytea);
create function aither.authenticate(p_sha256 bytea) returns table (
    tenant_id text, key_id text, priority_ceiling smallint, ladder text, policy json, tenant_policy json,
    secret_sha256 bytea, role text, fairness_weight double precision, person text
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select k.tenant_id, k.id, k.priority_ceiling, k.ladder, k.policy, t.policy, k.secret_sha256, k.role,
           t.fairness_weight, k.person
    from aither.api_keys k join aither.tenants t on t.id = k.tenant_id
    where k.secret_sha256 = p_sha256 and k.revoked_at is null
$$;

-- --- what an approval looks like

-- How it ended, as `activities.contracts.approvals.Decision`; null while it is open.
create function aither.approval_decision(a aither.approvals) returns json
language sql stable
return case when a.status <> 'open' then json_build_object(
    'approval_id', a.id, 'status', a.status, 'option', a.option, 'approved', a.approved, 'scope', a.scope,
    'by', a.decided_by, 'surface', a.decided_through, 'note', a.note, 'decided_at', a.closed_at,
    'grant_id', a.grant_id) end;

-- As `ApprovalView`, and with its id.
create function aither.approval_view(a aither.approvals) returns json
language sql stable
return json_build_object(
    'ref', json_build_object('tenant_id', a.tenant_id, 'approval_id', a.id),
    'id', a.id,
    'title', a.title,
    'summary', a.summary,
    'details', a.details,
    'kind', a.kind,
    'urgency', a.urgency,
    'status', a.status,
    'options', a.options,
    'scopes', a.scopes,
    'default_option', a.default_option,
    'deadline', a.deadline,
    'opened_at', a.opened_at,
    'opened_by', a.opened_by,
    'deciders', a.deciders,
    'quorum', a.quorum,
    'requester', a.requester,
    'subject', a.subject,
    'cost_usd', a.cost_usd,
    'leaves_building', a.leaves_building,
    'destination', a.destination,
    'agent', a.agent,
    'action', a.action,
    'conversation_id', a.conversation_id,
    'stage', a.stage,
    'reminded', a.reminded,
    'revision', a.revision,
    'votes', coalesce((
        select json_agg(json_build_object(
            'by', v.by, 'option', v.option, 'scope', v.scope, 'surface', v.surface, 'note', v.note, 'at', v.at)
            order by v.at, v.by)
        from aither.approval_votes v where v.tenant_id = a.tenant_id and v.approval_id = a.id), '[]'),
    'decision', aither.approval_decision(a));

-- The same without what only one who looks at it alone wants to read.
create function aither.approval_line(a aither.approvals) returns jsonb
language sql stable
return aither.approval_view(a)::jsonb - array['details', 'votes', 'deciders', 'ref'];

create function aither.grant_view(g aither.grants) returns json
language sql stable
return json_build_object(
    'id', g.id, 'agent', g.agent, 'action', g.action, 'fingerprint', g.fingerprint, 'kind', g.kind,
    'conversation_id', g.conversation_id, 'approval_id', g.approval_id, 'by', g.given_by, 'option', g.option,
    'most_usd', g.most_usd, 'leaves_building', g.leaves_building, 'used', g.used, 'created_at', g.created_at,
    'expires_at', g.expires_at, 'revoked_at', g.revoked_at);

-- --- what happens to one; all of it with the row locked

create function aither.approves(p_options json, p_option text) returns boolean
language sql immutable
return (select (o ->> 'approves')::boolean from json_array_elements(p_options) o where o ->> 'key' = p_option);

create function aither.note_approval(
    a aither.approvals, p_event text, p_by text, p_through text, p_option text, p_scope text, p_note text
) returns void
language sql
begin atomic
    insert into aither.approval_audit (
        tenant_id, approval_id, number, event, by, surface, option, scope, note)
    select a.tenant_id, a.id, coalesce(max(x.number), 0) + 1, p_event, p_by, p_through, left(p_option, 64), p_scope,
           left(p_note, 2000)
    from aither.approval_audit x where x.tenant_id = a.tenant_id and x.approval_id = a.id;
end;

-- Leaves word for every endpoint of the tenant.
create function aither.post_approval(a aither.approvals, p_event text) returns void
language sql
begin atomic
    insert into aither.webhook_deliveries (tenant_id, id, endpoint_id, approval_id, event, body)
    select e.tenant_id, 'msg_' || replace(gen_random_uuid()::text, '-', ''), e.id, a.id, p_event,
           json_build_object(
               'type', p_event, 'timestamp', clock_timestamp(),
               'data', aither.approval_view(a)::jsonb - 'ref')::text
    from aither.webhook_endpoints e
    where e.tenant_id = a.tenant_id and e.removed_at is null and e.url is not null;
end;

-- Closes an open one for good, and makes the grant that the decision asks for.
create function aither.close_approval(
    a aither.approvals, p_status text, p_option text, p_scope text, p_by text, p_through text, p_note text
) returns aither.approvals language plpgsql as $$
declare
    v_approved boolean := p_status <> 'cancelled' and coalesce(aither.approves(a.options, p_option), false);
    v_grant text := '';
begin
    if p_status = 'decided' and v_approved and p_scope <> 'once' then
        v_grant := 'grant_' || replace(gen_random_uuid()::text, '-', '');
        insert into aither.grants (
            tenant_id, id, agent, action, fingerprint, kind, conversation_id, approval_id, given_by, option, most_usd,
            leaves_building, expires_at)
        values (
            a.tenant_id, v_grant, a.agent, a.action, a.fingerprint, a.kind,
            case when p_scope = 'conversation' then a.conversation_id end, a.id, p_by, p_option, a.grant_most_usd,
            a.leaves_building, clock_timestamp() + a.grant_ttl);
    end if;
    update aither.approvals x
    set status = p_status, option = p_option, approved = v_approved, scope = p_scope, decided_by = p_by,
        decided_through = p_through, note = p_note, grant_id = v_grant, closed_at = clock_timestamp(),
        revision = x.revision + 1
    where x.tenant_id = a.tenant_id and x.id = a.id
    returning * into a;
    perform aither.note_approval(a, p_status, p_by, p_through, p_option, p_scope, p_note);
    perform aither.post_approval(a, 'approval.' || p_status);
    return a;
end $$;

-- The row, locked, and closed where its deadline is over. All null where there is none.
create function aither.lock_approval(p_tenant text, p_id text) returns aither.approvals language plpgsql as $$
declare
    a aither.approvals;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select * into a from aither.approvals x where x.tenant_id = p_tenant and x.id = p_id for update;
    if found and a.status = 'open' and a.deadline <= clock_timestamp() then
        a := aither.close_approval(a, 'expired', a.default_option, 'once', '', 'clock', '');
    end if;
    return a;
end $$;

-- A name with a colon is a key's or a webhook's, and brings its roles; a person's are looked up.
create function aither.may_decide(a aither.approvals, p_by text, p_roles text[]) returns boolean
language sql stable
return case
    when position(':' in p_by) > 0 then p_by = any (a.people) or a.roles && p_roles
    else exists (
        select from aither.people p
        where p.tenant_id = a.tenant_id and p.name = p_by and (p.name = any (a.people) or p.roles && a.roles))
end;

-- Closes it where an approving option has its quorum, with the narrowest scope that those who chose it gave.
create function aither.tally_approval(a aither.approvals) returns aither.approvals language plpgsql as $$
declare
    v record;
begin
    select x.option, min(array_position(array['once', 'conversation', 'always'], x.scope)) as reach,
           (array_agg(x.by order by x.at desc))[1] as who, (array_agg(x.surface order by x.at desc))[1] as surface,
           (array_agg(x.note order by x.at desc))[1] as note
    into v
    from aither.approval_votes x where x.tenant_id = a.tenant_id and x.approval_id = a.id
    group by x.option having count(*) >= a.quorum order by max(x.at) limit 1;
    if found then
        return aither.close_approval(
            a, 'decided', v.option, (array['once', 'conversation', 'always'])[v.reach], v.who, v.surface, v.note);
    end if;
    return a;
end $$;

-- Takes a choice; the answer, as `Answer`. Whatever it is, it is in the audit trail.
create function aither.decide_approval(
    p_tenant text, p_id text, p_by text, p_roles text[], p_through text, p_option text, p_scope text, p_note text
) returns json language plpgsql as $$
declare
    a aither.approvals := aither.lock_approval(p_tenant, p_id);
    v_approves boolean;
    v_verdict text;
    v_why text := '';
begin
    if a.id is null then
        return json_build_object('verdict', 'not_found');
    end if;
    v_approves := aither.approves(a.options, p_option);
    v_verdict := case
        when not aither.may_decide(a, p_by, p_roles) then 'stranger'
        when a.status <> 'open' then 'closed'
        when v_approves is null then 'unknown_option'
        when p_scope <> 'once' and not (v_approves and p_scope = any (a.scopes)) then 'bad_scope'
    end;
    if v_verdict is not null then
        perform aither.note_approval(a, v_verdict, p_by, p_through, p_option, p_scope, p_note);
        return json_build_object('verdict', v_verdict, 'decision', aither.approval_decision(a));
    end if;
    if v_approves and a.quorum > 1 then
        insert into aither.approval_votes as v (tenant_id, approval_id, by, option, scope, surface, note)
        values (p_tenant, p_id, p_by, p_option, p_scope, p_through, p_note)
        on conflict (tenant_id, approval_id, by) do update
        set option = excluded.option, scope = excluded.scope, surface = excluded.surface, note = excluded.note,
            at = excluded.at;
        perform aither.note_approval(a, 'counted', p_by, p_through, p_option, p_scope, p_note);
        update aither.approvals x set revision = x.revision + 1
        where x.tenant_id = p_tenant and x.id = p_id returning * into a;
        a := aither.tally_approval(a);
    else
        a := aither.close_approval(a, 'decided', p_option, p_scope, p_by, p_through, p_note);
    end if;
    return json_build_object(
        'verdict', case when a.status = 'open' then 'counted' else 'decided' end,
        'decision', aither.approval_decision(a),
        'wanted', case when a.status = 'open' then a.quorum - (
            select count(*) from aither.approval_votes v
            where v.tenant_id = p_tenant and v.approval_id = p_id and v.option = p_option) else 0 end);
end $$;

-- The same for a choice that came as a signed message, once for each message.
create function aither.decide_by_webhook(
    p_tenant text, p_endpoint text, p_message text, p_id text, p_by text, p_roles text[], p_option text, p_scope text,
    p_note text
) returns json language plpgsql as $$
declare
    v_answer json;
begin
    perform set_config('aither.tenant', p_tenant, true);
    insert into aither.webhook_received (tenant_id, endpoint_id, message_id)
    values (p_tenant, p_endpoint, p_message) on conflict do nothing;
    if not found then
        select r.answer into v_answer from aither.webhook_received r
        where r.tenant_id = p_tenant and r.endpoint_id = p_endpoint and r.message_id = p_message;
        return json_build_object('replayed', true, 'answer', v_answer);
    end if;
    v_answer := aither.decide_approval(p_tenant, p_id, p_by, p_roles, 'webhook', p_option, p_scope, p_note);
    update aither.webhook_received r set answer = v_answer
    where r.tenant_id = p_tenant and r.endpoint_id = p_endpoint and r.message_id = p_message;
    return json_build_object('replayed', false, 'answer', v_answer);
end $$;

-- Stores what is asked, or finds it: by its id, by the dedupe key of an open one, or answered by a grant.
create function aither.open_approval(
    p_tenant text, p_ask json, p_by text, p_through text, p_after interval[], p_before interval[], p_ttl interval
) returns json language plpgsql as $$
declare
    a aither.approvals;
    g aither.grants;
    v_now timestamptz := clock_timestamp();
    v_id text := p_ask ->> 'id';
    v_dedupe text := p_ask ->> 'dedupe_key';
    v_deadline timestamptz := coalesce((p_ask ->> 'deadline')::timestamptz, v_now + interval '1 day');
    v_deciders json := p_ask -> 'deciders';
    v_new boolean := false;
begin
    perform set_config('aither.tenant', p_tenant, true);
    for attempt in 1 .. 3 loop
        select * into a from aither.approvals x
        where x.tenant_id = p_tenant and (x.id = v_id or (x.status = 'open' and x.dedupe_key = v_dedupe))
        order by x.id = v_id desc limit 1;
        if found then
            a := aither.lock_approval(p_tenant, a.id);
            -- An open one that has just expired is joined by nobody.
            exit when a.id = v_id or a.status = 'open';
        end if;
        insert into aither.approvals as x (
            tenant_id, id, kind, urgency, title, summary, details, options, scopes, default_option, deadline,
            opened_at, opened_by, opened_through, deciders, people, roles, quorum, escalations, reminders, requester,
            subject, cost_usd, leaves_building, destination, dedupe_key, agent, action, fingerprint, conversation_id,
            grant_ttl, grant_most_usd)
        values (
            p_tenant, v_id, p_ask ->> 'kind', p_ask ->> 'urgency', p_ask ->> 'title', p_ask ->> 'summary',
            p_ask ->> 'details', p_ask -> 'options', array(select json_array_elements_text(p_ask -> 'scopes')),
            p_ask ->> 'default_option', v_deadline, v_now, p_by, p_through, v_deciders,
            array(select json_array_elements_text(v_deciders -> 'people')),
            array(select json_array_elements_text(v_deciders -> 'roles')), (v_deciders ->> 'quorum')::smallint,
            array(select v_now + d from unnest(p_after) d),
            array(select v_deadline - d from unnest(p_before) d where v_deadline - d > v_now order by 1),
            p_ask ->> 'requester', p_ask ->> 'subject', (p_ask ->> 'cost_usd')::float8,
            (p_ask ->> 'leaves_building')::boolean, p_ask ->> 'destination', v_dedupe, p_ask ->> 'agent',
            p_ask ->> 'action', p_ask ->> 'fingerprint', p_ask ->> 'conversation_id', p_ttl,
            (p_ask ->> 'grant_most_usd')::float8)
        on conflict do nothing returning * into a;
        v_new := found;
        exit when v_new;
    end loop;
    if a.id is null then
        return null;
    end if;
    if v_new then
        perform aither.note_approval(a, 'opened', p_by, p_through, '', '', '');
        select * into g from aither.grants x
        where x.tenant_id = p_tenant and x.agent = a.agent and x.action = a.action and x.fingerprint = a.fingerprint
          and a.agent <> '' and a.action <> '' and a.fingerprint <> '' and x.kind = a.kind and x.revoked_at is null
          and x.expires_at > v_now and (x.conversation_id is null or x.conversation_id = a.conversation_id)
          and (x.most_usd is null or coalesce(a.cost_usd, 0) <= x.most_usd)
          and (x.leaves_building or not a.leaves_building) and aither.approves(a.options, x.option)
        order by x.seq desc limit 1 for share;
        if found then
            update aither.approvals x
            set status = 'decided', option = g.option, approved = true, scope = 'once', decided_by = g.given_by,
                decided_through = 'grant', note = '', grant_id = g.id, closed_at = v_now, attended_at = v_now,
                told_at = v_now
            where x.tenant_id = p_tenant and x.id = a.id returning * into a;
            perform aither.note_approval(a, 'decided', g.given_by, 'grant', g.option, 'once', g.id);
            update aither.grants x set used = x.used + 1 where x.tenant_id = p_tenant and x.id = g.id;
        else
            perform aither.post_approval(a, 'approval.opened');
        end if;
    end if;
    if a.status = 'open' and p_ask ->> 'waiter' is not null then
        insert into aither.approval_waiters (tenant_id, approval_id, workflow_id)
        values (p_tenant, a.id, p_ask ->> 'waiter') on conflict do nothing;
    end if;
    return json_build_object(
        'approval_id', a.id, 'deadline', a.deadline, 'decision', aither.approval_decision(a), 'new', v_new);
end $$;

-- How it ended; {"known": false} where there is none.
create function aither.read_decision(p_tenant text, p_id text) returns json language plpgsql as $$
declare
    a aither.approvals;
begin
    perform set_config('aither.tenant', p_tenant, true);
    select * into a from aither.approvals x where x.tenant_id = p_tenant and x.id = p_id;
    if a.status = 'open' and a.deadline <= clock_timestamp() then
        a := aither.lock_approval(p_tenant, p_id);
    end if;
    return json_build_object('known', a.id is not null, 'decision', aither.approval_decision(a));
end $$;

-- What its workflow goes by, as `ApprovalClock` without surfaces; notes that there is one. Null where there is none.
create function aither.attend_approval(p_tenant text, p_id text) returns json language plpgsql as $$
declare
    a aither.approvals := aither.lock_approval(p_tenant, p_id);
begin
    if a.id is null then
        return null;
    end if;
    update aither.approvals x set attended_at = clock_timestamp()
    where x.tenant_id = p_tenant and x.id = p_id and x.attended_at is null;
    return json_build_object(
        'status', a.status, 'deadline', a.deadline, 'escalations', a.escalations, 'reminders', a.reminders,
        'stage', a.stage, 'reminded', a.reminded, 'decision', aither.approval_decision(a),
        'deliveries', coalesce((
            select json_agg(d.id order by d.created_at, d.id) from aither.webhook_deliveries d
            where d.tenant_id = p_tenant and d.approval_id = p_id and d.delivered_at is null
              and d.given_up_at is null), '[]'),
        'waiters', coalesce((
            select json_agg(w.workflow_id order by w.workflow_id) from aither.approval_waiters w
            where w.tenant_id = p_tenant and w.approval_id = p_id and w.told_at is null), '[]'));
end $$;

-- So many escalations and reminders have come by now, at least.
create function aither.advance_approval(p_tenant text, p_id text, p_stage integer, p_reminded integer)
returns void language plpgsql as $$
declare
    a aither.approvals := aither.lock_approval(p_tenant, p_id);
    v_step json;
begin
    if a.status is distinct from 'open' then
        return;
    end if;
    while a.stage < p_stage and a.stage < json_array_length(a.deciders -> 'then') loop
        v_step := a.deciders -> 'then' -> a.stage::integer;
        update aither.approvals x
        set stage = x.stage + 1, revision = x.revision + 1, quorum = (v_step ->> 'quorum')::smallint,
            people = x.people || array(select json_array_elements_text(v_step -> 'people')),
            roles = x.roles || array(select json_array_elements_text(v_step -> 'roles'))
        where x.tenant_id = p_tenant and x.id = p_id returning * into a;
        perform aither.note_approval(a, 'escalated', '', 'clock', '', '', '');
        perform aither.post_approval(a, 'approval.escalated');
    end loop;
    if a.reminded < p_reminded then
        update aither.approvals x set reminded = p_reminded, revision = x.revision + 1
        where x.tenant_id = p_tenant and x.id = p_id returning * into a;
        perform aither.note_approval(a, 'reminded', '', 'clock', '', '', '');
        perform aither.post_approval(a, 'approval.reminded');
    end if;
    perform aither.tally_approval(a);
end $$;

-- Withdraws an open one. A `p_waiter` only stops waiting: it is withdrawn where a workflow asked, and none waits.
create function aither.cancel_approval(
    p_tenant text, p_id text, p_by text, p_roles text[], p_through text, p_note text, p_waiter text
) returns json language plpgsql as $$
declare
    a aither.approvals := aither.lock_approval(p_tenant, p_id);
begin
    if a.id is null then
        return json_build_object('verdict', 'not_found');
    end if;
    if p_waiter is not null then
        delete from aither.approval_waiters w
        where w.tenant_id = p_tenant and w.approval_id = p_id and w.workflow_id = p_waiter;
        if a.status = 'open' and a.opened_through = 'workflow' and not exists (
            select from aither.approval_waiters w where w.tenant_id = p_tenant and w.approval_id = p_id)
        then
            a := aither.close_approval(a, 'cancelled', '', 'once', p_by, p_through, p_note);
        end if;
        return json_build_object(
            'verdict', case a.status when 'open' then 'counted' else 'closed' end,
            'decision', aither.approval_decision(a));
    end if;
    if p_by <> a.opened_by and not aither.may_decide(a, p_by, p_roles) then
        perform aither.note_approval(a, 'stranger', p_by, p_through, '', '', p_note);
        return json_build_object('verdict', 'stranger', 'decision', aither.approval_decision(a));
    end if;
    if a.status <> 'open' then
        perform aither.note_approval(a, 'closed', p_by, p_through, '', '', p_note);
        return json_build_object('verdict', 'closed', 'decision', aither.approval_decision(a));
    end if;
    a := aither.close_approval(a, 'cancelled', '', 'once', p_by, p_through, p_note);
    return json_build_object('verdict', 'decided', 'decision', aither.approval_decision(a));
end $$;

-- Its workflow has told these that waited, and need not be told of its end any more.
create function aither.tell_approval(p_tenant text, p_id text, p_waiters text[]) returns void language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    update aither.approval_waiters w set told_at = clock_timestamp()
    where w.tenant_id = p_tenant and w.approval_id = p_id and w.workflow_id = any (p_waiters);
    update aither.approvals a set told_at = coalesce(a.told_at, clock_timestamp())
    where a.tenant_id = p_tenant and a.id = p_id and a.status <> 'open';
end $$;

create function aither.approval_people(p_tenant text, p_id text) returns setof aither.people
language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    return query
        select p.* from aither.approvals a join aither.people p on p.tenant_id = a.tenant_id
        where a.tenant_id = p_tenant and a.id = p_id and (p.name = any (a.people) or p.roles && a.roles)
        order by p.name;
end $$;

create function aither.approval_page(p_tenant text, p_status text, p_before bigint, p_limit integer)
returns table (seq bigint, line text) language plpgsql as $$
begin
    perform set_config('aither.tenant', p_tenant, true);
    if p_status is null then
        return query select a.seq, aither.approval_line(a)::text from aither.approvals a
            where a.tenant_id = p_tenant and a.seq < p_before order by a.seq desc limit p_limit;
    else
        return query select a.seq, aither.approval_line(a)::text from aither.approvals a
            where a.tenant_id = p_tenant and a.status = p_status and a.seq < p_before
            order by a.seq desc limit p_limit;
    end if;
end $$;

-- --- what sees more than one tenant

-- Approvals whose workflow is missing, late, or has not told of the end; each at most once a minute.
create function aither.due_approvals(p_limit integer) returns table (tenant_id text, approval_id text)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    delete from aither.webhook_received r where r.received_at < now() - interval '1 hour';
    update aither.approvals a set swept_at = now()
    from (
        select d.tenant_id, d.id from aither.approvals d
        where (
            (d.status = 'open' and d.attended_at is null and d.opened_at < now() - interval '10 seconds')
            or (d.status = 'open' and d.deadline < now() - interval '10 seconds')
            or (d.status <> 'open' and d.told_at is null and d.closed_at < now() - interval '10 seconds'))
          and (d.swept_at is null or d.swept_at < now() - interval '1 minute')
        limit p_limit for update skip locked
    ) due
    where a.tenant_id = due.tenant_id and a.id = due.id
    returning a.tenant_id, a.id
$$;

-- Whose endpoint it is, and its secret: a message that comes in names no tenant.
create function aither.webhook_endpoint(p_id text) returns table (tenant_id text, secret text, speaks_for text[])
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select e.tenant_id, e.secret, e.speaks_for from aither.webhook_endpoints e
    where e.id = p_id and e.removed_at is null
$$;

revoke all on all functions in schema aither from public;
grant select, insert, update on
    aither.approvals, aither.approval_votes, aither.grants, aither.webhook_endpoints, aither.webhook_deliveries,
    aither.webhook_received to aither_app;
grant select, insert on aither.approval_audit to aither_app;
grant select, insert, update, delete on aither.approval_waiters, aither.people to aither_app;
grant execute on all functions in schema aither to aither_app;
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values (9, '009_approvals.sql', '5c2a297213dc409597cec4c00dcbbc29abfed02472621478744b6dc2cc096542');
end $aither$;
