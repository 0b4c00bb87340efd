"""The whole of it: waiting questions rent a box at a market over HTTP, which pulls its model and answers them.

In the middle of it workers and Temporal are killed.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.cli.burst_demo import CONFIGURATION, FOLDER, KEY, MODEL
from infra.embedded import carried
from tests.support.stack import AITHER, HOST, ROOT, Stack, free_port_base
from tests.support.standin_vast import StandInVast
from tests.support.standin_vast_boxes import as_a_box
from tests.support.standin_vast_faults import Fault, Op
from tests.support.vast_book import offer

PATIENCE_S = 150.0
WAITING = 4


async def until(look: Callable[[], Any], what: str) -> Any:
    """Waits until the look finds something; parts may be away meanwhile."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while asyncio.get_running_loop().time() < deadline:
        try:
            if found := await look():
                return found
        except (httpx2.HTTPError, KeyError):
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what} took too long")


class Journey:
    """Questions that wait, and the lease that they bring about."""

    def __init__(self, rest: httpx2.AsyncClient) -> None:
        self.rest = rest
        self.asked: list[str] = []

    async def ask(self, count: int) -> None:
        body = {"input": "Tell a long story of a lighthouse keeper.", "effort": 3, "max_tokens": 40}
        for _ in range(count):
            self.asked.append((await self.rest.post("/v1/turns", json=body)).json()["id"])

    async def turns(self) -> list[Mapping[str, Any]]:
        return [(await self.rest.get(f"/v1/turns/{turn_id}")).json() for turn_id in self.asked]

    async def lease(self, *states: str) -> Mapping[str, Any] | None:
        """The first lease, once it is in one of these states. Meanwhile there are always questions that wait."""
        data = (await self.rest.get("/v1/leases")).json()["data"]
        if states != ("gone",):
            waiting = [turn for turn in await self.turns() if turn["status"] == "running"]
            await self.ask(WAITING - len(waiting))
        return data[-1] if data and data[-1]["state"] in states else None

    async def answered_by(self, backend: str) -> list[Mapping[str, Any]]:
        return [
            turn
            for turn in await self.turns()
            if turn["status"] == "completed" and turn["route"][-1]["backend"] == backend
        ]


async def test_waiting_questions_rent_a_box_that_answers_them_whatever_is_killed(tmp_path: Path) -> None:
    offers = [offer(number) for number in range(1, 5)]
    async with StandInVast(tmp_path / "market", offers, key=KEY, launch=as_a_box) as market:
        # The order's answer is lost, and our process dies before it can ask again.
        market.faults.once(Op.CREATE, Fault.RESET_AFTER)
        market.boxes.boot_delay = 1.0
        file, base = tmp_path / "aither.toml", free_port_base()
        file.write_text(
            CONFIGURATION.format(market=market.url, python=sys.executable, model=MODEL, folder=FOLDER)
        )
        env = {
            "AITHER_CONFIG_FILE": str(file),
            "AITHER_VAST_API_KEY": KEY,
            "AITHER_BOX_URL": f"http://{HOST}:{base}",
            "AITHER_BOX_REACHABLE_HOSTS": json.dumps([HOST]),
            "AITHER_ORCHESTRATOR_SLOTS": "1",
        }
        stack = Stack(tmp_path / "data", base, ("embeddings",), env)
        stack.data_dir.mkdir()
        try:
            await stack.up()
            await travel(stack, market)
        finally:
            await stack.down()


async def travel(stack: Stack, market: StandInVast) -> None:
    weights = str(carried.chat_weights())
    await asyncio.to_thread(stack.aither, "models", "add", f"{FOLDER}weights.gguf", "--file", weights)
    async with httpx2.AsyncClient(base_url=stack.api_url, headers=stack.headers, timeout=30) as rest:
        journey = Journey(rest)
        await journey.ask(WAITING)
        await until(lambda: journey.lease("renting", "booting", "joining", "serving"), "the order")
        stack.kill("workers")
        await stack.back("workers")
        lease = await until(lambda: journey.lease("serving"), "the box")
        backend = f"burst/{lease['id']}"
        await until(lambda: journey.answered_by(backend), "the box's first answer")
        stack.kill("temporal")
        await stack.back("temporal")
        gone = await until(lambda: journey.lease("gone"), "the end")
        for turn in await journey.turns():
            assert turn["status"] == "completed", turn
        assert gone["ending_code"] == "idle"
        assert gone["tokens"] > 0
        mine = market.ledger.of(gone["label"])
        assert len(mine) == 1
        assert mine[0].ended is not None
        booked, billed = gone["usd"], market.ledger.usd(gone["label"])
        assert billed <= booked <= billed + 0.01


@pytest.mark.skipif("AITHER_TEST_LEASES" not in os.environ, reason="the journey is the same, with faults")
async def test_the_demo() -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [*AITHER, "burst", "demo", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answered_by_box"] >= 1
    assert told["boxes_left"] == 0
    assert told["states"][-1] == "gone"
