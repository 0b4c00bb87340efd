"""Compare the designs in turns of one run; print a markdown table, and where the time of one turn goes."""

import argparse
import asyncio
import contextlib
import signal
import statistics
import sys
import time

import uvloop
from temporalio.client import Client

from benchmarks.designs.design import Design, shapes
from benchmarks.designs.measure import Sample, alone, crowd, history
from benchmarks.designs.stack import Pair, Stack, stop
from benchmarks.designs.wire import HttpClient

PARTS = ("temporal", "worker", "api", "postgres", "redis")


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_table(samples: dict[str, Sample]) -> None:
    say("\n### Designs\n")
    columns = [
        "",
        "added ms p50 / p95",
        "turns/s replied / closed",
        f"CPU ms a turn: {' / '.join(PARTS)}",
        "all",
        "events",
        "bytes",
        "stalled",
    ]
    say(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, sample in samples.items():
        cells = [
            name,
            f"{sample.p(50):.1f} / {sample.p(95):.1f}",
            f"{statistics.median(sample.per_second):.0f} / {statistics.median(sample.drained_per_second):.0f}",
            " / ".join(f"{sample.cpu(part):.1f}" for part in PARTS),
            f"{sample.cpu_total():.1f}",
            f"{sample.events}",
            f"{sample.bytes}",
            f"{sample.stalled}",
        ]
        say(f"| {' | '.join(cells)} |")


async def compare(stack: Stack, designs: list[Design], options: argparse.Namespace) -> dict[str, Sample]:
    """Every design has processes of its own, all up at once; they are measured in turns until the time is up."""
    samples = {design.name: Sample() for design in designs}
    backend = HttpClient("127.0.0.1", stack.backend_port)
    temporal, address = await stack.temporal()
    pairs: list[Pair] = []
    try:
        for some in (designs[at : at + 4] for at in range(0, len(designs), 4)):
            pairs += await asyncio.gather(*(stack.pair(design, address) for design in some))
        parts = {**stack.parts, "temporal": temporal}
        for pair in pairs:
            await crowd(Sample(), pair, parts, turns=40, concurrency=10)
        for pair in pairs * options.rounds:
            if time.monotonic() > options.until:
                break
            sample = samples[pair.design.name]
            await alone(sample, pair, backend, delay_ms=50, turns=options.alone)
            await crowd(sample, pair, parts, turns=options.crowd)
        samples = {name: sample for name, sample in samples.items() if sample.cpu_ms and sample.marks}
        client = await Client.connect(address)
        for sample in samples.values():
            await history(sample, client)
    finally:
        stop([part for pair in pairs for part in (pair.api, pair.worker)])
        stop([temporal])
    return samples


def print_trace(sample: Sample) -> None:
    """Where the milliseconds of one turn go: medians between the moments of a turn."""
    say("\n### One turn of design A, 50 ms backend: medians\n")
    legs = {
        "HTTP in, parsing": ("sent", "received"),
        "row in PostgreSQL (committed)": ("received", "inserted"),
        "start_workflow RPC": ("inserted", "started"),
        "row to activity: start, workflow task, dispatch": ("inserted", "activity"),
        "context from PostgreSQL": ("activity", "context"),
        "backend": ("context", "answered"),
        "answer in PostgreSQL (committed)": ("answered", "recorded"),
        "Redis, wake-up of the API": ("recorded", "woken"),
        "HTTP out": ("woken", "done"),
    }
    say("| leg | ms |\n|---|---|")
    for leg, (a, b) in legs.items():
        say(f"| {leg} | {1000 * statistics.median(m[b] - m[a] for m in sample.marks):.1f} |")


async def main(options: argparse.Namespace) -> None:
    began = time.monotonic()
    with contextlib.suppress(asyncio.CancelledError):
        async with Stack() as stack:
            samples = await compare(stack, shapes(), options)
            print_table(samples)
            print_trace(next(iter(samples.values())))
    say(f"\n{time.monotonic() - began:.0f} s in all")


async def run(options: argparse.Namespace) -> None:
    task = asyncio.create_task(main(options))
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await task


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.designs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--alone", type=int, default=12, help="turns one after the other, a round")
    parser.add_argument("--crowd", type=int, default=120, help="turns at once, a round")
    parser.add_argument("--seconds", type=float, default=180, help="begin no measurement after this long")
    options = parser.parse_args()
    options.until = time.monotonic() + options.seconds
    return options


if __name__ == "__main__":
    uvloop.run(run(parse()))
