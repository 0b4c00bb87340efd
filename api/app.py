"""The app: its parts wired in one place, its routes, and what every reply has in common."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

from fastapi import FastAPI

from activities.contracts.topology import Topology
from api import docs, openapi, problems
from api.barring import Barring
from api.following import Follower
from api.health import Health
from api.limits import Limits
from api.openai_compat import router as openai_compat
from api.routes import agents, events, health, spend, turns
from api.runs import TemporalRuns, TurnRuns
from api.state import State
from api.turns import Turns
from infra.postgres.agents import PostgresAgents
from infra.postgres.database import Database
from infra.postgres.keys import PostgresKeys
from infra.postgres.ledger import PostgresLedger
from infra.postgres.turns import PostgresTurns
from infra.redis_barred import RedisBarred
from infra.redis_events import RedisEvents
from infra.settings import Settings
from infra.temporal import connect
from infra.topology import load_topology

MOST_WAITING = 2000
"""Connections to Redis at most, hence requests that can wait on it at once; more of them poll their rows."""

TAGS = [
    {"name": "Turns", "description": "Questions and their answers, durable and resumable."},
    {"name": "Agents", "description": "Who turns may speak as, version by version."},
    {"name": "Spend", "description": "What was spent, and what it would have cost elsewhere."},
    {"name": "OpenAI-compatible", "description": "The same by OpenAI's protocol; errors are OpenAI's too."},
    {"name": "Health", "description": "How the platform is."},
]


def create_app(settings: Settings, *, runs: TurnRuns | None = None) -> FastAPI:
    """The app for these settings. `runs` stands in for Temporal, in tests.

    Nothing that it needs has to be there when it starts: connections are made when they are first used.
    Raises `ConfigError` for an `aither.toml` with mistakes.
    """
    closing = asyncio.Event()
    topology = load_topology(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with _wired(settings, topology, runs, closing) as state:
            app.state.aither = state
            yield

    app = FastAPI(
        title="Aither",
        version=version("aither"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
    )
    app.state.closing = closing
    for router in (turns.router, events.router, agents.router, spend.router, openai_compat, health.router):
        app.include_router(router)
    problems.install(app)
    openapi.install(app)
    docs.install(app)
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes)
    return app


@asynccontextmanager
async def _wired(
    settings: Settings, topology: Topology, runs: TurnRuns | None, closing: asyncio.Event
) -> AsyncGenerator[State]:
    """The parts, connected to each other; closed with the block."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.connect(settings.database_dsn, settings.database_pool_size, lazy=True)
        )
        redis = await stack.enter_async_context(
            RedisEvents.connect(settings.redis_dsn, settings.stream_ttl_seconds, max_connections=MOST_WAITING)
        )
        barring = Barring(await stack.enter_async_context(RedisBarred.connect(settings.redis_dsn)))
        await stack.enter_async_context(barring.reading())
        runs = runs or TemporalRuns(
            await connect(settings, lazy=True), lifetime=timedelta(seconds=settings.turn_timeout_seconds)
        )
        rows, agent_rows = PostgresTurns(database), PostgresAgents(database)
        yield State(
            settings=settings,
            topology=topology,
            database=database,
            keys=PostgresKeys(database),
            agents=agent_rows,
            ledger=PostgresLedger(database),
            turns=Turns(
                rows,
                redis,
                runs,
                topology,
                Follower(rows, redis, closing),
                agents=agent_rows,
                barred=barring,
                preview_chars=settings.history_preview_chars,
            ),
            events=redis,
            runs=runs,
            health=Health(database, redis, runs, version("aither")),
            closing=closing,
        )
