"""Divides the members' slots with the other worker processes: `workflows.policy.shares` with a clock and a store.

A process that could not renew in time gives nothing more out, and one that finds its share taken (it was frozen, or
cut off) takes as many of its calls off their seats as it has no right to any more.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from activities.errors import StoreUnavailable
from infra.postgres.shares import Division, PostgresShares, ShareRow
from workers.pools.desk import Desk
from workers.pools.identity import is_dead
from workers.pools.members import Member
from workflows.policy.shares import LASTS_S, MARGIN_S, Share, Watched, Wish, claim, is_still, watch

log = logging.getLogger(__name__)

RENEW_EVERY_S = 2.0
SOON_S = 0.25
"""How soon to look again while what is held is not yet what is fair."""


class Sharing:
    """This process's shares."""

    def __init__(
        self, desk: Desk, store: PostgresShares, me: str, *, dead: Callable[[str], bool] = is_dead
    ) -> None:
        self._desk = desk
        self._store = store
        self._me = me
        self._dead = dead
        self._watched: dict[tuple[str, str], Watched] = {}
        self._beat = time.time_ns()
        self._others = 0
        self._settled = False
        self._granted: dict[str, int] = {}
        self._wanted: dict[str, int] = {}
        for member in desk.members():
            member.share = 0

    @property
    def alone(self) -> bool:
        """Whether no other process serves any of our members, as of the last renewal."""
        return self._others == 0

    async def run(self) -> None:
        """Renews until it is cancelled; then gives everything back."""
        away = False
        try:
            while True:
                try:
                    await self.renew()
                    away = False
                except StoreUnavailable as error:
                    if not away:
                        log.warning("shares cannot be renewed for a moment: %s", error.message)
                    away = True
                await self._pause(away=away)
        finally:
            await self.leave()

    async def _pause(self, *, away: bool) -> None:
        """Until it is time to renew: soon while slots are left over, or once members come or change."""
        until = self._desk.clock() + RENEW_EVERY_S
        while self._desk.clock() < until:
            await asyncio.sleep(SOON_S)
            wanted = {member.name: member.open_slots for member in self._desk.members()}
            if not away and (not self._settled or wanted != self._wanted):
                return

    async def leave(self) -> None:
        """Gives everything back, for a process whose calls are over."""
        try:
            await self._store.leave(self._me)
        except StoreUnavailable:
            log.warning("shares were not given back; they end by themselves in %g s", LASTS_S)

    async def renew(self) -> bool:
        """Renews once; says whether every slot of every member is given out. Raises `StoreUnavailable`."""
        self._wanted = {member.name: member.open_slots for member in self._desk.members()}
        began = self._desk.clock()
        self._beat += 1
        await self._store.divide(self._me, self._decide)
        for member in self._desk.members():
            member.share = self._granted.get(member.name, 0)
            self._desk.lose(member, member.used - member.share)
        for pool in self._desk.pools.values():
            pool.hold_rights_until(began + LASTS_S - MARGIN_S)
        return self._settled

    def _decide(self, rows: Mapping[str, Sequence[ShareRow]]) -> Division:
        """Our shares, seen what the others hold. Runs while nobody else decides."""
        gone = self._gone(rows, self._desk.clock())
        others_seen: set[str] = set()
        mine: list[ShareRow] = []
        self._settled = True
        for pool in self._desk.pools.values():
            kept = pool.keep()
            for member in pool.members.values():
                held = {row.worker: row for row in rows.get(member.name, ()) if row.worker not in gone}
                before = held.pop(self._me).slots if self._me in held else 0
                others = {name: Share(slots=r.slots, used=r.used, beat=r.beat) for name, r in held.items()}
                wish = Wish(slots=member.open_slots, used=kept[member.name])
                share = claim(member.name, wish, before, others, self._me)
                # Less counts from now on, more once it is written: at no time do two hold one slot.
                member.share = min(share, member.share or 0)
                mine.append(self._row(member, share))
                others_seen |= others.keys()
                self._settled &= share + sum(other.slots for other in others.values()) >= wish.slots
        self._granted = {row.member: row.slots for row in mine}
        self._others = len(others_seen)
        return Division(mine=mine, gone=sorted(gone))

    def _row(self, member: Member, share: int) -> ShareRow:
        return ShareRow(member=member.name, worker=self._me, slots=share, used=member.used, beat=self._beat)

    def _gone(self, rows: Mapping[str, Sequence[ShareRow]], now: float) -> set[str]:
        """Processes that use their shares no more."""
        seen: dict[tuple[str, str], Watched] = {}
        gone: set[str] = set()
        for row in (row for held in rows.values() for row in held if row.worker != self._me):
            place = (row.worker, row.member)
            share = Share(slots=row.slots, used=row.used, beat=row.beat)
            seen[place] = watch(self._watched.get(place), share, now)
            if is_still(seen[place], now) or self._dead(row.worker):
                gone.add(row.worker)
        self._watched = seen
        return gone
