"""The whole stack: every part comes back when it is killed, and together they are small."""

import json
import subprocess
import sys

import httpx2
import pytest

from infra.topology import EMBEDDED_CHAT_MODEL, EMBEDDED_EMBEDDING_MODEL
from tests.support.stack import Stack

pytestmark = pytest.mark.stack

LIMIT_MIB = 1200


async def test_all_parts_are_up_and_small(stack: Stack) -> None:
    seen = json.loads(stack.aither("status", "--json"))
    assert {part["name"] for part in seen["parts"]} == {
        *("postgres", "temporal", "redis", "workers", "api", "orchestrator", "embeddings", "supervisor")
    }
    assert seen["memory_mib"] < LIMIT_MIB


async def test_the_models_answer(stack: Stack) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        said = await client.post(
            f"http://127.0.0.1:{stack.port('orchestrator')}/v1/chat/completions",
            json={
                "model": EMBEDDED_CHAT_MODEL,
                "messages": [{"role": "user", "content": "Say hello."}],
                "max_tokens": 8,
            },
        )
        embedded = await client.post(
            f"http://127.0.0.1:{stack.port('embeddings')}/v1/embeddings",
            json={"model": EMBEDDED_EMBEDDING_MODEL, "input": "hello"},
        )
    assert said.json()["choices"][0]["message"]["content"]
    assert said.json()["model"] == EMBEDDED_CHAT_MODEL
    assert len(embedded.json()["data"][0]["embedding"]) == 384


async def test_the_first_key_opens_the_api(stack: Stack) -> None:
    async with httpx2.AsyncClient(base_url=stack.api_url) as client:
        assert (await client.get("/v1/turns", headers=stack.headers)).status_code == 200
        assert (await client.get("/v1/turns")).status_code == 401


@pytest.mark.durability
async def test_every_part_comes_back(stack: Stack) -> None:
    names = [part.name for part in stack.state.parts]
    before = {name: stack.part(name).restarts for name in names}
    for name in names:
        stack.kill(name)
    for name in names:
        await stack.back(name, restarts=before[name] + 1)
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "status"],
        env=stack.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
