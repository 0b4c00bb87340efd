"""A lease of a rented box, from the wish to the account."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.contracts.approvals import ApprovalAsk, ApprovalKind, Decision, Urgency
from activities.contracts.lease_views import (
    Agreed,
    EndCode,
    Ending,
    LeaseNote,
    LeaseOpened,
    LeaseSight,
    OrderNote,
)
from workflows.approving import ask_approval
from workflows.attributes import STATUS
from workflows.names import (
    AGREE_LEASE,
    BURST_LEASE,
    DESTROY_BOX,
    END_LEASE,
    LEASE_CHANGED,
    LOOK_AT_LEASE,
    MOVE_LEASE,
    OPEN_LEASE,
    QUOTE_LEASE,
    RENT_BOX,
    VOID_ORDER,
)
from workflows.options import ActivityOptions, lease_options, order_options
from workflows.policy.lease import Do, Step, next_step

T = TypeVar("T")

MOST_EVENTS = 2_000
"""Of a run's history: then a new run goes on where the row says."""
ASK_FOR = timedelta(minutes=30)
"""A quote is old after that, and the queue that it was asked for has cleared or been given up."""


@workflow.defn(name=BURST_LEASE)
class BurstLeaseWorkflow:
    """One lease, `burst/<lease>`: quote, agree, rent, boot, join, serve, drain, destroy, verify gone, account.

    `workflows.policy.lease` decides each step on one look at the row, the market and the box; nothing is remembered
    here that the row does not say, so a run may begin anywhere. It looks once in some seconds, and at once when
    `lease-changed` says so. Cancelled, it ends the lease as if an operator had asked for that, and closes when the
    box is verified gone. Repair: terminate it; the reaper starts it again, and it goes on from the row.
    """

    def __init__(self) -> None:
        self._changed = False
        self._cancelled = False
        self._state = ""
        self._asking: asyncio.Task[Decision] | None = None

    @workflow.run
    async def run(self, lease_id: str) -> str:
        """The state that the lease ended in."""
        opened = await self._do(OPEN_LEASE, LeaseOpened, lease_id)
        while True:
            self._changed = False
            if self._cancelled:
                # The row keeps the wish from here on; until it does, nothing is waited for.
                self._cancelled = False
                end = Ending(lease_id=lease_id, code=EndCode.CANCELLED, why="its workflow was cancelled")
                await self._do(END_LEASE, None, end)
            sight = await self._do(LOOK_AT_LEASE, LeaseSight, lease_id)
            self._show(sight)
            step = next_step(sight, opened.plan)
            if step.do is Do.DONE:
                return sight.state.value
            if step.do is not Do.ASK:
                await self._ask_no_more()
            await self._take(step, sight, opened)
            if not self._cancelled and self._long:
                workflow.continue_as_new(lease_id)

    @workflow.signal(name=LEASE_CHANGED)
    def lease_changed(self) -> None:
        """The row says something new: a wish to end, a box that joined."""
        self._changed = True

    @property
    def _long(self) -> bool:
        """Whether another run should go on; one that asks somebody has to hear the answer itself."""
        return self._asking is None and workflow.info().get_current_history_length() > MOST_EVENTS

    async def _take(self, step: Step, sight: LeaseSight, opened: LeaseOpened) -> None:
        """Takes one step. What came of it is what the next look finds."""
        match step.do:
            case Do.QUOTE:
                if not await self._do(QUOTE_LEASE, bool, sight.lease_id):
                    await self._pause(step.pause)
            case Do.ASK:
                await self._ask(sight, opened)
            case Do.RENT:
                await self._rent(sight, step)
            case Do.VOID:
                note = OrderNote(lease_id=sight.lease_id, attempt=sight.attempt, why=step.why)
                await self._do(VOID_ORDER, None, note)
            case Do.MOVE | Do.CLOSE:
                await self._move(step, sight)
            case Do.DESTROY:
                await self._do(DESTROY_BOX, bool, sight.lease_id)
                await self._pause(step.pause)
            case Do.WAIT | Do.DONE:
                await self._pause(step.pause)

    async def _rent(self, sight: LeaseSight, step: Step) -> None:
        """Sends one order. Whether it arrived is found out by its label, never by sending it again."""
        try:
            await self._do(RENT_BOX, None, sight.lease_id, options=order_options())
        except ActivityError:
            await self._pause(step.pause)

    async def _move(self, step: Step, sight: LeaseSight) -> None:
        assert step.to is not None
        note = LeaseNote(
            lease_id=sight.lease_id,
            to=step.to,
            why=step.why,
            ending=step.ending,
            exclude_machine=step.exclude,
        )
        await self._do(MOVE_LEASE, None, note)

    async def _ask(self, sight: LeaseSight, opened: LeaseOpened) -> None:
        """Has somebody agree. Asked once; meanwhile the lease may be wanted no more."""
        if self._asking is None:
            self._asking = asyncio.create_task(ask_approval(_approval(sight, opened)))
        asking = self._asking
        await self._until(lambda: asking.done() or self._changed, None)
        if not asking.done():
            return
        self._asking = None
        try:
            decision = asking.result()
        except ActivityError as error:
            await self._deny(sight, f"nobody could be asked: {error.cause}")
            return
        if decision.approved:
            agreed = Agreed(
                lease_id=sight.lease_id, approval_id=decision.approval_id, by=decision.by or "a grant"
            )
            await self._do(AGREE_LEASE, None, agreed)
        else:
            said = f"{decision.by} said {decision.option}" if decision.by else f"it is {decision.status}"
            await self._deny(sight, f"{said} {decision.note}".strip())

    async def _deny(self, sight: LeaseSight, why: str) -> None:
        ending = Ending(lease_id=sight.lease_id, code=EndCode.DENIED, why=why[:300])
        await self._do(END_LEASE, None, ending)

    async def _ask_no_more(self) -> None:
        if self._asking is not None:
            asking, self._asking = self._asking, None
            asking.cancel()
            await self._ended(asking)

    async def _pause(self, length: timedelta) -> None:
        """Waits, but not past a change. A cancellation is one."""
        await self._until(lambda: self._changed, length)

    async def _until(self, so: Callable[[], bool], length: timedelta | None) -> None:
        seconds = None if length is None else max(0.001, length.total_seconds())
        try:
            await workflow.wait_condition(lambda: so() or self._cancelled, timeout=seconds)
        except TimeoutError:
            return
        except asyncio.CancelledError:
            self._cancelled = True

    async def _do(
        self, name: str, kind: type[T] | None, asked: object, *, options: ActivityOptions | None = None
    ) -> T:
        """Runs an activity to its end, whatever is cancelled meanwhile."""
        running = workflow.start_activity(name, asked, result_type=kind, **(options or lease_options()))
        await self._ended(running)
        return running.result()

    async def _ended(self, task: asyncio.Task[Any]) -> None:
        """Waits for the task's end. A cancellation of this workflow is noted, and is none of the task."""
        while not task.done():
            try:
                await workflow.wait([task])
            except asyncio.CancelledError:
                self._cancelled = True

    def _show(self, sight: LeaseSight) -> None:
        """Keeps what a person looks leases up by."""
        if sight.state.value != self._state:
            self._state = sight.state.value
            workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
                [STATUS.value_set(self._state)]
            )


def _approval(sight: LeaseSight, opened: LeaseOpened) -> ApprovalAsk:
    """What people are asked: what it is for, what an hour costs, and what it may cost in all."""
    plan = opened.plan
    return ApprovalAsk(
        tenant_id=plan.tenant_id,
        id=sight.lease_id.replace("lease_", "apr_", 1),
        title=f"Rent a box for {plan.pool}",
        summary=f"{sight.quote_usd_per_hour:.2f} $/h, download included; at most {plan.lease_usd:g} $ in all.",
        kind=ApprovalKind.SPEND,
        urgency=Urgency.HIGH,
        deadline=workflow.now() + ASK_FOR,
        requester=opened.asked_by,
        subject=sight.lease_id,
        cost_usd=plan.lease_usd,
        leaves_building=plan.box.external,
        destination="a rented machine" if plan.box.external else "",
        action="rent-box",
        fingerprint=plan.purpose.value,
    )
