"""What a GPU card knows: one state, carried from run to run of its workflow, and the words it is moved by.

`at` is the card's own clock. It goes on by what passes between one look and the next and never goes back, so a
wall clock that jumps back shortens no lease; times in the state are of that clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from activities.contracts.cards import (
    CardSpec,
    Denial,
    HoldAsk,
    InspectAsk,
    Inventory,
    Lease,
    LeaseDecision,
    LeaseRef,
    MoveAsk,
    MoveDone,
    Posture,
    Residency,
    Resident,
)

EPOCH = datetime.fromtimestamp(0, UTC)

MAX_WAITERS = 1000
MAX_HELD = 1000
MAX_PAST = 256
"""Ends that are remembered, so that who asks again is told the same again."""
LONGEST_WAIT = timedelta(hours=24)
SHORTEST_TTL = timedelta(milliseconds=100)
WHAT_LENGTH = 120
LEAST_URGENT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A resident's place on the card.

    `since` is when it came to be there, `used` when it was last held. After `failures` moves that went wrong it
    is not moved before `retry_at`. `seen`: its host has looked at it since it became UNKNOWN.
    """

    residency: Residency = Residency.UNKNOWN
    since: datetime = EPOCH
    used: datetime = EPOCH
    why: str = ""
    generation: str = ""
    failures: int = 0
    retry_at: datetime = EPOCH
    seen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The move that is under way. Until it is done, the resident counts with the larger of both ends."""

    resident: Resident
    origin: Residency
    to: Residency
    number: int
    started: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """An ask that waits. `number` is its place in the order of arrival.

    `before` are residents that have kept it out for `hog`: nobody who came later has them before it.
    """

    ask: HoldAsk
    since: datetime
    number: int
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold that was granted."""

    ask: HoldAsk
    token: int
    since: datetime
    expires_at: datetime
    waited_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Effect: this decision goes to its holder."""

    holder: str
    holder_run: str
    decision: LeaseDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMove:
    """Effect: the host is asked for this move; its MoveDone is an event."""

    ask: MoveAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Effect: the host is asked what is true; its answer is a Report, or Uninspected."""

    ask: InspectAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Event: a holder wants its lease to go on."""

    ref: LeaseRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Event: a holder is done with its lease, or waits no longer, or is gone."""

    ref: LeaseRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Event: a host tells what is true. `asked`: it is the answer to an Inspect."""

    inventory: Inventory
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Uninspected:
    """Event: nobody could look."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Event: an operator wants the card's state to be made true, now."""


Event: TypeAlias = HoldAsk | Renew | Release | MoveDone | Report | Uninspected | Posture | Repair | CardSpec
Effect: TypeAlias = Tell | StartMove | Inspect


@dataclass(slots=True, kw_only=True)
class CardState:
    """Everything that a card knows. Only `workflows.policy.card.step` changes one, and only a copy.

    `token`, `number` and `revision` begin at the milliseconds of the first moment: they stay above those of a
    card workflow of the same id that was terminated before. `former` are residents that were configured away and
    have yet to leave. `doubt` is from when on the host is to be asked what is true, `inspecting` since when it
    is. `untold` are decisions whose holders may not have heard them when the workflow's last run ended.
    """

    spec: CardSpec
    former: tuple[Resident, ...] = ()
    posture: Posture = Posture.AWAKE
    at: datetime = EPOCH
    heard: datetime = EPOCH
    seats: dict[str, Seat] = field(default_factory=dict[str, Seat])
    move: Move | None = None
    inspecting: datetime | None = None
    doubt: datetime | None = EPOCH
    doubts: int = 0
    leases: dict[str, Held] = field(default_factory=dict[str, Held])
    waiters: dict[str, Waiter] = field(default_factory=dict[str, Waiter])
    past: dict[str, Tell] = field(default_factory=dict[str, Tell])
    untold: tuple[Tell, ...] = ()
    token: int = 0
    number: int = 0
    revision: int = 0
    changes: int = 0
    arrivals: int = 0
    granted: int = 0
    measured_free_mib: int | None = None
    mismatch: str = ""
    problem: str = ""

    @property
    def residents(self) -> dict[str, Resident]:
        """Everybody who is, or may come to be, on the card."""
        return {each.name: each for each in (*self.former, *self.spec.residents)}

    def copy(self) -> "CardState":
        """One that can be changed while this one stays."""
        return replace(
            self,
            seats=dict(self.seats),
            leases=dict(self.leases),
            waiters=dict(self.waiters),
            past=dict(self.past),
        )

    def clock(self, moment: datetime) -> datetime:
        """A moment of the card's clock, by the wall clock."""
        return moment - (self.at - self.heard)

    def tick(self, now: datetime) -> None:
        """Lets the card's clock go on to `now`, or stand where that is earlier than the last."""
        if self.heard == EPOCH:
            self.token = self.number = self.revision = int(now.timestamp() * 1000)
            self.at = now
        else:
            self.at += max(now - self.heard, timedelta(0))
        self.heard = now

    def moving(self, name: str) -> bool:
        """Whether that resident is on its way."""
        return self.move is not None and self.move.resident.name == name

    def shareable(self, name: str) -> bool:
        """Whether a hold of that resident needs no move."""
        seat = self.seats.get(name)
        return seat is not None and seat.residency is Residency.AWAKE and not self.moving(name)

    def holders(self) -> dict[str, int]:
        """How many hold each resident that is held."""
        counts: dict[str, int] = {}
        for held in self.leases.values():
            if held.ask.resident is not None:
                counts[held.ask.resident] = counts.get(held.ask.resident, 0) + 1
        return counts

    # --- the ends of asks

    def grant(self, waiter: Waiter, out: list[Effect]) -> None:
        """Gives a waiter its lease, with the next token."""
        ask = waiter.ask
        del self.waiters[ask.lease]
        self.token += 1
        self.granted += 1
        self.changes += 1
        held = Held(
            ask=ask,
            token=self.token,
            since=self.at,
            expires_at=self.at + ask.ttl,
            waited_ms=round((self.at - waiter.since) / timedelta(milliseconds=1)),
        )
        self.leases[ask.lease] = held
        out.append(self.grant_of(held))

    def grant_of(self, held: Held) -> Tell:
        """What the holder of a lease is told."""
        ask = held.ask
        lease = Lease(
            lease=ask.lease,
            card=self.spec.card,
            token=held.token,
            expires_at=self.clock(held.expires_at),
            resident=ask.resident,
            mib=ask.mib,
            waited_ms=held.waited_ms,
        )
        decision = LeaseDecision(lease=ask.lease, granted=lease)
        return Tell(holder=ask.holder, holder_run=ask.holder_run, decision=decision)

    def deny(self, asks: Iterable[HoldAsk], denial: Denial, why: str, out: list[Effect]) -> None:
        """Tells these that they get nothing."""
        for ask in asks:
            self.waiters.pop(ask.lease, None)
            out.append(self.end(ask, denial, why))

    def lose(self, helds: Iterable[Held], why: str, out: list[Effect]) -> None:
        """Takes these leases away, and tells so."""
        for held in helds:
            self.drop(held)
            out.append(self.end(held.ask, Denial.LEASE_LOST, why))

    def drop(self, held: Held) -> None:
        """Takes a lease off the card."""
        del self.leases[held.ask.lease]
        self.changes += 1
        name = held.ask.resident
        if name in self.seats:
            self.seats[name] = replace(self.seats[name], used=self.at)

    def end(self, ask: HoldAsk, denial: Denial, why: str) -> Tell:
        """Remembers how an ask ended, and what its holder is told of it."""
        self.changes += 1
        decision = LeaseDecision(lease=ask.lease, denial=denial, why=why)
        told = Tell(holder=ask.holder, holder_run=ask.holder_run, decision=decision)
        self.remember(told)
        return told

    def remember(self, told: Tell) -> None:
        """Keeps an end for as long as there is room among the newest."""
        self.past[told.decision.lease] = told
        while len(self.past) > MAX_PAST:
            del self.past[next(iter(self.past))]


def lease_valid(state: CardState, ref: LeaseRef) -> bool:
    """Whether work that brings this lease (and token, where it has one) may be taken."""
    held = state.leases.get(ref.lease)
    return held is not None and ref.token in {None, held.token}
