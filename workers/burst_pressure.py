"""How full a pool is, for who decides on renting: slots by the word of its workers, the backlog by Temporal's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import msgspec
from redis.exceptions import RedisError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.contracts.burst import PoolPressure
from activities.contracts.pools import MemberHealth, PoolView

log = logging.getLogger(__name__)

PATIENCE_S = 3.0

Heard = Callable[[], Awaitable[Mapping[str, Sequence[PoolView]]]]


class TemporalPressures:
    """Implements `activities.bursting.Pressures`.

    All that waits in the pool's queue counts: what is hard enough for the pool is there because of that. A call
    that was cancelled is counted until a worker drops it.
    """

    def __init__(self, client: Client, heard: Heard) -> None:
        self._client = client
        self._heard = heard

    async def pressure(self, pool: str) -> PoolPressure | None:
        """See `Pressures`."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                words = await self._heard()
                told = await self._client.workflow_service.describe_task_queue(
                    DescribeTaskQueueRequest(
                        namespace=self._client.namespace,
                        task_queue=TaskQueue(name=pool),
                        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
                        report_stats=True,
                    )
                )
        except (RPCError, RedisError, msgspec.MsgspecError, OSError, TimeoutError) as error:
            log.warning("how full %s is cannot be told: %s", pool, type(error).__name__)
            return None
        views = [view for views in words.values() for view in views if view.pool == pool]
        if not views:
            return None
        stats = told.stats
        waiting = max(0, stats.approximate_backlog_count)
        return PoolPressure(
            pool=pool,
            slots=sum(view.slots for view in views),
            used=sum(_used(view) for view in views),
            waiting=waiting,
            waited=stats.approximate_backlog_age.ToTimedelta() if waiting else timedelta(),
            done_per_s=stats.tasks_dispatch_rate,
        )


def _used(view: PoolView) -> int:
    return sum(member.used for member in view.members if member.health is MemberHealth.UP)
