"""What leasing needs of the world beside the market, as protocols that infra implements and tests fake."""

from collections.abc import Callable, Sequence
from typing import Protocol

from activities.contracts.boxes import BoxView
from activities.contracts.lease_views import (
    EndCode,
    LeaseAsk,
    LeaseNote,
    LeaseView,
    Refusal,
    Spending,
)
from activities.contracts.leases import BoxOrder, Instance, LeaseState, RankedOffer, Ranking

Guard = Callable[[Spending, Sequence[LeaseView]], Refusal | None]
"""Whether one of the open leases may rent now, under the lock that all renting takes; None where it may."""


class Quotes(Protocol):
    """Searches the market for a lease, and judges what it finds. Raises `MarketError`s."""

    async def quote(self, lease: LeaseView) -> Ranking:
        """What will do for the lease, the best first; its excluded machines left out."""
        ...


class LeaseStore(Protocol):
    """Leases in PostgreSQL. Every change is one commit with its line of the audit, and safe to make twice.

    Raises `StoreUnavailable` and `LeaseNotFound`. Where a method names an attempt, it changes nothing once another
    attempt is the newest.
    """

    async def ask(self, ask: LeaseAsk) -> bool:
        """Records the wish; False where it is there already."""
        ...

    async def lease(self, lease_id: str) -> LeaseView:
        """The lease, by the database's clock."""
        ...

    async def watch(self, lease_id: str) -> LeaseView:
        """The same, for its workflow: that somebody looks is written down, and since when without a gap."""
        ...

    async def leases(self, ids: Sequence[str]) -> Sequence[LeaseView]:
        """Those of these that there are."""
        ...

    async def open_leases(self) -> Sequence[LeaseView]:
        """All that have not ended, the oldest first."""
        ...

    async def quoted(self, lease_id: str, choices: Sequence[RankedOffer], why: str) -> None:
        """Keeps what a search came to; none counts toward the searches that a lease has."""
        ...

    async def intend(self, lease_id: str, guard: Guard) -> LeaseView | None:
        """Takes the best choice and writes down the order of the next attempt, before it is sent.

        None where nothing may be ordered: it is not this lease's turn to, or the guard refused, which ends it.
        """
        ...

    async def made(self, lease_id: str, attempt: int, instance: str) -> None:
        """There is a box: its id is known from now on."""
        ...

    async def void(self, lease_id: str, attempt: int, why: str, *, keep: bool = False) -> None:
        """The order came to nothing. `keep` puts the offer back, to be tried again."""
        ...

    async def seen(self, lease_id: str, attempt: int, instance: Instance) -> None:
        """The market showed the box; books what it has cost so far at the price that is shown."""
        ...

    async def unseen(self, lease_id: str, attempt: int) -> None:
        """The market said that there is no such box; books as `seen` does."""
        ...

    async def move(self, note: LeaseNote, came_from: Sequence[LeaseState]) -> None:
        """Changes the state, if it is one of those. To APPROVED from DESTROYING makes room for another box."""
        ...

    async def agree(self, lease_id: str, approval_id: str, by: str) -> None:
        """Somebody agreed."""
        ...

    async def want_end(self, lease_id: str, code: EndCode, why: str, actor: str) -> bool:
        """Has the lease end; the first reason stays. False where it had one, or has ended."""
        ...

    async def spending(self) -> Spending:
        """What is booked."""
        ...

    async def record(self, lease_id: str, actor: str, event: str, told: str = "") -> None:
        """A line of the audit that changes nothing else."""
        ...


class BoxDesk(Protocol):
    """Boxes as they join and tell of themselves."""

    async def order(self, lease: LeaseView) -> BoxOrder:
        """What is rented for the lease's attempt. Holds the box's own secrets, and no other."""
        ...

    async def box(self, lease_id: str, attempt: int) -> BoxView | None:
        """The attempt's box by its own word; None where it has not joined."""
        ...

    async def attend(self, lease: LeaseView, instance: Instance) -> None:
        """Tells where the box can be reached, and probes it from our side where it cannot reach us."""
        ...

    async def drain(self, lease: LeaseView) -> None:
        """Takes the box out of its pool: it gets no new calls."""
        ...

    async def dismiss(self, lease: LeaseView) -> None:
        """The box is given back: nothing of its attempt is accepted any more."""
        ...


class LeaseRuns(Protocol):
    """The workflows of leases."""

    async def ensure(self, lease_id: str) -> None:
        """Starts the lease's workflow unless it runs; the row tells it where to go on."""
        ...

    async def nudge(self, lease_id: str) -> None:
        """Has it look at its row now. One that does not run is started."""
        ...
