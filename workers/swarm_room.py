"""How much room a swarm has in its pool: what the pool's workers tell, and what waits in Temporal before it."""

import logging
import time

from redis.exceptions import RedisError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.contracts.jobs import JobRecord
from activities.contracts.swarm import Role
from activities.contracts.topology import Topology
from activities.contracts.urgency import Urgency
from infra.postgres.jobs import PostgresJobs
from infra.redis_pools import RedisPools
from workflows.policy.models import ladder_for
from workflows.policy.swarm_room import room

log = logging.getLogger(__name__)

FRESH_S = 1.0
"""How long a look at a pool is good for: many workers ask, and the pools are told of every second."""
MOST_HELD = 100


class PoolRoom:
    """Implements `activities.swarm_ports.Room`."""

    def __init__(self, client: Client, jobs: PostgresJobs, pools: RedisPools, topology: Topology) -> None:
        self._client = client
        self._jobs = jobs
        self._pools = pools
        self._topology = topology
        self._seen: dict[str, tuple[float, int]] = {}

    async def room(self, job: JobRecord) -> int:
        """See `Room`."""
        known = self._seen.get(job.ref.job_id)
        if known and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        found = await self._look(job)
        if len(self._seen) >= MOST_HELD:
            self._seen.clear()
        self._seen[job.ref.job_id] = (time.monotonic(), found)
        return found

    async def _look(self, job: JobRecord) -> int:
        ladder = ladder_for(self._topology, job.options.roles[Role.WORKER].model)
        if ladder is None:
            return 1
        pool = ladder.answer[0].pool
        try:
            heard = await self._pools.heard()
        except (RedisError, OSError):
            heard = {}
        views = [view for each in heard.values() for view in each if view.pool == pool]
        if not views:
            return room(None, 0, 0)
        ours = set(await self._jobs.running_turns(job.ref))
        running = [turn for view in views for turn in view.running]
        others = sum(1 for turn in running if turn not in ours)
        return room(sum(view.slots for view in views), others, await self._urgent(pool))

    async def _urgent(self, pool: str) -> int:
        """Calls that wait for the pool before a swarm's."""
        try:
            told = await self._client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=self._client.namespace,
                    task_queue=TaskQueue(name=pool),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
                    report_stats=True,
                )
            )
        except (RPCError, RuntimeError, OSError) as error:
            log.warning("the queue of %s could not be described: %s", pool, type(error).__name__)
            return 0
        return sum(
            each.approximate_backlog_count
            for priority, each in told.stats_by_priority_key.items()
            if priority < Urgency.SWARM
        )
