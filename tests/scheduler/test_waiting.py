"""What waits: seen by those whose it is, in the order in which it will go, and cancelled like a turn."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from temporalio import activity, workflow
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.contracts.pools import PoolView
from api.scheduler_views import CancelledCall, QueueView
from infra.ids import new_id
from tests.scheduler.conftest import BACK, FRONT, PATIENCE_S, Desk
from tests.scheduler.waiting import ask, cancel_all, queue, until
from workflows.attributes import TENANT
from workflows.names import CHAT


@workflow.defn(name="image-job")
class ImageJob:
    """Asks a pool for something, as any workflow may."""

    @workflow.run
    async def run(self, pool: str) -> None:
        await workflow.execute_activity(
            "draw",
            task_queue=pool,
            start_to_close_timeout=timedelta(minutes=5),
            priority=Priority(priority_key=2),
        )


@asynccontextmanager
async def image_jobs(desk: Desk, *tenants: str | None) -> AsyncGenerator[list[str]]:
    """A job of each tenant (None has none) that waits for the pool `back`."""
    client, ids = desk.ground.client, list[str]()
    async with Worker(
        client, task_queue="jobs", workflows=[ImageJob], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        try:
            for tenant in tenants:
                ids.append(new_id("image"))
                told = [SearchAttributePair(TENANT, tenant)] if tenant else []
                await client.start_workflow(
                    ImageJob.run,
                    BACK,
                    id=ids[-1],
                    task_queue="jobs",
                    search_attributes=TypedSearchAttributes(told),
                )
            yield ids
        finally:
            for one in ids:
                with suppress(RPCError):
                    await client.get_workflow_handle(one).terminate()


@asynccontextmanager
async def serving_one(desk: Desk) -> AsyncGenerator[asyncio.Event]:
    """A worker that takes one call of the pool `front`, and holds on to it; set once it has."""
    taken = asyncio.Event()

    @activity.defn(name=CHAT)
    async def hold(step: Any) -> None:
        taken.set()
        while True:
            activity.heartbeat()
            await asyncio.sleep(1)

    async with Worker(
        desk.ground.client,
        task_queue=FRONT,
        activities=[hold],
        max_concurrent_activities=1,
        graceful_shutdown_timeout=timedelta(0),
    ):
        yield taken


async def test_the_most_urgent_is_first_then_who_has_waited_longest(
    desk: Desk, operator: httpx2.AsyncClient
) -> None:
    async with desk.client(await desk.key("patient")) as client:
        order = [await ask(client, priority=each, model="ranked-model") for each in (4, 2, 4, 1)]
        ids = set(order)
        try:
            seen = await queue(desk, client, ids)
            QueueView.model_validate(seen)
            assert [call["id"] for call in seen["data"]] == [order[3], order[1], order[0], order[2]]
            assert [call["priority"] for call in seen["data"]] == [1, 2, 4, 4]
            assert {(call["kind"], call["pool"], call["tenant"]) for call in seen["data"]} == {
                ("turn", "llm-ranked", "patient")
            }
            waits = [call["waiting_s"] for call in seen["data"]]
            assert all(wait > 0 for wait in waits)
            assert waits[2] > waits[3]
            assert (seen["more"], seen["degraded"]) == (False, [])
            later = await queue(desk, client, ids)
            assert all(
                after["waiting_s"] > before["waiting_s"] and after["since"] == before["since"]
                for before, after in zip(seen["data"], later["data"], strict=True)
            )
            short = await client.get("/v1/scheduler/queue", params={"limit": 2})
            assert [call["id"] for call in short.json()["data"]] == [order[3], order[1]]
            assert short.json()["more"] is True
            counted = await until(
                desk,
                client,
                "/v1/scheduler/queue",
                lambda seen: [call["more_urgent"] for call in seen["data"]] == [0, 1, 2, 2],
            )
            assert len(counted["data"]) == 4
        finally:
            await cancel_all(client, ids)


async def test_tenants_see_their_own_and_operators_all(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with desk.client(await desk.key("left")) as left, desk.client(await desk.key("right")) as right:
        ours, theirs = await ask(left), await ask(right)
        try:
            async with image_jobs(desk, "left", "right", None) as (our_job, their_job, nobodys):
                every = await queue(desk, operator, {ours, theirs, our_job, their_job, nobodys})
                seen = await queue(desk, left, {ours, our_job})
                text = str(seen)
                assert not any(other in text for other in (theirs, their_job, nobodys, "right"))
                await queue(desk, right, {theirs, their_job})
                jobs = {call["id"]: call for call in every["data"]}
                assert (jobs[our_job]["kind"], jobs[our_job]["pool"]) == ("image-job", BACK)
                assert (jobs[our_job]["priority"], jobs[our_job]["tenant"]) == (2, "left")
                assert jobs[nobodys]["tenant"] is None
                await queue(desk, operator, {ours, theirs}, kind="turn")
                await queue(desk, operator, {ours, theirs}, pool=FRONT)
                await queue(desk, operator, {our_job, their_job, nobodys}, kind="image-job")
                await queue(desk, operator, set(), pool=BACK, kind="turn")
        finally:
            await cancel_all(left, {ours})
            await cancel_all(right, {theirs})


async def test_what_is_served_does_not_wait(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with desk.client(await desk.key("served")) as client:
        begun, waiting = await ask(client, priority=1), await ask(client, priority=5)
        try:
            await queue(desk, operator, {begun, waiting})
            # A worker's own word is enough.
            await desk.pools.say("one", (PoolView(pool=FRONT, running=(begun,)),))
            await queue(desk, operator, {waiting})
            await desk.pools.say("one", ())
            await queue(desk, operator, {begun, waiting})
            async with serving_one(desk) as taken:
                async with asyncio.timeout(PATIENCE_S):
                    await taken.wait()
                await desk.forget()
                seen = (await operator.get("/v1/scheduler/queue")).json()
                assert [call["id"] for call in seen["data"]] == [waiting]
                refused = await client.post(f"/v1/scheduler/queue/{begun}/cancel")
                assert refused.status_code == 409
                assert f"/v1/turns/{begun}/cancel" in refused.json()["detail"]
        finally:
            await cancel_all(client, {begun, waiting})


async def test_a_waiting_turn_is_cancelled_as_a_turn_is(desk: Desk) -> None:
    async with desk.client(await desk.key("canceller")) as client:
        one, other = await ask(client), await ask(client)
        await queue(desk, client, {one, other})
        reply = await client.post(f"/v1/scheduler/queue/{one}/cancel")
        assert reply.status_code in {200, 202}, reply.text
        CancelledCall.model_validate_json(reply.content)
        assert (reply.json()["id"], reply.json()["kind"]) == (one, "turn")
        turn = await until(desk, client, f"/v1/turns/{one}", lambda turn: turn["status"] == "cancelled")
        assert [hop["outcome"] for hop in turn["route"]] == ["cancelled"]
        await queue(desk, client, {other})
        again = await client.post(f"/v1/scheduler/queue/{one}/cancel")
        assert (again.status_code, again.json()["type"]) == (409, "urn:aither:problem:not_waiting")
        await cancel_all(client, {other})


async def test_nobody_cancels_what_is_not_theirs(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with desk.client(await desk.key("owner")) as owner, desk.client(await desk.key("thief")) as thief:
        turn = await ask(owner)
        async with image_jobs(desk, "owner") as (job,):
            await queue(desk, owner, {turn, job})
            for call in (turn, job, new_id("turn"), "image_nothing", "gpu-card/box/0", "no/where", "\x00"):
                reply = await thief.post(f"/v1/scheduler/queue/{quote(call, safe='/')}/cancel")
                assert reply.status_code == 404, (call, reply.text)
            await queue(desk, owner, {turn, job})
            # An operator runs the house, and sees no more of the turn than that it waited.
            reply = await operator.post(f"/v1/scheduler/queue/{turn}/cancel")
            assert reply.status_code in {200, 202}
            assert reply.json().keys() == {"id", "kind", "status"}
            await queue(desk, owner, {job})
            assert (await owner.get(f"/v1/turns/{turn}")).json()["status"] == "cancelled"
            stopped = await owner.post(f"/v1/scheduler/queue/{job}/cancel")
            assert (stopped.status_code, stopped.json()["status"]) == (202, "stopping")
            await queue(desk, owner, set())


async def test_more_than_are_described_at_once(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with desk.client(await desk.key("many")) as client:
        ids = set(await asyncio.gather(*(ask(client) for _ in range(60))))
        try:
            seen = await queue(desk, client, ids, limit=500)
            assert (len(seen["data"]), seen["more"]) == (60, False)
            some = (await client.get("/v1/scheduler/queue", params={"limit": 59})).json()
            assert (len(some["data"]), some["more"]) == (59, True)
        finally:
            await cancel_all(client, ids)


@pytest.mark.parametrize("tenant", ["quo'te", "a\\'b", "x' OR AitherTenant != 'x"])
async def test_a_tenants_name_is_never_part_of_the_query(desk: Desk, tenant: str) -> None:
    line = await desk.state.waiting._queueing.line({FRONT, BACK}, tenant=tenant)
    assert line.waiters == ()
