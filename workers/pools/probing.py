"""Asks the members in the building how they are, second by second."""

import asyncio
from collections.abc import Callable

import aiohttp

from activities.contracts.backends import Dialect, Locality
from activities.contracts.pools import EngineFigures
from activities.contracts.topology import Topology
from infra.engines import EngineWord, probe
from workers.pools.desk import Desk
from workers.pools.members import UNSEEN, Member

LOOK_EVERY_S = 1.0
AGAIN_S = 0.25
"""How soon one that refused is asked again: a restarting server may be back, a dead one is to be known soon."""
REFUSALS, SILENCES = 2, 3
"""Looks in a row that must fail before a member counts as down. A server that is short of breath is not dead."""


class Probes:
    """Asks the members in the building how they are. Clouds are not asked: their breakers know."""

    def __init__(self, desk: Desk, topology: Topology, alone: Callable[[], bool]) -> None:
        self._desk = desk
        self._on_demand = {each.name for card in topology.cards for each in card.residents if each.on_demand}
        self._alone = alone
        self._misses: dict[str, int] = {}
        self._last: dict[str, tuple[int, int]] = {}

    @property
    def doubtful(self) -> bool:
        """Whether somebody has refused, and not often enough to be down, or was never asked."""
        unseen = any(member.down == UNSEEN for member in self._desk.members())
        return unseen or any(missed < REFUSALS for missed in self._misses.values())

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Asks all of them at once."""
        members = [
            member
            for member in self._desk.members()
            if member.backend.locality is Locality.LOCAL and member.backend.resident not in self._on_demand
        ]
        words = await asyncio.gather(*(probe(session, member.backend) for member in members))
        for member, word in zip(members, words, strict=True):
            self.take(member, word)

    def take(self, member: Member, word: EngineWord) -> None:
        """Takes in what came of asking a member."""
        before = (member.down, member.foreign)
        if word.alive:
            self._misses.pop(member.name, None)
            member.engine = word.figures
            member.down = "it sleeps" if word.figures.asleep else ""
            member.foreign = self._foreign(member, word.figures)
        else:
            missed = self._misses[member.name] = self._misses.get(member.name, 0) + 1
            member.engine = EngineFigures()
            if missed >= (SILENCES if "no answer" in word.why else REFUSALS):
                member.down = word.why
        if (member.down, member.foreign) != before:
            self._desk.changed()

    def _foreign(self, member: Member, figures: EngineFigures) -> int:
        """Calls at the member that are not ours: the fewer of two looks, for calls come and go between them.

        With other processes about, whose calls nobody counts at the same moment, only what waits in the engine
        itself tells: we never send more than it has slots.
        """
        waiting = figures.waiting or 0
        seen = max(0, (figures.running or 0) + waiting - member.used) if self._alone() else waiting
        if member.backend.dialect not in {Dialect.VLLM, Dialect.LLAMACPP}:
            return 0
        last, _ = self._last.get(member.name, (0, 0))
        self._last[member.name] = (seen, member.used)
        return min(seen, last)


async def look(probes: Probes) -> None:
    """Asks the members, again and again. Runs until it is cancelled."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            await probes.look(session)
            for _ in range(round(LOOK_EVERY_S / AGAIN_S)):
                await asyncio.sleep(AGAIN_S)
                if probes.doubtful:
                    break
