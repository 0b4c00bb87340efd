"""Cards for the tests of their policy: a card, and a host that does as it is told, or lies, at its own time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from activities.contracts.cards import (
    CardSpec,
    Denial,
    Found,
    HoldAsk,
    HostKind,
    InspectAsk,
    Inventory,
    Lease,
    LeaseRef,
    MoveAsk,
    MoveDone,
    Residency,
    Resident,
)
from workflows.policy.card import step
from workflows.policy.card_state import (
    CardState,
    Event,
    Inspect,
    Release,
    Renew,
    Report,
    StartMove,
    Tell,
)

CARD = "tower/0"
START = datetime(2026, 1, 1, tzinfo=UTC)


def resident(name: str, mib: int, **how: object) -> Resident:
    given: dict[str, object] = {"kind": HostKind.PROCESS, "base_url": "http://127.0.0.1:1"} | how
    return Resident(name=name, card=CARD, mib=mib, **given)  # pyright: ignore[reportArgumentType]


def spec(*residents: Resident, vram_mib: int = 100, reserve_mib: int = 0, hog_s: float = 30) -> CardSpec:
    return CardSpec(
        card=CARD,
        vram_mib=vram_mib,
        reserve_mib=reserve_mib,
        hog=timedelta(seconds=hog_s),
        residents=residents,
    )


def hold(lease: str, of: str | int, *, priority: int = 3, ttl_s: float = 60) -> HoldAsk:
    """A hold of a resident, or of so many MiB for a job."""
    return HoldAsk(
        lease=lease,
        holder=f"holder-{lease}",
        holder_run="run",
        priority=priority,
        ttl=timedelta(seconds=ttl_s),
        resident=of if isinstance(of, str) else None,
        mib=of if isinstance(of, int) else 0,
    )


def footprints(state: CardState) -> int:
    """What is on the card by its state, counted anew here."""
    total = sum(held.ask.mib for held in state.leases.values() if held.ask.resident is None)
    for name, each in state.residents.items():
        if state.move is not None and state.move.resident.name == name:
            total += max(each.footprint(state.move.origin), each.footprint(state.move.to))
        elif name in state.seats:
            total += each.footprint(state.seats[name].residency)
    return total


@dataclass
class Bench:
    """A card, its host and everybody's ears. Each step is done twice, once from JSON, and must come out the same."""

    state: CardState
    now: datetime = START
    moves: list[MoveAsk] = field(default_factory=list[MoveAsk])
    looks: list[InspectAsk] = field(default_factory=list[InspectAsk])
    told: list[Tell] = field(default_factory=list[Tell])
    truth: dict[str, Residency] = field(default_factory=dict[str, Residency])
    wake_in: timedelta | None = None

    @classmethod
    def of(cls, given: CardSpec, *, looked: bool = True) -> "Bench":
        bench = cls(CardState(spec=given))
        bench.do()
        if looked:
            bench.look()
        return bench

    def do(self, *events: Event) -> Sequence[Tell]:
        """Takes a step; what was told in it."""
        done = step(self.state, self.now, events)
        raw = msgspec.json.encode(self.state)
        again = step(msgspec.json.decode(raw, type=CardState), self.now, events)
        assert again == done, "the same events came to something else"
        self.state, self.wake_in = done.state, done.wake_in
        assert self.wake_in is None or self.wake_in > timedelta(0)
        tells: list[Tell] = []
        for effect in done.effects:
            match effect:
                case Tell():
                    tells.append(effect)
                case StartMove(ask=asked):
                    self.moves.append(asked)
                case Inspect(ask=asked):
                    self.looks.append(asked)
        self.told += tells
        return tells

    def after(self, seconds: float) -> Sequence[Tell]:
        """Lets time pass, waking the card whenever it wants to be."""
        until, tells = self.now + timedelta(seconds=seconds), list[Tell]()
        for _ in range(200):
            wake = self.now + self.wake_in if self.wake_in is not None else until
            self.now = min(until, wake)
            tells += self.do()
            if self.now == until:
                return tells
        raise AssertionError("the card wakes without end")

    def look(self) -> Sequence[Tell]:
        """The host answers what it was asked to look at."""
        asked = self.looks.pop()
        found = tuple(
            Found(resident=each.name, residency=self.truth.get(each.name, Residency.ABSENT))
            for each in asked.spec.residents
        )
        return self.do(Report(inventory=Inventory(card=CARD, residents=found), asked=True))

    def move(self, *, ok: bool = True, residency: Residency | None = None) -> Sequence[Tell]:
        """The host ends the move under way."""
        asked = self.moves.pop()
        there = residency or (asked.to if ok else Residency.UNKNOWN)
        self.truth[asked.resident.name] = there
        return self.do(
            MoveDone(
                resident=asked.resident.name, number=asked.number, residency=there, ok=ok, why="scripted"
            )
        )

    def lease(self, lease: str) -> Lease:
        """What was granted under that id."""
        granted = [each.decision.granted for each in self.told if each.decision.lease == lease]
        found = next((each for each in granted if each is not None), None)
        assert found is not None, f"{lease} was never granted: {self.told}"
        return found

    def release(self, *leases: str) -> Sequence[Tell]:
        return self.do(*(Release(ref=LeaseRef(lease=each)) for each in leases))

    def renew(self, lease: str) -> Sequence[Tell]:
        return self.do(Renew(ref=LeaseRef(lease=lease)))

    @property
    def moving(self) -> tuple[str, Residency] | None:
        return (self.moves[-1].resident.name, self.moves[-1].to) if self.moves else None


def granted(tells: object) -> list[str]:
    assert isinstance(tells, list)
    return [each.decision.lease for each in tells if isinstance(each, Tell) and each.decision.granted]


def denials(tells: object) -> dict[str, Denial]:
    assert isinstance(tells, list)
    return {
        each.decision.lease: each.decision.denial
        for each in tells
        if isinstance(each, Tell) and each.decision.denial
    }


def awake(bench: Bench, name: str, lease: str = "first", **how: float) -> None:
    """Brings a resident up by a hold of it."""
    bench.do(hold(lease, name, ttl_s=how.get("ttl_s", 3600)))
    assert bench.moving == (name, Residency.AWAKE)
    assert granted(bench.move()) == [lease]


def found(name: str, residency: Residency, generation: str = "") -> Report:
    seen = Found(resident=name, residency=residency, generation=generation)
    return Report(inventory=Inventory(card=CARD, residents=(seen,)))
