"""The activities of a card's host: they move residents on and off, and look at what is true."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from temporalio import activity

from activities.attempts import heartbeats
from activities.contracts.cards import (
    CardSpec,
    Found,
    HostKind,
    InspectAsk,
    Inventory,
    MoveAsk,
    MoveDone,
    Residency,
    Resident,
)
from activities.errors import AitherError

log = logging.getLogger(__name__)

KEPT = 0.9
"""Which part of what a resident promised to free must be free afterwards; drivers keep a little."""
OVER = 1.1
"""What takes so many times its declared MiB is worth a word."""
SETTLE_S = 5.0
"""How long a driver may take to give back what a process had."""
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A move did not do what it promised, though a look at the resident alone would not show it."""

    seems: Residency
    generation: str
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a card was told of a resident last. A move tells no generation."""

    residency: Residency
    generation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vram:
    """What a card has, as measured."""

    free_mib: int
    total_mib: int


class Gauge(Protocol):
    """Measures cards."""

    def read(self, index: int) -> Vram | None:
        """The card's VRAM; None where it cannot be measured."""
        ...


class ModelHost(Protocol):
    """Moves residents of one kind, and knows what became of them."""

    async def bring(self, resident: Resident, to: Residency) -> None:
        """Brings it there and makes sure that it is there. Raises `MoveFailed`. Cancelled, it stops a start."""
        ...

    async def find(self, resident: Resident) -> Found:
        """Where it is now, by a look at it. Never raises: what cannot be told is UNKNOWN, and why."""
        ...

    async def taken_mib(self, resident: Resident) -> int | None:
        """What it takes by its own account; None where it has none."""
        ...


class HostActivities:
    """`move-resident` and `inspect-card`, on the queue of the one process that serves a host's cards.

    One move at a time, for a host's cards share its disk and its processor. What fails in a way that is known is
    a result that says so and where the resident is now, never an exception.
    """

    def __init__(
        self, hosts: Mapping[HostKind, ModelHost], gauge: Gauge, *, settle_s: float = SETTLE_S
    ) -> None:
        self._hosts = hosts
        self._gauge = gauge
        self._settle_s = settle_s
        self._turn = asyncio.Lock()
        self._latest: dict[str, int] = {}
        self._moves: Counter[str] = Counter()
        """Starts and ends of each resident's moves, so that a look can tell whether one came between."""
        self._doubts: dict[str, _Doubt] = {}
        self.told: dict[str, Told] = {}
        """By resident, in a move's result or in a report."""

    @activity.defn(name="move-resident")
    async def move_resident(self, ask: MoveAsk) -> MoveDone:
        """Brings a resident where it is to be. Safe to run twice: what is there already stays as it is."""
        async with heartbeats():
            return await self.move(ask)

    @activity.defn(name="inspect-card")
    async def inspect_card(self, ask: InspectAsk) -> Inventory:
        """Looks at a card. A resident that is on its way is left out: its move will tell where it ends."""
        async with heartbeats():
            return await self.inspect(ask.spec)

    async def move(self, ask: MoveAsk) -> MoveDone:
        """See `move_resident`. An ask that is older than one that has come is turned away."""
        began, name = time.monotonic(), ask.resident.name
        self._latest[ask.card] = max(ask.number, self._latest.get(ask.card, ask.number))
        async with self._turn:
            if ask.number < self._latest[ask.card]:
                done = await self._late(ask)
            else:
                self._moves[name] += 1
                try:
                    done = await self._move(ask)
                finally:
                    self._moves[name] += 1
                self.told[name] = Told(done.residency)
        return replace(done, took_ms=round((time.monotonic() - began) * 1000))

    async def inspect(self, spec: CardSpec) -> Inventory:
        """See `inspect_card`."""
        before = dict(self._moves)
        found = await asyncio.gather(*(self._find(each) for each in spec.residents))
        still = [
            each
            for each in found
            if self._moves[each.resident] == before.get(each.resident, 0)
            and self._moves[each.resident] % 2 == 0
        ]
        vram = self._gauge.read(spec.index)
        return Inventory(
            card=spec.card,
            residents=tuple(still),
            free_mib=vram.free_mib if vram else None,
            total_mib=vram.total_mib if vram else None,
        )

    def is_news(self, found: Found) -> bool:
        """Whether a card has yet to hear of what was found."""
        told = self.told.get(found.resident)
        if told is None or told.residency is not found.residency:
            return True
        return bool(told.generation and found.generation and told.generation != found.generation)

    async def _late(self, ask: MoveAsk) -> MoveDone:
        found = await self._find(ask.resident)
        why = f"late: move {ask.number} of {ask.card} came after move {self._latest[ask.card]}"
        return self._done(ask, found.residency, ok=False, why=why)

    async def _move(self, ask: MoveAsk) -> MoveDone:
        resident, host = ask.resident, self._hosts[ask.resident.kind]
        found = await self._find(resident)
        if found.residency is ask.to:
            return self._done(ask, found.residency, ok=True)
        if ask.to is Residency.ASLEEP and found.residency is Residency.ABSENT:
            return self._done(ask, found.residency, ok=False, why=found.why or "it is not running")
        before = self._gauge.read(_index(ask.card))
        why = _no_room(ask, found.residency, before) or await _bring(host, ask)
        if why:
            return await self._failed(ask, why)
        if ask.to is Residency.AWAKE:
            return self._done(ask, ask.to, ok=True, why=await self._over(ask, found.residency, before))
        if (why := await self._kept(ask, found.residency, before)) is not None:
            return await self._failed(ask, why)
        return self._done(ask, ask.to, ok=True)

    async def _failed(self, ask: MoveAsk, why: str) -> MoveDone:
        """Where it is after a move that failed. One that only seems to be where it was to be is UNKNOWN."""
        found = await self._hosts[ask.resident.kind].find(ask.resident)
        residency = found.residency
        if residency is ask.to:
            residency = Residency.UNKNOWN
            self._doubts[ask.resident.name] = _Doubt(ask.to, found.generation, why)
        return self._done(ask, residency, ok=False, why=why)

    async def _find(self, resident: Resident) -> Found:
        """Where it is. What a move left in doubt stays so until a move does better, or it is another process."""
        found = await self._hosts[resident.kind].find(resident)
        doubt = self._doubts.get(resident.name)
        if doubt is None or doubt.seems is not found.residency or doubt.generation != found.generation:
            return found
        return replace(found, residency=Residency.UNKNOWN, why=doubt.why)

    async def _over(self, ask: MoveAsk, came: Residency, before: Vram | None) -> str:
        """A word about a resident that takes more than it is declared with: no failure, while there is room."""
        resident = ask.resident
        after = self._gauge.read(_index(ask.card))
        if before and after:
            takes = before.free_mib - after.free_mib + resident.footprint(came)
        else:
            takes = await self._hosts[resident.kind].taken_mib(resident) or 0
        if takes <= resident.mib * OVER:
            return ""
        return f"it takes {takes} MiB and is declared with {resident.mib}"

    async def _kept(self, ask: MoveAsk, came: Residency, before: Vram | None) -> str | None:
        """Why the card did not get back what it was promised; None where it did, or nobody can measure."""
        resident, index = ask.resident, _index(ask.card)
        promised = resident.footprint(came) - resident.footprint(ask.to)
        deadline = time.monotonic() + self._settle_s
        while True:
            after = self._gauge.read(index)
            if before is None or after is None or after.free_mib - before.free_mib >= promised * KEPT:
                return None
            # One of which nobody knew where it was may have had nothing, and ComfyUI may have loaded nothing.
            unsure = came is Residency.UNKNOWN or resident.kind is HostKind.COMFYUI
            left = ask.before_mib + resident.footprint(ask.to) + (1 - KEPT) * promised
            if unsure and after.total_mib - after.free_mib <= left:
                return None
            if time.monotonic() >= deadline:
                freed = after.free_mib - before.free_mib
                return (
                    f"it freed {freed} MiB of the {promised} that it promised: {before.free_mib} MiB were free"
                    f" before, {after.free_mib} are now"
                )
            await asyncio.sleep(POLL_S)

    def _done(self, ask: MoveAsk, residency: Residency, *, ok: bool, why: str = "") -> MoveDone:
        if ok:
            self._doubts.pop(ask.resident.name, None)
        vram = self._gauge.read(_index(ask.card))
        return MoveDone(
            resident=ask.resident.name,
            number=ask.number,
            residency=residency,
            ok=ok,
            why=why,
            free_mib=vram.free_mib if vram else None,
        )


async def _bring(host: ModelHost, ask: MoveAsk) -> str:
    """Why it could not be brought there; empty where it is there."""
    try:
        await host.bring(ask.resident, ask.to)
    except AitherError as error:
        return error.message
    except Exception as error:
        log.exception("moving %s failed in a way that nobody foresaw", ask.resident.name)
        return f"{type(error).__name__} in moving it"
    return ""


def _no_room(ask: MoveAsk, came: Residency, vram: Vram | None) -> str | None:
    """Why a resident that is to be awake would not fit, by what is measured."""
    if ask.to is not Residency.AWAKE or vram is None or came is Residency.UNKNOWN:
        return None
    needs = ask.resident.mib - ask.resident.footprint(came)
    if needs <= vram.free_mib:
        return None
    return f"it needs {needs} MiB, and {vram.free_mib} of {vram.total_mib} are free"


def _index(card: str) -> int:
    return int(card.rpartition("/")[2])
