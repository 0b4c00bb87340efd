"""One whole stack for all of these tests, its models a stand-in that counts. What is killed comes back."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from infra.embedded.state import PartPhase
from infra.temporal import DATA_CONVERTER
from tests.e2e.killing import until
from tests.support.stack import Stack, running_stack
from tests.support.standin import Reply, StandIn

CONFIGURATION = """
[backends.small]
dialect = "vllm"
base_url = "{url}"
model = "small"
slots = 12
window_tokens = 200_000
capabilities = ["tools", "prefill", "tokenize"]

[backends.plain]
dialect = "vllm"
base_url = "{url}"
model = "plain"
slots = 12
window_tokens = 200_000
capabilities = ["tokenize"]

[backends.large]
dialect = "vllm"
base_url = "{url}"
model = "large"
slots = 12
window_tokens = 200_000
capabilities = ["tools", "prefill", "tokenize"]

[backends.dear]
dialect = "vllm"
base_url = "{url}"
model = "dear"
slots = 12
price = {{ input_usd = 2.0, output_usd = 10.0, read_on = 2026-11-01 }}

[ladders.auto]
answer = ["small"]
reason = ["large"]

[repeats]
times = 5
"""
"""`small` goes on from a text that broke off, `plain` cannot; hard turns reach `large`; `dear` costs something."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.durability)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def models() -> AsyncGenerator[StandIn]:
    async with StandIn() as standin:
        yield standin


@asynccontextmanager
async def passing_stack(
    data_dir: Path, *, without: tuple[str, ...], env: dict[str, str]
) -> AsyncGenerator[Stack]:
    """A stack of which nothing is left in the end but its logs, which tell why a test has failed."""
    try:
        async with running_stack(data_dir, without=without, env=env) as stack:
            yield stack
    finally:
        for path in data_dir.iterdir():
            if path.is_dir() and path.name != "logs":
                shutil.rmtree(path)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory, models: StandIn) -> AsyncGenerator[Stack]:
    folder = tmp_path_factory.mktemp("durable")
    configuration = folder / "aither.toml"
    configuration.write_text(CONFIGURATION.format(url=models.url))
    env = {"AITHER_CONFIG_FILE": str(configuration)}
    async with passing_stack(folder / "data", without=("orchestrator", "embeddings"), env=env) as stack:
        yield stack


@pytest.fixture
async def stack(running: Stack) -> Stack:
    """The stack, all of it up, whatever the test before did to it."""
    await until(lambda: all(part.phase is PartPhase.UP for part in running.state.parts), "the stack is up")
    return running


@pytest.fixture
async def backend(models: StandIn) -> AsyncGenerator[StandIn]:
    """The model server, which echoes the question unless it is told otherwise. No call outlives its test."""
    models.default = Reply()
    models.calls.clear()
    yield models
    models.default = Reply()
    models.release()
    await until(lambda: all(call.outcome for call in models.calls), "every call has ended")


@pytest.fixture
async def rest(stack: Stack) -> AsyncGenerator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=stack.api_url, headers=stack.headers, timeout=30) as client:
        yield client


@pytest.fixture
async def traces(stack: Stack) -> Client:
    """A client of the stack's own Temporal."""
    return await Client.connect(stack.temporal_target, data_converter=DATA_CONVERTER)


def question(label: str, words: int = 60) -> str:
    """A question that no other test asks, of so many tokens after its label."""
    return " ".join((label, *(f"w{number}" for number in range(words))))
