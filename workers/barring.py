"""Tells the API which backends this process's breakers bar, for as long as they do."""

import asyncio
import logging
import os
import socket

from redis.exceptions import RedisError

from activities.ports import Breakers
from infra.redis_barred import RedisBarred

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
REPEAT_EVERY_S = 2.0


async def tell_barred(breakers: Breakers, barred: RedisBarred) -> None:
    """Says each change at once, and repeats itself while anything is barred. Runs until it is cancelled."""
    process = f"{socket.gethostname()}-{os.getpid()}"
    told: frozenset[str] = frozenset()
    told_at = 0.0
    loop = asyncio.get_running_loop()
    while True:
        now = breakers.barred()
        names = frozenset(each.backend for each in now)
        if names != told or (names and loop.time() - told_at >= REPEAT_EVERY_S):
            try:
                await barred.say(process, now)
                told, told_at = names, loop.time()
            except (RedisError, OSError) as error:
                log.warning("what is barred is not told for a moment: %s", type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_S)
