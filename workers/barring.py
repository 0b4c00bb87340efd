"""Tells the API which backends this process cannot have answer, for as long as it cannot."""

import asyncio
import logging

from redis.exceptions import RedisError

from activities.ports import Seats
from infra.redis_barred import RedisBarred
from workers.pools.identity import process_name

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
REPEAT_EVERY_S = 1.0


async def tell_barred(seats: Seats, barred: RedisBarred) -> None:
    """Says each change at once, and repeats itself while anything is barred. Runs until it is cancelled."""
    told: frozenset[str] = frozenset()
    told_at = 0.0
    loop = asyncio.get_running_loop()
    while True:
        now = seats.barred()
        names = frozenset(each.backend for each in now)
        if names != told or (names and loop.time() - told_at >= REPEAT_EVERY_S):
            try:
                await barred.say(process_name(), now)
                told, told_at = names, loop.time()
            except (RedisError, OSError) as error:
                log.warning("what is barred is not told for a moment: %s", type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_S)
