"""An approval's clock and messenger: it announces, reminds, escalates, and tells those who wait. It decides nothing."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from activities.contracts.approvals import (
    Advance,
    AnnounceAsk,
    ApprovalClock,
    ApprovalRef,
    ApprovalStatus,
    Decision,
    DeliveryRef,
    News,
    Surface,
    Told,
)
from workflows.attributes import STATUS
from workflows.names import (
    ADVANCE_APPROVAL,
    ANNOUNCE_APPROVAL,
    APPROVAL,
    APPROVAL_CHANGED,
    APPROVAL_DECIDED,
    ATTEND_APPROVAL,
    CLOSE_APPROVAL,
    DELIVER_WEBHOOK,
    GIVE_UP_WEBHOOK,
)
from workflows.options import announce_options, approval_options, settle_options, webhook_options
from workflows.policy.approvals import due

T = TypeVar("T")

CLOCK_SKEW = timedelta(seconds=1)
"""The database's clock may be behind Temporal's: it is asked again when this is over."""
LONG_HISTORY = 2_000
"""Events after which a fresh run goes on. Rows say all that there is to know."""


@workflow.defn(name=APPROVAL)
class ApprovalWorkflow:
    """Looks after an approval under the id `approval/<id>`, from its row; its history holds ids and times.

    It may be terminated at any time: a decision, or the sweep at the deadline, starts it again. People are told as
    often as a surface needs to be asked; no surface holds up the decision, nor another surface.
    """

    @workflow.init
    def __init__(self, ref: ApprovalRef) -> None:
        self._ref = ref
        self._changed = True
        self._lines: dict[Surface, list[asyncio.Task[None]]] = {}
        self._posts: dict[str, asyncio.Task[None]] = {}

    @workflow.run
    async def run(self, ref: ApprovalRef) -> ApprovalStatus:
        """Stays until the approval is closed, and everybody knows."""
        clock = await self._look()
        if clock.status is ApprovalStatus.OPEN:
            self._announce(clock, News.OPENED)
        while clock.status is ApprovalStatus.OPEN:
            now = due(clock, workflow.now())
            if now.news:
                await self._do(ADVANCE_APPROVAL, Advance(ref=ref, stage=now.stage, reminded=now.reminded))
                for news in now.news:
                    self._announce(clock, news)
            elif not self._changed:
                await self._until(now.wake_at)
            if self._long():
                workflow.continue_as_new(ref)
            clock = await self._look()
        await self._tell(clock)
        await self._settle(clock)
        return clock.status

    @workflow.signal(name=APPROVAL_CHANGED)
    def approval_changed(self) -> None:
        """The row has changed: it is to be looked at."""
        self._changed = True

    async def _look(self) -> ApprovalClock:
        """What the row says; sees to it that webhooks which wait there are sent."""
        self._changed = False
        clock = await workflow.execute_activity(
            ATTEND_APPROVAL, self._ref, result_type=ApprovalClock, **approval_options()
        )
        for delivery_id in clock.deliveries:
            if delivery_id not in self._posts:
                self._posts[delivery_id] = asyncio.create_task(self._post(delivery_id))
        return clock

    async def _until(self, at: datetime) -> None:
        wait = max(CLOCK_SKEW, at - workflow.now())
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._changed, timeout=wait.total_seconds())

    def _announce(self, clock: ApprovalClock, news: News) -> None:
        """Has every surface tell, one after the other on each of them."""
        for surface in clock.surfaces:
            line = self._lines.setdefault(surface, [])
            line.append(asyncio.create_task(self._say(surface, news, tuple(line))))

    async def _say(self, surface: Surface, news: News, before: tuple[asyncio.Task[None], ...]) -> None:
        for task in before:
            if news is News.SETTLED:
                # Whatever has not been said by now is not worth saying; one that is being said is waited for.
                task.cancel()
        for task in before:
            await workflow.wait([task])
        ask = AnnounceAsk(ref=self._ref, surface=surface, news=news)
        options = settle_options() if news is News.SETTLED else announce_options()
        try:
            await workflow.execute_activity(ANNOUNCE_APPROVAL, ask, **options)
        except ActivityError as error:
            if not is_cancelled_exception(error):
                workflow.logger.warning("%s is not told on %s: %s", self._ref, surface, error.cause)

    async def _post(self, delivery_id: str) -> None:
        ref = DeliveryRef(tenant_id=self._ref.tenant_id, delivery_id=delivery_id)
        try:
            await workflow.execute_activity(DELIVER_WEBHOOK, ref, **webhook_options())
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            await self._do(GIVE_UP_WEBHOOK, ref)

    async def _tell(self, clock: ApprovalClock) -> None:
        """Tells the workflows that wait. One that is gone needs no word."""
        decision = clock.decision
        assert decision is not None
        await asyncio.gather(*(self._tell_one(waiter, decision) for waiter in clock.waiters))
        await self._do(CLOSE_APPROVAL, Told(ref=self._ref, waiters=clock.waiters))
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [STATUS.value_set(clock.status.value)]
        )

    async def _tell_one(self, waiter: str, decision: Decision) -> None:
        try:
            await workflow.get_external_workflow_handle(waiter).signal(APPROVAL_DECIDED, decision)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise

    async def _settle(self, clock: ApprovalClock) -> None:
        self._announce(clock, News.SETTLED)
        for task in (*(line[-1] for line in self._lines.values()), *self._posts.values()):
            await workflow.wait([task])

    async def _do(self, name: str, asked: Advance | Told | DeliveryRef) -> None:
        await workflow.execute_activity(name, asked, **approval_options())

    def _long(self) -> bool:
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > LONG_HISTORY
