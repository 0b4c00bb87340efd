"""What a worker process is made of: its connections, adapters and activities, wired in one place."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client

from activities.agreeing import AgreementActivities
from activities.approving import ApprovalActivities
from activities.cards import CardActivities
from activities.chat import ChatActivities, ChatPorts
from activities.contracts.backends import Backend
from activities.contracts.topology import Topology
from activities.ports import Breakers, ChatBackend
from activities.routing import RouterActivities
from activities.running import RunningCalls
from activities.turns import TurnActivities
from infra.llm.backends import opening
from infra.postgres.askers import PostgresAskers
from infra.postgres.cards import PostgresCards
from infra.postgres.database import Database
from infra.postgres.ledger import PostgresLedger
from infra.postgres.turns import PostgresTurns
from infra.postman import WebhookPostman
from infra.redis_events import RedisEvents
from infra.settings import Settings
from infra.temporal import connect
from infra.topology import load_topology
from workers.approving import approving
from workers.breakers import BreakerBoard
from workers.leases import CardLeases
from workers.pools.desk import Desk
from workers.starter import RowTurnStarter
from workers.telegram_announcing import announcers
from workers.versioning import Versioning
from workflows.policy import budget, supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Everything that a fleet may run, ready to be registered."""

    client: Client
    database: Database
    opened: Callable[[Backend], ChatBackend]
    topology: Topology
    events: RedisEvents
    running: RunningCalls
    breakers: Breakers
    desk: Desk
    chat: ChatActivities
    router: RouterActivities
    turns: TurnActivities
    agreeing: AgreementActivities
    approving: ApprovalActivities
    cards: CardActivities
    drain: timedelta
    """How long a worker that stops lets its calls finish before it hands them back."""
    versioning: Versioning


class PolicyRules:
    """Implements `activities.ports.Rules` with the pure policies."""

    judge = staticmethod(supervisor.judge)
    most = staticmethod(budget.most)
    cost = staticmethod(budget.cost)
    cost_elsewhere = staticmethod(budget.cost_elsewhere)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """What a worker process holds open while it runs."""

    client: Client
    database: Database
    events: RedisEvents
    opened: Callable[[Backend], ChatBackend]


@asynccontextmanager
async def compose(settings: Settings) -> AsyncGenerator[Composition]:
    """Connects and wires; closes everything with the block."""
    topology = load_topology(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.connect(
                settings.database_dsn, settings.database_pool_size, pooled=settings.database_pooled
            )
        )
        events = await stack.enter_async_context(
            RedisEvents.connect(settings.redis_dsn, settings.stream_ttl_seconds)
        )
        opened = await stack.enter_async_context(opening(os.environ))
        client = await connect(settings)
        connections = Connections(client=client, database=database, events=events, opened=opened)
        yield wired(connections, topology, settings)


def wired(
    connections: Connections, topology: Topology, settings: Settings, *, breakers: Breakers | None = None
) -> Composition:
    """The activities over open connections; with breakers of their own, unless they are given some."""
    store = PostgresTurns(connections.database)
    running = RunningCalls()
    breakers = breakers or BreakerBoard(topology.breaker)
    desk = Desk.of(topology, connections.opened, breakers)
    ports = ChatPorts(
        topology=topology,
        seats=desk,
        store=store,
        ledger=PostgresLedger(connections.database),
        events=connections.events,
        breakers=breakers,
        rules=PolicyRules(),
        running=running,
        leases=CardLeases(connections.client),
    )
    postman = WebhookPostman(allow_private=settings.allow_private_webhooks)
    starter = RowTurnStarter(connections.client, store, topology, settings, desk)
    return Composition(
        client=connections.client,
        database=connections.database,
        opened=connections.opened,
        topology=topology,
        events=connections.events,
        running=running,
        breakers=breakers,
        desk=desk,
        chat=ChatActivities(ports),
        router=RouterActivities(desk, store, breakers),
        turns=TurnActivities(store, connections.events, starter),
        agreeing=AgreementActivities(
            PostgresAskers(connections.database),
            connections.events,
            lambda approval_id: f"{settings.api_url}/v1/approvals/{approval_id}",
        ),
        approving=approving(
            connections.client,
            connections.database,
            postman,
            announcers(settings, connections.database, connections.client),
        ),
        cards=CardActivities(PostgresCards(connections.database)),
        drain=timedelta(seconds=settings.drain_seconds),
        versioning=Versioning.of(settings),
    )
