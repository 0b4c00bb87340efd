"""A house to ask turns in: real Temporal, PostgreSQL and Redis, the product's own workers, stand-ins as models.

The ground (servers, and the worker that runs workflows) is laid once a session; a house is the pools' workers
for one topology, with breakers of its own, and costs some milliseconds. Who follows a turn's events here goes
by the rule for readers: cut the text at a hop's offset, then append each token at its own.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import asyncpg
import msgspec
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.chat import ChatActivities, ChatPorts
from activities.contracts.backends import Backend
from activities.contracts.chat import Message, Role, Sampling
from activities.contracts.events import EventKind
from activities.contracts.policy import Barred, Bounds, TurnPolicy
from activities.contracts.topology import Topology
from activities.contracts.turn import TurnInput, TurnOutcome
from activities.ports import ChatBackend
from infra.embedded.temporal import DYNAMIC_CONFIG
from infra.ids import new_id
from infra.llm.backends import opening
from infra.postgres.database import Database
from infra.postgres.keys import PostgresKeys
from infra.postgres.ledger import PostgresLedger
from infra.postgres.turns import NewTurn, PostgresTurns
from infra.redis_events import RedisEvents
from infra.settings import Settings
from infra.temporal import DATA_CONVERTER
from tests.api.stores import Stores, stores
from tests.ladder.told import Told
from workers.breakers import BreakerBoard
from workers.composition import Composition, Connections, wired
from workers.fleets import pool_workers, turns_workers
from workflows.attributes import EFFORT, MODEL, RUNG, STATUS, TENANT
from workflows.names import SWEEP_TURNS, Queue, turn_workflow_id
from workflows.policy.plans import plan_for
from workflows.starts import start_turn

LIFETIME = timedelta(minutes=2)
PATIENCE_S = 20.0
ANSWER_TOKENS = 256
SETTINGS = Settings(config_file=None)
PROMPT_TIMERS = {"history.timerProcessorMaxTimeShift": '"20ms"'}
"""The default lets every timer last a second at least, and a pause of 50 ms with it."""

_numbers = itertools.count(1)


@dataclass
class House:
    """A topology with its workers at work, and a tenant of its own, of a share by its weight."""

    ground: "Ground"
    topology: Topology
    tenant_id: str
    key_id: str
    parts: Composition
    weight: float = 1.0

    async def neighbour(self, weight: float = 1.0) -> "House":
        """The same house, as another tenant sees it."""
        tenant_id = f"tenant-{next(_numbers)}"
        key, _ = await PostgresKeys(self.ground.database).create(tenant_id, "test")
        return replace(self, tenant_id=tenant_id, key_id=key.id, weight=weight)

    async def begin(
        self,
        text: str = "hello there",
        *,
        effort: int = 3,
        policy: TurnPolicy | None = None,
        sampling: Sampling | None = None,
        messages: Sequence[Message] = (),
        prompt_tokens: int = 0,
        barred: tuple[Barred, ...] = (),
        priority: int = 1,
        conversation_id: str | None = None,
        new_conversation: bool = False,
    ) -> Told:
        """Accepts a turn and starts it, as the API does."""
        turn_id = new_id("turn")
        answer_tokens = (sampling.max_tokens if sampling else None) or ANSWER_TOKENS
        said = messages or (Message(role=Role.USER, content=text),)
        await self.ground.turns.accept(
            NewTurn(
                tenant_id=self.tenant_id,
                turn_id=turn_id,
                conversation_id=conversation_id,
                new_conversation=new_conversation,
                model="auto",
                effort=effort,
                effort_why="asked for",
                intent="question",
                intent_why="asked for",
                priority=priority,
                agent=None,
                agent_version=None,
                policy=Bounds(),
                prompt_tokens=prompt_tokens,
                answer_tokens=answer_tokens,
                input=msgspec.json.encode(said),
                sampling=msgspec.json.encode(sampling or Sampling()),
                metadata=b"{}",
                key_id=self.key_id,
            )
        )
        turn = TurnInput(
            turn_id=turn_id,
            tenant_id=self.tenant_id,
            plan=plan_for(self.topology, self.topology.ladders[0], effort, policy),
            effort_why="asked for",
            priority=priority,
            fairness_weight=self.weight,
            preview=text[:48],
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            barred=barred,
        )
        await start_turn(self.ground.client, turn, lifetime=LIFETIME)
        return Told(turn_id)

    async def follow(self, told: Told, *, until: EventKind | None = None) -> Told:
        """Reads the turn's events to its end, or up to the first of a kind."""
        position = told.events[-1].id if told.events else "0"
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in await self.ground.events.read(told.turn_id, position, block_ms=500):
                    told.hear(event)
                    position = event.id
                    if event.kind.ends or event.kind is until:
                        return told

    async def ask(self, text: str = "hello there", **how: Any) -> Told:
        """Asks, and follows to the end."""
        return await self.follow(await self.begin(text, **how))

    def handle(self, told: Told) -> WorkflowHandle[Any, TurnOutcome]:
        return self.ground.client.get_workflow_handle(turn_workflow_id(told.turn_id), result_type=TurnOutcome)

    async def closed(self, told: Told) -> TurnOutcome | None:
        """Waits until the turn's workflow has closed; its outcome where it did not fail."""
        try:
            return await self.handle(told).result()
        except WorkflowFailureError:
            return None

    async def cancel(self, told: Told) -> None:
        """Cancels the turn, as the API does."""
        await self.handle(told).cancel()
        await self.ground.events.announce_cancel(told.turn_id)

    async def spend(self) -> list[tuple[str, str, int]]:
        """The tenant's ledger: kind, backend and nano-dollars, in order."""
        rows = await self.rows(
            "select kind, backend, nano_usd from aither.spend where tenant_id = $1 order by at"
        )
        return [(row["kind"], row["backend"], row["nano_usd"]) for row in rows]

    async def rows(self, sql: str, *parameters: object) -> list[asyncpg.Record]:
        """What PostgreSQL holds of this tenant, which is the first parameter."""
        connection = await asyncpg.connect(self.ground.stores.admin)
        try:
            return await connection.fetch(sql, self.tenant_id, *parameters)
        finally:
            await connection.close()


def _nobody(backend: Backend) -> ChatBackend:
    raise AssertionError(f"{backend.name} is not of this ground")


async def _heed_cancels(parts: Composition) -> None:
    async for turn_id in parts.events.cancels():
        parts.running.cancel(turn_id)


@dataclass(frozen=True)
class Ground:
    """What every house stands on."""

    client: Client
    stores: Stores
    database: Database
    events: RedisEvents

    @property
    def turns(self) -> PostgresTurns:
        return PostgresTurns(self.database)

    @property
    def ledger(self) -> PostgresLedger:
        return PostgresLedger(self.database)

    @classmethod
    @asynccontextmanager
    async def laid(
        cls, adapted: Callable[[Composition], Composition] = lambda parts: parts
    ) -> AsyncGenerator[Self]:
        """The servers and the workflows' worker, for as long as the block.

        `adapted` may put something else in the place of what that worker is made of.
        """
        async with AsyncExitStack() as stack:
            environment = await stack.enter_async_context(
                await WorkflowEnvironment.start_local(
                    data_converter=DATA_CONVERTER,
                    dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
                    dev_server_log_level="error",
                    search_attributes=[TENANT, STATUS, EFFORT, RUNG, MODEL],
                    dev_server_extra_args=[
                        word
                        for name, value in (DYNAMIC_CONFIG | PROMPT_TIMERS).items()
                        for word in ("--dynamic-config-value", f"{name}={value}")
                    ],
                )
            )
            servers = await stack.enter_async_context(stores())
            database = await stack.enter_async_context(Database.connect(servers.app, 10))
            events = await stack.enter_async_context(RedisEvents.connect(servers.redis.url, 600))
            ground = cls(environment.client, servers, database, events)
            parts = adapted(ground.composed(Topology(backends=(), ladders=()), _nobody))
            for worker in turns_workers(parts):
                await stack.enter_async_context(worker)
            # Through once, so that no test pays for the first workflow.
            await ground.client.execute_workflow(SWEEP_TURNS, id=SWEEP_TURNS, task_queue=Queue.TURNS)
            yield ground

    def composed(
        self,
        topology: Topology,
        opened: Callable[[Backend], ChatBackend],
        breakers: BreakerBoard | None = None,
    ) -> Composition:
        connections = Connections(
            client=self.client, database=self.database, events=self.events, opened=opened
        )
        return wired(connections, topology, SETTINGS, breakers=breakers)

    @asynccontextmanager
    async def house(
        self,
        topology: Topology,
        *,
        silence_s: float = 1.0,
        breakers: BreakerBoard | None = None,
        ports: Callable[[ChatPorts], ChatPorts] | None = None,
        pools: bool = True,
    ) -> AsyncGenerator[House]:
        """Opens the topology's pools for the block, unless they are another's.

        `ports` may put something between a call and the world.
        """
        tenant_id = f"tenant-{next(_numbers)}"
        key, _ = await PostgresKeys(self.database).create(tenant_id, "test")
        silence = timedelta(seconds=silence_s)
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(opening({}, silence=silence))
            parts = self.composed(topology, opened, breakers)
            if ports:
                parts = replace(parts, chat=ChatActivities(ports(parts.chat._ports)))
            listener = asyncio.create_task(_heed_cancels(parts))
            stack.callback(listener.cancel)
            for worker in pool_workers(parts) if pools else ():
                await stack.enter_async_context(worker)
            yield House(self, topology, tenant_id, key.id, parts)
