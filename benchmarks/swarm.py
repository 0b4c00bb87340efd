"""What a swarm costs beside its models: tasks a second against its workers, on a backend that answers at once.

`python -m benchmarks --only swarm` measures 1 to 1000 workers; `python -m benchmarks.swarm --workers 1000 --tasks
10000` one size alone, for as long as that takes.
"""

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import msgspec
import uvloop

from benchmarks.figures import Section
from benchmarks.processes import cpu_of
from benchmarks.product import STAND_IN, BenchError, Product, product
from benchmarks.throughput import OURS
from benchmarks.wire import Wire, post

SIZES = ((1, 20), (10, 150), (100, 200), (1000, 1000))
"""Workers and tasks."""
AIMED_AT = 10
FOUND = json.dumps({"findings": [{"text": "It is sound [F1]", "confidence": 0.9}]})
LOOK_S = 0.1


async def swarm(product: Product, sizes: tuple[tuple[int, int], ...] = SIZES) -> Section:
    """From the first claim to the last finding; a warm-up is not counted."""
    section = Section("swarm: a task from its claim to its findings, instant backend")
    await _one(product, 2, 10)
    for workers, tasks in sizes:
        before, began = cpu_of(product.pids), time.perf_counter()
        seconds = await _one(product, workers, tasks)
        after, whole = cpu_of(product.pids), time.perf_counter() - began
        aim = 50 if workers == AIMED_AT else None
        title = f"{workers} worker{'s' * (workers > 1)}, {tasks} tasks"
        section.add(title, 1000 * seconds / tasks, "ms/task", aim)
        section.add("    tasks a second", tasks / seconds, "/s")
        section.add("    with the plan and the synthesis", whole, "s")
        for name in OURS:
            section.add(f"    CPU a task, {name}", 1000 * (after[name] - before[name]) / tasks, "ms")
    return section


async def _one(product: Product, workers: int, tasks: int) -> float:
    """Seconds from the end of the plan to the last task's end. Raises `BenchError` where a task is not done once."""
    plan = [{"title": f"Part {n}", "task": f"Find out about part {n} of the whole"} for n in range(tasks)]
    await _say(product, json.dumps({"tasks": plan} | json.loads(FOUND)))
    api = Wire(product.stack.port("api"))
    own = {"authorization": f"Bearer {product.stack.api_key}"}
    body = {"goal": "Say how sound the whole is", "tasks": tasks, "workers": workers, "backend": STAND_IN}
    heard = await api.call(post("/v1/jobs", json.dumps(body).encode(), own))
    if heard.status != 202:
        raise BenchError(f"the job was refused: {heard.body.decode()[:300]}")
    path, began = f"/v1/jobs/{json.loads(heard.body)['id']}", 0.0
    while True:
        job = json.loads((await api.call(_get(path, own))).body)
        if not began and job["phase"] != "planning":
            began = time.perf_counter()
            # Workers find the same in both, so those that are quicker than this are no matter.
            await _say(product, FOUND)
        if (job["phase"] != "working" and began) or job["status"] not in ("queued", "running"):
            break
        await asyncio.sleep(LOOK_S)
    seconds = time.perf_counter() - began
    while job["status"] in ("queued", "running"):
        await asyncio.sleep(LOOK_S)
        job = json.loads((await api.call(_get(path, own))).body)
    api.close()
    _check(job, tasks)
    return seconds


def _check(job: dict[str, Any], tasks: int) -> None:
    result = job["result"] or {}
    seen = (job["status"], job["tasks"]["done"], job["tasks"]["findings"], result.get("read"))
    if seen != ("completed", tasks, tasks, tasks):
        raise BenchError(f"{tasks} tasks came to {seen}: {job['error']}")
    # A call for the plan, one for each task, and for the synthesis one or more.
    if result["synthesized"] and job["turns"] < tasks + 2:
        raise BenchError(f"{tasks} tasks were {job['turns']} turns")


async def _say(product: Product, text: str) -> None:
    wire = Wire(product.stand_in_port)
    await wire.call(post("/control", msgspec.json.encode({"default": {"text": text}}), {}))
    wire.close()


def _get(path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def main(options: argparse.Namespace) -> int:
    async with product() as subject:
        await subject.up()
        section = await swarm(subject, tuple((workers, options.tasks) for workers in options.workers))
    sys.stdout.write("\n".join(section.lines()) + "\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swarm", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[10])
    parser.add_argument("--tasks", type=int, default=200)
    sys.exit(uvloop.run(main(parser.parse_args())))
