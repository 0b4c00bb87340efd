"""The registry: who is online by its heartbeats, who may say so, and which backends join their pools."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest

from activities.contracts.backends import Backend, Capability, Dialect
from activities.contracts.registry import JoinedBackend, ServiceKind, ServiceStatus
from activities.errors import StoreUnavailable
from api import heartbeats
from api.heartbeats import Heartbeats
from api.joining import HeartbeatBody, beat_of
from api.models import ProblemView
from api.reading import parse
from api.repeating import MOST_BYTES
from api.routes.registry import HeartbeatView, ServiceList, ServiceView
from infra.postgres.keys import Role
from infra.postgres.registry import PostgresRegistry
from infra.presence import registered
from tests.api.configured import CLOUD, LOCAL, configured_api
from tests.api.conftest import Api
from tests.api.stores import Stores
from tests.api.test_cli import aither

POOL = "llm-orchestrator"
JOIN: dict[str, Any] = {
    "pool": POOL,
    "base_url": "http://gpu-7.lan:8000/v1",
    "model": LOCAL,
    "slots": 10,
    "window_tokens": 4096,
    "dialect": "vllm",
}
BACKEND: dict[str, Any] = {"service": "gpu-7", "kind": "backend", "backend": JOIN}
FORGE: dict[str, Any] = {
    "service": "house/forge",
    "kind": "other",
    "version": "1.4",
    "capabilities": ["images"],
    "load": 0.25,
    "metadata": {"host": "attic"},
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def open_house(real_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with configured_api(real_stores, tmp_path_factory.mktemp("registry"), tenant="registry") as api:
        yield api


@pytest.fixture
async def house(open_house: Api) -> AsyncIterator[Api]:
    """Nobody is registered."""
    open_house.state.heartbeats._known.clear()
    await open_house.state.heartbeats.settle()
    await sql(open_house, "truncate aither.services")
    yield open_house


@pytest.fixture
async def operator(house: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.client(await house.new_key("registry", role=Role.OPERATOR)) as client:
        yield client


@pytest.fixture
async def service(house: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.client(await house.new_key("basement", role=Role.SERVICE)) as client:
        yield client


async def sql(house: Api, statement: str) -> Any:
    connection = await asyncpg.connect(house.stores.admin)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def silent(house: Api, seconds: int) -> None:
    """Everybody was last heard of so long ago."""
    await sql(house, f"update aither.services set last_seen = now() - interval '{seconds} seconds'")


async def beat(client: httpx2.AsyncClient, body: dict[str, Any]) -> str:
    reply = await client.post("/v1/registry/heartbeat", json=body)
    assert reply.status_code == 200, reply.text
    view = HeartbeatView.model_validate_json(reply.content)
    assert view.next_heartbeat_s == 30
    return view.status


async def look(client: httpx2.AsyncClient, name: str) -> Any:
    reply = await client.get(f"/v1/registry/{name}")
    assert reply.status_code == 200, reply.text
    ServiceView.model_validate_json(reply.content)
    return reply.json()


async def status(client: httpx2.AsyncClient, name: str) -> str:
    return (await look(client, name))["status"]


async def names(client: httpx2.AsyncClient, **wanted: str) -> list[str]:
    reply = await client.get("/v1/registry", params=wanted)
    ServiceList.model_validate_json(reply.content)
    return [each["name"] for each in reply.json()["data"]]


def raw(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


async def first(house: Api, beats: Heartbeats, body: dict[str, Any]) -> None:
    checked = beat_of(parse(raw(body), HeartbeatBody), house.state.topology)
    await beats.first(checked, raw(body))


async def test_a_first_beat_and_a_changed_one_are_stored_before_the_reply(
    house: Api, service: httpx2.AsyncClient, operator: httpx2.AsyncClient
) -> None:
    assert await beat(service, FORGE) == "online"
    assert await sql(house, "select load from aither.services where name = 'house/forge'") == 0.25
    seen = await look(operator, "house/forge")
    for key in ("kind", "version", "capabilities", "load", "metadata"):
        assert seen[key] == FORGE[key]
    assert (seen["status"], seen["backend"]) == ("online", None)
    await beat(service, FORGE | {"version": "1.5"})
    assert await sql(house, "select version from aither.services where name = 'house/forge'") == "1.5"
    assert (await look(operator, "house/forge"))["first_seen"] == seen["first_seen"]


async def test_three_missed_are_offline_and_the_next_one_is_online_again(
    house: Api, service: httpx2.AsyncClient
) -> None:
    await beat(service, FORGE)
    await silent(house, 80)
    assert await status(service, "house/forge") == "online"
    await silent(house, 91)
    seen = await look(service, "house/forge")
    assert seen["status"] == "offline"
    assert seen["age_s"] > 90
    assert await names(service, status="offline") == ["house/forge"]
    # This one repeats the one before it, so it is gathered: no reader must see that.
    assert await beat(service, FORGE | {"load": 0.75}) == "online"
    assert await names(service, status="online") == ["house/forge"]
    await silent(house, 91)
    assert await beat(service, FORGE | {"load": 0.75}) == "online"
    seen = await look(service, "house/forge")
    assert (seen["status"], seen["load"]) == ("online", 0.75)
    assert seen["age_s"] < 60


async def test_draining_and_leaving(house: Api, service: httpx2.AsyncClient) -> None:
    await beat(service, FORGE)
    assert await beat(service, FORGE | {"draining": True}) == "draining"
    assert await beat(service, FORGE | {"draining": True}) == "draining"
    assert await status(service, "house/forge") == "draining"
    for _ in range(2):
        reply = await service.delete("/v1/registry/house/forge")
        assert (reply.status_code, reply.json()["status"]) == (200, "left")
    assert await names(service, status="left") == ["house/forge"]
    await beat(service, FORGE)
    assert await status(service, "house/forge") == "online"


async def test_lists_are_by_kind_and_status(house: Api, service: httpx2.AsyncClient) -> None:
    for name, kind in (("b", "worker"), ("a", "worker"), ("c", "card")):
        await beat(service, {"service": name, "kind": kind})
    await service.delete("/v1/registry/b")
    assert await names(service) == ["a", "b", "c"]
    assert await names(service, kind="worker") == ["a", "b"]
    assert await names(service, kind="worker", status="online") == ["a"]


async def test_who_may_say_and_see_what(
    house: Api, service: httpx2.AsyncClient, operator: httpx2.AsyncClient
) -> None:
    await beat(service, BACKEND | {"metadata": {"rent": "3 USD"}})
    async with house.client(await house.new_key("registry")) as user:
        for _ in range(2):  # once it is new, once it repeats what is known
            for reply in (
                await user.post("/v1/registry/heartbeat", json=FORGE),
                await user.post("/v1/registry/heartbeat", json=BACKEND | {"metadata": {"rent": "3 USD"}}),
                await user.delete("/v1/registry/gpu-7"),
            ):
                assert reply.status_code == 403
                assert reply.json()["type"] == "urn:aither:problem:forbidden"
        seen = await look(user, "gpu-7")
        assert (seen["status"], seen["kind"]) == ("online", "backend")
        for text in (json.dumps(seen), (await user.get("/v1/registry")).text):
            assert "gpu-7.lan" not in text
            assert "3 USD" not in text
    async with httpx2.AsyncClient(base_url=house.url) as nobody:
        reply = await nobody.post("/v1/registry/heartbeat", json=BACKEND)
        assert reply.status_code == 401
    seen = await look(operator, "gpu-7")
    assert seen["backend"]["base_url"] == JOIN["base_url"]
    assert seen["metadata"] == {"rent": "3 USD"}
    assert await names(operator) == ["gpu-7"]


async def test_a_backend_is_in_its_pool_while_it_is_online(house: Api, service: httpx2.AsyncClient) -> None:
    store = house.state.registry
    backend = Backend(
        name="gpu-7",
        dialect=Dialect.VLLM,
        base_url="http://gpu-7.lan:8000/v1",
        model=LOCAL,
        slots=10,
        window_tokens=4096,
        # What the pool's model can do; what depends on its server's make is not taken over.
        capabilities=(Capability.JSON_SCHEMA,),
        pool=POOL,
    )
    await beat(service, BACKEND)
    await beat(service, FORGE)
    assert await store.joined() == (JoinedBackend(backend=backend),)
    await beat(service, BACKEND | {"draining": True})
    assert await store.joined() == (JoinedBackend(backend=backend, draining=True),)
    await silent(house, 91)
    assert await store.joined() == ()
    await beat(service, BACKEND | {"backend": JOIN | {"slots": 3, "dialect": "llamacpp"}})
    (joined,) = await store.joined()
    assert joined.backend.slots == 3
    assert Capability.PREFILL in joined.backend.capabilities
    await service.delete("/v1/registry/gpu-7")
    assert await store.joined() == ()


async def test_who_has_been_silent_for_a_day_is_forgotten(house: Api, service: httpx2.AsyncClient) -> None:
    await beat(service, {"service": "old", "kind": "worker"})
    await silent(house, 24 * 3600 - 60)
    await beat(service, FORGE)
    assert await names(service) == ["house/forge", "old"]
    await silent(house, 24 * 3600 + 60)
    await beat(service, {"service": "new", "kind": "worker"})
    assert await names(service) == ["new"]
    # Known here, and not there any more: the beat that would only be gathered brings it back whole.
    await beat(service, FORGE)
    assert (await look(service, "house/forge"))["version"] == "1.4"


BAD: list[tuple[dict[str, Any], str]] = [
    ({**FORGE, "service": ""}, "service"),
    ({**FORGE, "service": "a b"}, "service"),
    ({**FORGE, "service": "../etc"}, "service"),
    ({**FORGE, "service": "a//b"}, "service"),
    ({**FORGE, "service": "a\x00"}, "service"),
    ({**FORGE, "service": "ü"}, "service"),
    ({**FORGE, "service": "a" * 101}, "service"),
    ({"kind": "other"}, "service"),
    ({"service": "x"}, "kind"),
    ({**FORGE, "kind": "toaster"}, "kind"),
    ({**FORGE, "load": 1.5}, "load"),
    ({**FORGE, "load": -0.1}, "load"),
    ({**FORGE, "load": "0.5"}, "load"),
    ({**FORGE, "load": True}, "load"),
    ({**FORGE, "load": float("nan")}, "load"),
    ({**FORGE, "version": "v" * 101}, "version"),
    ({**FORGE, "capabilities": "images"}, "capabilities"),
    ({**FORGE, "capabilities": ["x"] * 65}, "capabilities"),
    ({**FORGE, "metadata": {"a": "x" * 8192}}, "metadata"),
    ({**FORGE, "metadata": {"a": 2**64}}, "metadata"),
    ({**FORGE, "metadata": {"a": "\x00"}}, "metadata.a"),
    ({**FORGE, "metadata": []}, "metadata"),
    ({**FORGE, "draining": "yes"}, "draining"),
    ({**FORGE, "api_key": "sk-1"}, "api_key"),
    ({**FORGE, "backend": JOIN}, "backend"),
    ({"service": "gpu-7", "kind": "backend"}, "backend"),
    ({**BACKEND, "service": "orchestrator"}, "service"),
    ({**BACKEND, "backend": {**JOIN, "pool": "llm-nowhere"}}, "backend.pool"),
    ({**BACKEND, "backend": {**JOIN, "model": "gpt-9"}}, "backend.model"),
    ({**BACKEND, "backend": {**JOIN, "window_tokens": 2047}}, "backend.window_tokens"),
    ({**BACKEND, "backend": {**JOIN, "slots": 0}}, "backend.slots"),
    ({**BACKEND, "backend": {**JOIN, "slots": 10_001}}, "backend.slots"),
    ({**BACKEND, "backend": {**JOIN, "slots": 2.5}}, "backend.slots"),
    ({**BACKEND, "backend": {**JOIN, "api_key": "sk-1"}}, "backend.api_key"),
    ({**BACKEND, "backend": {**JOIN, "api_key_env": "DATABASE_URL"}}, "backend.api_key_env"),
    ({**BACKEND, "backend": {**JOIN, "dialect": "klingon"}}, "backend.dialect"),
    ({**BACKEND, "backend": {**JOIN, "kind": "anthropic"}}, "backend.dialect"),
    ({**BACKEND, "backend": {**JOIN, "capabilities": ["magic"]}}, "backend.capabilities[0]"),
    ({**BACKEND, "backend": {**JOIN, "base_url": "gpu-7:8000"}}, "backend.base_url"),
    ({**BACKEND, "backend": {**JOIN, "base_url": "file:///etc/passwd"}}, "backend.base_url"),
    ({**BACKEND, "backend": {**JOIN, "base_url": "http://me:hunter2@gpu-7.lan/v1"}}, "backend.base_url"),
    ({**BACKEND, "backend": {**JOIN, "base_url": "http://gpu-7.lan/v1?key=hunter2"}}, "backend.base_url"),
    ({**BACKEND, "backend": {**JOIN, "base_url": "http://gpu.example.com/v1"}}, "backend.locality"),
    ({**BACKEND, "backend": {**JOIN, "locality": "cloud"}}, "backend.locality"),
    (
        {**BACKEND, "backend": {**JOIN, "base_url": "https://api.openai.com/v1", "locality": "local"}},
        "backend.locality",
    ),
    (
        {**BACKEND, "backend": {**JOIN, "pool": "llm-cloud", "model": CLOUD, "window_tokens": 100_000}},
        "backend.locality",
    ),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=[f"{n}-{field}" for n, (_, field) in enumerate(BAD)])
async def test_bad_beats_name_their_field_and_store_nothing(
    house: Api, service: httpx2.AsyncClient, body: dict[str, Any], field: str
) -> None:
    reply = await service.post("/v1/registry/heartbeat", content=raw(body), headers=JSON)
    assert reply.status_code == 422, reply.text
    problem = ProblemView.model_validate(reply.json())
    assert problem.errors
    assert problem.errors[0].field == field
    assert "hunter2" not in reply.text
    assert await sql(house, "select count(*) from aither.services") == 0
    assert await house.state.registry.joined() == ()


async def test_a_repeat_is_held_to_the_same_rules(house: Api, service: httpx2.AsyncClient) -> None:
    await beat(service, FORGE)
    for load in (2, -1, "0.5", True, {}):
        reply = await service.post("/v1/registry/heartbeat", json=FORGE | {"load": load})
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["field"] == "load"
    post = service.post
    assert (await post("/v1/registry/heartbeat", content=raw(FORGE), headers={})).status_code == 415
    assert (await post("/v1/registry/heartbeat", content=b"{" + raw(FORGE), headers=JSON)).status_code == 400
    large = b" " * (MOST_BYTES + 1) + raw(FORGE)
    assert (await post("/v1/registry/heartbeat", content=large, headers=JSON)).status_code == 200

    async def pieces() -> AsyncIterator[bytes]:
        for byte in raw(FORGE | {"load": 0.5}):
            yield bytes((byte,))

    reply = await post("/v1/registry/heartbeat", content=pieces(), headers=JSON)
    assert (reply.status_code, reply.json()["status"]) == (200, "online")
    reply = await post("/v1/registry/heartbeat", json=FORGE)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "nobody", 404, "service"),
        ("DELETE", "nobody", 404, "service"),
        ("GET", "a%00b", 404, "service"),
        ("GET", "%ff", 404, "service"),
        ("GET", "?kind=toaster", 422, "kind"),
        ("GET", "?status=lost", 422, "status"),
        ("GET", "?colour=blue", 422, "colour"),
    ],
)
async def test_bad_addresses(
    house: Api, service: httpx2.AsyncClient, method: str, path: str, status: int, field: str
) -> None:
    address = f"/v1/registry{path}" if path.startswith("?") else f"/v1/registry/{path}"
    reply = await service.request(method, address)
    assert reply.status_code == status, reply.text
    assert reply.json()["errors"][0]["field"] == field


# --- gathering


async def test_what_repeats_itself_is_gathered_and_then_written(house: Api) -> None:
    beats = Heartbeats(house.state.registry)
    assert beats.again(raw(FORGE)) is None
    await first(house, beats, FORGE)
    await silent(house, 60)
    assert beats.again(raw(FORGE | {"load": 1})) is not None
    assert beats.again(raw(FORGE | {"version": "2"})) is None
    before = await house.state.registry.service("house/forge")
    assert before.age_s >= 60
    await beats.settle()
    after = await house.state.registry.service("house/forge")
    assert after.age_s < 30
    assert after.load == 1


async def test_a_late_repeat_is_written_at_once(house: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes must not see a service go offline whose beat is only gathered."""
    beats = Heartbeats(house.state.registry)
    await first(house, beats, FORGE)
    assert heartbeats.LATE_S + heartbeats.WRITE_EVERY_S < 90
    monkeypatch.setattr(heartbeats, "LATE_S", -1.0)
    assert beats.again(raw(FORGE)) is None


async def test_what_another_process_heard_meanwhile_is_not_lost(house: Api) -> None:
    store = house.state.registry
    one, two = Heartbeats(store), Heartbeats(store)
    await first(house, one, FORGE)
    await first(house, two, FORGE | {"version": "2"})
    assert one.again(raw(FORGE)) is not None
    await one.settle()
    assert (await store.service("house/forge")).version == "1.4"

    assert one.again(raw(FORGE)) is not None
    assert two.again(raw(FORGE | {"version": "2"})) is not None
    await store.leave("house/forge")
    # When a beat came is known to some milliseconds only.
    await sql(house, "update aither.services set left_at = left_at + interval '10 seconds'")
    for beats in (one, two):
        await beats.settle()
        assert (await store.service("house/forge")).status is ServiceStatus.LEFT
    await sql(house, "update aither.services set left_at = left_at - interval '1 minute'")
    assert one.again(raw(FORGE)) is not None
    await one.settle()
    assert (await store.service("house/forge")).status is ServiceStatus.ONLINE


class AwayForOnce(PostgresRegistry):
    """A store that cannot be reached when it is first asked to write repeats."""

    away = True

    async def repeat(self, repeats: Any) -> frozenset[str]:
        if self.away:
            self.away = False
            raise StoreUnavailable("away")
        return await super().repeat(repeats)


async def test_what_could_not_be_written_is_kept(house: Api) -> None:
    store = AwayForOnce(house.state.database)
    beats = Heartbeats(store)
    await first(house, beats, FORGE)
    await silent(house, 91)
    assert beats.again(raw(FORGE)) is not None
    with pytest.raises(StoreUnavailable):
        await beats.settle()
    await beats.settle()
    assert (await store.service("house/forge")).status is ServiceStatus.ONLINE


# --- ourselves


async def test_the_api_registers_itself_and_leaves(house: Api, tmp_path: Any) -> None:
    async with configured_api(house.stores, tmp_path) as other:
        seen: list[str] = []
        async with other.client() as client:
            while not seen:  # It beats in the background, from its start on.
                seen = await names(client, kind="api", status="online")
    (ours,) = seen
    assert (await house.state.registry.service(ours)).status is ServiceStatus.LEFT


async def test_a_process_that_cannot_beat_works_on(house: Api, caplog: pytest.LogCaptureFixture) -> None:
    def tell() -> Any:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="the block's own"):
        async with registered(house.state.registry, tell):
            raise RuntimeError("the block's own")
    assert await house.state.registry.services(ServiceKind.WORKER) == ()


async def test_the_command_lists_services(
    house: Api, service: httpx2.AsyncClient, operator: httpx2.AsyncClient
) -> None:
    key = {"AITHER_API_KEY": operator.headers["authorization"][7:]}
    empty = await aither(house, "services")
    assert (empty.code, empty.out.startswith("no services")) == (0, True)
    await beat(service, FORGE)
    await beat(service, BACKEND)
    await beat(service, {"service": "gone", "kind": "worker"})
    await service.delete("/v1/registry/gone")
    listed = (await aither(house, "services", **key)).out
    assert "house/forge" in listed
    assert "25%" in listed
    assert f"{JOIN['base_url']} in {POOL}" in listed
    assert "gone" not in listed
    assert "1 more has left" in listed
    assert JOIN["base_url"] not in (await aither(house, "services")).out
    assert "gone" in (await aither(house, "services", "--status", "left")).out
    found = json.loads((await aither(house, "services", "--kind", "backend", "--json")).out)
    assert [each["name"] for each in found] == ["gpu-7"]
    assert "no online card services" in (await aither(house, "services", "-k", "card", "-s", "online")).out
    wrong = await aither(house, "services", "--kind", "toaster")
    assert wrong.code == 2
    assert "kind" in wrong.err
