"""What goes on beside a process's pools while they are served."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from redis.exceptions import RedisError

from activities.contracts.cards import CardView
from infra.postgres.cards import PostgresCards
from infra.postgres.registry import PostgresRegistry
from infra.postgres.shares import PostgresShares
from infra.redis_pools import RedisPools
from infra.settings import Settings
from workers.composition import Composition
from workers.pools.following import Members, follow, tell, tick
from workers.pools.identity import process_name, worker_id
from workers.pools.probing import Probes, look
from workers.pools.sharing import Sharing


@asynccontextmanager
async def served(parts: Composition, settings: Settings) -> AsyncGenerator[None]:
    """Shares, follows, probes and tells within the block; leave it once the last call is over."""
    desk, topology = parts.desk, parts.topology
    sharing = Sharing(desk, PostgresShares(parts.database), worker_id())
    members = Members(desk, topology, parts.opened)
    registry, views = PostgresRegistry(parts.database), PostgresCards(parts.database)

    async def cards() -> Sequence[CardView]:
        return await views.views() if topology.cards else ()

    async with AsyncExitStack() as stack:
        pools = await stack.enter_async_context(RedisPools.connect(settings.redis_dsn))
        tasks = [
            asyncio.create_task(each)
            for each in (
                sharing.run(),
                follow(members, registry.joined, cards),
                look(Probes(desk, topology, lambda: sharing.alone)),
                tell(desk, pools),
                tick(desk),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(RedisError, OSError):
                await pools.say(process_name(), ())
