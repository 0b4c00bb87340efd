"""Runs one stack from start to stop: in the foreground of `aither up`, or as the process behind `--detach`.

`python -m infra.embedded.run --data-dir D --lock-fd N [--port-base N] [--without PART]...` is the latter.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.config.mistakes import ConfigError
from infra.embedded import credentials, passwords, ports, stack
from infra.embedded.layout import Layout
from infra.embedded.stack import Blueprint
from infra.embedded.state import StackState
from infra.embedded.supervisor import StartFailed, Supervisor
from infra.settings import Settings
from infra.topology import embedded_chat_url, load_topology

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def plan(data_dir: Path | None, port_base: int | None, without: frozenset[str] = frozenset()) -> Blueprint:
    """The stack that these choices describe. Makes its directory and its passwords where they are missing.

    The small chat model and the card host are left out where the configuration has no use for them. Raises
    `ValueError` for choices that cannot be, a configuration with mistakes among them.
    """
    chosen: dict[str, Any] = ports.from_base(port_base) if port_base is not None else {}
    if data_dir is not None:
        chosen["data_dir"] = data_dir
    settings = Settings(**chosen)
    try:
        topology = load_topology(settings)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if not any(backend.base_url == embedded_chat_url(settings) for backend in topology.backends):
        without |= {"orchestrator"}
    if not any(card.host == settings.host_name for card in topology.cards):
        without |= {"cards"}
    layout = Layout(settings.data_dir.expanduser().resolve())
    layout.make()
    return stack.draw(settings, layout, passwords.load_or_make(layout), without)


async def run(blueprint: Blueprint, watch: Callable[[StackState], None]) -> int:
    """Starts the stack, keeps it until a signal says stop, stops it. For the holder of its lock.

    Returns 0 after a stop that was asked for, 1 when a part did not come up.
    """
    supervisor = Supervisor(blueprint, watch)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    stopping = asyncio.create_task(stop.wait())
    try:
        if not await _first(_come_up(supervisor, blueprint), stopping):
            await _first(supervisor.broken(), stopping)
    except StartFailed:
        return 1
    await supervisor.stop()
    return 0


async def _come_up(supervisor: Supervisor, blueprint: Blueprint) -> None:
    await supervisor.start()
    names = {part.name for part in blueprint.parts}
    if "postgres" in names or blueprint.settings.database_url:
        await credentials.ensure(blueprint.layout, blueprint.settings.api_url, blueprint.app_dsn)
    supervisor.declare_up()


async def _first(work: Any, stopping: "asyncio.Task[bool]") -> bool:
    """Waits for the work or for the wish to stop, which wins; says whether it came."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await task
        return False
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, StartFailed):
        await task
    return True


def main(argv: list[str]) -> int:
    """The process behind `aither up --detach`."""
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--lock-fd", type=int, required=True, help="an inherited descriptor that holds the lock"
    )
    parser.add_argument("--port-base", type=int)
    parser.add_argument("--without", action="append", default=[])
    asked = parser.parse_args(argv)
    blueprint = plan(asked.data_dir, asked.port_base, frozenset(asked.without))
    return asyncio.run(run(blueprint, lambda _: None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
