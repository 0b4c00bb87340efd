"""Which backends are barred, as the workers last said: read in the background, so that no request waits."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from redis.exceptions import RedisError

from activities.contracts.policy import Barred
from infra.redis_barred import RedisBarred, aged

log = logging.getLogger(__name__)

READ_EVERY_S = 0.5
TRUSTED_S = 5.0
"""How long what was read last is believed while Redis is away."""


class Barring:
    """The API's copy."""

    def __init__(self, source: RedisBarred) -> None:
        self._source = source
        self._seen: tuple[Barred, ...] = ()
        self._seen_at = time.monotonic()

    def __call__(self) -> tuple[Barred, ...]:
        """The backends that are barred now. Costs microseconds, none while nothing is barred."""
        if not self._seen:
            return ()
        age = time.monotonic() - self._seen_at
        return aged(self._seen, age) if age < TRUSTED_S else ()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[None]:
        """Keeps the copy fresh within the block."""
        task = asyncio.create_task(self._read_on())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _read_on(self) -> None:
        away = False
        while True:
            try:
                self._seen, self._seen_at = await self._source.heard(), time.monotonic()
                away = False
            except (RedisError, OSError, TimeoutError) as error:
                if not away:
                    log.warning("what is barred is not heard for a moment: %s", type(error).__name__)
                away = True
            await asyncio.sleep(READ_EVERY_S)
