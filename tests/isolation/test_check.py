"""`aither db check` finds whatever somebody has loosened by hand."""

import pytest

from infra.embedded.postgres import APP
from infra.postgres.connections import by_transaction, of_address
from infra.postgres.house import APPENDS, DEFINERS, DELETES, HOUSE
from infra.postgres.schema_check import findings
from tests.isolation.ground import Ground

LOOSENED = {
    "alter table aither.turns disable row level security": "row-level security of aither.turns is off",
    "alter table aither.answers no force row level security": "row-level security of aither.answers is not forced",
    "drop policy tenant on aither.spend": "aither.spend has no policy for select",
    "drop policy tenant on aither.jobs; create policy tenant on aither.jobs for select to aither_app"
    " using (tenant_id = (select aither.current_tenant()))": "aither.jobs has no policy for update",
    "create policy all_of_it on aither.turns to aither_app using (true)": "the policy all_of_it of aither.turns",
    "create policy all_of_it on aither.turns for insert to public with check (true)": "the policy all_of_it of",
    "create policy most on aither.turns for select to aither_app using (tenant_id <> 'x')": "the policy most of",
    "create policy mine on aither.turns to aither_app using (tenant_id = (select aither.current_tenant()))"
    " with check (true)": "the policy mine of aither.turns opens it further",
    "create table aither.notes (id integer)": "aither.notes names no tenant",
    "create table aither.notes (tenant_id text not null)": "row-level security of aither.notes is off",
    "create table aither.notes (tenant_id text); alter table aither.notes enable row level security;"
    " alter table aither.notes force row level security": "aither.notes names no tenant",
    "grant delete on aither.turns to aither_app": "may delete aither.turns",
    "grant update on aither.answers to aither_app": "may update aither.answers",
    "grant truncate on aither.services to aither_app": "may truncate aither.services",
    "grant all on aither.lease_audit to public": "public has been granted the table aither.lease_audit",
    "grant select on aither.turns to anon": "anon has been granted the table aither.turns",
    "grant usage on schema aither to authenticated": "authenticated has been granted the schema aither",
    "grant execute on function aither.current_tenant() to public": "public has been granted the function",
    "grant create on schema aither to aither_app": "aither_app may do more in the schema aither",
    "grant usage on schema aither_ops to aither_app": "aither_app may do more in the schema aither_ops",
    "create view aither.everything as select * from aither.turns": "the view aither.everything shows its owner's",
    "create materialized view aither.everything as select * from aither.turns": "the view aither.everything shows",
    "create function aither.peek() returns bigint language sql security definer"
    " return (select count(*) from aither.turns)": "aither.peek runs as the owner",
    "alter function aither.authenticate(bytea) reset search_path": "the search_path of aither.authenticate",
    "alter function aither.current_tenant() security definer": "aither.current_tenant runs as the owner",
    "drop function aither.tenant_list()": "the function aither.tenant_list is not there",
    "alter role aither_app createrole": "the role aither_app may create roles",
    "alter role aither_app bypassrls": "the role aither_app bypasses row-level security",
    "alter role aither_app superuser": "the role aither_app is a superuser",
    "grant landlord to aither_app; alter table aither.turns owner to landlord": "owns the schema, or may become",
    "set local statement_timeout = '3s'": "statement_timeout is 3000 ms",
    "set local row_security = off": "row_security is off",
}


@pytest.mark.parametrize("statement", LOOSENED)
async def test_what_was_loosened_is_found(grounds: dict[str, Ground], statement: str) -> None:
    async with grounds["project"].admin() as admin:
        await admin.execute(statement)
        await admin.execute(f"set local role {APP}")
        found = await findings(admin)
    assert [each.what for each in found if LOOSENED[statement] in each.what], found
    assert all(each.todo for each in found)


async def test_an_empty_database_is_said_to_be_empty(grounds: dict[str, Ground]) -> None:
    async with grounds["project"].admin() as admin:
        await admin.execute("drop schema aither cascade")
        [found] = await findings(admin)
    assert (found.what, found.todo) == ("the schema aither is not there", "run `aither db migrate`")


def test_the_lists_name_what_is_there(grounds: dict[str, Ground]) -> None:
    tenants = set(grounds["project"].filler.tables) - set(HOUSE)
    assert tenants >= APPENDS | DELETES
    assert all(each.why for each in HOUSE.values())
    assert all(DEFINERS.values())


def test_poolers_are_told_by_their_addresses() -> None:
    direct = "postgresql://aither_app:secret@db.abc.supabase.co:5432/postgres"
    pooler = "postgresql://aither_app.abc:secret@aws-0-eu-central-1.pooler.supabase.com"
    assert list(of_address(direct, pooled=False)) == []
    assert list(of_address(f"{pooler}:5432/postgres", pooled=False)) == []
    assert list(of_address(f"{pooler}:6543/postgres", pooled=True)) == []
    [found] = of_address(f"{pooler}:6543/postgres", pooled=False)
    assert "AITHER_DATABASE_POOLER=transaction" in found.todo
    [found] = of_address(f"{pooler}:5432/postgres".replace("aither_app.abc", "aither_app"), pooled=False)
    assert "aither_app.PROJECT" in found.todo
    assert not by_transaction("postgresql://u:pa/ss@h/x")
    for finding in of_address(f"{pooler}:6543/postgres".replace(".abc", ""), pooled=False):
        assert "secret" not in finding.what + finding.todo
