"""What open approvals cost: `python -m benchmarks.approvals [--open 10000] [--seconds 30]`.

The whole embedded stack in processes of its own. CPU of each while nothing is asked, before there are approvals and
while so many are open; then lists and decisions with so many open, and what it costs that many clients wait.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator

import asyncpg
import httpx2

from benchmarks.figures import Section, load_average, percentile, warning
from benchmarks.processes import cpu_of
from benchmarks.product import Product, product

PARTS = ("workers", "temporal", "api", "postgres")
AT_ONCE = 24
MOST_BEHIND = 300
"""Approvals whose workflow is still to be started, before more are opened: the sweep is not what is measured."""
CALLS = 200
WAITING = 500
AIM_MS = 50.0


async def measure(count: int, seconds: float) -> Section:
    """Opens them, and measures."""
    section = Section(f"approvals: {count} of them open")
    async with product() as subject:
        await subject.up()
        limits = httpx2.Limits(max_connections=WAITING + AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx2.AsyncClient(
            base_url=subject.stack.api_url, headers=subject.stack.headers, timeout=60, limits=limits
        ) as http:
            await asyncio.sleep(5)
            before = await _percent(subject, seconds)
            took, ids = await _open(subject, http, count)
            section.add("opened and looked after", count / took, "a second", digits=0)
            await asyncio.sleep(20)
            after = await _percent(subject, seconds)
            for part in PARTS:
                section.add(
                    f"CPU while waiting, {part}, over none open", after[part] - before[part], "%", digits=2
                )
            section.add(
                "all of them, of one processor",
                sum(after.values()) - sum(before.values()),
                "%",
                2.0,
                digits=2,
            )
            await _calls(section, http, ids)
            waiting = [asyncio.create_task(_wait(http, each)) for each in ids[-WAITING:]]
            # Until they all do: that each has come is not what is measured.
            await asyncio.sleep(20)
            held = await _percent(subject, seconds)
            section.add(
                f"{len(waiting)} who wait for one, of one processor",
                sum(held.values()) - sum(after.values()),
                "%",
            )
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
    return section


async def _open(subject: Product, http: httpx2.AsyncClient, count: int) -> tuple[float, list[str]]:
    """Seconds that it took until each had its workflow, and their ids."""
    connection = await asyncpg.connect(subject.stack.admin_dsn)
    began = time.perf_counter()
    numbers = iter(range(count))
    ids: list[str] = []
    sql = "select count(*) from aither.approvals where attended_at is null"

    async def some(numbers: Iterator[int]) -> None:
        for number in numbers:
            body = {"title": f"Deploy build {number}", "expires_in_s": 30 * 24 * 3600, "summary": "x" * 200}
            reply = await http.post("/v1/approvals", json=body)
            reply.raise_for_status()
            ids.append(reply.json()["id"])
            while behind[0] > MOST_BEHIND:
                await asyncio.sleep(0.1)

    behind = [0]

    async def watch() -> None:
        while True:
            behind[0] = await connection.fetchval(sql)
            await asyncio.sleep(0.25)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(some(numbers) for _ in range(AT_ONCE)))
    watching.cancel()
    await asyncio.wait({watching})
    while await connection.fetchval(sql):
        await asyncio.sleep(0.25)
    await connection.close()
    return time.perf_counter() - began, ids


async def _percent(subject: Product, seconds: float) -> dict[str, float]:
    """CPU of each part, of one processor."""
    pids = {part: subject.pids[part] for part in PARTS}
    before = cpu_of(pids)
    await asyncio.sleep(seconds)
    return {part: 100 * (used - before[part]) / seconds for part, used in cpu_of(pids).items()}


async def _calls(section: Section, http: httpx2.AsyncClient, ids: list[str]) -> None:
    async def timed(method: str, path: str, body: dict[str, str] | None = None) -> float:
        began = time.perf_counter()
        reply = await http.request(method, path, content=json.dumps(body) if body else None, headers=JSON)
        took = 1000 * (time.perf_counter() - began)
        reply.raise_for_status()
        return took

    await timed("GET", "/v1/approvals")
    lists = [await timed("GET", "/v1/approvals?status=open&limit=20") for _ in range(CALLS)]
    looks = [await timed("GET", f"/v1/approvals/{each}") for each in ids[:CALLS]]
    choice = {"option": "approve"}
    decisions = [await timed("POST", f"/v1/approvals/{each}/decision", choice) for each in ids[:CALLS]]
    for what, times in (("list", lists), ("look", looks), ("decide", decisions)):
        section.add(f"{what}, p50", percentile(times, 50), "ms")
        section.add(f"{what}, p95", percentile(times, 95), "ms", AIM_MS)


async def _wait(http: httpx2.AsyncClient, approval_id: str) -> None:
    await http.get(f"/v1/approvals/{approval_id}", headers={"Prefer": "wait=300"}, timeout=400)


JSON = {"content-type": "application/json"}


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.approvals", description=__doc__)
    parser.add_argument("--open", type=int, default=10_000, help="approvals (%(default)d)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each look at the CPU (%(default)g)")
    options = parser.parse_args()
    load = load_average()
    section = asyncio.run(measure(options.open, options.seconds))
    sys.stdout.write("\n".join([*section.lines(), *filter(None, [warning(load)])]) + "\n")


if __name__ == "__main__":
    main()
