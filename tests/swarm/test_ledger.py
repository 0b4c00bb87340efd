"""Every task is finished exactly once and no finding is lost or doubled, whoever is killed, late or told twice."""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from activities.contracts.ledger import (
    ClaimAsk,
    ClaimRef,
    CompleteAsk,
    FailAsk,
    ReleaseAsk,
    RenewAsk,
    SearchAsk,
    TaskRef,
)
from activities.contracts.swarm import Claim, TaskStatus
from activities.errors import ClaimLost, StoreUnavailable, TaskNotFound
from activities.swarm_store import SwarmStore
from infra.qdrant.local import InUse, LocalQdrant
from infra.qdrant.points import StoreRefused
from infra.qdrant.server import ServerQdrant
from infra.qdrant.task_rows import SCHEMA
from tests.support.standin_qdrant import KEY, StandinQdrant
from tests.swarm.dying import TTL, Between, Doomed, Swarm, all_refs, ask, claim, found
from tests.swarm.storing import Clock, Place


async def test_a_task_is_put_once_and_what_became_of_it_stays(place: Place) -> None:
    async with place.opened() as qdrant:
        store = place.store(qdrant, Clock())
        assert (await store.put_tasks(place.put(5))).added == 5
        held = await claim(store, place, "a")
        done = await claim(store, place, "b")
        await store.complete(CompleteAsk(claim=ClaimRef.of(done), findings=found("x")))
        again = await store.put_tasks(place.put(6))
        assert again.added == 1
        assert (again.counts.open, again.counts.claimed, again.counts.done) == (4, 1, 1)
        assert (await store.renew(RenewAsk(claim=ClaimRef.of(held), ttl=TTL))).expires_at
        listed = await place.ledger(qdrant).tasks(place.tenant, place.goal, Clock()())
        assert [task.place for task in listed] == [0, 1, 2, 3, 4, 5]


async def test_nobody_gets_what_another_has_until_it_runs_out(place: Place) -> None:
    clock = Clock()
    async with place.opened() as qdrant:
        store = place.store(qdrant, clock)
        await store.put_tasks(place.put(1))
        first = await claim(store, place, "a")
        none = await store.claim(ask(place, "b"))
        assert none.claim is None and none.counts.claimed == 1
        assert none.next_expiry == first.expires_at
        clock.pass_by(TTL / 2)
        await store.renew(RenewAsk(claim=ClaimRef.of(first), ttl=TTL))
        clock.pass_by(TTL * 0.75)
        assert (await store.claim(ask(place, "b"))).claim is None, "it was renewed"
        clock.pass_by(TTL / 2)
        second = await claim(store, place, "b")
        assert second.task.id == first.task.id and second.token == first.token + 1
        for late in (
            store.renew(RenewAsk(claim=ClaimRef.of(first), ttl=TTL)),
            store.complete(CompleteAsk(claim=ClaimRef.of(first), findings=found("late"))),
            store.fail(FailAsk(claim=ClaimRef.of(first), why="late")),
            store.release(ReleaseAsk(claim=ClaimRef.of(first))),
        ):
            with pytest.raises(ClaimLost):
                await late
        await store.complete(CompleteAsk(claim=ClaimRef.of(second), findings=found("in time")))
        assert len(await all_refs(store, place)) == 1
        clock.pass_by(10 * TTL)
        assert (await store.claim(ask(place, "c"))).claim is None, "a finished task is never claimed"


async def test_a_late_result_counts_while_nobody_else_has_the_task(place: Place) -> None:
    clock = Clock()
    async with place.opened() as qdrant:
        store = place.store(qdrant, clock)
        await store.put_tasks(place.put(1))
        held = await claim(store, place, "a")
        clock.pass_by(5 * TTL)
        await store.complete(CompleteAsk(claim=ClaimRef.of(held), findings=found("late, but good")))
        assert len(await all_refs(store, place)) == 1


async def test_a_request_that_is_repeated_brings_the_same_claim(place: Place) -> None:
    async with place.opened() as qdrant:
        store = place.store(qdrant, Clock())
        await store.put_tasks(place.put(5))
        first = await claim(store, place, "a", "request 1")
        assert await claim(store, place, "a", "request 1") == first
        assert (await claim(store, place, "a", "request 2")).task.id != first.task.id


async def test_given_back_is_open_at_once_and_failed_is_for_good(place: Place) -> None:
    async with place.opened() as qdrant:
        store = place.store(qdrant, Clock())
        await store.put_tasks(place.put(1))
        held = await claim(store, place, "a")
        for _ in range(2):
            await store.release(ReleaseAsk(claim=ClaimRef.of(held), why="told to go"))
        held = await claim(store, place, "b")
        assert held.token == 2
        for _ in range(2):
            await store.fail(FailAsk(claim=ClaimRef.of(held), why="it cannot be done"))
        reply = await store.claim(ask(place, "c"))
        assert reply.claim is None and reply.counts.failed == 1
        with pytest.raises(ClaimLost):
            await store.complete(CompleteAsk(claim=ClaimRef.of(held), findings=found("after all")))
        assert await all_refs(store, place) == []


async def test_a_task_is_read_by_its_own_tenant_only(place: Place) -> None:
    async with place.opened() as qdrant:
        store = place.store(qdrant, Clock())
        await store.put_tasks(place.put(1))
        (task,) = place.tasks(1)
        assert (await store.read_task(TaskRef(tenant_id=place.tenant, task_id=task.id))) == task
        assert await store.read_task(TaskRef(tenant_id="another", task_id=task.id)) is None
        other = ClaimAsk(tenant_id="another", goal_id=place.goal, owner="x")
        assert (await store.claim(other)).claim is None
        with pytest.raises(TaskNotFound):
            await store.renew(
                RenewAsk(
                    claim=ClaimRef(
                        tenant_id="another", goal_id=place.goal, task_id=task.id, owner="x", token=0
                    )
                )
            )


async def test_many_at_once_never_share_a_task(place: Place) -> None:
    async with place.opened() as qdrant:
        store = place.store(qdrant, Clock())
        await store.put_tasks(place.put(40))
        taken = await asyncio.gather(*(claim(store, place, f"worker-{n}") for n in range(40)))
        assert len({each.task.id for each in taken}) == 40
        assert (await store.claim(ask(place, "one more"))).claim is None


@pytest.mark.parametrize("way", ["complete", "renew", "fail", "release", "claim"])
async def test_who_is_overtaken_between_looking_and_writing_changes_nothing(place: Place, way: str) -> None:
    clock = Clock()
    async with place.opened() as qdrant:
        store = place.store(qdrant, clock)
        await store.put_tasks(place.put(1))
        first = ClaimRef.of(await claim(store, place, "a"))
        clock.pass_by(2 * TTL)
        taken: list[Claim] = []

        async def another() -> None:
            taken.append(await claim(store, place, "b"))

        slow = place.store(Between(qdrant, another), clock)  # type: ignore[arg-type]
        if way == "claim":
            assert (await slow.claim(ask(place, "c"))).claim is None
        elif way == "release":
            await slow.release(ReleaseAsk(claim=first))
        else:
            with pytest.raises(ClaimLost):
                if way == "complete":
                    await slow.complete(CompleteAsk(claim=first, findings=found("late")))
                elif way == "renew":
                    await slow.renew(RenewAsk(claim=first, ttl=TTL))
                else:
                    await slow.fail(FailAsk(claim=first, why="late"))
        (task,) = await place.ledger(qdrant).tasks(place.tenant, place.goal, clock())
        (second,) = taken
        assert (task.status, task.owner, task.token) == (TaskStatus.CLAIMED, "b", second.token)
        assert task.expires_at == second.expires_at
        await store.complete(CompleteAsk(claim=ClaimRef.of(second), findings=found("in time")))
        assert len(await all_refs(store, place)) == 1


async def test_what_was_found_can_be_searched_as_soon_as_the_task_is_done(place: Place) -> None:
    async with place.opened() as qdrant:
        store = place.store(qdrant, Clock())
        await store.put_tasks(place.put(1))
        held = await claim(store, place, "a")
        await store.complete(CompleteAsk(claim=ClaimRef.of(held), findings=found("the pump leaks")))
        hits = (await store.search(SearchAsk(tenant_id=place.tenant, query="pump"))).hits
        assert [hit.finding.text for hit in hits] == ["the pump leaks"]


@pytest.mark.parametrize("seed", range(4))
async def test_ten_workers_that_die_and_are_late_finish_every_task_once(place: Place, seed: int) -> None:
    clock, dice = Clock(), random.Random(seed)
    async with place.opened() as qdrant:
        await place.store(qdrant, clock).put_tasks(place.put(24))
        doom = Doomed(qdrant, dice, rate=0.02)
        swarm = Swarm(place, clock, dice, lambda: place.store(doom, clock))  # type: ignore[arg-type]
        await asyncio.gather(*(swarm.work(f"worker-{n}") for n in range(10)))
        assert doom.kills, "the test did not test what it is for"
        await whole(place, place.store(qdrant, clock))
        assert all(count == 1 for count in swarm.finished.values())


async def test_a_restart_of_qdrant_in_the_middle_loses_and_doubles_nothing(place: Place) -> None:
    clock, dice = Clock(), random.Random(7)
    async with AsyncExitStack() as stack:
        qdrant = await stack.enter_async_context(place.opened())
        await place.store(qdrant, clock).put_tasks(place.put(24))
        counted = Doomed(qdrant, dice, rate=0)
        current = [place.store(counted, clock)]  # type: ignore[arg-type]
        swarm = Swarm(place, clock, dice, lambda: current[-1])
        workers = [asyncio.create_task(swarm.work(f"worker-{n}")) for n in range(10)]
        while counted.rolls < 300:
            await asyncio.sleep(0)
        if place.standin:
            place.standin.down = True
        if place.kind == "local":
            await stack.aclose()
        failures = swarm.failures
        while place.kind != "server" and swarm.failures < failures + 30:
            await asyncio.sleep(0)
        if place.standin:
            place.standin.down = False
        if place.kind == "local":
            qdrant = await stack.enter_async_context(place.opened())
            current.append(place.store(qdrant, clock))
        await asyncio.wait_for(asyncio.gather(*workers), 120)
        await whole(place, place.store(qdrant, clock))


async def whole(place: Place, store: SwarmStore) -> None:
    """Every task done, with as many findings as it should have, all of one claim; and no draft left over."""
    ledger, memory = store._ledger, store._memory
    tasks = await ledger.tasks(place.tenant, place.goal, Clock()())
    assert [task.status for task in tasks] == [TaskStatus.DONE] * 24
    refs = await all_refs(store, place)
    by_task = Counter(task for _, task in refs)
    assert {task.id: task.findings for task in tasks} == by_task
    assert all(task.findings == 1 + int(task.id[-1], 36) % 3 for task in tasks)
    findings = await memory.of_goal(place.tenant, place.goal)
    assert {finding.id for finding in findings} == {id for id, _ in refs}
    runs = {(finding.task_id, finding.agent) for finding in findings}
    assert len(runs) == 24, "a task's findings are all of one claim"
    assert await memory.drafts(place.tenant, place.goal) == set()


async def test_local_mode_is_for_one_process(tmp_path: Path) -> None:
    async with LocalQdrant.opened(tmp_path):
        with pytest.raises(InUse, match="AITHER_QDRANT_URL"):
            async with LocalQdrant.opened(tmp_path):
                pass
    async with LocalQdrant.opened(tmp_path):
        pass


async def test_a_server_that_is_away_too_old_or_locked_says_so(tmp_path: Path) -> None:
    async with ServerQdrant.connected("http://127.0.0.1:9", None) as nowhere:
        with pytest.raises(StoreUnavailable):
            await nowhere.collection(SCHEMA)
    async with StandinQdrant(tmp_path).serving() as standin:
        async with ServerQdrant.connected(standin.url, "another key") as locked:
            with pytest.raises(StoreUnavailable, match="AITHER_QDRANT_API_KEY"):
                await locked.collection(SCHEMA)
        standin.version = "1.16.3"
        async with ServerQdrant.connected(standin.url, KEY) as old:
            with pytest.raises(StoreRefused, match=r"1\.17"):
                await old.collection(SCHEMA)
