"""Joining: one box, once, with the key of its lease; everything else is refused alike, and recorded."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from infra.box import proof
from tests.api.conftest import Api
from tests.box.conftest import MASTER, Lease, plan_of, waiting_lease


class Forger:
    """Whoever knows the protocol, and perhaps a key."""

    def __init__(self, client: httpx2.AsyncClient, lease: Lease, key: bytes | None = None) -> None:
        self.client, self.lease = client, lease
        self.key = key or proof.lease_key(MASTER.encode(), lease.id, lease.attempt)
        self.name = proof.key_id(proof.LEASE, lease.attempt, 0)
        self.count = 0

    @property
    def host(self) -> str:
        return httpx2.URL(self.lease.api.url).netloc.decode()

    async def challenge(self, lease_id: str | None = None) -> str:
        reply = await self.client.post(f"/v1/boxes/{lease_id or self.lease.id}/challenge", content=b"{}")
        return reply.json()["nonce"]

    def request(
        self, verb: str, told: Any, nonce: str, /, **signed: Any
    ) -> tuple[str, dict[str, str], bytes]:
        """Path, headers and body. What is named in `signed` is signed in place of what is sent."""
        path, raw = f"/v1/boxes/{self.lease.id}/{verb}", json.dumps(told).encode()
        fresh = proof.nonce()
        said: dict[str, Any] = {
            "method": "POST",
            "path": path,
            "host": self.host,
            "ours": nonce,
            "body": raw,
        } | signed
        made = proof.sign_request(
            self.key, self.name, said["method"], said["path"], said["host"], said["ours"], fresh, said["body"]
        )
        headers = {proof.PROOF: made, proof.KEY_ID: self.name, proof.NONCE: nonce, proof.FRESH: fresh}
        return path, headers, raw

    async def send(self, path: str, headers: dict[str, str], raw: bytes) -> httpx2.Response:
        return await self.client.post(path, headers=headers, content=raw)

    async def join(self, **changed: Any) -> httpx2.Response:
        ours = await self.challenge()
        path, headers, raw = self.request("join", {"instance": self.lease.instance}, ours, **changed)
        reply = await self.send(path, headers, raw)
        if reply.status_code == 200:
            self.key = proof.session_key(self.key, (ours + headers[proof.FRESH]).encode())
            assert reply.headers[proof.PROOF] == proof.sign_reply(
                self.key, self.name, headers[proof.FRESH], 200, reply.content
            )
            joins = int(self.name.rpartition(".")[2]) + 1
            self.name, self.count = proof.key_id(proof.SESSION, self.lease.attempt, joins), 0
        return reply

    async def beat(self, count: int | None = None, **said: Any) -> httpx2.Response:
        self.count = self.count + 1 if count is None else count
        return await self.send(*self.request("heartbeat", {"phase": "serving"} | said, str(self.count)))


@pytest.fixture
async def box(lease: Lease) -> AsyncIterator[Forger]:
    async with httpx2.AsyncClient(base_url=lease.api.url, timeout=20) as client:
        yield Forger(client, lease)


def refused(reply: httpx2.Response) -> None:
    assert reply.status_code == 403, reply.text
    problem = reply.json()
    assert problem["type"] == "urn:aither:problem:box_refused"
    assert problem["detail"] == "this is not the box of a lease that is waited for"
    assert proof.PROOF.lower() not in reply.headers


async def test_a_box_joins_and_is_told_what_to_do(box: Forger, lease: Lease) -> None:
    reply = await box.join()
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert told["port"] == lease.plan.port
    assert told["command"] == list(lease.plan.command)
    assert told["pace"]["heartbeat_s"] == 0.2
    view = await lease.view()
    assert (view.phase, view.joins) == ("joined", 1)
    assert await lease.sql("select joined_at is not null from aither.leases where id = $1", lease.id)
    assert await lease.refusals() == {}


async def test_no_key_is_stored_or_sent(box: Forger, lease: Lease) -> None:
    first = box.key
    reply = await box.join()
    row = await lease.sql("select to_jsonb(b)::text from aither.boxes b where lease_id = $1", lease.id)
    for key in (first, box.key, MASTER.encode()):
        assert key.hex() not in row + reply.text
        assert key.hex() not in str(reply.headers)


async def test_a_second_join_is_refused(box: Forger, lease: Lease) -> None:
    other = Forger(box.client, lease)
    assert (await box.join()).status_code == 200
    refused(await other.join())
    assert await lease.refusals() == {"second": 1}
    assert (await box.beat()).status_code == 200


async def test_of_joins_at_once_one_counts(box: Forger, lease: Lease) -> None:
    others = [Forger(box.client, lease) for _ in range(8)]
    replies = await asyncio.gather(*(each.join() for each in others))
    assert sorted(reply.status_code for reply in replies) == [200] + [403] * 7
    assert sum((await lease.refusals()).values()) == 7
    assert (await lease.view()).joins == 1


async def test_of_reboots_at_once_one_counts(box: Forger, lease: Lease) -> None:
    """All of them were judged by the same row, and have the session's key: one is the box from now on."""
    await box.join()
    row = await lease.boxes.row(lease.id, lease.attempt)
    assert row is not None
    outcomes = await asyncio.gather(
        *(
            lease.boxes.join(row, joins=1, nonce=f"n{n}", salt=b"%d" % n, instance=None, base_url=None)
            for n in range(6)
        )
    )
    assert sorted(outcomes) == ["joined"] + ["second"] * 5
    assert (await lease.view()).joins == 2


async def test_a_join_is_good_once_even_where_it_came_to_nothing(box: Forger, lease: Lease) -> None:
    """It was refused for what the lease was; played again when the lease waits, it is a replay."""
    await lease.move("destroying")
    taken = box.request("join", {"instance": lease.instance}, await box.challenge())
    refused(await box.send(*taken))
    await lease.move("booting")
    refused(await box.send(*taken))
    assert await lease.refusals() == {"unwanted": 1, "replay": 1}
    assert (await box.join()).status_code == 200


async def test_a_wrong_key_is_refused(box: Forger, lease: Lease) -> None:
    refused(await Forger(box.client, lease, key=b"x" * 32).join())
    box.key = proof.lease_key(MASTER.encode(), lease.id, 2)
    refused(await box.join())
    assert await lease.refusals() == {"bad_proof": 2}


async def test_another_leases_key_is_refused(box: Forger, lease: Lease) -> None:
    other = await waiting_lease(lease.api, plan_of())
    refused(await Forger(box.client, lease, key=Forger(box.client, other).key).join())
    assert await lease.refusals() == {"bad_proof": 1}
    assert await other.refusals() == {}


@pytest.mark.parametrize(
    "signed",
    [
        {"body": b'{"instance": "other"}'},
        {"path": "/v1/boxes/lease_00000000000000000000000000/join"},
        {"host": "elsewhere.example"},
        {"method": "PUT"},
        {"ours": "00"},
    ],
    ids=["body", "path", "host", "method", "nonce"],
)
async def test_what_was_tampered_with_is_refused(box: Forger, lease: Lease, signed: Any) -> None:
    refused(await box.join(**signed))
    assert await lease.refusals() == {"bad_proof": 1}
    assert (await lease.view()).joins == 0


async def test_a_stale_or_foreign_nonce_is_refused(
    box: Forger, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    reception = lease.api.state.reception
    old = await box.challenge()
    now = reception._clock()
    monkeypatch.setattr(reception, "_clock", lambda: now + 121)
    refused(await box.send(*box.request("join", {"instance": lease.instance}, old)))
    monkeypatch.undo()
    foreign = await box.challenge("lease_00000000000000000000000000")
    for nonce in (foreign, proof.nonce(), "zz", "", "ab" * 90):
        refused(await box.send(*box.request("join", {"instance": lease.instance}, nonce)))
    assert await lease.refusals() == {"stale": 6}
    assert (await box.join()).status_code == 200


async def test_another_instance_is_refused(box: Forger, lease: Lease) -> None:
    taken = box.request("join", {"instance": "C999"}, await box.challenge())
    refused(await box.send(*taken))
    assert await lease.refusals() == {"unwanted": 1}


@pytest.mark.parametrize("state", ["draining", "destroying", "failed"])
async def test_a_lease_that_waits_for_none_takes_none(box: Forger, lease: Lease, state: str) -> None:
    ended = "ended_at = now(), " if state == "failed" else ""
    await lease.sql(f"update aither.leases set {ended} state = $2 where id = $1", lease.id, state)
    refused(await box.join())
    assert await lease.refusals() == {"unwanted": 1}


async def test_an_unknown_lease_is_told_like_a_wrong_key(box: Forger, lease: Lease) -> None:
    wrong = await Forger(box.client, lease, key=b"x" * 32).join()
    before = await lease.sql("select coalesce(sum(times), 0) from aither.box_refusals where lease_id = ''")
    ghost = Forger(box.client, Lease(lease.api, "lease_00000000000000000000000000", "C1", lease.plan))
    unknown = await ghost.join()
    refused(unknown)
    assert unknown.json() | {"instance": ""} == wrong.json() | {"instance": ""}
    after = await lease.sql("select sum(times) from aither.box_refusals where lease_id = ''")
    assert after == before + 1


async def test_a_heartbeat_counts_once_and_in_order(box: Forger, lease: Lease) -> None:
    await box.join()
    taken = box.request("heartbeat", {"phase": "pulling", "calls": 1}, "5")
    assert (await box.send(*taken)).json() == {"wish": "serve"}
    refused(await box.send(*taken))
    refused(await box.beat(count=4))
    assert (await box.beat(count=6, calls=2)).status_code == 200
    assert await lease.refusals() == {"replay": 2}
    assert (await lease.view()).report.calls == 2


async def test_a_heartbeat_with_the_leases_key_is_refused(box: Forger, lease: Lease) -> None:
    refused(await box.beat())
    key, name = box.key, box.name
    await box.join()
    box.key, box.name = key, name
    refused(await box.beat())
    assert await lease.refusals() == {"malformed": 1, "second": 1}


async def test_a_rebooted_box_joins_again_and_its_old_session_is_over(box: Forger, lease: Lease) -> None:
    await box.join()
    await box.beat()
    old_key, old_name = box.key, box.name
    assert (await box.join()).status_code == 200
    assert box.key != old_key
    assert (await box.beat()).status_code == 200
    ghost = Forger(box.client, lease, key=old_key)
    ghost.name = old_name
    refused(await ghost.beat(count=9))
    refused(await ghost.join())
    assert await lease.refusals() == {"second": 2}
    assert (await lease.view()).joins == 2


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"phase": "dancing"}, "phase"),
        ({"calls": -1}, "calls"),
        ({"calls": 2**40}, "calls"),
        ({"tokens": "many"}, "tokens"),
    ],
)
async def test_a_proven_box_that_says_nonsense_is_told_so(
    box: Forger, lease: Lease, said: Any, field: str
) -> None:
    await box.join()
    reply = await box.beat(**said)
    assert reply.status_code == 422, reply.text
    assert field in reply.json()["detail"]
    assert (await lease.view()).phase == "joined"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {proof.KEY_ID: "lease.1"},
        {proof.KEY_ID: "admin.1.0"},
        {proof.KEY_ID: "lease.-1.0"},
        {proof.KEY_ID: "lease.1.0", proof.FRESH: "short"},
        {proof.KEY_ID: "session.1.99999999", proof.FRESH: "0" * 64},
    ],
)
async def test_nonsense_is_refused_and_counted(box: Forger, lease: Lease, headers: dict[str, str]) -> None:
    for _ in range(3):
        refused(await box.client.post(f"/v1/boxes/{lease.id}/join", headers=headers, content=b"\xff"))
    assert await lease.refusals() == {"malformed": 3}
    assert await lease.sql("select count(*) from aither.box_refusals where lease_id = $1", lease.id) <= 2


@pytest.mark.parametrize("name", ["a%00b", "%ff", "lease_x", "lease_" + "0" * 500, "%27;drop"])
async def test_an_odd_lease_is_refused(box: Forger, name: str) -> None:
    for verb in ("join", "heartbeat", "models"):
        refused(await box.client.post(f"/v1/boxes/{name}/{verb}", content=b"{}"))


async def test_a_house_without_a_master_key_lets_nobody_in(lease: Lease) -> None:
    from infra.box.reception import BoxRefused, Reception, Said

    state = lease.api.state
    keyless = Reception(lease.boxes, state.reception._membership, state.models.resolver, None)
    key = proof.lease_key(b"", lease.id, 1)
    fresh = proof.nonce()
    made = proof.sign_request(key, "lease.1.0", "POST", "/p", "h", "n", fresh, b"{}")
    headers = {
        proof.PROOF.lower(): made,
        proof.KEY_ID.lower(): "lease.1.0",
        proof.NONCE.lower(): "n",
        proof.FRESH.lower(): fresh,
    }
    said = Said(lease=lease.id, verb="join", method="POST", path="/p", host="h", headers=headers, body=b"{}")
    with pytest.raises(BoxRefused):
        await keyless.take(said)


def test_length_before_each_field_keeps_requests_apart() -> None:
    assert proof.fields(b"ab", b"c") != proof.fields(b"a", b"bc")
    assert proof.fields(b"a", b"") != proof.fields(b"a")


def test_hkdf_is_that_of_rfc_5869() -> None:
    """Its first test case, of which ours is the first block."""
    found = proof.hkdf(bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert found.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


async def test_the_api_tells_nothing_of_this_in_its_document(house: Api) -> None:
    async with house.client() as client:
        assert "/v1/boxes" not in (await client.get("/openapi.json")).text
