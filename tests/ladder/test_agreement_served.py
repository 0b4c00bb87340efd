"""What clients see of a turn that waits for a person: over REST, on the OpenAI-compatible stream, in a terminal."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from activities.contracts.policy import Bounds
from api.app import create_app
from api.openai_compat import stream
from infra.postgres.keys import PostgresKeys, Role
from infra.settings import Settings
from infra.topology import load_topology
from tests.api.conftest import serving
from tests.api.stores import HOST, free_port
from tests.e2e.killing import until
from tests.e2e.reading import following
from tests.support.house import PATIENCE_S, Ground
from tests.support.standin import StandIn

CONFIGURATION = """
[backends.{name}]
dialect = "vllm"
base_url = "{url}"
model = "dear-model"
price = {{ input_usd = 2.0, output_usd = 10.0, read_on = 2026-11-01 }}

[ladders.auto]
answer = ["{name}"]
"""
TITLE = r"This question would go to dear-model, about \$0\.\d+"


@dataclass(frozen=True)
class Door:
    """An API over a house with one rung that costs something, and a key that may ask it once somebody agrees.

    It decides, too: it is an operator's.
    """

    url: str
    key: str
    http: httpx2.AsyncClient

    async def ask(self, text: str) -> dict[str, Any]:
        reply = await self.http.post("/v1/turns", json={"input": text})
        assert reply.status_code == 202, reply.text
        return reply.json()

    async def decide(self, approval_id: str, option: str) -> None:
        reply = await self.http.post(f"/v1/approvals/{approval_id}/decision", json={"option": option})
        assert reply.status_code == 200, reply.text

    async def newest(self) -> str:
        """The id of the approval that is open, once one is."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := (await self.http.get("/v1/approvals?status=open")).json()["data"]):
                await asyncio.sleep(0.02)
            return found[0]["id"]

    async def waiting(self, turn_id: str) -> dict[str, Any]:
        """What the turn waits for, as its view says, once it does."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                view = (await self.http.get(f"/v1/turns/{turn_id}")).json()
                assert view["status"] == "running", view
                if view["waiting_for"] is not None:
                    return view["waiting_for"]
                await asyncio.sleep(0.02)


@pytest.fixture
async def door(ground: Ground, primary: StandIn, tmp_path: Path) -> AsyncIterator[Door]:
    file = tmp_path / "aither.toml"
    port = free_port()
    file.write_text(CONFIGURATION.format(name=f"dear{port}", url=primary.url))
    settings = Settings.model_validate(
        {
            "api_port": port,
            "config_file": file,
            "database_url": ground.stores.app,
            "redis_url": ground.stores.redis.url,
            "temporal_address": ground.client.service_client.config.target_host,
        }
    )
    async with ground.house(load_topology(settings)) as house:
        _, key = await PostgresKeys(ground.database).create(
            house.tenant_id, "desk", role=Role.OPERATOR, bounds=Bounds(approve_above_usd=0.0)
        )
        async with serving(create_app(settings), port):
            url = f"http://{HOST}:{port}"
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S) as http:
                yield Door(url, key, http)


async def test_over_rest(door: Door, primary: StandIn) -> None:
    turn = await door.ask("may I")
    async with following(door.http, turn["id"]) as reading:
        waiting = await door.waiting(turn["id"])
        await until(lambda: reading.of("turn.waiting_for_approval"), "the client is told")
        told = reading.of("turn.waiting_for_approval")[0].data
        assert {name: told[name] for name in waiting} == waiting | {"deadline": told["deadline"]}
        assert re.fullmatch(TITLE, waiting["title"])
        # The workers here know of no API at this port.
        link = urlsplit(told["link"]).path
        assert (await door.http.get(link)).json()["subject"] == turn["id"]
        assert primary.total == 0
        await door.decide(waiting["approval_id"], "approve")
        ended = await reading.ended()
    assert (ended["waiting_for"], ended["answer"]["text"]) == (None, "may I")


async def test_on_the_compatible_stream(
    door: Door, primary: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays open, and says so, until somebody has decided; a no that comes first is a plain refusal."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "may I stream"}], "stream": True}
    refused = asyncio.create_task(door.http.post("/v1/chat/completions", json=body))
    await door.decide(await door.newest(), "deny")
    reply = await refused
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "not_agreed"
    assert "denied by key:" in reply.json()["error"]["message"]

    monkeypatch.setattr(stream, "KEEP_ALIVE_S", 0.05)
    async with door.http.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = reply.aiter_lines()
        assert [await anext(lines) for _ in range(4)] == [": waiting", "", ": waiting", ""]
        await door.decide(await door.newest(), "approve")
        rest = [line async for line in lines if line.startswith("data: ")]
    assert rest[-1] == "data: [DONE]"
    told = [json.loads(line.removeprefix("data: "))["choices"] for line in rest[:-1]]
    assert "".join(choice["delta"].get("content") or "" for each in told for choice in each) == "may I stream"
    assert primary.total == 1


async def test_in_a_terminal(door: Door) -> None:
    """Whoever asks is told what is waited for, and by which command somebody says yes."""
    environment = os.environ | {"AITHER_API_URL": door.url, "AITHER_API_KEY": door.key, "NO_COLOR": "1"}

    async def aither(*words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "api.cli.main", *words),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    process = await aither("ask", "may I know")
    assert process.stderr is not None
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        told = (await process.stderr.readline()).decode()
        assert re.search(rf"waiting for a person until \d\d:\d\d: {TITLE}", told), told
        said = (await process.stderr.readline()).decode()
        found = re.search(r"aither (approvals approve \S+), or deny", said)
        assert found, said
        deciding = await aither(*found[1].split())
        out, err = await deciding.communicate()
        assert deciding.returncode == 0, (out, err)
        assert (await process.stdout.read()).decode() == "may I know\n"
        assert await process.wait() == 0
