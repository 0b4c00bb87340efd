"""Workflows that hold a card, for tests."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow

from activities.contracts.cards import Lease, LeaseDecision
from workflows.holding import HoldDenied, hold_lease
from workflows.names import LEASE_DECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a holder wants. With `rounds` it holds so often, with a `pause` between, and lets go by itself."""

    card: str
    resident: str | None = None
    mib: int = 0
    priority: int = 3
    ttl: timedelta = timedelta(seconds=60)
    patience: timedelta = timedelta(seconds=60)
    rounds: int = 0
    pause: timedelta = timedelta(0)


@workflow.defn(name="test-holder", failure_exception_types=[Exception])
class Holder:
    """Holds until it is told to let go; its result is how that ended."""

    def __init__(self) -> None:
        self._lease: Lease | None = None
        self._done = False
        self._waits: list[float] = []

    @workflow.run
    async def run(self, wish: Wish) -> str:
        try:
            for _ in range(max(1, wish.rounds)):
                asked = workflow.time()
                async with hold_lease(
                    wish.card,
                    resident=wish.resident,
                    job="a test",
                    mib=wish.mib,
                    priority=wish.priority,
                    ttl=wish.ttl,
                    patience=wish.patience,
                    tenant_id="acme",
                ) as self._lease:
                    self._waits.append((workflow.time() - asked) * 1000)
                    if not wish.rounds:
                        await workflow.wait_condition(lambda: self._done)
                if wish.pause:
                    await asyncio.sleep(wish.pause.total_seconds())
        except HoldDenied as denied:
            return f"{denied.denial.value}: {denied.why}"
        return "let go"

    @workflow.signal(name="let-go")
    def let_go(self) -> None:
        self._done = True

    @workflow.query(name="lease")
    def lease(self) -> Lease | None:
        return self._lease

    @workflow.query(name="waits")
    def waits(self) -> list[float]:
        return self._waits


@workflow.defn(name="test-two-holds")
class TwoHolds:
    """Two holds in one workflow, one in the other and side by side."""

    @workflow.run
    async def run(self, card: str) -> list[int]:
        async def one(mib: int) -> int:
            patience = timedelta(seconds=30)
            async with hold_lease(card, mib=mib, job="one of two", priority=3, patience=patience) as lease:
                return lease.token

        patience = timedelta(seconds=30)
        async with hold_lease(card, mib=10, job="outer", priority=3, patience=patience) as outer:
            return [outer.token, *await asyncio.gather(one(10), one(20))]


@workflow.defn(name="test-collector")
class Collector:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self._told: list[LeaseDecision] = []

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal(name=LEASE_DECIDED)
    def hear(self, decision: LeaseDecision) -> None:
        self._told.append(decision)

    @workflow.query(name="told")
    def told(self) -> list[LeaseDecision]:
        return self._told
