"""Approvals are told by signed messages until they are taken, and decided by signed messages, once each."""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from activities.approval_ports import Delivery
from activities.errors import DeliveryFailed
from infra.ids import new_id
from infra.postman import WebhookPostman, fault_of_url
from infra.signatures import BadSignature, new_secret, signed, verified
from tests.approvals.desk import Desk, message
from tests.approvals.gate import Gate
from tests.approvals.receiver import Receiver
from workflows.approval_starts import wake_approval

# The example of the specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
BODY = b'{"test": 2432232314}'
AT = datetime.fromtimestamp(1614265330, UTC)


def test_signatures_are_those_of_the_specification() -> None:
    assert signed(SECRET, SIGNED["webhook-id"], AT, BODY) == SIGNED
    assert verified(SECRET, SIGNED, BODY, AT) == SIGNED["webhook-id"]
    rotated = SIGNED | {"webhook-signature": f"v1,AAAA v2,x {SIGNED['webhook-signature']}"}
    assert verified(SECRET, rotated, BODY, AT + timedelta(minutes=4))


@pytest.mark.parametrize(
    ("changed", "body", "later"),
    [
        ({}, b"{}", 0),
        ({}, BODY, 301),
        ({}, BODY, -301),
        ({"webhook-id": "other"}, BODY, 0),
        ({"webhook-id": ""}, BODY, 0),
        ({"webhook-id": "é"}, BODY, 0),
        ({"webhook-timestamp": "1614265331"}, BODY, 0),
        ({"webhook-timestamp": "now"}, BODY, 0),
        ({"webhook-timestamp": "９"}, BODY, 0),
        ({"webhook-timestamp": "9" * 30}, BODY, 0),
        ({"webhook-signature": ""}, BODY, 0),
        ({"webhook-signature": SIGNED["webhook-signature"].removeprefix("v1,")}, BODY, 0),
        ({"webhook-signature": SIGNED["webhook-signature"].replace("v1", "v2")}, BODY, 0),
        ({"webhook-signature": "v1,é"}, BODY, 0),
    ],
)
def test_whatever_else_is_refused(changed: dict[str, str], body: bytes, later: int) -> None:
    with pytest.raises(BadSignature) as raised:
        verified(SECRET, SIGNED | changed, body, AT + timedelta(seconds=later))
    assert SECRET not in str(raised.value)
    with pytest.raises(BadSignature):
        verified(new_secret(), SIGNED, BODY, AT)


async def test_opening_and_outcome_are_told_signed_until_they_are_taken(
    gate: Gate, operator: Desk, receiver: Receiver
) -> None:
    receiver.statuses.extend([500, 302])
    reply = await operator.http.post("/v1/webhooks", json={"url": receiver.url})
    assert reply.status_code == 201
    secret = reply.json()["secret"]
    asked = (await operator.ask(details="all of it"))["id"]
    first = await receiver.until(3)
    assert {each.id for each in first} == {first[0].id}, "the same message, until it is taken"
    for each in first:
        assert verified(secret, each.headers, each.body, datetime.now(UTC)) == each.id
    assert first[0].event["type"] == "approval.opened"
    assert (first[0].event["data"]["id"], first[0].event["data"]["details"]) == (asked, "all of it")
    await operator.decide(asked, note="go")
    *_, told = await receiver.until(4)
    assert told.event["type"] == "approval.decided"
    assert told.event["data"]["decision"]["note"] == "go"
    assert told.id != first[0].id
    await gate.over(gate.ref(asked))
    assert len(receiver.came) == 4
    (listed,) = (await operator.http.get("/v1/webhooks")).json()["data"]
    assert (listed["waiting"], "secret" in listed) == (0, False)


async def test_nothing_is_sent_where_the_webhook_was_removed(
    gate: Gate, operator: Desk, receiver: Receiver
) -> None:
    endpoint = (await operator.http.post("/v1/webhooks", json={"url": receiver.url})).json()["id"]
    ref = await gate.opened()
    assert (await operator.http.delete(f"/v1/webhooks/{endpoint}")).status_code == 204
    assert (await operator.http.delete(f"/v1/webhooks/{endpoint}")).status_code == 404
    await gate.decide(ref, "anna")
    await wake_approval(gate.ground.client, ref)
    await gate.over(ref)
    assert not receiver.came


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://localhost/",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://user:secret@example.com/",
        "ftp://example.com/",
        "https://",
        "https://exa mple.com/",
        "https://example.com:port/",
        "https://exämple.com/",
        "javascript:alert(1)",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_no_address_of_the_house_is_told(url: str) -> None:
    assert fault_of_url(url, allow_private=False)
    assert not fault_of_url("https://example.com/hook", allow_private=False)


async def test_a_name_that_leads_into_the_house_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(host: str, port: int, *_: object, **__: object) -> list[Any]:
        assert host == "outside.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", inside)
    delivery = Delivery(
        id="m", endpoint_id="e", url="https://outside.example/", secret=new_secret(), body="{}"
    )
    with pytest.raises(DeliveryFailed, match="not a public one") as raised:
        await WebhookPostman(allow_private=False).send(delivery)
    assert "10.0" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "nothing"}, "url"),
        ({"url": "http://a:b@c/"}, "url"),
        ({"url": "http://127.0.0.1/", "speaks_for": ["zoe"]}, "speaks_for[0]"),
        ({"url": "http://127.0.0.1/", "events": []}, "events"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(operator: Desk, body: dict[str, Any], field: str) -> None:
    reply = await operator.http.post("/v1/webhooks", json=body)
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, field)
    assert not (await operator.http.get("/v1/webhooks")).json()["data"]


async def test_only_operators_have_to_do_with_webhooks(user: Desk) -> None:
    for method, path in (("POST", ""), ("GET", ""), ("DELETE", "/hook_1")):
        assert (await user.http.request(method, f"/v1/webhooks{path}", json={})).status_code == 403


async def test_a_signed_message_decides_once(gate: Gate, operator: Desk) -> None:
    endpoint, secret = await gate.webhooks.add(gate.tenant_id, None, ["anna"])
    first, second = await gate.opened(), await gate.opened()
    body = {"approval_id": first.approval_id, "option": "approve", "note": "from chat"}
    once = await message(operator.http, endpoint.id, secret, body, message_id="m1")
    assert (once.status_code, once.json()["decision"]["by"]) == (200, "anna")
    again = await message(operator.http, endpoint.id, secret, body, message_id="m1")
    assert (again.status_code, again.json(), again.headers["webhook-replayed"]) == (200, once.json(), "true")
    other = await message(
        operator.http, endpoint.id, secret, body | {"approval_id": second.approval_id}, message_id="m1"
    )
    assert other.json() == once.json(), "a message is answered as it was, whatever it now says"
    assert await gate.status(second) == "open"
    fresh = await message(operator.http, endpoint.id, secret, body)
    assert fresh.status_code == 409
    assert [line[0] for line in await gate.audit(first)] == ["opened", "decided", "closed"]


async def test_what_is_forged_changes_nothing(gate: Gate, operator: Desk) -> None:
    endpoint, secret = await gate.webhooks.add(gate.tenant_id, None, ["*"])
    removed, old = await gate.webhooks.add(gate.tenant_id, None, ["*"])
    await gate.webhooks.remove(gate.tenant_id, removed.id)
    ref = await gate.opened()
    body = {"approval_id": ref.approval_id, "option": "approve", "by": "anna"}
    long_ago = signed(secret, "m", datetime.now(UTC) - timedelta(minutes=6), orjson.dumps(body))
    forged = [
        await message(operator.http, endpoint.id, new_secret(), body),
        await message(operator.http, endpoint.id, secret, body, webhook_signature="v1,AAAA"),
        await message(operator.http, endpoint.id, secret, body, webhook_id="another"),
        await message(operator.http, endpoint.id, secret, body, **long_ago),
        await message(operator.http, removed.id, old, body),
        await message(operator.http, new_id("hook"), secret, body),
        await message(operator.http, "%00", secret, body),
    ]
    for reply in forged:
        assert (reply.status_code, reply.json()["type"]) == (401, "urn:aither:problem:bad_signature")
        assert secret not in reply.text
    assert await gate.audit(ref) == [("opened", "bot", "workflow")]


async def test_an_endpoint_speaks_for_those_that_it_was_made_for(gate: Gate, operator: Desk) -> None:
    annas, annas_secret = await gate.webhooks.add(gate.tenant_id, None, ["anna"])
    everyones, secret = await gate.webhooks.add(gate.tenant_id, None, ["*"])
    ref = await gate.opened()
    for endpoint, key, by in (
        (annas, annas_secret, "ben"),
        (everyones, secret, None),
        (everyones, secret, "carol"),
        (everyones, secret, "key:operator"),
    ):
        body = {"approval_id": ref.approval_id, "option": "approve"} | ({"by": by} if by else {})
        reply = await message(operator.http, endpoint.id, key, body)
        assert reply.status_code == 403, by
    as_whom = [line[1] for line in (await gate.audit(ref))[1:]]
    assert as_whom == [f"webhook:{annas.id}", f"webhook:{everyones.id}", "carol", f"webhook:{everyones.id}"]
    elsewhere = await (await Gate.built(gate.ground)).opened()
    theirs = {"approval_id": elsewhere.approval_id, "option": "approve", "by": "anna"}
    assert (await message(operator.http, everyones.id, secret, theirs)).status_code == 404
    assert (await message(operator.http, everyones.id, secret, b"{")).status_code == 400
    wrong = await message(operator.http, everyones.id, secret, {"approval_id": 1, "option": "x"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "approval_id")
