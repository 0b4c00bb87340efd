"""Users come with the tokens of an identity provider: what a token has to prove, and what its user then is."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import jwt
import pytest

from api.app import create_app
from api.state import State
from infra.config.mistakes import ConfigError
from infra.postgres.turns import PostgresTurns
from infra.settings import Settings
from tests.api.conftest import Api, ask, serving
from tests.api.playing import PlayedJobRuns, PlayedRuns
from tests.api.stores import HOST, Stores, free_port
from tests.support.standin_identity import SigningKey, StandInIdentity


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandInIdentity]:
    async with StandInIdentity() as running:
        running.keys = [SigningKey("ES256"), SigningKey("RS256"), SigningKey("EdDSA")]
        yield running


def settings_for(stores: Stores, provider: StandInIdentity, port: int, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "api_port": port,
            "database_url": stores.app,
            "redis_url": stores.redis.url,
            "jwt_jwks_url": provider.jwks_url,
            **more,
        }
    )


@pytest.fixture(scope="module")
async def house(real_stores: Stores, provider: StandInIdentity) -> AsyncIterator[Api]:
    """An API that takes tokens of the provider's; its tenant `acme` exists."""
    port, runs = free_port(), PlayedRuns()
    app = create_app(settings_for(real_stores, provider, port), runs=runs, job_runs=PlayedJobRuns())
    async with serving(app, port) as server:
        state: State = app.state.aither
        runs.rows, runs.events, runs.topology = PostgresTurns(state.database), state.events, state.topology
        _, key = await state.keys.create("acme", "first")
        yield Api(f"http://{HOST}:{port}", app, runs, real_stores, key, server)
        await runs.idle()


Get = Callable[[str], Awaitable[httpx2.Response]]


@pytest.fixture(scope="module")
async def get(house: Api) -> AsyncIterator[Get]:
    """Looks at the turns with a token."""
    async with httpx2.AsyncClient(base_url=house.url, timeout=20) as client:

        async def look(token: str) -> httpx2.Response:
            return await client.get("/v1/turns", headers={"Authorization": f"Bearer {token}"})

        yield look


def refused(reply: httpx2.Response, why: str, token: str) -> None:
    assert reply.status_code == 401, reply.text
    assert reply.headers["www-authenticate"] == 'Bearer realm="aither", error="invalid_token"'
    assert why in reply.json()["detail"]
    assert token not in reply.text
    for part in token.split("."):
        assert len(part) < 12 or part not in reply.text


@pytest.mark.parametrize("number", range(3), ids=["ES256", "RS256", "EdDSA"])
async def test_a_good_token_is_let_in_whatever_key_signed_it(
    get: Get, provider: StandInIdentity, number: int
) -> None:
    reply = await get(provider.token(key=provider.keys[number]))
    assert reply.status_code == 200, reply.text


async def test_a_key_works_beside_tokens(house: Api) -> None:
    async with house.client() as client:
        assert (await client.get("/v1/turns")).status_code == 200
    async with house.client("ak_nobody.has.this") as client:
        assert "the key is unknown" in (await client.get("/v1/turns")).json()["detail"]


async def test_without_a_provider_a_token_is_an_unknown_key(api: Api, provider: StandInIdentity) -> None:
    async with api.client(provider.token()) as client:
        assert (await client.get("/v1/turns")).status_code == 401


@dataclass(frozen=True)
class After:
    """So many seconds from now on."""

    seconds: int


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"exp": After(-60)}, "has expired"),
        ({"exp": None}, "no claim exp"),
        ({"nbf": After(3600)}, "not valid yet"),
        ({"iat": After(3600)}, "not valid yet"),
        ({"aud": "somebody-else"}, "not for the audience authenticated"),
        ({"aud": None}, "no claim aud"),
        ({"iss": "https://evil.example/auth/v1"}, "not issued by"),
        ({"iss": None}, "no claim iss"),
        ({"sub": None}, "no claim sub"),
        ({"sub": 7}, "malformed"),
        ({"sub": "with\nnew line"}, "subject"),
        ({"sub": "x" * 129}, "subject"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_a_token_must_say(
    get: Get, provider: StandInIdentity, changed: dict[str, Any], why: str
) -> None:
    now = int(time.time())
    moments = {name: now + value.seconds for name, value in changed.items() if isinstance(value, After)}
    token = provider.signed(provider.claims("acme", **{**changed, **moments}))
    refused(await get(token), why, token)


async def test_clocks_may_be_some_seconds_apart(get: Get, provider: StandInIdentity) -> None:
    now = int(time.time())
    assert (await get(provider.token(iat=now + 5, nbf=now + 5))).status_code == 200
    assert (await get(provider.token(exp=now - 2))).status_code == 200


def _forged(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None = None) -> str:
    def spelled(part: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")

    body = spelled(header) + b"." + spelled(claims)
    mac = hmac.digest(secret, body, hashlib.sha256) if secret is not None else b""
    return (body + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


async def test_the_public_key_is_no_secret_to_sign_with(get: Get, provider: StandInIdentity) -> None:
    for key in provider.keys:
        for secret in (key.pem, key.pem.strip(), json.dumps(key.jwk).encode()):
            token = _forged({"alg": "HS256", "kid": key.id}, provider.claims(), secret)
            refused(await get(token), "not signed by one of", token)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, 7, "HS256", "HS512", "ES256K", "PS256"])
async def test_nothing_but_our_algorithms(get: Get, provider: StandInIdentity, alg: object) -> None:
    token = _forged({"alg": alg, "kid": provider.keys[0].id}, provider.claims())
    assert (await get(token)).status_code == 401


async def test_a_keys_algorithm_is_the_keys_own(get: Get, provider: StandInIdentity) -> None:
    """A header that names another good algorithm than its key's gets nowhere."""
    es, rs, ed = provider.keys
    for signer, named in ((es, rs), (rs, ed), (ed, es)):
        headers = {"kid": named.id}
        token = jwt.encode(provider.claims(), signer.private, algorithm=signer.algorithm, headers=headers)
        refused(await get(token), "signature is wrong", token)


async def test_a_changed_token_and_anothers_signature_are_refused(
    get: Get, provider: StandInIdentity
) -> None:
    head, _, tail = provider.token().split(".")
    other = provider.token(tenant="victim").split(".")[1]
    token = f"{head}.{other}.{tail}"
    refused(await get(token), "signature is wrong", token)
    stranger = SigningKey("ES256")
    stranger.id = provider.keys[0].id
    token = provider.token(key=stranger)
    refused(await get(token), "signature is wrong", token)


@pytest.mark.parametrize(
    "token", ["eyJ.e.x", "ey..", "eyJhbGciOiJFUzI1NiJ9.e30.AA", "eyJhbGciOiJFUzI1NiJ9..", "ey💡.a.b"]
)
async def test_rubbish_is_refused(house: Api, token: str) -> None:
    async with httpx2.AsyncClient(base_url=house.url) as client:
        reply = await client.get("/v1/turns", headers={b"Authorization": b"Bearer " + token.encode()})
    assert reply.status_code == 401


async def test_a_token_that_is_too_long_is_not_even_read(get: Get, provider: StandInIdentity) -> None:
    token = provider.token(padding="x" * 10_000)
    refused(await get(token), "longer than 8192", token)


async def test_a_provider_that_is_away_from_the_start_is_a_503(real_stores: Stores) -> None:
    async with StandInIdentity() as provider:
        token, port = provider.token(), free_port()
        await provider.refuse()
        app = create_app(
            settings_for(real_stores, provider, port), runs=PlayedRuns(), job_runs=PlayedJobRuns()
        )
        async with serving(app, port), httpx2.AsyncClient(base_url=f"http://{HOST}:{port}") as client:
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("/v1/turns", "/v1/models"):
                reply = await client.get(path, headers=headers)
                assert reply.status_code == 503
                assert int(reply.headers["retry-after"]) > 0
                assert "identity provider cannot be reached" in reply.text
            _, key = await app.state.aither.keys.create("acme", "meanwhile")
            reply = await client.get("/v1/turns", headers={"Authorization": f"Bearer {key}"})
            assert reply.status_code == 200


# --- of which tenant a user is


@pytest.mark.parametrize(
    ("tenant", "changed"),
    [
        (None, {}),
        (None, {"user_metadata": {"tenant_id": "acme"}}),
        (None, {"tenant_id": "acme"}),
        (None, {"app_metadata": "acme"}),
        ("Acme Ltd", {}),
        ("acme'--", {}),
    ],
    ids=["none", "self-written", "elsewhere", "text", "no name", "quoted"],
)
async def test_a_token_that_names_no_tenant_opens_nothing(
    get: Get, provider: StandInIdentity, tenant: str | None, changed: dict[str, Any]
) -> None:
    reply = await get(provider.token(tenant=tenant, **changed))
    assert reply.status_code == 403
    assert "app_metadata.tenant_id" in reply.json()["detail"]


@pytest.mark.parametrize(
    "claim", ["user_metadata.tenant_id", "raw_user_meta_data.x", "x.user_metadata.y", ""]
)
def test_claims_that_users_write_themselves_cannot_be_set(claim: str) -> None:
    for name in ("jwt_tenant_claim", "jwt_role_claim", "jwt_person_claim"):
        with pytest.raises(ValueError, match=name):
            Settings.model_validate({name: claim})


async def test_a_tenant_has_to_exist(get: Get, house: Api, provider: StandInIdentity) -> None:
    reply = await get(provider.token(tenant="not-made-yet"))
    assert reply.status_code == 403
    assert "aither tenant create not-made-yet" in reply.json()["detail"]
    connection = await asyncpg.connect(house.stores.admin)
    try:
        assert not await connection.fetchval(
            "select exists (select from aither.tenants where id = 'not-made-yet')"
        )
    finally:
        await connection.close()


async def test_who_must_have_issued_tokens_is_known_or_said(
    provider: StandInIdentity, real_stores: Stores
) -> None:
    settings = settings_for(real_stores, provider, 1, jwt_jwks_url="https://id.example/keys")
    with pytest.raises(ConfigError, match="AITHER_JWT_ISSUER"):
        create_app(settings)


# --- what a user may do


def _user(house: Api, provider: StandInIdentity, subject: str, **changed: Any) -> httpx2.AsyncClient:
    more = changed.pop("app", {})
    app_metadata = {"tenant_id": changed.pop("tenant", "acme"), **more}
    return house.client(provider.token(sub=subject, app_metadata=app_metadata, **changed))


async def test_a_users_turn_is_answered_paid_and_listed_as_theirs(
    house: Api, provider: StandInIdentity
) -> None:
    async with _user(house, provider, "ada") as ada:
        turn = await ask(ada)
        assert turn["status"] == "completed"
        again = await ada.get(f"/v1/turns/{turn['id']}")
        assert again.json()["answer"]["text"] == turn["answer"]["text"]
        job = await ada.post("/v1/jobs", json={"kind": "swarm", "goal": "Find out"})
        assert job.status_code == 202, job.text
    rows = await house.state.keys.list("acme")
    [row] = [row for row in rows if row.id == "jwt:ada"]
    assert (row.name, row.shown, row.role.value) == ("ada@example.com", "token", "user")
    connection = await asyncpg.connect(house.stores.admin)
    try:
        owner = await connection.fetchval("select key_id from aither.turns where id = $1", turn["id"])
        spent = await connection.fetchval("select key_id from aither.spend where turn_id = $1", turn["id"])
    finally:
        await connection.close()
    assert (owner, spent) == ("jwt:ada", "jwt:ada")


async def test_users_of_one_tenant_see_nothing_of_another(house: Api, provider: StandInIdentity) -> None:
    await house.new_key("globex")
    async with _user(house, provider, "ada") as ada, _user(house, provider, "ada", tenant="globex") as other:
        turn = await ask(ada)
        assert (await other.get(f"/v1/turns/{turn['id']}")).status_code == 404
        assert (await other.get("/v1/turns")).json()["data"] == []


async def test_only_the_claim_makes_an_operator(house: Api, provider: StandInIdentity) -> None:
    self_made = {"user_metadata": {"aither_role": "operator"}, "role": "operator", "aither_role": "operator"}
    async with _user(house, provider, "eve", **self_made) as eve:
        assert (await eve.get("/v1/leases")).status_code == 403
    async with _user(house, provider, "root", app={"aither_role": "operator"}) as root:
        assert (await root.get("/v1/leases")).status_code == 200
    async with _user(house, provider, "odd", app={"aither_role": "superuser"}) as odd:
        reply = await odd.get("/v1/turns")
    assert reply.status_code == 403
    assert "app_metadata.aither_role" in reply.json()["detail"]


async def test_a_role_that_was_taken_away_is_gone(house: Api, provider: StandInIdentity) -> None:
    for role, status in (("operator", 200), ("user", 403)):
        async with _user(house, provider, "promoted", app={"aither_role": role}) as client:
            assert (await client.get("/v1/leases")).status_code == status
        rows = await house.state.keys.list("acme")
        assert next(row.role.value for row in rows if row.id == "jwt:promoted") == role


async def test_a_user_decides_as_themselves_or_as_a_person(house: Api, provider: StandInIdentity) -> None:
    operator = {"aither_role": "operator"}
    async with house.client(await house.new_key("acme")) as asker:
        opened = await asker.post("/v1/approvals", json={"title": "May I?"})
        place = f"/v1/approvals/{opened.json()['id']}"
        for subject, app, wanted in (("bystander", {}, 403), ("boss", operator, 200)):
            async with _user(house, provider, subject, app=app) as client:
                reply = await client.post(f"{place}/decision", json={"option": "approve"})
            assert reply.status_code == wanted, reply.text
        assert (await asker.get(place)).json()["decision"]["by"] == "key:jwt:boss"
        async with _user(house, provider, "boss", app=operator) as boss:
            assert (await boss.put("/v1/people/ada", json={"roles": ["board"]})).status_code < 300
        asked = {"title": "And now?", "deciders": {"people": ["ada"], "roles": []}}
        opened = await asker.post("/v1/approvals", json=asked)
        async with _user(house, provider, "other-ada", app={"aither_person": "ada"}) as client:
            place = f"/v1/approvals/{opened.json()['id']}/decision"
            reply = await client.post(place, json={"option": "approve"})
        assert reply.status_code == 200, reply.text
        story = (await asker.get(f"/v1/approvals/{opened.json()['id']}")).json()
        assert story["decision"]["by"] == "ada"


async def test_a_user_who_was_shut_out_stays_out(house: Api, provider: StandInIdentity) -> None:
    async with _user(house, provider, "leaver") as client:
        assert (await client.get("/v1/turns")).status_code == 200
    await house.state.keys.revoke("acme", "jwt:leaver")
    async with _user(house, provider, "leaver", iat=int(time.time()) - 1) as client:
        reply = await client.get("/v1/turns")
        assert reply.status_code == 403
        assert "revoked" in reply.json()["detail"]


async def test_many_at_once_are_one_user(house: Api, provider: StandInIdentity) -> None:
    async def look(n: int) -> int:
        async with _user(house, provider, "crowd", iat=int(time.time()) - n) as client:
            return (await client.get("/v1/turns")).status_code

    assert set(await asyncio.gather(*(look(n) for n in range(12)))) == {200}
    rows = await house.state.keys.list("acme")
    assert sum(row.id == "jwt:crowd" for row in rows) == 1
