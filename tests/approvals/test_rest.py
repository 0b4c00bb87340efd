"""Approvals over REST: asked, listed, waited for, decided, withdrawn; what is wrong is named and not stored."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.postgres.keys import Role
from tests.approvals import desk
from tests.approvals.desk import Api, Desk
from tests.approvals.gate import Gate

ALIKE = {"agent": "bot", "action": "deploy", "arguments": {"to": "here"}, "scopes": ["once", "always"]}


def problem(reply: Any) -> tuple[str, str]:
    """Code of the problem, and the field that it names."""
    body = reply.json()
    return body["type"].rsplit(":", 1)[1], (body.get("errors") or [{"field": ""}])[0]["field"]


def moments(decision: dict[str, Any]) -> dict[str, Any]:
    """With its time as a time: there are several ways to write one."""
    return decision | {"decided_at": datetime.fromisoformat(decision["decided_at"])}


async def test_it_is_asked_by_one_and_decided_by_another(user: Desk, operator: Desk) -> None:
    asked = await user.ask(summary="Build 118", cost_usd=2.5, leaves_building=True, destination="example.com")
    assert (asked["status"], asked["decision"], asked["default_option"]) == ("open", None, "deny")
    assert asked["opened_by"] == asked["requester"] != ""
    assert asked["links"]["decision"].endswith(f"/v1/approvals/{asked['id']}/decision")
    refused = await user.decide(asked["id"])
    assert (refused.status_code, problem(refused)) == (403, ("not_a_decider", "by"))
    decided = await operator.decide(asked["id"], note="go", surface="cli")
    assert decided.status_code == 200
    seen = await user.get(asked["id"])
    assert moments(seen["decision"]) == moments(decided.json()["decision"])
    assert (seen["decision"]["surface"], seen["decision"]["note"]) == ("cli", "go")
    assert [(line["event"], line["surface"]) for line in seen["audit"]] == [
        ("opened", "rest"),
        ("stranger", "rest"),
        ("decided", "cli"),
    ]
    late = await operator.decide(asked["id"], "deny")
    assert late.status_code == 409
    assert moments(late.json()["decision"]) == moments(seen["decision"])


async def test_whoever_waits_is_told_at_once_and_from_elsewhere_soon(
    user: Desk, operator: Desk, gate: Gate
) -> None:
    here, there = (await user.ask())["id"], (await user.ask())["id"]
    waiting = [asyncio.create_task(user.get(each, wait=20)) for each in (here, there) for _ in range(5)]
    await asyncio.sleep(0)
    await operator.decide(here)
    await gate.decide(gate.ref(there), "anna", "deny")
    async with asyncio.timeout(15):
        seen = await asyncio.gather(*waiting)
    assert [each["decision"]["option"] for each in seen] == ["approve"] * 5 + ["deny"] * 5


async def test_whoever_waits_for_nothing_gets_it_open_when_the_time_is_over(user: Desk) -> None:
    asked = (await user.ask())["id"]
    assert (await user.get(asked, wait=1))["status"] == "open"
    assert (await user.get(asked, wait=0))["status"] == "open"


async def test_asking_and_waiting_may_be_one_request(user: Desk) -> None:
    reply = await user.http.post(
        "/v1/approvals", json={"title": "t", "expires_in_s": 1}, headers={"Prefer": "wait=15"}
    )
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["decision"]["option"]) == ("expired", "deny")
    assert reply.headers["Preference-Applied"] == "wait=15"


async def test_a_list_goes_through_all_of_them_newest_first(user: Desk, operator: Desk) -> None:
    ids = [(await user.ask(title=f"number {n}"))["id"] for n in range(7)]
    for each in ids[::2]:
        await operator.decide(each)
    for status, wanted in ((None, ids), ("open", ids[1::2]), ("decided", ids[::2]), ("expired", [])):
        found: list[str] = []
        cursor = None
        while True:
            parameters = {"limit": 2, "status": status, "cursor": cursor}
            reply = await user.http.get("/v1/approvals", params={k: v for k, v in parameters.items() if v})
            page = reply.json()
            found += [each["id"] for each in page["data"]]
            assert all("audit" not in each and "details" not in each for each in page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
            assert f"cursor={cursor}" in page["links"]["next"]
        assert found == wanted[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=closed", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=cC01", "cursor"),
        ("cursor=%00", "cursor"),
        ("order=asc", "order"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(user: Desk, query: str, field: str) -> None:
    reply = await user.http.get(f"/v1/approvals?{query}")
    assert (reply.status_code, problem(reply)) == (422, ("invalid_request", field))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "title"),
    ({"title": " "}, "title"),
    ({"title": "x" * 201}, "title"),
    ({"title": 7}, "title"),
    ({"summary": "x" * 2001}, "summary"),
    ({"details": "\x00"}, "details"),
    ({"kind": "war"}, "kind"),
    ({"urgency": "now"}, "urgency"),
    ({"options": []}, "options"),
    ({"options": [{"key": "A", "label": "a", "approves": False}]}, "options[0].key"),
    ({"options": [{"key": "a", "label": " ", "approves": False}]}, "options[0].label"),
    ({"options": [{"key": "a", "label": "a", "approves": 1}]}, "options[0].approves"),
    ({"options": [{"key": "a", "label": "a", "approves": False}] * 2}, "options[1].key"),
    ({"options": [{"key": "a", "label": "a", "approves": True}]}, "default_option"),
    ({"default_option": "maybe"}, "default_option"),
    ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
    ({"deadline": "2026-11-23T18:00:00"}, "deadline"),
    ({"deadline": "9999-01-01T00:00:00Z"}, "deadline"),
    ({"deadline": "tomorrow"}, "deadline"),
    ({"expires_in_s": 0}, "expires_in_s"),
    ({"expires_in_s": 60, "deadline": "2030-01-01T00:00:00Z"}, "expires_in_s"),
    ({"reminders_s": [0]}, "reminders_s[0]"),
    ({"deciders": {"quorum": 0}}, "deciders.quorum"),
    ({"deciders": {"people": ["Anna"]}}, "deciders.people[0]"),
    ({"deciders": {"people": ["anna", "zoe"]}}, "deciders.people[1]"),
    ({"deciders": {"people": ["anna"], "quorum": 2}}, "deciders.quorum"),
    ({"deciders": {"roles": ["Op"]}}, "deciders.roles[0]"),
    ({"deciders": {"then": [{"after_s": 5}]}}, "deciders.then[0]"),
    ({"deciders": {"then": [{"after_s": 0, "roles": ["a"]}]}}, "deciders.then[0].after_s"),
    (
        {"deciders": {"then": [{"after_s": 9, "roles": ["a"]}, {"after_s": 9, "roles": ["a"]}]}},
        "deciders.then[1].after_s",
    ),
    ({"deciders": {"then": [{"after_s": 5, "people": ["zoe"]}]}}, "deciders.then[0].people[0]"),
    ({"cost_usd": -1}, "cost_usd"),
    ({"leaves_building": "yes"}, "leaves_building"),
    ({"dedupe_key": ""}, "dedupe_key"),
    ({"scopes": ["always"]}, "scopes"),
    ({"scopes": ["once", "once"]}, "scopes"),
    ({"scopes": ["once", "always"]}, "scopes"),
    ({"scopes": ["once", "conversation"], "agent": "a", "action": "b", "arguments": {}}, "scopes"),
    ({"scopes": ["forever"]}, "scopes[0]"),
    ({"grant_days": 0}, "grant_days"),
    ({"id": "mine"}, "id"),
    ({"requester": "somebody else"}, "requester"),
]


async def test_what_is_wrong_is_named_and_not_stored(operator: Desk) -> None:
    for body, field in BAD:
        reply = await operator.http.post("/v1/approvals", json={"title": "t"} | body)
        assert (reply.status_code, problem(reply)) == (422, ("invalid_request", field)), body
    assert not (await operator.http.get("/v1/approvals")).json()["data"]


BAD_CHOICES: list[tuple[dict[str, Any], str]] = [
    ({}, "option"),
    ({"option": ""}, "option"),
    ({"option": "perhaps"}, "option"),
    ({"option": 1}, "option"),
    ({"option": "approve", "scope": "ever"}, "scope"),
    ({"option": "approve", "scope": "always"}, "scope"),
    ({"option": "approve", "surface": "telegram"}, "surface"),
    ({"option": "approve", "note": "x" * 2001}, "note"),
    ({"option": "approve", "by": "anna"}, "by"),
]


async def test_a_choice_that_cannot_be_is_refused_and_it_stays_open(operator: Desk) -> None:
    asked = (await operator.ask())["id"]
    for body, field in BAD_CHOICES:
        reply = await operator.http.post(f"/v1/approvals/{asked}/decision", json=body)
        assert (reply.status_code, problem(reply)) == (422, ("invalid_request", field)), body
    assert (await operator.get(asked))["status"] == "open"


async def test_what_is_not_there_or_another_tenants_is_not_found(
    api: Api, gate: Gate, operator: Desk
) -> None:
    asked = (await operator.ask())["id"]
    stranger = await Gate.built(gate.ground)
    async with desk.client(api, stranger, "op", role=Role.OPERATOR) as other:
        for place in (asked, "apr_none", "%00", "x" * 500):
            path = f"/v1/approvals/{place}"
            replies = [
                await other.http.get(path),
                await other.http.post(f"{path}/decision", json={"option": "approve"}),
                await other.http.post(f"{path}/cancel"),
            ]
            assert {reply.status_code for reply in replies} == {404}, replies
    nobody = await operator.http.get("/v1/approvals", headers={"Authorization": "Bearer nothing"})
    assert nobody.status_code == 401


async def test_whoever_asked_may_withdraw_it_and_nobody_else_of_no_role(
    api: Api, gate: Gate, user: Desk, operator: Desk
) -> None:
    asked = (await user.ask())["id"]
    async with desk.client(api, gate, "another") as other:
        assert (await other.http.post(f"/v1/approvals/{asked}/cancel")).status_code == 403
    reply = await user.http.post(f"/v1/approvals/{asked}/cancel", json={"note": "no need"})
    assert (reply.status_code, reply.json()["decision"]["status"]) == (200, "cancelled")
    again = await operator.http.post(f"/v1/approvals/{asked}/cancel")
    assert (again.status_code, problem(again)[0]) == (409, "approval_closed")
    assert "was cancelled by key:" in again.json()["detail"]


async def test_a_dedupe_key_is_the_callers_own(api: Api, gate: Gate, user: Desk, operator: Desk) -> None:
    body = {"title": "t", "dedupe_key": "nightly"}
    first, second = [await user.http.post("/v1/approvals", json=body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert (await operator.ask(dedupe_key="nightly"))["id"] != first.json()["id"]
    workflows = await gate.opened(dedupe_key="nightly")
    assert workflows.approval_id != first.json()["id"], "nobody lays one in a workflow's way"


async def test_a_key_of_a_person_decides_as_the_person(api: Api, gate: Gate, operator: Desk) -> None:
    asked = (await operator.ask(deciders={"people": ["anna"]}))["id"]
    assert (await operator.decide(asked)).status_code == 403
    async with desk.client(api, gate, "carol's", person="carol", role=Role.OPERATOR) as carol:
        other = (await operator.ask())["id"]
        assert (await carol.decide(other)).status_code == 403, "by her own roles, not her key's"
    async with desk.client(api, gate, "anna's", person="anna") as anna:
        answer = await anna.decide(asked)
    assert (answer.status_code, answer.json()["decision"]["by"]) == (200, "anna")


async def test_a_quorum_is_counted_over_rest(api: Api, gate: Gate, operator: Desk) -> None:
    asked = (await operator.ask(deciders={"roles": ["operator"], "quorum": 2}))["id"]
    first = await operator.decide(asked)
    assert (first.status_code, first.json()["wanted"]) == (202, 1)
    async with desk.client(api, gate, "anna's", person="anna") as anna:
        assert (await anna.decide(asked)).status_code == 200


async def test_grants_are_made_used_listed_and_revoked(operator: Desk, user: Desk) -> None:
    first = await operator.ask(**ALIKE)
    answer = await operator.decide(first["id"], scope="always")
    grant = answer.json()["decision"]["grant_id"]
    again = await operator.ask(**ALIKE | {"arguments": {"to": "there"}})
    assert (again["status"], again["decision"]["surface"], again["decision"]["grant_id"]) == (
        "decided",
        "grant",
        grant,
    )
    for unlike in (
        {"arguments": {"to": 1}},
        {"arguments": {"to": "x", "now": True}},
        {"agent": "cat"},
        {"action": "eat"},
        {"kind": "tool"},
        {"leaves_building": True},
    ):
        assert (await operator.ask(**ALIKE | unlike))["status"] == "open", unlike
    listed = (await user.http.get("/v1/grants")).json()["data"]
    assert [(each["id"], each["used"], each["conversation_id"]) for each in listed] == [(grant, 1, None)]
    assert (await user.http.delete(f"/v1/grants/{grant}")).status_code == 403
    assert (await operator.http.delete(f"/v1/grants/{grant}")).json()["revoked_at"]
    assert (await operator.ask(**ALIKE))["status"] == "open", "a person is asked again"
    assert not (await user.http.get("/v1/grants")).json()["data"]
    assert len((await user.http.get("/v1/grants?all=true")).json()["data"]) == 1
    assert (await operator.http.delete("/v1/grants/grant_none")).status_code == 404
    # Nobody makes a grant for agents but who runs them.
    refused = await user.http.post("/v1/approvals", json={"title": "t"} | ALIKE)
    assert (refused.status_code, problem(refused)) == (422, ("invalid_request", "scopes"))


async def test_a_grant_ends(gate: Gate) -> None:
    alike: dict[str, Any] = {"agent": "a", "action": "b", "fingerprint": "f"}
    from activities.contracts.approvals import Scope, Surface

    scopes = (Scope.ONCE, Scope.ALWAYS)
    ref = await gate.opened(**alike, scopes=scopes, grant_ttl=timedelta(milliseconds=300), grant_most_usd=1.0)
    await gate.decide(ref, "anna", scope=Scope.ALWAYS)
    until = datetime.now(UTC) + timedelta(milliseconds=350)
    dear = await gate.store.open(gate.planned(**alike, cost_usd=1.01), "bot", Surface.WORKFLOW)
    assert dear.decision is None, "it costs more than was agreed to"
    cheap = await gate.store.open(gate.planned(**alike, cost_usd=1.0), "bot", Surface.WORKFLOW)
    assert cheap.decision is not None
    await asyncio.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    late = await gate.store.open(gate.planned(**alike, cost_usd=1.0), "bot", Surface.WORKFLOW)
    assert late.decision is None


async def test_people_are_made_known_by_operators(operator: Desk, user: Desk) -> None:
    body = {"roles": ["finance", "finance"], "time_zone": "Asia/Tokyo"}
    made = await operator.http.put("/v1/people/dora", json=body)
    assert made.json() == {"name": "dora", "roles": ["finance"], "time_zone": "Asia/Tokyo"}
    assert (await user.http.put("/v1/people/user", json={"roles": ["operator"]})).status_code == 403
    assert (await user.http.get("/v1/people")).status_code == 403
    for name, wrong, field in (
        ("Dora", {}, "name"),
        ("dora", {"time_zone": "Mars"}, "time_zone"),
        ("dora", {"roles": ["A B"]}, "roles[0]"),
        ("dora", {"role": "x"}, "role"),
    ):
        reply = await operator.http.put(f"/v1/people/{name}", json=wrong)
        assert (reply.status_code, problem(reply)) == (422, ("invalid_request", field))
    names = [each["name"] for each in (await operator.http.get("/v1/people")).json()["data"]]
    assert names == ["anna", "ben", "carol", "dora"]
    assert (await operator.http.delete("/v1/people/dora")).status_code == 204
    assert (await operator.http.delete("/v1/people/dora")).status_code == 404


async def test_the_document_describes_what_is_served(operator: Desk) -> None:
    paths = (await operator.http.get("/openapi.json")).json()["paths"]
    for path in (
        "/v1/approvals",
        "/v1/approvals/{approval_id}/decision",
        "/v1/webhooks",
        "/v1/grants",
        "/v1/people",
    ):
        assert path in paths
