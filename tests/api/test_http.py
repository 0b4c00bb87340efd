"""What holds for every request: keys, problems, headers, the document, health."""

import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.models import HealthView, ProblemView
from api.reading import wait_seconds
from tests.api.conftest import Api, ask

OPEN = {("get", "/health"), ("post", "/v1/approvals/webhook/{endpoint_id}")}
"""The webhook's messages are signed instead."""
REMOTE = re.compile(r"(?:src|href)=[\"'](?:https?:)?//", re.IGNORECASE)


async def test_every_operation_wants_a_key_in_the_header(api: Api) -> None:
    document = api.app.openapi()
    wrong = [{}, {"Authorization": "Bearer ak_wrong"}, {"Authorization": f"Basic {api.key}"}]
    wrong += [
        {"Authorization": api.key},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer " + "x" * 5000},
    ]
    async with httpx2.AsyncClient(base_url=api.url) as client:
        for path, operations in document["paths"].items():
            for method in operations:
                if (method, path) in OPEN:
                    continue
                address = re.sub(r"\{[^}]+\}", "turn_x", path)
                for headers in wrong:
                    reply = await client.request(method.upper(), address, headers=headers)
                    assert reply.status_code == 401, (method, path, headers)
                    assert reply.headers["www-authenticate"].startswith("Bearer")
        reply = await client.get(f"/v1/turns?api_key={api.key}&key={api.key}&access_token={api.key}")
        assert reply.status_code == 401
        assert ProblemView.model_validate(reply.json()).errors


async def test_every_reply_is_safe_for_browsers(api: Api, client: httpx2.AsyncClient) -> None:
    for address in ("/v1/turns", "/v1/nothing", "/health", "/docs", "/openapi.json"):
        reply = await client.get(address, headers={"Origin": "https://elsewhere.example"})
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in reply.headers


async def test_an_unforeseen_failure_shows_nothing_of_itself(
    api: Api, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(api.state.turns, "page", broken)
    reply = await client.get("/v1/turns")
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "42" not in reply.text
    assert "the secret is 42" in caplog.text


async def test_the_document_is_complete(api: Api) -> None:
    document = api.app.openapi()
    refs = set(re.findall(r"#/components/schemas/([A-Za-z0-9_]+)", str(document)))
    assert refs <= document["components"]["schemas"].keys()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"], (method, path)
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            if (method, path) not in OPEN:
                assert operation["security"], (method, path)
            if path.startswith("/v1/turns"):
                assert {"401", "500", "503"} <= operation["responses"].keys(), (method, path)
            assert "HTTPValidationError" not in str(operation)
    create = document["paths"]["/v1/turns"]["post"]
    assert {"200", "202", "400", "404", "409", "413", "415", "422"} <= create["responses"].keys()
    assert {parameter["name"] for parameter in create["parameters"]} == {"Idempotency-Key", "Prefer"}
    body = create["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/TurnBody"}
    for example in body["examples"].values():
        async with api.client() as client:
            assert (await ask(client, example["value"]))["status"] == "completed"


async def test_the_reference_needs_no_other_host(api: Api, client: httpx2.AsyncClient) -> None:
    assert (await client.get("/")).headers["location"] == "/docs"
    pytest.importorskip("fastapi_offline", reason="the package that carries Swagger UI is not installed")
    page = await client.get("/docs")
    assert page.status_code == 200
    assert not REMOTE.search(page.text)
    for asset in re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text):
        assert (await client.get(asset)).status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_health_tells_what_is_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.health.FRESH_S", 0.0)
    async with httpx2.AsyncClient(base_url=api.url) as client:
        well = HealthView.model_validate((await client.get("/health")).json())
        assert well.status == "ok"
        assert set(well.parts) == {"postgres", "redis", "temporal"}
        api.runs.up = False
        reply = await client.get("/health")
        assert reply.status_code == 200
        degraded = HealthView.model_validate(reply.json())
        assert degraded.status == "degraded"
        assert degraded.parts["temporal"].state == "away"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=5", 5),
        ("Wait = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=10", 10),
        ("respond-async;foo=bar, wait=10; x=1", 10),
        ("await=5", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait=5s", None),
        ("wait=99999999999", None),
    ],
)
def test_preferences_that_make_no_sense_are_ignored(prefer: str | None, seconds: int | None) -> None:
    assert wait_seconds(prefer) == seconds


async def test_a_wait_is_capped(api: Api, client: httpx2.AsyncClient) -> None:
    reply = await client.post("/v1/turns", json={"input": "x"}, headers={"Prefer": "wait=86400"})
    assert reply.headers["preference-applied"] == "wait=20"


def test_the_app_is_documented_under_its_own_name(running_api: Api) -> None:
    assert isinstance(running_api.app, FastAPI)
    assert running_api.app.openapi()["info"]["title"] == "Aither"
