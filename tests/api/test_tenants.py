"""One tenant never sees or touches what is another's: at the API, and in the database itself."""

import asyncpg
import httpx2
import pytest

from infra.postgres import keys
from tests.api.conftest import Api, ask
from tests.api.playing import never

HOUSE = {
    "services",
    "shares",
    "cards",
    "leases",
    "lease_audit",
    "lease_spend",
    "boxes",
    "box_nonces",
    "box_refusals",
    "telegram_updates",
    "telegram_chats",
    "telegram_leads",
}
"""Tables of the installation's own: they belong to no tenant and name no tenant's anything."""


async def test_another_tenants_turn_does_not_exist(api: Api, client: httpx2.AsyncClient) -> None:
    mine = await ask(client)
    api.runs.play = never
    running = await ask(client, wait=None)
    async with api.client(await api.new_key("stranger")) as stranger:
        for turn in (mine, running):
            for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
                reply = await stranger.request(method, f"/v1/turns/{turn['id']}{path}")
                assert reply.status_code == 404
                assert reply.json()["type"] == "urn:aither:problem:turn_not_found"
        body = {"input": "and?", "conversation_id": mine["conversation_id"]}
        assert (await stranger.post("/v1/turns", json=body)).status_code == 404
        assert (await stranger.get("/v1/turns")).json()["data"] == []
        caller = await api.state.keys.authenticate(stranger.headers["authorization"][7:])
        assert caller is not None
        with pytest.raises(Exception, match="no turn"):
            await api.state.turns.wait(caller, running["id"], 1)
    assert (await client.get(f"/v1/turns/{running['id']}")).json()["status"] == "running"


async def test_no_row_is_seen_without_a_tenant_and_only_its_own_with_one(
    api: Api, client: httpx2.AsyncClient
) -> None:
    await ask(client)
    async with api.client(await api.new_key("victim")) as victim:
        await ask(victim)
    connection = await asyncpg.connect(api.stores.app)
    try:
        tables = [
            row["relname"]
            for row in await connection.fetch(
                "select relname from pg_class where relnamespace = 'aither'::regnamespace and relkind = 'r'"
            )
        ]
        assert {"tenants", "api_keys", "conversations", "turns", "answers"} <= set(tables)
        for table in set(tables) - HOUSE:
            of = {"tenants": "id", "model_files": "scope"}.get(table, "tenant_id")
            assert (
                await connection.fetchval(f"select count(*) from aither.{table} where {of} <> 'shared'") == 0
            )
            async with connection.transaction():
                await connection.execute("select set_config('aither.tenant', 'acme', true)")
                seen = await connection.fetch(f"select distinct {of} as tenant from aither.{table}")
                assert {row["tenant"] for row in seen} - {"shared"} <= {"acme"}
                await _cannot_write(connection, table, of)
    finally:
        await connection.close()


async def _cannot_write(connection: "asyncpg.Connection[asyncpg.Record]", table: str, of: str) -> None:
    """As `acme`: rows of `victim` cannot be changed or removed, and none of `acme` can be given away."""
    for statement in (
        f"update aither.{table} set {of} = {of} where {of} = 'victim'",
        f"delete from aither.{table} where {of} = 'victim'",
    ):
        try:
            async with connection.transaction():
                assert (await connection.execute(statement)).endswith(" 0")
        except asyncpg.InsufficientPrivilegeError:
            pass
    has_rows = await connection.fetchval(f"select count(*) from aither.{table}")
    if has_rows:
        with pytest.raises(asyncpg.PostgresError):
            async with connection.transaction():
                await connection.execute(f"update aither.{table} set {of} = 'victim'")


async def test_a_function_called_for_another_tenant_still_needs_that_tenants_name(api: Api) -> None:
    connection = await asyncpg.connect(api.stores.app)
    try:
        assert (
            await connection.fetchval(
                "select rolbypassrls or rolsuper from pg_roles where rolname = current_user"
            )
            is False
        )
        await connection.execute("select * from aither.due_turns(1)")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("create table aither.mine (id int)")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("alter table aither.turns disable row level security")
    finally:
        await connection.close()


async def test_a_revoked_key_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHE_S", 0.0)
    key, secret = await api.state.keys.create("acme", "short-lived")
    async with api.client(secret) as client:
        assert (await client.get("/v1/turns")).status_code == 200
        await api.state.keys.revoke("acme", key.id)
        reply = await client.get("/v1/turns")
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="aither", error="invalid_token"'


async def test_a_key_is_kept_as_a_hash_only(api: Api) -> None:
    _, secret = await api.state.keys.create("acme", "hashed")
    connection = await asyncpg.connect(api.stores.admin)
    try:
        for row in await connection.fetch("select k::text as row from aither.api_keys k"):
            assert secret not in row["row"]
    finally:
        await connection.close()
