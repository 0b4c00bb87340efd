"""Probes of engines: who is alive, what their metrics say, and that nothing a server does makes a probe raise."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.backends import Backend, Dialect
from activities.contracts.pools import EngineFigures
from infra import engines
from infra.engines import EngineWord, llamacpp_figures, probe, root_of, samples, vllm_figures
from tests.llm.smollm import MODEL, real_model

VLLM = r"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="odd } \" name"} 3.0
vllm:num_requests_running{engine="1",model_name="odd } \" name"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 50.0
vllm:engine_sleep_state{engine="0",model_name="m",sleep_state="awake"} 1.0
vllm:engine_sleep_state{engine="0",model_name="m",sleep_state="weights_offloaded"} 0.0
vllm:engine_sleep_state{engine="0",model_name="m",sleep_state="discard_all"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 4000.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7846e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 1e+03
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} 300.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 210.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 9.0
process_resident_memory_bytes 1.2e+09
"""
TOLD = EngineFigures(running=5, waiting=7, kv_used=0.5, asleep=False, prefix_hits=0.25, draft_acceptance=0.7)


def behind(port: int, dialect: Dialect = Dialect.VLLM) -> Backend:
    return Backend(name="b", base_url=f"http://127.0.0.1:{port}/v1", model="m", dialect=dialect)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@asynccontextmanager
async def serving(health: int | None = 200, metrics: str | int = VLLM) -> AsyncGenerator[int]:
    """The port of a server with these pages: a status, or no page at all."""

    async def page(request: web.Request) -> web.Response:
        said = {"/health": health, "/metrics": metrics}.get(request.path)
        return web.Response(text=said) if isinstance(said, str) else web.Response(status=said or 404)

    app = web.Application()
    app.router.add_get("/{page}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def saying(said: bytes | None) -> AsyncGenerator[int]:
    """The port of a server that says this and closes, whatever it is asked; None: that it keeps its caller waiting."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if said is None:
            await over.wait()
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_vllms_figures_are_read(session: aiohttp.ClientSession) -> None:
    async with serving() as port:
        assert await probe(session, behind(port)) == EngineWord(alive=True, figures=TOLD)


@pytest.mark.parametrize("state", ["weights_offloaded", "discard_all"])
def test_either_level_of_sleep_is_sleep(state: str) -> None:
    page = VLLM.replace(f'"{state}"}} 0.0', f'"{state}"}} 1.0').replace('"awake"} 1.0', '"awake"} 0.0')
    assert vllm_figures(samples(page)).asleep is True


def test_what_is_not_told_is_none() -> None:
    assert vllm_figures(samples("")) == EngineFigures()
    assert llamacpp_figures(samples("vllm:num_requests_running 4\n")) == EngineFigures()
    # Nothing has been asked or drafted yet: no share can be told.
    idle = "vllm:prefix_cache_queries_total 0\nvllm:prefix_cache_hits_total 0\n"
    assert vllm_figures(samples(idle)) == EngineFigures()
    assert (
        vllm_figures(samples("vllm:num_requests_running NaN\nvllm:kv_cache_usage_perc +Inf\n"))
        == EngineFigures()
    )


async def test_only_engines_that_have_metrics_are_asked_for_them(session: aiohttp.ClientSession) -> None:
    async with serving() as port:
        for dialect in set(Dialect) - {Dialect.VLLM}:
            assert await probe(session, behind(port, dialect)) == EngineWord(alive=True)


@pytest.mark.parametrize(
    ("health", "dialect", "word"),
    [
        (204, Dialect.GENERIC, EngineWord(alive=True)),
        (None, Dialect.GENERIC, EngineWord(alive=True)),
        (401, Dialect.GENERIC, EngineWord(alive=True)),
        (503, Dialect.LLAMACPP, EngineWord(alive=False, why="loading")),
        (503, Dialect.VLLM, EngineWord(alive=False, why="its engine is dead")),
        (500, Dialect.GENERIC, EngineWord(alive=False, why="its health page answers 500")),
    ],
)
async def test_health_is_what_tells_life(
    session: aiohttp.ClientSession, health: int | None, dialect: Dialect, word: EngineWord
) -> None:
    async with serving(health) as port:
        assert await probe(session, behind(port, dialect)) == word


@pytest.mark.parametrize("metrics", [404, 500, "", "vllm:num_requests_running{ 3", "\x00\n" * 9])
async def test_without_metrics_it_is_alive_all_the_same(
    session: aiohttp.ClientSession, metrics: str | int
) -> None:
    async with serving(200, metrics) as port:
        assert await probe(session, behind(port)) == EngineWord(alive=True)


async def test_no_more_of_a_page_is_read_than_may_be(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MOST_METRICS_BYTES", len("vllm:num_requests_running 12"))
    page = "vllm:num_requests_waiting 1\nvllm:num_requests_running 12345\n" * 100
    async with serving(200, page) as port:
        figures = (await probe(session, behind(port))).figures
    assert figures == EngineFigures(waiting=1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the connection broke"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "the connection broke"),
        (None, "no answer within 0.2 s"),
    ],
)
async def test_what_is_no_server_of_ours_is_not_alive(
    session: aiohttp.ClientSession, said: bytes | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PATIENCE_S", 0.2)
    async with saying(said) as port:
        assert await probe(session, behind(port)) == EngineWord(alive=False, why=why)


async def test_where_nobody_listens_it_says_so(session: aiohttp.ClientSession) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        word = await probe(session, behind(unheard.getsockname()[1]))
    assert word == EngineWord(alive=False, why="connection refused")


@pytest.mark.parametrize("url", ["http://[bad/v1", "http://no.such.host.invalid/v1", "ftp://x/v1", ""])
async def test_no_address_makes_it_raise(session: aiohttp.ClientSession, url: str) -> None:
    word = await probe(session, Backend(name="b", base_url=url, model="m"))
    assert not word.alive
    assert word.why


@given(st.text() | st.lists(st.sampled_from(VLLM.splitlines())).map("\n".join))
def test_any_page_can_be_read(page: str) -> None:
    figures: Any = vllm_figures(samples(page))
    for share in (figures.kv_used, figures.prefix_hits, figures.draft_acceptance):
        assert share is None or 0 <= share <= 1


def test_the_root_is_the_url_without_its_version() -> None:
    assert [root_of(url) for url in ("http://a:1/v1", "http://a:1/v1/", "http://a:1", "http://a/x/v1")] == [
        "http://a:1",
        "http://a:1",
        "http://a:1",
        "http://a/x",
    ]


async def test_the_real_llamacpp_tells_what_it_does(session: aiohttp.ClientSession) -> None:
    async with real_model() as origin:
        there = Backend(name="b", base_url=f"{origin}/v1", model=MODEL, dialect=Dialect.LLAMACPP)
        before = await probe(session, there)
        assert before.alive
        assert (before.figures.running, before.figures.waiting) == (0, 0)
        assert before.figures.prefix_hits is None
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
        for _ in range(2):
            async with session.post(
                f"{origin}/v1/chat/completions",
                json=body | {"max_tokens": 4},
                headers={"Connection": "close"},
            ) as reply:
                assert reply.status == 200
        after = (await probe(session, there)).figures
    assert after.prefix_hits is not None
    assert 0 < after.prefix_hits < 1
