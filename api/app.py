"""The app: its parts wired in one place, its routes, and what every reply has in common."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from activities.contracts.registry import Beat, ServiceKind
from activities.contracts.topology import Topology
from api import docs, openapi, problems
from api.approval_runs import Errands, TemporalApprovalRuns
from api.approval_waiting import Closings
from api.approvals import Approvals
from api.barring import Barring
from api.cards import Cards
from api.following import Follower
from api.health import Health
from api.heartbeats import Heartbeats
from api.house import House
from api.identity import checked_identity, users_of
from api.job_runs import JobRuns, TemporalJobRuns
from api.jobs import Jobs
from api.leases import Leases
from api.limits import Limits
from api.observing import Observing, Requests
from api.offers import OfferBook
from api.openai_compat import router as openai_compat
from api.queueing import Queueing
from api.remembering import Recollection
from api.repeating import Repeating
from api.routes import agents, cards, events, health, jobs, memory, metrics, registry, scheduler, spend, turns
from api.routes.approvals import router as approvals
from api.routes.boxes import router as boxes
from api.routes.burst_offers import router as burst_offers
from api.routes.grants import router as grants
from api.routes.leases import router as leases_router
from api.routes.models_store import router as model_files
from api.routes.people import router as people
from api.routes.telegram import router as telegram_webhook
from api.routes.webhooks import router as webhooks
from api.runs import TemporalRuns, TurnRuns
from api.scheduling import Scheduling
from api.state import State
from api.telegram import telegram_hook
from api.turns import Turns
from api.waitlist import Waiting
from infra.box.opening import opening
from infra.postgres.agents import PostgresAgents
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.cards import PostgresCards
from infra.postgres.database import Database
from infra.postgres.jobs import PostgresJobs
from infra.postgres.keys import PostgresKeys
from infra.postgres.leases import PostgresLeases
from infra.postgres.ledger import PostgresLedger
from infra.postgres.people import PostgresPeople
from infra.postgres.registry import PostgresRegistry
from infra.postgres.turns import PostgresTurns
from infra.postgres.webhooks import PostgresWebhooks
from infra.presence import registered
from infra.redis_barred import RedisBarred
from infra.redis_events import RedisEvents
from infra.redis_jobs import RedisJobs
from infra.redis_pools import RedisPools
from infra.settings import Settings
from infra.telegram.access import bot_webhook
from infra.temporal import connect, data_converter
from infra.temporal.access import access
from infra.topology import load_topology
from workflows.policy import model_sources

MOST_WAITING = 2000
"""Connections to Redis at most, hence requests that can wait on it at once; more of them poll their rows."""

NO_OTHER_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""The framework's own would trace every poll, and tell the messages of exceptions; `api.observing` tells neither."""

TAGS = [
    {"name": "Turns", "description": "Questions and their answers, durable and resumable."},
    {"name": "Jobs", "description": "Swarms: a goal, many cheap agents, one synthesis."},
    {"name": "Agents", "description": "Who turns may speak as, version by version."},
    {"name": "Scheduler", "description": "Pools and how full they are, what waits, figures for Prometheus."},
    {"name": "GPU cards", "description": "What is on each card, who holds it; sleep, wake, repair."},
    {"name": "Leases", "description": "Boxes that are rented: for what, from whom, for how much."},
    {"name": "Memory", "description": "What swarms have found, by meaning."},
    {"name": "Burst", "description": "Boxes that are rented when the owned machines are full."},
    {"name": "Model files", "description": "Where the files of models are to be had."},
    {"name": "Approvals", "description": "What people are asked, what they say, how far a yes reaches."},
    {"name": "Spend", "description": "What was spent, and what it would have cost elsewhere."},
    {"name": "Registry", "description": "Which services there are; model servers join pools by heartbeats."},
    {"name": "OpenAI-compatible", "description": "The same by OpenAI's protocol; errors are OpenAI's too."},
    {"name": "Health", "description": "How the platform is."},
]


def create_app(
    settings: Settings, *, runs: TurnRuns | None = None, job_runs: JobRuns | None = None
) -> FastAPI:
    """The app for these settings. `runs` and `job_runs` stand in for Temporal, in tests.

    Nothing that it needs has to be there when it starts: connections are made when they are first used.
    Raises `ConfigError` for an `aither.toml` with mistakes, and for what is wrong with the way to Temporal.
    """
    closing = asyncio.Event()
    topology = load_topology(settings)
    bot_webhook(settings)
    access(settings)
    data_converter(settings)
    checked_identity(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with _wired(settings, topology, runs, job_runs, closing) as state:
            app.state.aither = state
            yield

    app = FastAPI(
        title="Aither",
        version=version("aither"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
        telemetry=NO_OTHER_TELEMETRY,
    )
    app.state.closing = closing
    for router in (
        turns.router,
        events.router,
        jobs.router,
        webhooks,
        approvals,
        grants,
        people,
        agents.router,
        spend.router,
        registry.router,
        scheduler.router,
        cards.router,
        memory.router,
        boxes,
        burst_offers,
        leases_router,
        model_files,
        metrics.router,
        telegram_webhook,
        openai_compat,
        health.router,
    ):
        app.include_router(router)
    problems.install(app)
    openapi.install(app)
    docs.install(app)
    app.add_middleware(Repeating)
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes)
    app.state.requests = Requests()
    app.add_middleware(Observing, requests=app.state.requests)
    return app


@asynccontextmanager
async def _wired(
    settings: Settings,
    topology: Topology,
    runs: TurnRuns | None,
    job_runs: JobRuns | None,
    closing: asyncio.Event,
) -> AsyncGenerator[State]:
    """The parts, connected to each other; closed with the block."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.connect(
                settings.database_dsn,
                settings.database_pool_size,
                lazy=True,
                pooled=settings.database_pooled,
            )
        )
        redis = await stack.enter_async_context(
            RedisEvents.connect(settings.redis_dsn, settings.stream_ttl_seconds, max_connections=MOST_WAITING)
        )
        barring = Barring(await stack.enter_async_context(RedisBarred.connect(settings.redis_dsn)))
        await stack.enter_async_context(barring.reading())
        client = await connect(settings, lazy=True)
        runs = runs or TemporalRuns(client, lifetime=timedelta(seconds=settings.turn_timeout_seconds))
        rows, agent_rows = PostgresTurns(database), PostgresAgents(database)
        services = PostgresRegistry(database)
        heartbeats = Heartbeats(services)
        await stack.enter_async_context(heartbeats.gathering())
        await stack.enter_async_context(registered(services, _told))
        accepting = Turns(
            rows,
            redis,
            runs,
            topology,
            Follower(rows, redis, closing),
            agents=agent_rows,
            barred=barring,
            preview_chars=settings.history_preview_chars,
        )
        told = await stack.enter_async_context(
            RedisJobs.connect(settings.redis_dsn, settings.stream_ttl_seconds, max_connections=MOST_WAITING)
        )
        working = Jobs(
            rows=PostgresJobs(database),
            told=told,
            events=redis,
            runs=job_runs or TemporalJobRuns(client),
            topology=topology,
            settings=settings,
            closing=closing,
        )
        people, approval_rows = PostgresPeople(database), PostgresApprovals(database)
        errands = Errands(TemporalApprovalRuns(client))
        await stack.enter_async_context(errands.running())
        closings = Closings(approval_rows, closing)
        await stack.enter_async_context(closings.watching())
        pools = await stack.enter_async_context(RedisPools.connect(settings.redis_dsn))
        scheduling = Scheduling(topology, client, pools.heard, services.joined)
        gpus = Cards(topology.cards, client, PostgresCards(database))
        hook = await stack.enter_async_context(telegram_hook(settings, database, client))
        box_parts = await stack.enter_async_context(opening(settings, database, model_sources))
        yield State(
            settings=settings,
            topology=topology,
            database=database,
            keys=PostgresKeys(database),
            users=users_of(settings, database),
            agents=agent_rows,
            ledger=PostgresLedger(database),
            registry=services,
            heartbeats=heartbeats,
            turns=accepting,
            events=redis,
            runs=runs,
            jobs=working,
            scheduling=scheduling,
            waiting=Waiting(scheduling, Queueing(client), gpus, accepting),
            cards=gpus,
            recollection=Recollection(client),
            approvals=Approvals(approval_rows, people, errands, closings),
            people=people,
            webhooks=PostgresWebhooks(database),
            offers=OfferBook(client),
            leases=Leases(topology.burst, PostgresLeases(database), client),
            models=box_parts.models,
            reception=box_parts.reception,
            telegram=hook,
            health=Health(database, redis, runs, version("aither")),
            house=House(topology, database, client),
            closing=closing,
        )


def _told() -> tuple[Beat, ...]:
    """This process, as the registry should know it."""
    name = f"api/{socket.gethostname()}-{os.getpid()}"
    return (Beat(name=name, kind=ServiceKind.API, version=version("aither")),)
