"""A GPU card's workflow for tests: tells and heeds what the API says to a card, and moves nothing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.contracts.cards import CardView, LeaseView, Posture, Residency, ResidentView
from tests.scheduler.conftest import Desk
from workflows.names import card_workflow_id

CARD = "box/0"
SINCE = datetime(2026, 11, 1, 12, tzinfo=UTC)


def hold(number: int, tenant: str, *, priority: int = 3, token: int | None = None) -> LeaseView:
    return LeaseView(
        lease=f"lease-{tenant}-{number}",
        holder=f"holder-{tenant}-{number}",
        what=f"an image for {tenant}",
        priority=priority,
        resident=None,
        mib=1000,
        since=SINCE + timedelta(seconds=number),
        token=token,
        tenant_id=tenant,
    )


VIEW = CardView(
    card=CARD,
    posture=Posture.AWAKE,
    vram_mib=24_000,
    reserve_mib=500,
    free_mib=4_500,
    measured_free_mib=4_400,
    residents=(
        ResidentView(
            name="swap", residency=Residency.AWAKE, mib=18_000, asleep_mib=0, on_demand=True, holders=1
        ),
    ),
    leases=(hold(1, "left", token=7),),
    waiters=(hold(2, "right", priority=4), hold(3, "left", priority=2)),
    granted=7,
    revision=3,
    at=SINCE,
)


@workflow.defn(name="gpu-card")
class PlayedCard:
    """Does what it is told with the next `go-on`, or at once."""

    def __init__(self) -> None:
        self.view = VIEW
        self.at_once = True
        self.repairs = 0

    @workflow.run
    async def run(self, view: CardView, at_once: bool) -> None:
        self.view, self.at_once = view, at_once
        await workflow.wait_condition(lambda: False)

    @workflow.query(name="card")
    def card(self) -> CardView:
        return self.view

    @workflow.update(name="set-posture")
    async def set_posture(self, posture: Posture) -> None:
        if self.view.problem == "stubborn":
            raise ApplicationError("a move is under way", type="card_busy")
        self.view = replace(self.view, posture=posture, revision=self.view.revision + 1)
        if self.at_once:
            self._arrive()
        else:
            (resident,) = self.view.residents
            moving = replace(resident, moving_to=self._goal())
            self.view = replace(self.view, residents=(moving,))

    @workflow.update(name="repair")
    async def repair(self) -> None:
        self.repairs += 1
        self.view = replace(self.view, problem="", revision=self.view.revision + 1)

    @workflow.signal(name="go-on")
    def go_on(self, problem: str) -> None:
        if problem:
            (resident,) = self.view.residents
            lost = replace(resident, moving_to=None, residency=Residency.UNKNOWN, why=problem)
            self.view = replace(self.view, residents=(lost,), problem=problem)
        else:
            self._arrive()

    def _arrive(self) -> None:
        (resident,) = self.view.residents
        there = replace(resident, moving_to=None, residency=self._goal())
        self.view = replace(self.view, residents=(there,))

    def _goal(self) -> Residency:
        return Residency.AWAKE if self.view.posture is Posture.AWAKE else Residency.ABSENT


@asynccontextmanager
async def played_card(
    desk: Desk, view: CardView = VIEW, *, at_once: bool = True, worker: bool = True
) -> AsyncGenerator[WorkflowHandle[Any, Any]]:
    """The card's workflow within the block; without a `worker` it runs, and answers nobody."""
    client = desk.ground.client
    handle = await client.start_workflow(
        PlayedCard.run, args=[view, at_once], id=card_workflow_id(view.card), task_queue="played-cards"
    )
    try:
        if worker:
            async with Worker(
                client,
                task_queue="played-cards",
                workflows=[PlayedCard],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                yield handle
        else:
            yield handle
    finally:
        await handle.terminate()
