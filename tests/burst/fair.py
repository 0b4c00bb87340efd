"""A market in memory, on the test's clock, that fails in every way the real one is known to; and its boxes."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from activities.contracts.boxes import BoxPhase, BoxReport, BoxView
from activities.contracts.lease_views import LeaseView
from activities.contracts.leases import BoxOrder, BoxSpec, Instance, InstanceState, Offer
from activities.errors import MarketBusy, MarketRefused, MarketUnknown, OfferGone
from tests.burst.shelf import Clock, Shelf
from tests.support.standin_vast_ledger import Ledger

T = TypeVar("T")


class Trouble(StrEnum):
    """What becomes of one call. LATE is carried out minutes after it was answered by silence."""

    NONE = "none"
    LOST = "lost"
    LOST_AFTER = "lost_after"
    LATE = "late"
    BUSY = "busy"
    GONE = "gone"
    REFUSED = "refused"
    KILLED = "killed"
    KILLED_AFTER = "killed_after"


class Life(StrEnum):
    """What becomes of a box. The last ones happen to boxes that have served for a while."""

    WELL = "well"
    STUCK = "stuck"
    EXITS = "exits"
    NEVER_JOINS = "never_joins"
    NEVER_SERVES = "never_serves"
    BROKEN = "broken"
    DIES = "dies"
    FALLS_SILENT = "falls_silent"
    DEARER = "dearer"
    TAKEN_AWAY = "taken_away"
    BUSY = "busy"


class Killed(BaseException):
    """Our process dies here."""


@dataclass
class Booth:
    """One instance."""

    id: str
    label: str
    offer: Offer
    life: Life
    at: float
    usd_per_hour: float
    state: InstanceState = InstanceState.LOADING
    joined: bool = False
    ready: bool = False
    tokens: int = 0


BOOT_S, JOIN_S, READY_S, TURN_S = 40.0, 60.0, 120.0, 400.0
LATE_S = 200.0
LATENCY_S = 0.5


class Fair:
    """A `Marketplace`, and what its boxes do as time goes by. `troubles` are drawn call by call, by operation."""

    def __init__(self, clock: Clock, shelf: Shelf, offers: Sequence[Offer]) -> None:
        self.clock = clock
        self.shelf = shelf
        self.offers = {each.id: each for each in offers}
        self.ledger = Ledger(clock)
        self.there: dict[str, Booth] = {}
        self.ever: list[Booth] = []
        self.troubles: dict[str, deque[Trouble]] = {}
        self.lives: deque[Life] = deque()
        self.late: list[tuple[float, Callable[[], None]]] = []
        self.blind_until = 0.0
        """Until then lists and looks fail: an hour of it is nothing unheard of."""
        self._ids = 0

    # --- the market

    async def search(self, spec: BoxSpec) -> Sequence[Offer]:
        rented = {booth.offer.id for booth in self.there.values()}
        return self._done("search", lambda: [o for o in self.offers.values() if o.id not in rented])

    async def create(self, offer: str, order: BoxOrder) -> str:
        def rent() -> str:
            self._ids += 1
            chosen = self.offers[offer]
            life = self.lives.popleft() if self.lives else Life.WELL
            booth = Booth(str(self._ids), order.label, chosen, life, self.clock(), chosen.usd_per_hour)
            self.there[booth.id] = booth
            self.ever.append(booth)
            self.ledger.open(self._ids, booth.label, booth.usd_per_hour)
            return booth.id

        return self._done("create", rent)

    async def list(self, label_prefix: str) -> tuple[Instance, ...]:
        return self._done(
            "list",
            lambda: tuple(_told(b) for b in self.there.values() if b.label.startswith(label_prefix)),
            blind=True,
        )

    async def get(self, instance: str) -> Instance | None:
        booth = self.there.get(instance)
        return self._done("get", lambda: _told(booth) if booth else None, blind=True)

    async def destroy(self, instance: str) -> None:
        self._done("destroy", lambda: self._end(instance))

    async def credit(self) -> float:
        return 100.0

    def _done(self, operation: str, act: Callable[[], T], *, blind: bool = False) -> T:
        self.pass_by(LATENCY_S)
        waiting = self.troubles.get(operation)
        trouble = waiting.popleft() if waiting else Trouble.NONE
        if blind and self.clock() < self.blind_until:
            trouble = Trouble.LOST
        match trouble:
            case Trouble.NONE:
                return act()
            case Trouble.LOST:
                raise MarketUnknown("nothing came back")
            case Trouble.LOST_AFTER:
                act()
                raise MarketUnknown("the answer was lost")
            case Trouble.LATE:
                self.late.append((self.clock() + LATE_S, lambda: void(act())))
                raise MarketUnknown("nothing came back")
            case Trouble.BUSY:
                raise MarketBusy("slow down")
            case Trouble.GONE:
                raise OfferGone("no_such_ask") if operation == "create" else MarketUnknown("odd")
            case Trouble.REFUSED:
                raise MarketRefused("no credit") if operation == "create" else MarketUnknown("odd")
            case Trouble.KILLED:
                raise Killed
            case Trouble.KILLED_AFTER:
                act()
                raise Killed

    # --- time, and what boxes do in it

    def pass_by(self, seconds: float) -> None:
        """Time goes by: late orders are carried out, boxes boot, join, serve, break."""
        until = self.clock.s + seconds
        while self.clock.s < until:
            self.clock.s = min(until, self.clock.s + 15.0)
            for due, act in [each for each in self.late if each[0] <= self.clock.s]:
                self.late.remove((due, act))
                act()
            for booth in list(self.there.values()):
                self._live(booth)

    def _live(self, booth: Booth) -> None:
        age = self.clock() - booth.at
        lease_id, attempt = _named(booth.label)
        if booth.life is Life.TAKEN_AWAY and age >= TURN_S:
            self._end(booth.id)
            return
        if booth.life is Life.STUCK or age < BOOT_S:
            return
        if booth.life is Life.EXITS or (booth.life is Life.DIES and age >= TURN_S):
            booth.state = InstanceState.EXITED
            return
        booth.state = InstanceState.RUNNING
        if booth.life is Life.DEARER and age >= TURN_S and booth.usd_per_hour < 50:
            booth.usd_per_hour = 50.0
            self.ledger.price(int(booth.id), 50.0)
        silent = booth.life is Life.FALLS_SILENT and age >= TURN_S
        if booth.life is Life.NEVER_JOINS or age < JOIN_S or silent or lease_id not in self.shelf.rows:
            return
        booth.joined = booth.joined or self.shelf.join(lease_id, attempt, booth.id)
        if not booth.joined:
            return
        booth.ready = age >= READY_S and booth.life not in {Life.NEVER_SERVES, Life.BROKEN}
        calls = 1 if booth.life is Life.BUSY and booth.ready else 0
        if self.shelf.hear(lease_id, attempt, calls, booth.tokens) is None:
            booth.state = InstanceState.EXITED

    def _end(self, instance: str) -> None:
        if self.there.pop(instance, None):
            self.ledger.close(int(instance))


class Stall:
    """A `BoxDesk` by the word of the fair's own boxes."""

    def __init__(self, fair: Fair) -> None:
        self._fair = fair

    async def order(self, lease: LeaseView) -> BoxOrder:
        assert lease.label
        return BoxOrder(image=lease.plan.image, label=lease.label, disk_gb=80)

    async def box(self, lease_id: str, attempt: int) -> BoxView | None:
        for booth in self._fair.there.values():
            if _named(booth.label) == (lease_id, attempt) and booth.joined:
                broken = booth.life is Life.BROKEN
                phase = BoxPhase.FAILED if broken else BoxPhase.SERVING if booth.ready else BoxPhase.STARTING
                report = BoxReport(phase=phase, detail="a required model is missing" if broken else "")
                return BoxView(
                    lease_id=lease_id, attempt=attempt, phase=phase, report=report, base_url="", joins=1
                )
        return None

    async def attend(self, lease: LeaseView, instance: Instance) -> None:
        pass

    async def drain(self, lease: LeaseView) -> None:
        pass

    async def dismiss(self, lease: LeaseView) -> None:
        pass


def void(_: object) -> None:
    pass


def _named(label: str) -> tuple[str, int]:
    _, _, lease_id, attempt = label.split("-")
    return lease_id, int(attempt)


def _told(booth: Booth) -> Instance:
    return Instance(
        id=booth.id,
        label=booth.label,
        state=booth.state,
        machine=booth.offer.machine,
        usd_per_hour=booth.usd_per_hour,
        storage_usd_per_hour=0.0,
    )
