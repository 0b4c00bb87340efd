"""A workflow that holds, for as long as it is let."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow

from activities.contracts.cards import Lease
from workflows.holding import HoldDenied, hold_lease

QUEUE = "holders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to hold, and for how long at a time."""

    card: str
    resident: str
    ttl: timedelta = timedelta(seconds=60)
    patience: timedelta = timedelta(minutes=2)
    priority: int = 1


@workflow.defn(name="test-holder")
class Holder:
    """Holds until it is told to finish; how it ended is its result."""

    def __init__(self) -> None:
        self._lease: Lease | None = None
        self._done = False

    @workflow.run
    async def run(self, wish: Wish) -> str:
        try:
            async with hold_lease(
                wish.card,
                resident=wish.resident,
                priority=wish.priority,
                ttl=wish.ttl,
                patience=wish.patience,
            ) as lease:
                self._lease = lease
                await workflow.wait_condition(lambda: self._done)
        except HoldDenied as denied:
            return denied.denial.value
        return "finished"

    @workflow.signal
    def finish(self) -> None:
        self._done = True

    @workflow.query
    def lease(self) -> Lease | None:
        return self._lease
