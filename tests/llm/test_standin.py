"""The stand-in, where other tests and the benchmarks lean on it: its process, its control and its timing."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from openai import AsyncOpenAI

from tests.support.standin import Reply, StandIn

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}


@asynccontextmanager
async def standing_alone(*options: str) -> AsyncGenerator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.standin", *options, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.communicate()


async def test_it_is_directed_over_http_from_another_process() -> None:
    async with (
        standing_alone("--tokens", "3", "--model", "a") as url,
        httpx2.AsyncClient(base_url=url[:-3]) as http,
    ):
        assert (await http.get("/health")).status_code == 200
        assert [m["id"] for m in (await http.get("/v1/models")).json()["data"]] == ["a"]
        await http.post(
            "/control", json={"script": [{"status": 429, "retry_after": "3"}, {"text": "scripted"}]}
        )
        limited = await http.post("/v1/chat/completions", json=ASKED)
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
        texts = [
            (await http.post("/v1/chat/completions", json=ASKED)).json()["choices"][0]["message"]["content"]
            for _ in range(2)
        ]
        assert texts == ["scripted", "w0 w1 w2"]
        counts = (await http.get("/control")).json()
        assert counts["total"] == 3 and counts["calls"] == [{"model": "m", "text": "hello there", "count": 3}]
        assert (await http.delete("/control")).json()["total"] == 0


async def test_its_latency_and_pace_are_what_they_are_said_to_be() -> None:
    reply = Reply(tokens=5, delay_s=0.05, pace_s=0.02)
    async with StandIn(reply) as standin, httpx2.AsyncClient() as http:
        began = time.monotonic()
        await http.post(f"{standin.url}/chat/completions", json=ASKED | {"stream": True})
        assert 0.129 <= time.monotonic() - began < 0.5


@pytest.mark.parametrize("stream", [True, False])
async def test_the_official_sdk_understands_it(stream: bool) -> None:
    reply = Reply(text="a b c", reasoning="hm", cached_tokens=1)
    async with (
        StandIn(reply) as standin,
        AsyncOpenAI(base_url=standin.url, api_key="k", max_retries=0) as client,
    ):
        if stream:
            answer = ""
            async for chunk in await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}], stream=True, logprobs=True
            ):
                answer += chunk.choices[0].delta.content or ""
        else:
            whole = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}]
            )
            answer = whole.choices[0].message.content
            assert whole.usage and whole.usage.completion_tokens == 4
    assert answer == "a b c"
    for _ in range(5):
        await asyncio.sleep(0)  # the SDK leaves it to the loop to close its generators
