"""The desk of a worker process: every pool that it serves, and who may sit where. Implements `Seats`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from activities.contracts.backends import Backend
from activities.contracts.policy import Barred
from activities.contracts.pools import PoolView
from activities.contracts.topology import Topology
from activities.errors import Overtaken
from activities.ports import Breakers, ChatBackend, Seat
from workers.pools.members import Member, Sitting
from workers.pools.pool import Pool


class Desk:
    """The pools of this process. Until it is told of shares it has every member to itself."""

    def __init__(self, breakers: Breakers, clock: Callable[[], float] = time.monotonic) -> None:
        self.breakers = breakers
        self.clock = clock
        self.pools: dict[str, Pool] = {}
        self._left: dict[str, Backend] = {}

    @classmethod
    def of(cls, topology: Topology, opened: Callable[[Backend], ChatBackend], breakers: Breakers) -> "Desk":
        """A desk with the configured members."""
        desk = cls(breakers)
        for pool, backends in topology.pools().items():
            desk.seat(pool, [Member(backend=each, client=opened(each)) for each in backends])
        return desk

    def seat(self, pool: str, members: Iterable[Member]) -> None:
        """Has these be the pool's members. One that goes while calls are there finishes them first."""
        served = self.pools.setdefault(pool, Pool(pool, self.breakers, self.clock))
        new = {member.name: member for member in members}
        for name, old in served.members.items():
            if name in new:
                continue
            self._left[name] = old.backend
            if old.used:
                old.draining = True
                new[name] = old
        if new != served.members:
            served.members = new
            served.changed()

    @asynccontextmanager
    async def take(
        self,
        pool: str,
        *,
        turn_id: str,
        only: str | None = None,
        avoid: Sequence[str] = (),
        patience: timedelta = timedelta(),
    ) -> AsyncGenerator[Seat | Barred]:
        """See `Seats`."""
        served = self.pools.get(pool)
        task = asyncio.current_task()
        assert task is not None
        sitting = Sitting(turn_id, task)
        if served is None:
            yield Barred(
                backend=only or "", why=f"nobody serves {pool}", retry_in_s=0.0, code="backend_unavailable"
            )
            return
        found = await served.sit(sitting, only, avoid, patience)
        if isinstance(found, Barred):
            yield found
            return
        member, ticket = found
        try:
            yield Seat(backend=member.backend, client=member.client, ticket=ticket)
        except asyncio.CancelledError:
            if not sitting.lost:
                raise
            task.uncancel()
            raise Overtaken(f"its slot of {member.name} went to another worker") from None
        finally:
            served.stand_up(member, sitting)

    def lose(self, member: Member, count: int) -> None:
        """Takes so many of the member's calls off their seats: the slots are another process's."""
        for sitting in [each for each in member.sitting if not each.lost][:count]:
            sitting.lost = True
            sitting.task.cancel()

    def member(self, name: str) -> Backend | None:
        """See `Seats`."""
        for pool in self.pools.values():
            if name in pool.members:
                return pool.members[name].backend
        return self._left.get(name)

    def members(self) -> Iterable[Member]:
        """Every member of every pool."""
        return (member for pool in self.pools.values() for member in pool.members.values())

    def any_other(self, pool: str, tried: Sequence[str]) -> bool:
        """See `Seats`."""
        return pool in self.pools and self.pools[pool].any_up(tried)

    def note_wait(self, pool: str, waited_ms: int) -> None:
        """See `Seats`."""
        if pool in self.pools:
            self.pools[pool].waits.note(waited_ms)

    def barred(self) -> tuple[Barred, ...]:
        """See `Seats`."""
        return tuple(each for pool in self.pools.values() for each in pool.barred())

    def view(self) -> tuple[PoolView, ...]:
        """Every pool, as it is told."""
        return tuple(pool.view() for pool in self.pools.values())

    def changed(self) -> None:
        """Has everybody who waits look again: time alone opens breakers and ends rights."""
        for pool in self.pools.values():
            pool.changed()
