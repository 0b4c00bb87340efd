"""Telegram against the stand-in, with the real library, a real Temporal and a real PostgreSQL.

A `Home` is one bot with its tenant. Its process, which shows cards and reads updates, is `running` for as long as
a test wants, and may be started again; the workflows' worker is there all the time.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from temporalio.client import Client

from activities.contracts import approvals
from activities.contracts.approvals import (
    Answer,
    ApprovalAsk,
    ApprovalRef,
    ApprovalView,
    Choice,
    Deciders,
    Surface,
    Verdict,
)
from activities.contracts.backends import Backend
from activities.contracts.topology import Topology
from activities.ports import ChatBackend
from infra.ids import new_id
from infra.postgres import telegram_updates
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.database import Database
from infra.postgres.keys import PostgresKeys
from infra.postgres.people import PostgresPeople
from infra.postgres.telegram import PostgresTelegram
from infra.postgres.telegram_cards import PostgresTelegramCards
from infra.redis_events import RedisEvents
from infra.settings import Settings
from tests.api.stores import Stores, stores
from tests.support.standin_telegram import Person, Shown, Telegram
from workers.composition import Connections, wired
from workers.fleets import turns_workers
from workers.telegram import telegram as served
from workflows.approval_starts import wake_approval
from workflows.names import SWEEP_APPROVALS, Queue

GROUPS = [-number for number in range(1001, 1200)]
_numbers = itertools.count(1)


def _nobody(backend: Backend) -> ChatBackend:
    raise AssertionError(f"{backend.name} is not of this house")


@pytest.fixture(scope="package")
async def real_stores() -> AsyncIterator[Stores]:
    async with stores() as running:
        yield running


@pytest.fixture(scope="package")
async def database(real_stores: Stores) -> AsyncIterator[Database]:
    async with Database.connect(real_stores.app, 10) as database:
        yield database


@pytest.fixture(scope="package")
async def client(temporal_server: Client, database: Database, real_stores: Stores) -> AsyncIterator[Client]:
    """Temporal, with the worker that runs approvals and their cards."""
    async with RedisEvents.connect(real_stores.redis.url, 600) as events:
        connections = Connections(client=temporal_server, database=database, events=events, opened=_nobody)
        settings = configured(Telegram(token="1:AAAAAAAAAAAAAAA", port=1), real_stores, temporal_server)
        (worker,) = turns_workers(wired(connections, Topology(backends=(), ladders=()), settings))
        async with worker:
            # Through once, so that no test pays for the first workflow.
            await temporal_server.execute_workflow(
                SWEEP_APPROVALS, id=SWEEP_APPROVALS, task_queue=Queue.TURNS
            )
            yield temporal_server


@pytest.fixture(autouse=True)
async def _no_task_left_behind(client: Client) -> AsyncIterator[None]:
    """As for all tests, but the package's worker goes on polling: tasks of the SDK's are its own business."""
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() - before if not t.done() and t is not asyncio.current_task()]
    ours = [t for t in left if "temporalio" not in repr(t)]
    if ours:
        _, pending = await asyncio.wait(ours, timeout=2)
        ours = list(pending)
    assert not ours, f"tasks left running: {ours}"


def configured(bot: Telegram, stores: Stores, client: Client, **more: Any) -> Settings:
    given = {
        "telegram_token": bot.token,
        "telegram_api_url": bot.url,
        "telegram_groups": ",".join(map(str, GROUPS)),
        "database_url": stores.app,
        "redis_url": stores.redis.url,
        "temporal_address": client.service_client.config.target_host,
    }
    return Settings.model_validate(given | more)


@dataclass
class Home:
    """One bot, one tenant, and what a test asks of them."""

    bot: Telegram
    stores: Stores
    database: Database
    client: Client
    number: int

    def __post_init__(self) -> None:
        """Everybody is of this home alone: what another one's workflows still have to show does not get here."""
        self.tenant = f"house-{self.number}"
        self.ann, self.bob, self.eve = (
            Person(self.number * 10 + at, name) for at, name in enumerate(("Ann", "Bob", "Eve"))
        )
        self.group, self.other_group = GROUPS[self.number], -self.number

    @property
    def approvals(self) -> PostgresApprovals:
        return PostgresApprovals(self.database)

    @property
    def bindings(self) -> PostgresTelegram:
        return PostgresTelegram(self.database)

    @property
    def cards(self) -> PostgresTelegramCards:
        return PostgresTelegramCards(self.database)

    def settings(self, **more: Any) -> Settings:
        return configured(self.bot, self.stores, self.client, **{"telegram_groups": str(self.group)} | more)

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncGenerator[None]:
        """The process that serves Telegram."""
        async with served(self.settings(**more), self.database, self.client):
            yield

    async def person(self, name: str, zone: str = "UTC") -> None:
        await PostgresPeople(self.database).put(
            self.tenant, approvals.Person(name=name, roles=("operator",), time_zone=zone)
        )

    async def bind(self, who: Person, name: str) -> None:
        """As a person does it: by a code, sent to the bot."""
        code = await self.bindings.offer(self.tenant, name)
        await self.bot.say(who, f"/start {code}")
        await self.bot.until(
            lambda: [m for m in self.bot.sent_to(who.id) if f"as {name} of {self.tenant}" in m.text]
        )

    async def bind_quietly(self, who: Person, name: str) -> None:
        code = await self.bindings.offer(self.tenant, name)
        assert await self.bindings.bind(code, who.id, who.name)

    async def ask(self, title: str = "Rent a card", *, wake: bool = True, **how: Any) -> ApprovalRef:
        how.setdefault("deciders", Deciders(people=("ann", "bob")))
        how.setdefault("deadline", datetime.now(UTC) + timedelta(hours=1))
        ask = ApprovalAsk(tenant_id=self.tenant, id=new_id("appr"), title=title, **how)
        await self.approvals.open(ask, "test", Surface.REST)
        ref = ApprovalRef(tenant_id=self.tenant, approval_id=ask.id)
        if wake:
            await wake_approval(self.client, ref)
        return ref

    async def decide(self, ref: ApprovalRef, by: str, option: str) -> Answer:
        """As another surface does."""
        answer = await self.approvals.decide(ref, Choice(by=by, option=option, surface=Surface.REST))
        if answer.verdict in {Verdict.DECIDED, Verdict.COUNTED}:
            await wake_approval(self.client, ref)
        return answer

    async def view(self, ref: ApprovalRef) -> ApprovalView:
        view = await self.approvals.view(ref)
        assert view is not None
        return view

    async def trail(self, ref: ApprovalRef) -> list[tuple[str, str, str]]:
        """The audit: what happened, by whom, through what."""
        story = await self.approvals.story(ref)
        assert story is not None
        return [(line["event"], line["by"], line["surface"]) for line in story["audit"]]

    async def reads(self, chat_id: int, message_id: int, *words: str) -> Shown:
        """Waits until a message has these words."""
        shown = self.bot.messages[chat_id, message_id]
        return await self.bot.until(lambda: shown if all(word in shown.text for word in words) else None)

    async def strike(self, ref: ApprovalRef, what: str) -> None:
        """What the approval has planned, its `reminders` or `escalations`, is due now."""
        await self.rows(
            f"update aither.approvals set {what} = array[clock_timestamp()] where id = $1", ref.approval_id
        )
        await wake_approval(self.client, ref)

    async def expire(self, ref: ApprovalRef) -> None:
        """The deadline is over, and the clock strikes."""
        await self.rows(
            "update aither.approvals set deadline = clock_timestamp() where id = $1", ref.approval_id
        )
        await wake_approval(self.client, ref)

    async def rows(self, sql: str, *parameters: object) -> list[asyncpg.Record]:
        """What PostgreSQL holds, of whichever tenant."""
        connection = await asyncpg.connect(self.stores.admin)
        try:
            return await connection.fetch(sql, *parameters)
        finally:
            await connection.close()


@pytest.fixture
async def home(
    client: Client, database: Database, real_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Home]:
    """A bot whose process does not run yet, and a tenant with ann and bob."""
    monkeypatch.setattr(telegram_updates, "CHAT_GAP", timedelta(milliseconds=5))
    monkeypatch.setattr(telegram_updates, "GROUP_GAP", timedelta(milliseconds=5))
    monkeypatch.setattr(telegram_updates, "GAP", timedelta(milliseconds=1))
    number = next(_numbers)
    async with Telegram(token=f"{number}:AAStandInStandIn") as bot:
        home = Home(bot, real_stores, database, client, number)
        await PostgresKeys(database).create(home.tenant, "test")
        await home.person("ann", "Europe/Berlin")
        await home.person("bob", "America/New_York")
        yield home
