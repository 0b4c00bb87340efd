"""Measures the embedded stack against the bare backend in the same run; `benchmarks/README.md` says how to read it."""

import argparse
import asyncio
import contextlib
import os
import platform
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks import claims, following, footprint, latency, offers, registry, swap, swarm, throughput
from benchmarks.figures import Section, load_average, warning
from benchmarks.product import Product, product

LIMIT_S = 900.0
NAMES = (
    "offers",
    "start",
    "turn",
    "stream",
    "throughput",
    "history",
    "pools",
    "registry",
    "swap",
    "claims",
    "swarm",
    "memory",
    "cli",
)
ALONE = frozenset({"offers"})
"""These need nothing that runs."""


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measurements(options: argparse.Namespace) -> dict[str, Callable[[Product], Awaitable[Section]]]:
    """What is measured, in the order in which it is: memory after the load."""
    rounds: int = options.rounds
    crowd = 200 if options.quick else 600
    return {
        "start": footprint.start,
        "turn": lambda p: latency.turn(p, rounds),
        "stream": lambda p: latency.stream(p, rounds),
        "throughput": lambda p: throughput.throughput(p, crowd),
        "history": throughput.history,
        "pools": lambda p: following.following(p, 2 if options.quick else 5),
        "registry": lambda p: registry.registry(p, 6 if options.quick else 12),
        "swap": lambda p: swap.swap(p, 3 if options.quick else 4),
        "claims": lambda _: claims.claims_a_second(),
        "swarm": lambda p: swarm.swarm(p, swarm.SIZES[:2] if options.quick else swarm.SIZES),
        "memory": lambda p: footprint.memory(p, max(5, rounds // 5)),
        "cli": lambda p: footprint.cli(p, 3 if options.quick else 7),
    }


async def measure(options: argparse.Namespace, done: list[Section]) -> list[str]:
    """Fills `done` as it goes; what could not be measured, and why."""
    failures: list[str] = []
    if "offers" in options.only:
        done.append(offers.offers(options.quick))
        say("\n" + "\n".join(done[-1].lines()))
    if ALONE.issuperset(options.only):
        return failures
    async with product() as subject:
        await subject.up()
        for name, measured in measurements(options).items():
            if name not in options.only:
                continue
            try:
                section = await measured(subject)
            except Exception as error:
                # One that cannot be measured must not keep the others from it.
                failures.append(f"{name}: not measured: {type(error).__name__}: {error}")
                continue
            done.append(section)
            say()
            for line in section.lines():
                say(line)
    return failures


async def main(options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    began, load = time.perf_counter(), load_average()
    done: list[Section] = []
    failures = ["stopped before the end"]
    say(
        f"Aither on {os.cpu_count()} processors, load average {load:.2f}: over the bare backend of the same run"
    )
    try:
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.timeout(options.limit):
                failures = await measure(options, done)
    except TimeoutError:
        failures = [f"the time was up after {options.limit:.0f} s: some of it was not measured"]
    seconds, load_after = time.perf_counter() - began, load_average()
    remarks = [*failures, *filter(None, [warning(load)])]
    say(f"\n{seconds:.0f} s in all; load average {load:.2f} before, {load_after:.2f} after")
    for remark in remarks:
        say(remark)
    if options.json:
        machine = {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
        }
        whole: dict[str, Any] = {
            "machine": machine,
            "load": {"before": load, "after": load_after},
            "seconds": seconds,
            "remarks": remarks,
            "sections": [section.as_dict() for section in done],
        }
        options.json.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    return 1 if failures else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the calls: whether it works at all")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="some of it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--rounds", type=int, help="calls of each kind, one at a time (60; 20 if quick)")
    parser.add_argument(
        "--limit", type=float, default=LIMIT_S, help="seconds after which it ends (%(default).0f)"
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (20 if options.quick else 60)
    return options


if __name__ == "__main__":
    sys.exit(uvloop.run(main(parse())))
