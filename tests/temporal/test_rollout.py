"""A new build takes over: what has begun ends with the build that it began on, what lives long goes along."""

import ast
import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import Worker

from infra.temporal.rollout import Build as Seen
from infra.temporal.rollout import Deployment, RolloutRefused, State, look, roll_out, until_drained
from tests.support.cardhost import ScriptedHost, card_spec, resident
from tests.temporal.builds import Pools, begin, build, build_of, open_pools
from tests.temporal.conftest import Spaced
from workers.versioning import GOES_ALONG, Versioning
from workflows.approval import ApprovalWorkflow
from workflows.burst import BurstLeaseWorkflow
from workflows.gpu_card import GpuCardWorkflow
from workflows.names import REPAIR, Queue, card_workflow_id, host_queue
from workflows.starts import ensure_card
from workflows.swarm import SwarmWorkflow
from workflows.telegram_card import TelegramCardWorkflow

PATIENCE_S = 60.0
SLOW = pytest.mark.skipif(os.environ.get("AITHER_TEST_DEPLOY") != "1", reason="`make check-deploy` runs it")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.temporal.rollout.LOOK_AGAIN_S", 0.05)


def quiet(_: int) -> None:
    pass


@asynccontextmanager
async def hosting(client: Client, host: str) -> AsyncGenerator[None]:
    """The one card host of its machine, whichever build the workflows are of."""
    scripted = ScriptedHost()
    async with Worker(
        client,
        task_queue=host_queue(host),
        activities=[scripted.move_resident, scripted.inspect_card],
        **Versioning(build="host", deployment="aither").shared,
    ):
        yield


async def seen(client: Client, name: str = "aither") -> dict[str, Seen]:
    return {each.id: each for each in (await look(client, name)).builds}


async def test_old_turns_finish_on_the_old_build_and_new_ones_begin_on_the_new(spaced: Spaced) -> None:
    client = await spaced()
    spec, pools = card_spec(resident("a", 60), host="box"), Pools()
    async with hosting(client, "box"), pools.open(client), AsyncExitStack() as later:
        async with build("old").running(client):
            await roll_out(client, "aither", "old", patience_s=PATIENCE_S)
            await ensure_card(client, spec)
            before = await begin(client, "before")
            await asyncio.wait_for(pools.asked.wait(), PATIENCE_S)
            with pytest.raises(RolloutRefused, match='no worker of build "new" serves'):
                await roll_out(client, "aither", "new")
            assert (await seen(client))["old"].state is State.CURRENT

            await later.enter_async_context(build("new").running(client))
            await roll_out(client, "aither", "new", patience_s=PATIENCE_S)
            drains = (await seen(client))["old"]
            assert (drains.state, drains.workers) == (State.DRAINING, 1)
            assert not await until_drained(client, "aither", "old", patience_s=0, told=quiet)
            after = await begin(client, "after")
            pools.gate.set()
            for handle in (before, after):
                await handle.result()
            assert await until_drained(client, "aither", "old", patience_s=PATIENCE_S, told=quiet)
        # The old build is gone, and everything goes on.
        await (await begin(client, "later")).result()
        card = client.get_workflow_handle(card_workflow_id(spec.card))
        await card.execute_update(REPAIR)
        assert await build_of(client, card.id) == "new", "it goes along"
        with pytest.raises(RolloutRefused, match='no worker of build "old" serves turns'):
            await roll_out(client, "aither", "old")
        await card.terminate()
    assert [await build_of(client, handle.id) for handle in (before, after)] == ["old", "new"]
    turns = ("after", "before", "later")
    assert sorted(pools.calls) == [(turn, rung) for turn in turns for rung in ("first", "second")]


@SLOW
async def test_a_build_takes_a_share_and_gives_it_back_and_one_that_lacks_a_queue_is_refused_by_name(
    spaced: Spaced,
) -> None:
    client = await spaced()
    async with build("whole").running(client, Queue.TURNS, Queue.BURST), build("part").running(client):
        await roll_out(client, "aither", "whole", patience_s=PATIENCE_S)
        while not (found := (await seen(client)).get("part")) or not found.workers:
            await asyncio.sleep(0.05)
        with pytest.raises(RolloutRefused, match='"part" does not serve burst, as the current one does'):
            await roll_out(client, "aither", "part")
        await roll_out(client, "aither", "part", percent=10, missing_queues=True)
        shares = {name: (each.state, each.percent) for name, each in (await seen(client)).items()}
        assert shares == {"whole": (State.CURRENT, 90.0), "part": (State.RAMPING, 10.0)}
        with pytest.raises(RolloutRefused, match="is ramping: roll another one out first"):
            await until_drained(client, "aither", "part", patience_s=0, told=quiet)
        await roll_out(client, "aither", "whole")
        after = await seen(client)
        assert (after["whole"].state, after["whole"].percent) == (State.CURRENT, 100.0)
        assert after["part"].state in {State.DRAINING, State.DRAINED}


async def test_without_a_deployment_nothing_is_versioned(spaced: Spaced) -> None:
    client = await spaced()
    async with build("plain", deployment=None).running(client), open_pools().open(client):
        handle = await begin(client, "plain")
        await handle.result()
    history = await handle.fetch_history()
    done = [e for e in history.events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    assert not any(e.workflow_task_completed_event_attributes.versioning_behavior for e in done)
    assert await look(client, "aither") == Deployment(name="aither")


def test_workflows_that_go_along_are_known_by_name() -> None:
    long: tuple[type, ...] = (
        *(ApprovalWorkflow, BurstLeaseWorkflow, GpuCardWorkflow, SwarmWorkflow, TelegramCardWorkflow),
    )
    names = {each.__dict__["__temporal_workflow_definition"].name for each in long}
    assert names == set(GOES_ALONG)


def test_workers_that_run_workflows_are_versioned_and_all_others_are_everybodys() -> None:
    made = [
        (path.name, call)
        for path in (Path(__file__).parents[2] / "workers").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Worker"
    ]
    assert len(made) >= 6
    for name, call in made:
        (spread,) = [ast.unparse(each.value) for each in call.keywords if each.arg is None]
        decides = any(each.arg == "workflows" for each in call.keywords)
        assert spread.endswith(".options" if decides else ".shared"), f"{name}:{call.lineno}"
