"""The card host: the one process of a machine that moves models on and off its cards, and tells what is true."""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta

import aiohttp
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.contracts.cards import CardSpec, HostKind, Inventory
from activities.hosting import HostActivities, Told
from infra.config.mistakes import allowed
from infra.embedded.layout import Layout
from infra.hosts.comfyui import ComfyHost
from infra.hosts.nvml import Nvml
from infra.hosts.process import ProcessHost
from infra.hosts.vllm import VllmHost
from infra.settings import Settings
from infra.temporal import connect
from infra.topology import load_topology
from workers.versioning import Versioning
from workflows.names import HOST_REPORTS, card_workflow_id, host_queue
from workflows.starts import ensure_card

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=2)
"""A start that is under way when this process is to stop is given up: what it started would die anyway."""
HEARTBEAT_THROTTLE = timedelta(seconds=2)
LOOK_EVERY_S = 10.0
"""How soon a server that runs by itself, and has gone or come back, is noticed."""
AGAIN_S = 1.0
MOST_AT_ONCE = 100
"""Moves wait for each other here, and looks do not wait for them."""


class NoCardsHere(Exception):
    """There is nothing for a card host to do, or another one does it; says why."""


@asynccontextmanager
async def card_host(settings: Settings) -> AsyncGenerator[Worker]:
    """Serves this machine's cards within the block; leaving it stops the models that it has started.

    Opens a connection to Temporal and none to any store. Raises `NoCardsHere`, and `ConfigError`.
    """
    host, cards = settings.host_name, load_topology(settings).cards
    ours = [card for card in cards if card.host == host]
    if not ours:
        known = allowed({card.host for card in cards}, host)
        raise NoCardsHere(f'no card of host "{host}" is configured (AITHER_HOST_NAME); {known}')
    layout = Layout(settings.data_dir.expanduser().resolve())
    layout.make()
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(layout))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        reporter = Reporter(ours)
        processes = await stack.enter_async_context(ProcessHost(session, layout, reporter.note_death))
        hosts = {
            HostKind.PROCESS: processes,
            HostKind.VLLM: VllmHost(session),
            HostKind.COMFYUI: ComfyHost(session),
        }
        activities = HostActivities(hosts, Nvml.load())
        client = await connect(settings)
        worker = Worker(
            client,
            task_queue=host_queue(host),
            **Versioning.of(settings).shared,
            activities=[activities.move_resident, activities.inspect_card],
            max_concurrent_activities=MOST_AT_ONCE,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            graceful_shutdown_timeout=GRACE,
        )
        await stack.enter_async_context(worker)
        telling = asyncio.create_task(reporter.tell(client, activities))
        stack.callback(telling.cancel)
        yield worker


class Reporter:
    """Tells the cards' workflows what their host finds: at the start, at a death, and when a look differs.

    A card knows what its own moves came to, so that nothing is told while nothing happens by itself.
    """

    def __init__(self, cards: Sequence[CardSpec]) -> None:
        self._cards = cards
        self._due = {card.card for card in cards}
        self._started: set[str] = set()
        self._woken = asyncio.Event()

    def note_death(self, resident: str) -> None:
        """A process has ended by itself: its card is told at once."""
        self._due |= {card.card for card in self._cards if any(r.name == resident for r in card.residents)}
        self._woken.set()

    async def tell(self, client: Client, activities: HostActivities) -> None:
        """Looks and tells until it is cancelled."""
        while True:
            self._woken.clear()
            for card in self._cards:
                try:
                    await self._look(client, activities, card)
                except RPCError as error:
                    self._due.add(card.card)
                    log.warning("%s is not told what is true: %s", card.card, error.status.name)
                except Exception:
                    self._due.add(card.card)
                    log.exception("%s could not be looked at", card.card)
            try:
                async with asyncio.timeout(AGAIN_S if self._due else LOOK_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _look(self, client: Client, activities: HostActivities, card: CardSpec) -> None:
        found = await activities.inspect(card)
        if card.card not in self._due and not any(map(activities.is_news, found.residents)):
            return
        await self._tell_card(client, card, found)
        self._due.discard(card.card)
        for each in found.residents:
            activities.told[each.resident] = Told(each.residency, each.generation)
        log.info(
            "%s: %s", card.card, ", ".join(f"{each.resident} {each.residency}" for each in found.residents)
        )

    async def _tell_card(self, client: Client, card: CardSpec, found: Inventory) -> None:
        """Signals the card's workflow, which is started first where it does not run."""
        handle = client.get_workflow_handle(card_workflow_id(card.card))
        if card.card in self._started:
            try:
                await handle.signal(HOST_REPORTS, found)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            else:
                return
        await ensure_card(client, card)
        self._started.add(card.card)
        await handle.signal(HOST_REPORTS, found)


@contextmanager
def _alone(layout: Layout) -> Generator[None]:
    """Keeps a second host process away, which would start what runs already. Raises `NoCardsHere`."""
    descriptor = os.open(layout.run_dir / "card-host.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NoCardsHere(
                f"another process serves the cards of this machine, from {layout.root}"
            ) from error
        yield
    finally:
        os.close(descriptor)
