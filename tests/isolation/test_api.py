"""Through the API: what is another tenant's answers exactly as what does not exist, on every route there is.

The routes come from the app. A new one has to be given its place below, or fails here.
"""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute

from api.auth import Needs, bearer_key
from infra.ids import new_id
from infra.postgres.keys import Role
from tests.api.conftest import Api, ask
from tests.api.playing import never

MARK = "theirs-alone"
"""In every text of theirs."""

OPEN = {
    "/health": "whether it is up",
    "/": "where the documents are",
    "/docs": "the documents, and what belongs to their page",
    "/v1/approvals/webhook/{endpoint_id}": "a message that is signed with its endpoint's secret",
    "/v1/telegram/webhook": "calls that are known by their secret",
    "/v1/model-files/content/{scope}/{folder}/{name}": "links that are signed, and end",
    "/v1/boxes/{lease}/challenge": "boxes, which then prove themselves by their leases' keys",
    "/v1/boxes/{lease}/join": "boxes that prove themselves by their leases' keys",
    "/v1/boxes/{lease}/heartbeat": "boxes that prove themselves by their leases' keys",
    "/v1/boxes/{lease}/models": "boxes that prove themselves by their leases' keys",
}
"""Routes that take no key, and what they go by instead."""

HOUSE = {
    "/v1/registry/{service}": "services are the house's; only their names are shown to tenants",
    "/v1/scheduler/pools/{pool}": "pools are everybody's",
    "/v1/gpu/cards/{host}/{index}": "cards are the house's; of who holds them a tenant sees its own",
    "/v1/gpu/cards/{host}/{index}/sleep": "an operator's",
    "/v1/gpu/cards/{host}/{index}/wake": "an operator's",
    "/v1/gpu/cards/{host}/{index}/repair": "an operator's",
    "/v1/leases/{lease_id}": "an operator's",
    "/v1/models/{model}": "models are everybody's",
}
"""Routes to one thing that is no tenant's."""

OPERATORS = {
    ("GET", "/v1/burst/offers"),
    ("POST", "/v1/leases"),
    ("GET", "/v1/leases"),
    ("POST", "/v1/leases/sweep"),
    ("GET", "/v1/leases/{lease_id}"),
    ("DELETE", "/v1/leases/{lease_id}"),
    ("POST", "/v1/gpu/cards/{host}/{index}/sleep"),
    ("POST", "/v1/gpu/cards/{host}/{index}/wake"),
    ("POST", "/v1/gpu/cards/{host}/{index}/repair"),
    ("POST", "/v1/model-files/resolve"),
    ("GET", "/v1/webhooks"),
    ("POST", "/v1/webhooks"),
    ("DELETE", "/v1/webhooks/{endpoint_id}"),
    ("PUT", "/v1/people/{name}"),
    ("DELETE", "/v1/people/{name}"),
    ("GET", "/v1/people"),
}
SERVICES = {("POST", "/v1/registry/heartbeat"), ("DELETE", "/v1/registry/{service}")}


@dataclass
class Theirs:
    """What the other tenant has, by the names of path parameters."""

    ids: dict[str, str] = field(default_factory=dict[str, str])
    conversation: str = ""
    running: str = ""


@pytest.fixture(scope="module")
async def theirs(running_api: Api) -> AsyncIterator[Theirs]:
    """Another tenant that has done everything there is to do."""
    api, had = running_api, Theirs()
    operator = await api.new_key("theirs", role=Role.OPERATOR)
    async with api.client(operator) as client:
        body = {"input": MARK, "metadata": {"of": MARK}}
        turn = await ask(client, body, Idempotency_Key="same-key")
        had.ids["turn_id"], had.conversation = turn["id"], turn["conversation_id"]
        api.runs.play, played = never, api.runs.play
        had.running = (await ask(client, {"input": MARK}, wait=None))["id"]
        api.runs.play = played
        headers = {"Idempotency-Key": "same-key"}
        job = await client.post("/v1/jobs", json={"goal": MARK}, headers=headers)
        had.ids["job_id"] = _good(job)["id"]
        _good(await client.put("/v1/people/theirs-ada", json={"roles": [MARK]}))
        _good(await client.put(f"/v1/agents/{MARK}", json={"will": MARK}))
        asked = {"title": MARK, "dedupe_key": "same", "details": MARK, "deciders": {"roles": ["operator"]}}
        had.ids["approval_id"] = _good(await client.post("/v1/approvals", json=asked))["id"]
        reach = {"agent": MARK, "action": "go", "arguments": {"x": 1}, "scopes": ["once", "always"]}
        granted = _good(await client.post("/v1/approvals", json={"title": MARK, **reach}))
        place = f"/v1/approvals/{granted['id']}/decision"
        decided = _good(await client.post(place, json={"option": "approve", "scope": "always"}))
        had.ids["grant_id"] = decided["decision"]["grant_id"]
        had.ids["endpoint_id"] = _good(
            await client.post("/v1/webhooks", json={"speaks_for": ["theirs-ada"]})
        )["id"]
        uri = f"aither://models/theirs/{MARK}/model.gguf"
        file = {"uri": uri, "object_key": MARK, "size_bytes": 1, "sha256": "0" * 64}
        _good(await client.put("/v1/model-files", json=file))
    had.ids |= {"name": MARK, "call_id": had.running}
    assert all(had.ids.values())
    yield had
    await api.runs.cancel(had.running)


def _good(reply: httpx2.Response) -> Any:
    assert reply.status_code < 300, reply.text
    return reply.json() if reply.content else {}


INVENTED = {
    "turn_id": new_id("turn"),
    "job_id": new_id("job"),
    "approval_id": new_id("apr"),
    "grant_id": "grant_" + "0" * 32,
    "endpoint_id": new_id("whe"),
    "name": "invented-one",
    "call_id": new_id("turn"),
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/jobs/{job_id}/workers": {"workers": 1},
    "/v1/approvals/{approval_id}/decision": {"option": "approve"},
    "/v1/approvals/{approval_id}/cancel": {},
    "/v1/agents/{name}/rollback": {"version": 1},
    "/v1/agents/{name}": {"will": "mine"},
    "/v1/people/{name}": {"roles": []},
}


def _open(path: str) -> bool:
    return path in OPEN or path.startswith("/docs/")


def _routes(api: Api) -> Iterator[APIRoute]:
    """All routes, those that no document shows too."""

    def walk(routes: Any) -> Iterator[APIRoute]:
        for route in routes:
            if isinstance(route, APIRoute):
                yield route
            elif router := getattr(route, "original_router", None):
                yield from walk(router.routes)

    found = list(walk(api.app.routes))
    assert len(found) > 60
    yield from found


def _operations(api: Api) -> Iterator[tuple[str, str, APIRoute]]:
    for route in _routes(api):
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            # A converter such as {call_id:path} says nothing of the name.
            yield method, re.sub(r":\w+}", "}", route.path), route


def _needs(route: APIRoute) -> tuple[Role, ...] | None:
    """The roles that a route is for; empty for every key, None where it takes none."""
    found: tuple[Role, ...] | None = None
    left = list(route.dependant.dependencies)
    while left:
        dependency = left.pop()
        if isinstance(dependency.call, Needs):
            return dependency.call._roles
        if dependency.call is bearer_key:
            found = ()
        left += dependency.dependencies
    return found


def test_every_route_has_its_place(running_api: Api) -> None:
    seen: set[tuple[str, str]] = set()
    for method, path, route in _operations(running_api):
        seen.add((method, path))
        needs = _needs(route)
        assert (needs is None) == _open(path), f"{method} {path} takes no key"
        assert (needs == (Role.OPERATOR,)) == ((method, path) in OPERATORS), f"{method} {path}"
        assert (needs == (Role.SERVICE, Role.OPERATOR)) == ((method, path) in SERVICES), f"{method} {path}"
        parameters = re.findall(r"{(\w+)}", path)
        if parameters and not _open(path) and path not in HOUSE:
            assert set(parameters) <= set(INVENTED), f"{path}: whose is what it names?"
    assert seen >= OPERATORS | SERVICES
    assert {path for _, path in seen} >= set(HOUSE)


async def _tried(client: httpx2.AsyncClient, method: str, path: str, ids: dict[str, str]) -> httpx2.Response:
    place = re.sub(r"{(\w+)}", lambda found: ids[found[1]], path)
    body = BODIES.get(path) if method in {"POST", "PUT"} else None
    return await client.request(method, place, json=body)


def _said(reply: httpx2.Response, ids: dict[str, str]) -> tuple[int, str, dict[str, str]]:
    """All that a reply says, with what it was asked for and moments left out."""

    def plain(text: str) -> str:
        for value in ids.values():
            text = text.replace(value, "ID")
        return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.+Z]+", "AT", text)

    left_out = {"date", "content-length"}
    headers = {name: plain(value) for name, value in reply.headers.items() if name not in left_out}
    return reply.status_code, plain(reply.text), headers


@pytest.mark.parametrize("role", [Role.USER, Role.OPERATOR])
async def test_what_is_theirs_answers_as_what_is_not_there(api: Api, theirs: Theirs, role: Role) -> None:
    compared = 0
    # What is made by naming it is one's own from then on, so that comes last.
    operations = sorted(_operations(api), key=lambda operation: operation[0] == "PUT")
    async with api.client(await api.new_key(f"mine-{role}", role=role)) as mine:
        for method, path, _ in operations:
            parameters = set(re.findall(r"{(\w+)}", path))
            if not parameters or path in HOUSE or not parameters <= set(INVENTED):
                continue
            invented = _said(await _tried(mine, method, path, INVENTED), INVENTED)
            real = _said(await _tried(mine, method, path, theirs.ids), theirs.ids)
            assert real == invented, f"{method} {path} tells that it is there"
            assert MARK not in real[1]
            assert method == "PUT" or real[0] in {401, 403, 404, 503}, f"{method} {path}: {real}"
            assert real[0] != 503 or path.startswith("/v1/scheduler/"), f"{method} {path}"
            compared += 1
    assert compared >= 17


async def test_all_of_theirs_is_as_it_was(api: Api, theirs: Theirs) -> None:
    """After what the tests before have tried."""
    async with api.client(await api.new_key("theirs", role=Role.OPERATOR)) as client:
        assert _good(await client.get(f"/v1/turns/{theirs.running}"))["status"] == "running"
        assert _good(await client.get(f"/v1/jobs/{theirs.ids['job_id']}"))["status"] == "running"
        assert _good(await client.get(f"/v1/approvals/{theirs.ids['approval_id']}"))["status"] == "open"
        assert _good(await client.get(f"/v1/agents/{MARK}"))["version"] == 1
        assert [each["id"] for each in _good(await client.get("/v1/grants"))["data"]] == [
            theirs.ids["grant_id"]
        ]
        assert len(_good(await client.get("/v1/webhooks"))["data"]) == 1
        assert [each["name"] for each in _good(await client.get("/v1/people"))["data"]] == ["theirs-ada"]


@pytest.mark.parametrize("role", list(Role))
async def test_no_list_and_no_report_names_anything_of_theirs(api: Api, theirs: Theirs, role: Role) -> None:
    looked = 0
    unsaid = [MARK, "theirs", theirs.conversation, theirs.running, *theirs.ids.values()]
    queries = {"/v1/memory/search": {"q": MARK}, "/v1/burst/offers": {"for": "llm-reasoner"}}
    async with api.client(await api.new_key("mine", role=role)) as mine:
        await ask(mine, {"input": "my own"})
        for method, path, _ in _operations(api):
            if method != "GET" or "{" in path or _open(path):
                continue
            reply = await mine.get(path, params=queries.get(path))
            assert reply.status_code in {200, 403, 409, 422, 503}, f"{path}: {reply.text}"
            for name in unsaid:
                assert name not in reply.text, f"{path} names {name}"
            looked += reply.status_code == 200
        assert looked >= 10
        for path in ("/v1/approvals?status=open", "/v1/grants?all=true", "/v1/turns?status=running"):
            assert _good(await mine.get(path))["data"] == []
        spend = _good(await mine.get("/v1/spend?by=key"))
        assert {line["group"] for line in spend["data"]}.isdisjoint({"theirs"})


async def test_filters_and_cursors_of_theirs_find_nothing(api: Api, theirs: Theirs) -> None:
    async with api.client(await api.new_key("theirs")) as other:
        cursors = {
            path: _good(await other.get(path, params={"limit": 1}))["next_cursor"]
            for path in ("/v1/turns", "/v1/approvals")
        }
    async with api.client(await api.new_key("cursory")) as mine:
        opened = [_good(await mine.post("/v1/approvals", json={"title": str(n)}))["id"] for n in range(3)]
        for path, cursor in cursors.items():
            reply = await mine.get(path, params={"cursor": cursor})
            assert MARK not in reply.text
            assert reply.status_code == 422 or reply.json()["data"] == [], reply.text
        for filtered in (f"conversation_id={theirs.conversation}", f"job_id={theirs.ids['job_id']}"):
            assert _good(await mine.get(f"/v1/turns?{filtered}"))["data"] == []
        # A cursor of one's own tells nothing of how much there is of everybody's.
        page = _good(await mine.get("/v1/approvals?limit=1"))
        assert page["data"][0]["id"] == opened[-1]
        following = _good(await mine.get("/v1/approvals", params={"limit": 5, "cursor": page["next_cursor"]}))
        assert [each["id"] for each in following["data"]] == opened[1::-1]
        async with api.client(await api.new_key("theirs")) as other:
            for n in range(3):
                _good(await other.post("/v1/approvals", json={"title": f"{MARK} {n}"}))
        assert _good(await mine.get("/v1/approvals?limit=1"))["next_cursor"] == page["next_cursor"]


async def test_the_same_names_are_another_thing_to_another_tenant(api: Api, theirs: Theirs) -> None:
    """Idempotency keys and dedupe keys, with the very same bodies."""
    async with api.client(await api.new_key("twin", role=Role.OPERATOR)) as mine:
        body = {"input": MARK, "metadata": {"of": MARK}}
        headers = {"Idempotency-Key": "same-key", "Prefer": "wait=10"}
        reply = await mine.post("/v1/turns", json=body, headers=headers)
        assert reply.status_code == 200
        assert "idempotency-replayed" not in reply.headers
        assert reply.json()["id"] != theirs.ids["turn_id"]
        reply = await mine.post("/v1/jobs", json={"goal": MARK}, headers={"Idempotency-Key": "same-key"})
        assert "idempotency-replayed" not in reply.headers
        assert reply.json()["id"] != theirs.ids["job_id"]
        asked = {"title": MARK, "dedupe_key": "same", "details": MARK, "deciders": {"roles": ["operator"]}}
        reply = await mine.post("/v1/approvals", json=asked)
        assert (reply.status_code, reply.json()["id"] == theirs.ids["approval_id"]) == (201, False)
        # A grant of theirs answers nothing here.
        reach = {"agent": MARK, "action": "go", "arguments": {"x": 1}, "scopes": ["once", "always"]}
        assert _good(await mine.post("/v1/approvals", json={"title": "May I?", **reach}))["status"] == "open"


@pytest.mark.parametrize("path", ["/v1/turns", "/v1/chat/completions"])
async def test_what_a_question_may_refer_to_is_ones_own(api: Api, theirs: Theirs, path: str) -> None:
    async with api.client(await api.new_key("referring")) as mine:

        async def asked(**aither: str) -> tuple[int, str]:
            body: dict[str, Any] = {"input": "x"} | aither
            if path != "/v1/turns":
                body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "aither": aither}
            reply = await mine.post(path, json=body)
            return reply.status_code, re.sub("|".join(map(re.escape, aither.values())), "ID", reply.text)

        invented = await asked(conversation_id=new_id("conv"))
        assert await asked(conversation_id=theirs.conversation) == invented
        assert invented[0] == 404
        invented = await asked(agent="invented-one")
        assert await asked(agent=MARK) == invented
        assert invented[0] in {404, 422}


async def test_without_a_key_nothing_is_open_but_what_is_known_to_be(api: Api, theirs: Theirs) -> None:
    async with httpx2.AsyncClient(base_url=api.url, timeout=20) as nobody:
        for method, path, _ in _operations(api):
            if not _open(path):
                reply = await nobody.request(method, re.sub(r"{(\w+)}", "0", path))
                assert reply.status_code == 401, f"{method} {path}"
        place = f"/v1/approvals/webhook/{theirs.ids['endpoint_id']}"
        message = {"approval_id": theirs.ids["approval_id"], "option": "approve"}
        assert (await nobody.post(place, json=message)).status_code == 401


async def test_operators_routes_open_to_operators_alone(api: Api) -> None:
    for role in (Role.USER, Role.SERVICE):
        async with api.client(await api.new_key("mine", role=role)) as client:
            for method, path in sorted(OPERATORS | SERVICES):
                if role is Role.SERVICE and (method, path) in SERVICES:
                    continue
                reply = await client.request(method, re.sub(r"{(\w+)}", "0", path), json={})
                assert reply.status_code == 403, f"{method} {path} is open to a {role}"
                assert reply.json()["type"] == "urn:aither:problem:forbidden"
