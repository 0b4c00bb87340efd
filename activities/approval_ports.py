"""What the activities of approvals need of the world, as protocols."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from activities.contracts.approvals import (
    Advance,
    Answer,
    ApprovalAsk,
    ApprovalClock,
    ApprovalRef,
    ApprovalView,
    Choice,
    Decision,
    DeliveryRef,
    Opened,
    Person,
    Surface,
    Told,
    Withdrawal,
)


class Announcer(Protocol):
    """A surface on which people see approvals: Telegram, and whatever comes.

    Each call is an activity of its own that is retried until it works or the approval is old; it never holds up the
    approval. So every method may be called again for the same view, or with an older one than before, and must end
    up showing what `view` says. Raises `activities.errors` (retryable ones are tried again after `retry_after`).
    """

    async def announce(self, view: ApprovalView, people: Sequence[Person]) -> None:
        """Shows the approval to those of `people` who have not got it. They are all who may decide it now."""
        ...

    async def remind(self, view: ApprovalView, people: Sequence[Person]) -> None:
        """Tells those who may decide that the deadline comes nearer."""
        ...

    async def settle(self, view: ApprovalView) -> None:
        """Shows the outcome, `view.decision`, to everybody who got the approval."""
        ...


class Deciding(Protocol):
    """Where a choice is taken: what every surface on which people decide calls. Raises `StoreUnavailable`."""

    async def decide(self, ref: ApprovalRef, choice: Choice) -> Answer:
        """Takes a choice. The first valid decision wins; every other is told who decided, and recorded.

        Whoever gets DECIDED or COUNTED tells the approval's workflow, which only makes it quicker: the sweep sees it.
        """
        ...

    async def view(self, ref: ApprovalRef) -> ApprovalView | None:
        """The approval as its readers see it; None where there is none."""
        ...


class ApprovalStore(Deciding, Protocol):
    """Approvals in PostgreSQL; each call is one round trip. Raises `StoreUnavailable`."""

    async def open(self, ask: ApprovalAsk, by: str, surface: Surface) -> Opened:
        """Stores the ask, finds it by id or dedupe key, or answers it by a grant; adds the waiter if it is open.

        Raises `ApprovalInvalid` where the id is somebody else's.
        """
        ...

    async def decision(self, ref: ApprovalRef) -> Decision | None:
        """How it ended. Closes it where its deadline is over. None while it is open; raises `ApprovalNotFound`."""
        ...

    async def clock(self, ref: ApprovalRef) -> ApprovalClock:
        """What its workflow goes by. Notes that there is one, closes it where its deadline is over.

        Raises `ApprovalNotFound`.
        """
        ...

    async def advance(self, advance: Advance) -> None:
        """Notes escalations and reminders that have come. Changes nothing where they had, or it is closed."""
        ...

    async def told(self, told: Told) -> None:
        """Notes who knows of the end."""
        ...

    async def withdraw(self, withdrawal: Withdrawal) -> None:
        """Takes a waiter off; cancels what a workflow asked for when nobody waits any more."""
        ...

    async def people(self, ref: ApprovalRef) -> Sequence[Person]:
        """Who may decide it now."""
        ...

    async def due(self, limit: int) -> Sequence[ApprovalRef]:
        """Approvals whose workflow is missing, late, or has not told of the end, of all tenants."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook to send: where, what, and by whose secret it is signed."""

    id: str
    endpoint_id: str
    url: str
    secret: str = field(repr=False)
    body: str = field(repr=False)


class Outbox(Protocol):
    """Webhooks that wait to be sent. Raises `StoreUnavailable`."""

    async def delivery(self, ref: DeliveryRef) -> Delivery | None:
        """What is to be sent; None where it has been, or its endpoint was removed. Counts an attempt."""
        ...

    async def delivered(self, ref: DeliveryRef) -> None:
        """It has arrived."""
        ...

    async def failed(self, ref: DeliveryRef, why: str, *, for_good: bool = False) -> None:
        """It has not arrived; `for_good`: and is not tried again."""
        ...


class Postman(Protocol):
    """Sends webhooks, once each call."""

    async def send(self, delivery: Delivery) -> None:
        """Sends it, signed. Raises `DeliveryFailed` where its receiver did not take it."""
        ...


class ApprovalStarter(Protocol):
    """Reaches approvals' workflows."""

    async def wake(self, ref: ApprovalRef) -> None:
        """Starts the approval's workflow, or tells the one that runs that something has changed."""
        ...
