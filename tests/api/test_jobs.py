"""`/v1/jobs`: what is taken, what is refused with its field named, and how a job is followed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from activities.contracts.jobs import JobEventKind, JobRef
from activities.contracts.swarm import JobStatus
from infra.postgres.jobs import PostgresJobs
from infra.redis_jobs import RedisJobs
from tests.api.conftest import Api

SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def begun(client: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post("/v1/jobs", json={"goal": "Compare energy stores", **body})
    assert reply.status_code == 202, reply.text
    return reply.json()


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("goal", {"goal": ""}),
        ("goal", {"goal": "  \n"}),
        ("goal", {}),
        ("workers", {"goal": "x", "workers": 0}),
        ("workers", {"goal": "x", "workers": 10_001}),
        ("tasks", {"goal": "x", "tasks": 0}),
        ("tasks", {"goal": "x", "tasks": 10_001}),
        ("backend", {"goal": "x", "backend": "nobody"}),
        ("budget_usd", {"goal": "x", "budget_usd": -1}),
        ("deadline", {"goal": "x", "deadline": "2020-01-01T00:00:00Z"}),
        ("deadline", {"goal": "x", "deadline": "2120-01-01T00:00:00"}),
        ("deadline", {"goal": "x", "deadline": "soon"}),
        ("kind", {"goal": "x", "kind": "burst"}),
        ("tools[0]", {"goal": "x", "tools": ["shell"]}),
        ("policy.max_usd", {"goal": "x", "policy": {"max_usd": -1}}),
    ],
)
async def test_a_bad_job_names_its_field_and_nothing_is_stored(
    api: Api, client: httpx2.AsyncClient, field: str, body: dict[str, Any]
) -> None:
    before = await api.stores.count("jobs")
    reply = await client.post("/v1/jobs", json=body)
    assert reply.status_code == 422, reply.text
    assert field in {error["field"] for error in reply.json()["errors"]}
    assert await api.stores.count("jobs") == before


async def test_a_job_is_shown_listed_and_nobody_elses(api: Api, client: httpx2.AsyncClient) -> None:
    job = await begun(client, workers=10, tasks=24, deadline=SOON, tools=["memory"])
    view = (await client.get(f"/v1/jobs/{job['id']}")).json()
    assert (view["status"], view["phase"], view["priority"]) == ("running", "planning", 4)
    assert (view["options"]["workers"], view["options"]["memory_hits"]) == (10, 5)
    page = (await client.get("/v1/jobs", params={"limit": 1})).json()
    assert [each["id"] for each in page["data"]] == [job["id"]]
    async with api.client(await api.new_key("other")) as stranger:
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
            reply = await stranger.request(method, f"/v1/jobs/{job['id']}{path}")
            assert (reply.status_code, reply.json()["type"]) == (404, "urn:aither:problem:job_not_found")
        assert not (await stranger.get("/v1/jobs")).json()["data"]


async def test_the_same_key_begins_one_job(api: Api, client: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/v1/jobs", json={"goal": "a"}, headers=headers)
    again = await client.post("/v1/jobs", json={"goal": "a"}, headers=headers)
    other = await client.post("/v1/jobs", json={"goal": "b"}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 409


async def test_events_are_followed_resumed_and_end(api: Api, client: httpx2.AsyncClient) -> None:
    job = await begun(client)
    ref = JobRef(tenant_id="acme", job_id=job["id"])
    rows = PostgresJobs(api.state.database)
    async with RedisJobs.connect(api.stores.redis.url, 60) as told:
        await told.tell(
            job["id"], (JobEventKind.PLANNED, {"tasks": 2}), (JobEventKind.PHASE, {"phase": "working"})
        )
        _, view = await rows.end(ref, JobStatus.COMPLETED, None)
        await told.tell(job["id"], (JobEventKind.COMPLETED, view))
    path = f"/v1/jobs/{job['id']}/events"
    ids, kinds = _heard((await client.get(path)).text)
    assert kinds == ["job.started", "job.planned", "job.phase", "job.completed"]
    _, rest = _heard((await client.get(path, headers={"Last-Event-ID": ids[1]})).text)
    assert rest == kinds[2:]
    assert (await client.get(path, headers={"Last-Event-ID": ids[-1]})).status_code == 204
    assert (await client.get(path, headers={"Last-Event-ID": "x"})).status_code == 422
    waited = await client.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=5"})
    assert waited.json()["status"] == "completed"
    assert (await client.post(f"/v1/jobs/{job['id']}/workers", json={"workers": 2})).status_code == 409


async def test_the_end_is_told_by_the_row_where_there_is_no_stream(
    api: Api, client: httpx2.AsyncClient
) -> None:
    job = await begun(client)
    await PostgresJobs(api.state.database).end(
        JobRef(tenant_id="acme", job_id=job["id"]), JobStatus.FAILED, {"code": "x", "message": "y"}
    )
    ids, kinds = _heard((await client.get(f"/v1/jobs/{job['id']}/events")).text)
    assert kinds == ["job.started", "job.failed"]
    reply = await client.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": ids[-1]})
    assert reply.status_code == 204


async def test_a_job_that_temporal_does_not_know_is_cancelled_in_its_row(
    api: Api, client: httpx2.AsyncClient
) -> None:
    job = await begun(client)
    reply = await client.post(f"/v1/jobs/{job['id']}/cancel")
    assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")


def _heard(text: str) -> tuple[list[str], list[str]]:
    lines = text.splitlines()
    ids = [line[4:] for line in lines if line.startswith("id: ")]
    return ids, [line[7:] for line in lines if line.startswith("event: ")]
