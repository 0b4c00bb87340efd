"""A worker process: `python -m workers.main [--fleet turns --fleet pools]`, or `--fleet cards` beside its GPUs."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import uvloop

from activities.running import RunningCalls
from infra.config.mistakes import ConfigError
from infra.postgres.database import Database
from infra.postgres.registry import PostgresRegistry
from infra.presence import registered
from infra.redis_barred import RedisBarred
from infra.redis_events import RedisEvents
from infra.settings import Settings, settings
from infra.telemetry.process import WORKER, telemetry
from infra.topology import load_topology
from workers.barring import tell_barred
from workers.burst import leasing
from workers.card_host import NoCardsHere, card_host
from workers.cards import ensure_cards
from workers.composition import compose
from workers.fleets import FLEETS, USUAL, Fleet
from workers.memory import remembering
from workers.pools.serving import served
from workers.pulse import beating
from workers.registering import told_by_worker
from workers.schedules import ensure_schedules
from workers.telegram import telegram
from workers.together import Together

log = logging.getLogger("workers")

RECONNECT_S = 1.0

Shutdown = Callable[[], Awaitable[None]]
"""Takes nothing new, lets what runs finish for as long as is configured, and returns when all is over."""


async def run(fleets: list[Fleet]) -> None:
    """Runs the fleets' workers until SIGTERM or SIGINT, then lets their calls finish."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with AsyncExitStack() as running:
        shutdowns = list[Shutdown]()
        if Fleet.CARDS in fleets:
            shutdowns.append((await running.enter_async_context(card_host(settings()))).shutdown)
            await running.enter_async_context(_told_of_cards(settings()))
        if others := [fleet for fleet in fleets if fleet is not Fleet.CARDS]:
            shutdowns += await _start(others, running)
        log.info("ready: fleets %s", ", ".join(fleets))
        await running.enter_async_context(beating())
        await stop.wait()
        log.info("stopping: running calls have a moment to finish")
        # Together: one after the other, every pool would take its own moment.
        await asyncio.gather(*(shutdown() for shutdown in shutdowns))


async def _start(fleets: list[Fleet], running: AsyncExitStack) -> list[Shutdown]:
    """Connects to the stores and starts the fleets' workers, for as long as the stack is open; how each stops."""
    parts = await running.enter_async_context(compose(settings()))
    listener = asyncio.create_task(_listen_for_cancels(parts.events, parts.running))
    running.callback(listener.cancel)
    barred = await running.enter_async_context(RedisBarred.connect(settings().redis_dsn))
    teller = asyncio.create_task(tell_barred(parts.desk, barred))
    running.callback(teller.cancel)
    if Fleet.POOLS in fleets:
        await running.enter_async_context(served(parts, settings()))
    workers = [worker for fleet in fleets if fleet in FLEETS for worker in FLEETS[fleet](parts)]
    for worker in workers:
        await running.enter_async_context(worker)
    beside = await running.enter_async_context(Together())
    if Fleet.MEMORY in fleets:
        await beside.enter(remembering(parts, settings()))
    if Fleet.TELEGRAM in fleets:
        await beside.enter(telegram(settings(), parts.database, parts.client))
    if Fleet.BURST in fleets:
        await beside.enter(leasing(parts, settings()))
    if Fleet.TURNS in fleets:
        await ensure_schedules(parts.client)
        await ensure_cards(parts.client, parts.topology)
    pools = parts.desk.view if Fleet.POOLS in fleets else tuple
    told = told_by_worker(fleets, pools)
    await running.enter_async_context(registered(PostgresRegistry(parts.database), told))
    log.info("pools %s", ", ".join(parts.topology.pools()))
    return [*(worker.shutdown for worker in workers), beside.leave]


@asynccontextmanager
async def _told_of_cards(configured: Settings) -> AsyncGenerator[None]:
    """Has the registry know this card host and its cards. It works just as well where the database is away."""
    cards = [card for card in load_topology(configured).cards if card.host == configured.host_name]
    pooled = configured.database_pooled
    async with Database.connect(configured.database_dsn, 1, lazy=True, pooled=pooled) as database:
        told = told_by_worker([Fleet.CARDS], cards=cards)
        async with registered(PostgresRegistry(database), told):
            yield


async def _listen_for_cancels(events: RedisEvents, running: RunningCalls) -> None:
    while True:
        async for turn_id in events.cancels():
            running.cancel(turn_id)
        await asyncio.sleep(RECONNECT_S)


def main() -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(
        prog="python -m workers.main", description="Run Aither's Temporal workers."
    )
    parser.add_argument(
        "--fleet",
        action="append",
        type=Fleet,
        choices=list(Fleet),
        help="a fleet to run; may be repeated (default: turns, pools, memory, telegram and burst)",
    )
    fleets: list[Fleet] = parser.parse_args().fleet or list(USUAL)
    try:
        with telemetry(settings(), service=WORKER, fleets=fleets):
            uvloop.run(run(fleets))
    except (ConfigError, NoCardsHere) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
