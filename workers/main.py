"""A worker process: `python -m workers.main [--fleet turns --fleet pools]`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from activities.running import RunningCalls
from infra.config.mistakes import ConfigError
from infra.redis_barred import RedisBarred
from infra.redis_events import RedisEvents
from infra.settings import settings
from workers.barring import tell_barred
from workers.composition import Composition, compose
from workers.fleets import FLEETS, Fleet
from workers.schedules import ensure_schedules

log = logging.getLogger("workers")

RECONNECT_S = 1.0
READY_FILE = "AITHER_READY_FILE"


async def run(fleets: list[Fleet]) -> None:
    """Runs the fleets' workers until SIGTERM or SIGINT, then lets their calls finish."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with compose(settings()) as parts, AsyncExitStack() as running:
        listener = asyncio.create_task(_listen_for_cancels(parts.events, parts.running))
        running.callback(listener.cancel)
        barred = await running.enter_async_context(RedisBarred.connect(settings().redis_dsn))
        teller = asyncio.create_task(tell_barred(parts.breakers, barred))
        running.callback(teller.cancel)
        workers = [worker for fleet in fleets for worker in FLEETS[fleet](parts)]
        for worker in workers:
            await running.enter_async_context(worker)
        if Fleet.TURNS in fleets:
            await ensure_schedules(parts.client)
        _say_ready(parts, fleets)
        await stop.wait()
        log.info("stopping: running calls have a moment to finish")
        # Together: one after the other, every pool would take its own moment.
        await asyncio.gather(*(worker.shutdown() for worker in workers))


async def _listen_for_cancels(events: RedisEvents, running: RunningCalls) -> None:
    while True:
        async for turn_id in events.cancels():
            running.cancel(turn_id)
        await asyncio.sleep(RECONNECT_S)


def _say_ready(parts: Composition, fleets: list[Fleet]) -> None:
    pools = ", ".join(parts.topology.pools())
    log.info("ready: fleets %s; pools %s", ", ".join(fleets), pools)
    if path := os.environ.get(READY_FILE):
        Path(path).write_text(f"{os.getpid()}\n")


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
        help="a fleet to run; may be repeated (default: all)",
    )
    fleets: list[Fleet] = parser.parse_args().fleet or list(Fleet)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # A line for every call, without the turn it belongs to, tells nobody anything.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        uvloop.run(run(fleets))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
