"""What the workflow does with its steps: pauses between looks, hears of changes, ends whatever cancels it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

import workflows.burst
from activities.contracts.lease_views import (
    Creation,
    EndCode,
    Ending,
    LeaseNote,
    LeaseOpened,
    LeaseSight,
    LeaseTiming,
    Presence,
)
from activities.contracts.leases import LeaseState
from infra.ids import new_id
from tests.burst.driving import plan
from tests.support.house import Ground
from workers.sandbox import workflow_runner
from workflows.burst import BurstLeaseWorkflow
from workflows.burst_starts import ensure_lease
from workflows.names import Queue, burst_workflow_id


class Scene:
    """A lease that serves until it is ended, and is gone at the so manieth look after that."""

    def __init__(self, timing: LeaseTiming) -> None:
        self.plan = plan(timing=timing)
        self.state = LeaseState.SERVING
        self.ending: EndCode | None = None
        self.looks: list[LeaseState] = []
        self.looked = asyncio.Event()
        self.ended = 0
        self.runs = set[str]()

    @activity.defn(name="open-lease")
    async def open_lease(self, lease_id: str) -> LeaseOpened:
        self.runs.add(activity.info().workflow_run_id or "")
        return LeaseOpened(lease_id=lease_id, plan=self.plan, asked_by="test")

    @activity.defn(name="look-at-lease")
    async def look(self, lease_id: str) -> LeaseSight:
        self.looks.append(self.state)
        self.looked.set()
        gone = self.looks.count(LeaseState.DESTROYING) > 4
        return LeaseSight(
            lease_id=lease_id,
            state=self.state,
            attempt=1,
            boxes=1,
            creation=Creation.MADE,
            presence=Presence.ABSENT if gone else Presence.PRESENT,
            unseen_s=1e9 if gone else None,
            joined=True,
            ready=True,
            ending=self.ending,
            in_state_s=1.0,
        )

    @activity.defn(name="end-lease")
    async def end(self, ending: Ending) -> None:
        self.ended += 1
        self.ending = self.ending or ending.code

    @activity.defn(name="move-lease")
    async def move(self, note: LeaseNote) -> None:
        self.state = note.to

    @activity.defn(name="destroy-box")
    async def destroy(self, lease_id: str) -> bool:
        return True

    def worker(self, client: Client, runner: WorkflowRunner | None = None) -> Worker:
        return Worker(
            client,
            task_queue=Queue.BURST,
            workflows=[BurstLeaseWorkflow],
            activities=[self.open_lease, self.look, self.end, self.move, self.destroy],
            workflow_runner=runner or workflow_runner(),
        )

    async def seen(self, times: int) -> None:
        while len(self.looks) < times:
            self.looked.clear()
            await self.looked.wait()


HOURLY = replace(LeaseTiming(), check=timedelta(hours=1), poll=timedelta(milliseconds=50))


async def test_a_cancelled_lease_goes_through_the_end_of_any_and_pauses_as_any(ground: Ground) -> None:
    scene, lease_id = Scene(HOURLY), new_id("lease")
    async with scene.worker(ground.client):
        await ensure_lease(ground.client, lease_id)
        await scene.seen(1)
        handle = ground.client.get_workflow_handle(burst_workflow_id(lease_id), result_type=str)
        await handle.cancel()
        assert await handle.result() == "gone"
        history = await handle.fetch_history()
    assert (scene.ended, scene.ending) == (1, EndCode.CANCELLED)
    timers = sum(event.HasField("timer_started_event_attributes") for event in history.events)
    # One after each order to destroy it.
    assert timers >= 4
    assert len(scene.looks) < 12


async def test_a_change_is_looked_at_at_once_and_a_second_start_is_none(ground: Ground) -> None:
    scene, lease_id = Scene(HOURLY), new_id("lease")
    async with scene.worker(ground.client):
        await ensure_lease(ground.client, lease_id)
        await scene.seen(1)
        await ensure_lease(ground.client, lease_id)
        scene.ending = EndCode.DAY_CAP
        await ensure_lease(ground.client, lease_id, changed=True)
        assert await ground.client.get_workflow_handle(burst_workflow_id(lease_id)).result() == "gone"
    assert len(scene.runs) == 1


async def test_a_long_lease_goes_on_in_another_run(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows.burst, "MOST_EVENTS", 40)
    scene, lease_id = Scene(HOURLY), new_id("lease")
    async with scene.worker(ground.client, UnsandboxedWorkflowRunner()):
        for looks in range(1, 8):
            await ensure_lease(ground.client, lease_id, changed=True)
            await scene.seen(looks)
        scene.ending = EndCode.CANCELLED
        await ensure_lease(ground.client, lease_id, changed=True)
        assert await ground.client.get_workflow_handle(burst_workflow_id(lease_id)).result() == "gone"
    assert len(scene.runs) >= 2
