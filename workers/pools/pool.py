"""One pool as this process serves it: its members, how many calls it may take, and where each goes."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from activities.contracts.policy import Barred
from activities.contracts.pools import MemberHealth, MemberView, PoolView
from activities.ports import Breakers
from workers.pools.members import Member, Sitting
from workers.pools.waits import WaitCounts

AGAIN_S = 2.0
"""When a member whose health check fails, or whose card is away, may be asked for again."""


class Pool:
    """The members of one pool. Everything here runs in the event loop of the pool's worker.

    A *permit* lets the worker poll for one more call, a seat is a member's slot for a call that has come. There
    are as many permits as the members that are up have slots for this process. When none is up there is one more
    than there are calls, so that those that wait come in one after another and are told so, rather than wait for
    nothing.
    """

    def __init__(self, name: str, breakers: Breakers, clock: Callable[[], float]) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        self.permits = 0
        self.waits = WaitCounts(clock)
        self._breakers = breakers
        self._clock = clock
        self._rights_until = float("inf")
        self._pulse = asyncio.Event()

    @property
    def limit(self) -> int:
        """How many permits there may be now."""
        up = self._up()
        if up or not self.members:
            return sum(self._allowed(member) for member in up)
        return sum(member.used for member in self.members.values()) + 1

    async def permit(self) -> None:
        """Waits for a permit and takes it."""
        while self.permits >= self.limit:
            await self._pulse.wait()
        self.permits += 1

    def return_permit(self) -> None:
        """Gives a permit back."""
        self.permits -= 1
        self.changed()

    def changed(self) -> None:
        """Has everybody who waits look again."""
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    def hold_rights_until(self, until: float) -> None:
        """By when, on this pool's clock, the shares have to be renewed to count on."""
        self._rights_until = until
        self.changed()

    async def sit(
        self, sitting: Sitting, only: str | None, avoid: Sequence[str], patience: timedelta
    ) -> tuple[Member, int] | Barred:
        """A seat at the member with the most room and its breaker's ticket, or why there is none."""
        deadline = self._clock() + patience.total_seconds()
        while True:
            members = [m for m in self.members.values() if m.name not in avoid and only in {None, m.name}]
            up = [member for member in members if member in self._up()]
            if not up:
                return self._why_none(members, only)
            for member in sorted(up, key=self._least_room):
                if member.used >= self._allowed(member):
                    continue
                ticket = self._breakers.admit(member.name)
                if not isinstance(ticket, Barred):
                    member.sitting.add(sitting)
                    # Admitting a probe closes a half-open breaker to everybody else, who must not wait for it.
                    self.changed()
                    return member, ticket
            if not await self._changes(deadline):
                why = f"every slot of {self.name} is taken"
                return Barred(backend=up[0].name, why=why, retry_in_s=0.0, code="no_room")

    def stand_up(self, member: Member, sitting: Sitting) -> None:
        """The call is over."""
        member.sitting.discard(sitting)
        self.changed()

    def any_up(self, besides: Sequence[str]) -> bool:
        """Whether a member that is up is left besides those."""
        return any(member.name not in besides for member in self._up())

    def barred(self) -> tuple[Barred, ...]:
        """Why no member may be called, told of each; nothing where one may."""
        if self._up() or not self.members:
            return ()
        blocked = {each.backend: each for each in self._breakers.barred()}
        return tuple(self._why(member, blocked) for member in self.members.values())

    def keep(self) -> dict[str, int]:
        """How many slots of each member this process must keep: for its calls, and for permits given out."""
        kept = {member.name: member.used for member in self.members.values()}
        idle = self.permits - sum(kept.values())
        for member in self._up():
            more = max(0, min(idle, self._allowed(member) - member.used))
            kept[member.name] += more
            idle -= more
        return kept

    def view(self) -> PoolView:
        """The pool as it is told."""
        running = sorted({s.turn_id for m in self.members.values() for s in m.sitting})
        members = tuple(self._view(member) for member in self.members.values())
        return PoolView(pool=self.name, members=members, waits=self.waits.told(), running=tuple(running))

    def _up(self) -> list[Member]:
        blocked = {each.backend for each in self._breakers.barred()}
        members = self.members.values()
        return [m for m in members if m.health(barred=m.name in blocked)[0] is MemberHealth.UP]

    def _allowed(self, member: Member) -> int:
        """How many calls of ours may be there. One whose breaker is to be tried again gets a single one."""
        if self._clock() >= self._rights_until:
            return 0
        share = member.open_slots if member.share is None else min(member.share, member.open_slots)
        return share if self._breakers.phase(member.name) == "closed" else min(1, share)

    def _least_room(self, member: Member) -> tuple[int, int, str]:
        return (member.used - self._allowed(member), member.used, member.name)

    async def _changes(self, deadline: float) -> bool:
        left = deadline - self._clock()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await self._pulse.wait()
        except TimeoutError:
            return False
        return True

    def _why_none(self, members: Sequence[Member], only: str | None) -> Barred:
        blocked = {each.backend: each for each in self._breakers.barred()}
        told = [self._why(member, blocked) for member in members]
        if told:
            return min(told, key=lambda each: each.retry_in_s)
        why = f"no other member of {self.name} is left" if self.members else f"nobody serves {self.name}"
        return Barred(backend=only or "", why=why, retry_in_s=AGAIN_S, code="backend_unavailable")

    def _why(self, member: Member, blocked: dict[str, Barred]) -> Barred:
        if (by_breaker := blocked.get(member.name)) is not None and not (member.down or member.parked):
            return by_breaker
        health, why = member.health(barred=False)
        code = "card_asleep" if health is MemberHealth.PARKED else "backend_unavailable"
        return Barred(backend=member.name, why=f"{member.name}: {why}", retry_in_s=AGAIN_S, code=code)

    def _view(self, member: Member) -> MemberView:
        blocked = {each.backend: each for each in self._breakers.barred()}
        health, why = member.health(barred=member.name in blocked)
        return MemberView(
            backend=member.name,
            model=member.backend.model,
            locality=member.backend.locality,
            source=member.source,
            slots=member.backend.slots,
            health=health,
            share=self._allowed(member) if health is MemberHealth.UP else 0,
            used=member.used,
            foreign=member.foreign,
            why=why or (blocked[member.name].why if member.name in blocked else ""),
            breaker=self._breakers.phase(member.name),
            engine=member.engine,
        )
