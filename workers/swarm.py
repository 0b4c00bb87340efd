"""A swarm's activities, wired: they stand beside the ledger, on its queue."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from activities.swarm_job import SwarmPorts
from activities.swarm_planning import PlanningActivities
from activities.swarm_ports import Room
from activities.swarm_reading import Reading
from activities.swarm_store import SwarmStore
from activities.swarm_synthesis import SynthesisActivities
from activities.swarm_working import WorkingActivities
from infra.postgres.jobs import PostgresJobs
from infra.redis_jobs import RedisJobs
from infra.redis_pools import RedisPools
from infra.settings import Settings
from workers.composition import Composition
from workers.job_starter import RowJobStarter
from workers.swarm_asking import TurnAsking
from workers.swarm_room import PoolRoom
from workers.swarm_rules import PolicySwarmRules

Activities = Sequence[Callable[..., object]]


@asynccontextmanager
async def swarming(parts: Composition, store: SwarmStore, settings: Settings) -> AsyncGenerator[Activities]:
    """The activities of swarms, with their connections, for the block."""
    async with AsyncExitStack() as stack:
        jobs = PostgresJobs(parts.database)
        teller = await stack.enter_async_context(
            RedisJobs.connect(settings.redis_dsn, settings.stream_ttl_seconds, max_connections=8)
        )
        pools = await stack.enter_async_context(RedisPools.connect(settings.redis_dsn))
        room = PoolRoom(parts.client, jobs, pools, parts.topology)
        yield swarm_activities(parts, store, settings, teller, room)


def swarm_activities(
    parts: Composition, store: SwarmStore, settings: Settings, teller: RedisJobs, room: Room
) -> Activities:
    """The same, over open connections."""
    jobs = PostgresJobs(parts.database)
    ports = SwarmPorts(
        jobs=jobs,
        store=store,
        asking=TurnAsking(
            jobs, parts.topology, preview_chars=settings.history_preview_chars, barred=parts.desk.barred
        ),
        teller=teller,
        room=room,
        rules=PolicySwarmRules(),
    )
    reading = Reading(ports)
    planning = PlanningActivities(ports, reading)
    working = WorkingActivities(ports)
    synthesis = SynthesisActivities(ports, reading, RowJobStarter(parts.client, jobs, settings))
    return (
        planning.ask_turn,
        planning.take_plan,
        working.take_task,
        working.renew_task,
        working.look_at_work,
        synthesis.close_work,
        synthesis.pack_findings,
        synthesis.take_synthesis,
        synthesis.end_job,
        synthesis.sweep_jobs,
    )
