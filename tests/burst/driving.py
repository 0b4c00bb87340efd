"""Leases driven without Temporal: the product's activities and policies, one step after the other, in no time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from temporalio.exceptions import ApplicationError

from activities.contracts.burst import BurstRules
from activities.contracts.bursting import Burst, Reaped
from activities.contracts.lease_views import (
    EndCode,
    LeaseAsk,
    LeaseNote,
    LeasePlan,
    LeaseTiming,
    OrderNote,
)
from activities.contracts.leases import Offer, Purpose
from activities.leasing import LeaseActivities
from activities.reaping import ReapingActivities
from tests.burst.fair import Fair, Killed, Stall
from tests.burst.shelf import Clock, Shelf
from tests.policy.renting import lease as some_lease
from tests.policy.renting import offer
from workers.burst_rules import RankedQuotes, guard_of
from workflows.autoscale import ahead_of
from workflows.policy.burst_budget import BurstCaps, overruns
from workflows.policy.lease import Do, Step, next_step
from workflows.policy.reaping import lease_of_label, strays

T = TypeVar("T")

INSTALLATION = "t"
REAP_S, CHECK_S = 60.0, 30.0
LEASE = "lease_0000000000"


def plan(**fields: object) -> LeasePlan:
    """A plan of the usual times."""
    usual = replace(some_lease().plan, timing=LeaseTiming(), installation=INSTALLATION, lease_usd=1.0)
    return replace(usual, **fields)  # pyright: ignore[reportArgumentType]


def offers(count: int = 12) -> list[Offer]:
    return [offer(str(number), usd_per_hour=0.4 + number / 100) for number in range(1, count + 1)]


@dataclass
class House:
    """Everything but Temporal. `due` is when each lease's workflow looks next."""

    clock: Clock = field(default_factory=Clock)
    day_usd: float = 50.0
    most: int = 3
    due: dict[str, float] = field(default_factory=dict[str, float])
    taken: list[tuple[float, str, Step]] = field(default_factory=list[tuple[float, str, Step]])
    reaped: list[Reaped] = field(default_factory=list[Reaped])

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.clock)
        self.fair = Fair(self.clock, self.shelf, offers())
        rules = BurstRules(pool="llm-reasoner", purpose=Purpose.REASONING)
        self.burst = Burst(
            enabled=True,
            installation=INSTALLATION,
            day_usd=self.day_usd,
            most=self.most,
            check=timedelta(seconds=CHECK_S),
            plans=(plan(),),
            rules=(rules,),
        )
        self.leases = LeaseActivities(
            self.shelf, self.fair, Stall(self.fair), RankedQuotes(self.fair), guard_of(self.burst)
        )
        self.reaper = ReapingActivities(
            self.shelf, self.fair, self, installation=INSTALLATION, strays=strays, lease_of=lease_of_label
        )
        self.next_reap, self.next_check = REAP_S, CHECK_S

    async def ask(self, lease_id: str = LEASE, **fields: object) -> str:
        await self.shelf.ask(LeaseAsk(id=lease_id, plan=plan(**fields), asked_by="test"))
        self.due[lease_id] = self.clock()
        return lease_id

    async def ensure(self, lease_id: str) -> None:
        """As `LeaseRuns`: a workflow that died is there again."""
        self.due.setdefault(lease_id, self.clock())

    async def nudge(self, lease_id: str) -> None:
        self.due[lease_id] = self.clock()

    async def cancel(self, lease_id: str = LEASE) -> None:
        await self.shelf.want_end(lease_id, EndCode.CANCELLED, "asked to", "test")
        await self.nudge(lease_id)

    async def run(self, seconds: float, *, until_over: bool = False) -> None:
        """Lets so much time go by, in which leases, the reaper and the check do what they do."""
        end = self.clock() + seconds
        while True:
            nearest = min([self.next_reap, self.next_check, *self.due.values()])
            if nearest >= end or (until_over and self.over):
                self.fair.pass_by(max(0.0, end - self.clock()) if not until_over else 0.0)
                return
            self.fair.pass_by(max(0.0, nearest - self.clock()))
            await self._next()

    @property
    def over(self) -> bool:
        return all(row.state.ended for row in self.shelf.rows.values())

    async def _next(self) -> None:
        if self.next_reap <= self.clock():
            self.next_reap = self.clock() + REAP_S
            await self._lived(lambda: self.reap(dry_run=False))
        if self.next_check <= self.clock():
            self.next_check = self.clock() + CHECK_S
            await self.check()
        for lease_id in [each for each, at in self.due.items() if at <= self.clock()]:
            pause = await self.step(lease_id)
            if pause is None:
                self.due.pop(lease_id, None)
            else:
                self.due[lease_id] = self.clock() + max(0.1, pause.total_seconds())

    async def reap(self, *, dry_run: bool) -> Reaped:
        self.reaped.append(await self.reaper.reaped(dry_run=dry_run))
        return self.reaped[-1]

    async def check(self) -> None:
        """The hard stops, as `check-burst` makes them."""
        caps = BurstCaps(day_usd=self.burst.day_usd, month_usd=self.burst.month_usd)
        still = await self.shelf.open_leases()
        ends = overruns(await self.shelf.spending(), still, caps, ahead_of(self.burst))
        for lease_id, refusal in ends.items():
            await self.shelf.want_end(lease_id, refusal.code, refusal.why, "check")
            await self.nudge(lease_id)

    async def step(self, lease_id: str) -> timedelta | None:
        """One turn of the workflow's loop: how long it pauses then; None where it is done."""
        opened = await self.leases.open_lease(lease_id)
        sight = await self._done(lambda: self.leases.look_at_lease(lease_id))
        step = next_step(sight, opened.plan)
        self.taken.append((self.clock(), lease_id, step))
        match step.do:
            case Do.DONE:
                return None
            case Do.QUOTE:
                searched = await self._done(lambda: self.leases.quote_lease(lease_id))
                return timedelta() if searched else step.pause
            case Do.ASK:
                return timedelta(seconds=5)
            case Do.RENT:
                lived = await self._lived(lambda: self.leases.rent_box(lease_id))
                return timedelta() if lived else step.pause
            case Do.VOID:
                note = OrderNote(lease_id=lease_id, attempt=sight.attempt, why=step.why)
                await self._done(lambda: self.leases.void_order(note))
            case Do.MOVE | Do.CLOSE:
                assert step.to is not None
                moved = LeaseNote(
                    lease_id=lease_id,
                    to=step.to,
                    why=step.why,
                    ending=step.ending,
                    exclude_machine=step.exclude,
                )
                await self._done(lambda: self.leases.move_lease(moved))
            case Do.DESTROY:
                await self._done(lambda: self.leases.destroy_box(lease_id))
                return step.pause
            case Do.WAIT:
                return step.pause
        return timedelta()

    async def _done(self, act: Callable[[], Awaitable[T]]) -> T:
        """Temporal's retries: until it is done, by whichever process."""
        while True:
            try:
                return await act()
            except Killed:
                self.fair.pass_by(10.0)
            except ApplicationError as error:
                if error.non_retryable:
                    raise
                self.fair.pass_by(5.0)

    async def _lived(self, act: Callable[[], Awaitable[object]]) -> bool:
        try:
            await act()
        except (Killed, ApplicationError):
            self.fair.pass_by(10.0)
            return False
        return True
