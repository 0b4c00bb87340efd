"""How full the pools' task queues are, by Temporal's own count."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

log = logging.getLogger(__name__)

PATIENCE_S = 1.5
AT_ONCE = 8

AWAY = (RPCError, RuntimeError, OSError, TimeoutError)
"""What a call to Temporal raises that is away; a lazy client that cannot connect raises RuntimeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """A task queue's backlog, the age of its oldest task, and tasks a second in and out over the last moments.

    Summed over its partitions. Temporal counts approximately, and may serve a count that is some seconds old
    (`matching.TaskQueueInfoByBuildIdTTL`, 5 s by default). A call that was cancelled, or has run out of patience,
    is counted until a worker comes to it and drops it.
    """

    backlog: int
    backlog_age_s: float
    add_rate: float
    dispatch_rate: float
    by_priority: dict[int, int]


async def queue_figures(client: Client, pools: Sequence[str]) -> dict[str, QueueFigures]:
    """The figures of those pools' queues that Temporal told in time; it may be none. Never raises."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def told(pool: str) -> QueueFigures:
        async with gate:
            return await _figures(client, pool)

    found: dict[str, QueueFigures] = {}
    tasks = {pool: asyncio.create_task(told(pool)) for pool in pools}
    try:
        if tasks:
            await asyncio.wait(tasks.values(), timeout=PATIENCE_S)
    finally:
        for task in tasks.values():
            task.cancel()
    for pool, ended in zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True):
        if isinstance(ended, QueueFigures):
            found[pool] = ended
        elif isinstance(ended, Exception) and not isinstance(ended, AWAY):
            log.error("the queue of %s could not be described", pool, exc_info=ended)
    return found


async def _figures(client: Client, pool: str) -> QueueFigures:
    told = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=pool),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
    )
    stats = told.stats
    by_priority = {
        priority: each.approximate_backlog_count
        for priority, each in sorted(told.stats_by_priority_key.items())
        if each.approximate_backlog_count > 0
    }
    backlog = max(0, stats.approximate_backlog_count)
    return QueueFigures(
        backlog=backlog,
        # Temporal keeps telling an age for a moment after the last task has gone.
        backlog_age_s=stats.approximate_backlog_age.ToTimedelta().total_seconds() if backlog else 0.0,
        add_rate=stats.tasks_add_rate,
        dispatch_rate=stats.tasks_dispatch_rate,
        by_priority=by_priority,
    )
