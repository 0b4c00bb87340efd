"""What happens to approvals: asked, looked after, told to people and to whoever waits, closed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from temporalio import activity

from activities.approval_checks import mistakes
from activities.approval_ports import Announcer, ApprovalStarter, ApprovalStore, Outbox, Postman
from activities.contracts.approvals import (
    Advance,
    AnnounceAsk,
    ApprovalAsk,
    ApprovalClock,
    ApprovalRef,
    ApprovalStatus,
    DeliveryRef,
    News,
    Opened,
    Outcome,
    Surface,
    Told,
    Withdrawal,
)
from activities.errors import AitherError, ApprovalInvalid, DeliveryFailed, to_application_error
from activities.swarm_job import translated

SWEEP_LIMIT = 200
AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPorts:
    """Everything that the activities of approvals need of the world. `announcers` are the surfaces there are."""

    store: ApprovalStore
    outbox: Outbox
    postman: Postman
    starter: ApprovalStarter
    announcers: Mapping[Surface, Announcer] = field(default_factory=dict[Surface, Announcer])


class ApprovalActivities:
    """All of them, on the queue of the approvals' workflows. Each may run twice."""

    def __init__(self, ports: ApprovalPorts) -> None:
        self.ports = ports
        self._store = ports.store

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """What a worker registers."""
        return (
            self.open_approval,
            self.read_approval,
            self.withdraw_approval,
            self.attend_approval,
            self.advance_approval,
            self.close_approval,
            self.announce_approval,
            self.deliver_webhook,
            self.give_up_webhook,
            self.sweep_approvals,
        )

    @activity.defn(name="open-approval")
    async def open_approval(self, ask: ApprovalAsk) -> Opened:
        """Asks, once; what is there already is joined. The reply has the decision where there is one."""
        with translated():
            wrong = "; ".join(f"{field}: {fault}" for field, fault in mistakes(ask, datetime.now(UTC)))
            if wrong:
                raise ApprovalInvalid(wrong)
            opened = await self._store.open(ask, ask.waiter or ask.requester, Surface.WORKFLOW)
            if opened.decision is None:
                await self.ports.starter.wake(
                    ApprovalRef(tenant_id=ask.tenant_id, approval_id=opened.approval_id)
                )
            return opened

    @activity.defn(name="read-approval")
    async def read_approval(self, ref: ApprovalRef) -> Outcome:
        """How it stands."""
        with translated():
            return Outcome(decision=await self._store.decision(ref))

    @activity.defn(name="withdraw-approval")
    async def withdraw_approval(self, withdrawal: Withdrawal) -> None:
        """A workflow waits no more; its approval's workflow hears of it."""
        with translated():
            await self._store.withdraw(withdrawal)
            await self.ports.starter.wake(withdrawal.ref)

    @activity.defn(name="attend-approval")
    async def attend_approval(self, ref: ApprovalRef) -> ApprovalClock:
        """What its workflow goes by."""
        with translated():
            clock = await self._store.clock(ref)
            return replace(clock, surfaces=tuple(self.ports.announcers))

    @activity.defn(name="advance-approval")
    async def advance_approval(self, advance: Advance) -> None:
        """Notes escalations and reminders that have come."""
        with translated():
            await self._store.advance(advance)

    @activity.defn(name="close-approval")
    async def close_approval(self, told: Told) -> None:
        """Notes who knows of the end."""
        with translated():
            await self._store.told(told)

    @activity.defn(name="announce-approval")
    async def announce_approval(self, ask: AnnounceAsk) -> None:
        """Has one surface tell people. What is not open any more is shown by its outcome alone."""
        announcer = self.ports.announcers.get(ask.surface)
        if announcer is None:
            return
        with translated():
            view = await self._store.view(ask.ref)
            if view is None:
                return
            if ask.news is News.SETTLED:
                await announcer.settle(view)
            elif view.status is ApprovalStatus.OPEN:
                people = await self._store.people(ask.ref)
                if ask.news is News.REMINDED:
                    await announcer.remind(view, people)
                else:
                    await announcer.announce(view, people)

    @activity.defn(name="deliver-webhook")
    async def deliver_webhook(self, ref: DeliveryRef) -> None:
        """Sends a webhook. A receiver that does not take it is tried again by Temporal."""
        outbox = self.ports.outbox
        try:
            delivery = await outbox.delivery(ref)
            if delivery is None:
                return
            try:
                await self.ports.postman.send(delivery)
            except DeliveryFailed as error:
                await outbox.failed(ref, error.message)
                raise
            await outbox.delivered(ref)
        except AitherError as error:
            raise to_application_error(error) from error

    @activity.defn(name="give-up-webhook")
    async def give_up_webhook(self, ref: DeliveryRef) -> None:
        """It has been tried often enough."""
        with translated():
            await self.ports.outbox.failed(ref, "", for_good=True)

    @activity.defn(name="sweep-approvals")
    async def sweep_approvals(self) -> int:
        """Reaches approvals whose workflow is missing, late, or has not told of the end; returns how many."""
        with translated():
            found = await self._store.due(SWEEP_LIMIT)
            for first in range(0, len(found), AT_ONCE):
                await asyncio.gather(*map(self.ports.starter.wake, found[first : first + AT_ONCE]))
            return len(found)
