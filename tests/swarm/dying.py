"""Workers that die, are late and tell things twice; and what tests ask of a store, in a word."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from activities.contracts.ledger import ClaimAsk, ClaimRef, CompleteAsk, GoalPage, NewFinding
from activities.contracts.swarm import Claim
from activities.errors import ClaimLost, StoreUnavailable
from activities.swarm_store import SwarmStore
from infra.qdrant.points import Qdrant, Schema
from tests.swarm.storing import Clock, Place

TTL = timedelta(seconds=60)


def ask(place: Place, owner: str, request: str = "") -> ClaimAsk:
    return ClaimAsk(tenant_id=place.tenant, goal_id=place.goal, owner=owner, ttl=TTL, request=request)


def pages(place: Place) -> GoalPage:
    return GoalPage(tenant_id=place.tenant, goal_id=place.goal, limit=7)


async def claim(store: SwarmStore, place: Place, owner: str, request: str = "") -> Claim:
    reply = await store.claim(ask(place, owner, request))
    assert reply.claim is not None
    return reply.claim


def found(*texts: str) -> tuple[NewFinding, ...]:
    return tuple(NewFinding(text=text, confidence=0.5) for text in texts)


async def all_refs(store: SwarmStore, place: Place) -> list[tuple[str, str]]:
    """Ids of findings and of their tasks, page by page, as many as are counted."""
    page, refs = pages(place), list[tuple[str, str]]()
    while True:
        got = await store.refs(page)
        refs += [(ref.id, ref.task_id) for ref in got.refs]
        if not got.next_cursor:
            assert len(refs) == len(set(refs)) == got.total
            return refs
        page = GoalPage(tenant_id=place.tenant, goal_id=place.goal, limit=page.limit, cursor=got.next_cursor)


class Killed(Exception):
    """The worker is no more."""


class Between:
    """A Qdrant in which something happens after a worker has looked, and before it writes."""

    def __init__(self, qdrant: Qdrant, happens: Callable[[], Awaitable[object]]) -> None:
        self.qdrant = qdrant
        self.happens: Callable[[], Awaitable[object]] | None = happens

    async def collection(self, schema: Schema) -> object:
        real, this = await self.qdrant.collection(schema), self

        class Watched:
            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

            async def swap(self, *args: Any) -> object:
                if happens := this.happens:
                    this.happens = None
                    await happens()
                return await real.swap(*args)

        return Watched()


@dataclass
class Doomed:
    """A store in which whoever calls is killed now and then, before the call or after it."""

    qdrant: Qdrant
    dice: random.Random
    rate: float
    kills: int = 0
    rolls: int = 0

    async def collection(self, schema: object) -> "DoomedCollection":
        return DoomedCollection(await self.qdrant.collection(schema), self)  # type: ignore[arg-type]

    def roll(self) -> None:
        self.rolls += 1
        if self.dice.random() < self.rate:
            self.kills += 1
            raise Killed


class DoomedCollection:
    def __init__(self, real: object, doom: Doomed) -> None:
        self._real = real
        self._doom = doom

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def call(*args: object, **kwargs: object) -> object:
            self._doom.roll()
            answer = await getattr(self._real, name)(*args, **kwargs)
            self._doom.roll()
            return answer

        return call


@dataclass
class Swarm:
    """Ten workers, each of which dies, sleeps past its claim, or tells things twice, as the dice have it."""

    place: Place
    clock: Clock
    dice: random.Random
    stores: Callable[[], SwarmStore]
    finished: Counter[str] = field(default_factory=Counter[str])
    refused: int = 0
    failures: int = 0

    async def work(self, name: str) -> None:
        life = 0
        while True:
            life += 1
            try:
                if await self._live(f"{name}/{life}"):
                    return
            except (Killed, StoreUnavailable):
                self.failures += 1
                await asyncio.sleep(0)

    async def _live(self, owner: str) -> bool:
        store = self.stores()
        while True:
            reply = await store.claim(ask(self.place, owner, f"{owner}/{self.dice.random()}"))
            if reply.claim is None:
                if not reply.counts.left:
                    return True
                # Whoever had them is dead, or asleep.
                self.clock.pass_by(TTL / 4)
                await asyncio.sleep(0)
                continue
            await self._do(store, reply.claim)

    async def _do(self, store: SwarmStore, held: Claim) -> None:
        ref = ClaimRef.of(held)
        for _ in range(self.dice.randrange(3)):
            await asyncio.sleep(0)
            if self.dice.random() < 0.3:
                # Asleep for longer than the claim stands, while others go on.
                self.clock.pass_by(TTL * 1.5)
                for _ in range(5):
                    await store.tasks(pages(self.place))
        task = held.task.id
        # What a model says is another thing every time.
        texts = [f"{task} says {number} {self.dice.random()}" for number in range(1 + int(task[-1], 36) % 3)]
        done = CompleteAsk(claim=ref, findings=found(*texts))
        try:
            first = await store.complete(done)
            self.finished[task] += not first.again
            for _ in range(self.dice.randrange(3)):
                assert (await store.complete(done)).finding_ids == first.finding_ids
        except ClaimLost:
            self.refused += 1
