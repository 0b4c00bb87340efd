"""Keeps a desk true to the world: who is a member, whose card is awake, and what the API is told of it all."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from redis.exceptions import RedisError

from activities.contracts.backends import Backend
from activities.contracts.cards import CardView, Posture, Residency
from activities.contracts.pools import MemberSource
from activities.contracts.registry import JoinedBackend
from activities.contracts.topology import Topology
from activities.errors import StoreUnavailable
from activities.ports import ChatBackend
from infra.redis_pools import RedisPools
from workers.pools.desk import Desk
from workers.pools.identity import process_name
from workers.pools.members import UNSEEN, Member

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 0.5
TICK_S = 0.2


class Members:
    """Seats the configured backends and those that joined, and parks the ones whose card is away."""

    def __init__(self, desk: Desk, topology: Topology, opened: Callable[[Backend], ChatBackend]) -> None:
        self._desk = desk
        self._topology = topology
        self._opened = opened
        self._joined: dict[str, JoinedBackend] = {}

    def follow(self, joined: Sequence[JoinedBackend], cards: Mapping[str, CardView]) -> None:
        """Takes in who has joined, and how the cards are."""
        self._joined = {each.backend.name: each for each in joined}
        known = {member.name: member for member in self._desk.members()}
        for pool, configured in self._topology.pools().items():
            model = configured[0].model
            guests = [e for e in joined if e.backend.queue == pool and e.backend.model == model]
            seated = [known.get(each.name) or self._member(each) for each in configured]
            seated += [self._guest(each, known.get(each.backend.name)) for each in guests]
            self._desk.seat(pool, seated)
        for member in self._desk.members():
            parked = self._parked(member.backend, cards)
            if parked != member.parked:
                member.parked = parked
                self._desk.changed()

    def _member(self, backend: Backend) -> Member:
        return Member(backend=backend, client=self._opened(backend), share=0)

    def _guest(self, joined: JoinedBackend, known: Member | None) -> Member:
        if known is None or known.backend != joined.backend:
            client = self._opened(joined.backend)
            known = Member(
                backend=joined.backend,
                client=client,
                source=MemberSource.JOINED,
                share=0,
                down=UNSEEN,
            )
        known.draining = joined.draining
        return known

    def _parked(self, backend: Backend, cards: Mapping[str, CardView]) -> str:
        """Why its card cannot serve it; empty where it can, or comes when it is held."""
        if backend.resident is None:
            return ""
        resident = self._topology.resident(backend.resident)
        card = cards.get(resident.card)
        if card is None:
            return ""
        if card.posture is Posture.ASLEEP:
            return f"card {card.card} is asleep"
        found = card.resident(resident.name)
        if resident.on_demand or found is None or found.residency is Residency.AWAKE:
            return ""
        return f"{resident.name} is {found.residency} on card {card.card}"


async def tick(desk: Desk) -> None:
    """Lets time open breakers and end rights. Runs until it is cancelled."""
    while True:
        await asyncio.sleep(TICK_S)
        desk.changed()


async def follow(
    members: Members,
    joined: Callable[[], Awaitable[Sequence[JoinedBackend]]],
    cards: Callable[[], Awaitable[Sequence[CardView]]],
) -> None:
    """Seats who there is, again and again. Runs until it is cancelled; a store that is away changes nobody."""
    while True:
        try:
            views = {view.card: view for view in await cards()}
            members.follow(await joined(), views)
        except StoreUnavailable as error:
            log.debug("members are as they were: %s", error.message)
        await asyncio.sleep(LOOK_EVERY_S)


async def tell(desk: Desk, pools: RedisPools) -> None:
    """Tells the API what this process sees of its pools. Runs until it is cancelled."""
    while True:
        try:
            await pools.say(process_name(), desk.view())
        except (RedisError, OSError) as error:
            log.debug("the pools are not told for a moment: %s", type(error).__name__)
        await asyncio.sleep(TELL_EVERY_S)
