"""What a key may do beside asking, and how large its tenant's share is: made, shown, obeyed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from api import problems
from api.auth import OperatorDep, ServiceDep
from infra.embedded.credentials import KEY_NAME, TENANT
from infra.postgres import keys
from infra.postgres.keys import Role
from infra.postgres.migrate import migrate, read
from tests.api.conftest import Api, ask
from tests.api.test_cli import aither


@pytest.fixture
async def house(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """Two routes for those who run the house, on the database of the running API."""
    app = FastAPI()
    app.state.aither = api.state
    problems.install(app)

    @app.get("/operator")
    async def for_operators(caller: OperatorDep) -> str:
        return caller.role

    @app.get("/service")
    async def for_services(caller: ServiceDep) -> str:
        return caller.role

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://house") as client:
        yield client


@pytest.mark.parametrize(
    ("role", "operator", "service"),
    [(Role.USER, 403, 403), (Role.SERVICE, 403, 200), (Role.OPERATOR, 200, 200)],
)
async def test_a_route_of_the_house_opens_by_role_alone(
    api: Api, house: httpx2.AsyncClient, role: Role, operator: int, service: int
) -> None:
    bearer = {"Authorization": f"Bearer {await api.new_key('acme', role=role)}"}
    for path, status in (("/operator", operator), ("/service", service)):
        reply = await house.get(path, headers=bearer)
        assert reply.status_code == status
        if status == 403:
            problem = reply.json()
            assert problem["type"] == "urn:aither:problem:forbidden"
            assert f"aither key create NAME --role {path[1:]}" in problem["detail"]
            assert problem["errors"] == [{"field": "Authorization", "message": f"the key's role is {role}"}]
        else:
            assert reply.json() == role
    assert (await house.get("/operator")).status_code == 401


async def test_an_operator_sees_no_more_turns_than_its_tenant_has(
    api: Api, client: httpx2.AsyncClient
) -> None:
    turn = await ask(client)
    async with api.client(await api.new_key("caretaker", role=Role.OPERATOR)) as operator:
        assert (await operator.get(f"/v1/turns/{turn['id']}")).status_code == 404


async def test_roles_are_given_and_shown(api: Api) -> None:
    made = json.loads(
        (await aither(api, "key", "create", "eng", "-t", "roles", "--role", "service", "--json")).out
    )
    assert made["role"] == "service"
    plain = json.loads((await aither(api, "key", "create", "me", "-t", "roles", "--json")).out)
    assert plain["role"] == "user"
    assert "service" in (await aither(api, "key", "list", "-t", "roles")).out
    assert (await aither(api, "key", "create", "x", "--role", "king")).code == 2


async def test_tenants_are_made_weighed_and_listed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHE_S", 0.0)
    made = await aither(api, "tenant", "create", "heavy", "--weight", "3", "--json")
    assert json.loads(made.out)["fairness_weight"] == 3.0
    again = await aither(api, "tenant", "create", "heavy")
    assert (again.code, "a tenant heavy already" in again.err) == (2, True)
    async with api.client(await api.new_key("heavy")) as client:
        await ask(client)
        assert api.runs.started[-1].fairness_weight == 3.0
        done = await aither(api, "tenant", "set", "heavy", "--weight", "0.5", "--max-usd", "1")
        assert done.out == "heavy: at most $1 a turn; weight 0.5\n"
        turn = await ask(client)
    assert api.runs.started[-1].fairness_weight == 0.5
    start = await api.runs.rows.start_of("heavy", turn["id"], 10)
    assert start.fairness_weight == 0.5
    shown = {each["id"]: each for each in json.loads((await aither(api, "tenant", "list", "--json")).out)}
    assert shown["heavy"]["fairness_weight"] == 0.5
    assert shown["acme"]["fairness_weight"] == 1.0
    assert "heavy" in (await aither(api, "tenant", "list")).out


@pytest.mark.parametrize("weight", ["0", "-1", "1001", "nan", "inf"])
async def test_a_weight_beyond_the_range_is_refused(api: Api, weight: str) -> None:
    for command in ("create", "set"):
        ended = await aither(api, "tenant", command, "featherlight", f"--weight={weight}")
        assert (ended.code, "--weight" in ended.err) == (2, True)


async def test_the_key_that_up_made_before_there_were_roles_is_an_operators(api: Api, tmp_path: Path) -> None:
    """And nobody else's is."""
    admin = await asyncpg.connect(api.stores.admin)
    try:
        await admin.execute("create database before_roles")
        old = await asyncpg.connect(api.stores.admin, database="before_roles")
        try:
            for migration in read(Path("infra/sql")):
                if migration.number < 3:
                    (tmp_path / migration.name).write_text(migration.sql)
            await migrate(old, tmp_path)
            await old.execute(
                "insert into aither.tenants (id, name) values ($1, 'x'), ('other', 'x')", TENANT
            )
            made = ((TENANT, "k1", KEY_NAME), (TENANT, "k2", "another"), ("other", "k3", KEY_NAME))
            for tenant, key, name in made:
                await old.execute(
                    "insert into aither.api_keys (tenant_id, id, name, secret_sha256, shown)"
                    " values ($1, $2, $3, sha256($2::text::bytea), 'ak_')",
                    tenant,
                    key,
                    name,
                )
            await migrate(old)
            rows = await old.fetch("select id, role from aither.api_keys order by id")
        finally:
            await old.close()
    finally:
        await admin.execute("drop database before_roles")
        await admin.close()
    assert [tuple(row) for row in rows] == [("k1", "operator"), ("k2", "user"), ("k3", "user")]
