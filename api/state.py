"""What the routes share: one typed container, made when the process starts."""

import asyncio
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from activities.contracts.topology import Topology
from api.approvals import Approvals
from api.cards import Cards
from api.health import Health
from api.heartbeats import Heartbeats
from api.house import House
from api.identity import TokenAuthority
from api.jobs import Jobs
from api.leases import Leases
from api.offers import OfferBook
from api.remembering import Recollection
from api.runs import TurnRuns
from api.scheduling import Scheduling
from api.telegram import TelegramHook
from api.turns import Turns
from api.waitlist import Waiting
from infra.box.reception import Reception
from infra.models.opening import ModelStores
from infra.postgres.agents import PostgresAgents
from infra.postgres.database import Database
from infra.postgres.keys import PostgresKeys
from infra.postgres.ledger import PostgresLedger
from infra.postgres.people import PostgresPeople
from infra.postgres.registry import PostgresRegistry
from infra.postgres.webhooks import PostgresWebhooks
from infra.redis_events import RedisEvents
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The parts of a running API. `closing` is set as soon as the process is asked to stop."""

    settings: Settings
    topology: Topology
    database: Database
    keys: PostgresKeys
    users: TokenAuthority | None
    agents: PostgresAgents
    ledger: PostgresLedger
    registry: PostgresRegistry
    heartbeats: Heartbeats
    turns: Turns
    events: RedisEvents
    runs: TurnRuns
    jobs: Jobs
    health: Health
    house: House
    scheduling: Scheduling
    waiting: Waiting
    cards: Cards
    recollection: Recollection
    approvals: Approvals
    people: PostgresPeople
    webhooks: PostgresWebhooks
    offers: OfferBook
    leases: Leases
    models: ModelStores
    reception: Reception
    telegram: TelegramHook | None
    closing: asyncio.Event


def state_of(request: Request) -> State:
    """The state of the app that serves the request."""
    return cast("State", request.app.state.aither)
