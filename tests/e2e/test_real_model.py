"""With the real small model, the way a person runs it; its traces show nothing of what was said."""

from collections.abc import AsyncGenerator

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from infra.temporal import DATA_CONVERTER
from tests.e2e.conftest import passing_stack
from tests.e2e.killing import back, kill
from tests.e2e.reading import ask, ended, following
from tests.e2e.tracing import closes, history
from tests.support.stack import Stack
from workflows.names import turn_workflow_id


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    env = {"AITHER_HISTORY_PREVIEW_CHARS": "0"}
    async with passing_stack(tmp_path_factory.mktemp("embedded"), without=("embeddings",), env=env) as stack:
        yield stack


@pytest.fixture
async def person(embedded: Stack) -> AsyncGenerator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=embedded.api_url, headers=embedded.headers, timeout=30) as client:
        yield client


async def test_its_server_is_killed_mid_answer(embedded: Stack, person: httpx2.AsyncClient) -> None:
    story = "Tell a long story about a lighthouse keeper and the sea, in many sentences."
    turn = await ask(person, story, max_tokens=120, temperature=0)
    async with following(person, turn["id"]) as reading:
        await reading.heard(10)
        killed = kill(embedded, "orchestrator")
        held = reading.text
        told = await reading.ended()
        await back(embedded, killed)
    reading.holds(told["answer"]["text"])
    assert told["answer"]["text"].startswith(held)
    outcomes = [hop["outcome"] for hop in told["route"]]
    assert (outcomes[0], outcomes[-1]) == ("failed", "answered")


async def test_a_preview_that_is_switched_off_shows_nothing(
    embedded: Stack, person: httpx2.AsyncClient
) -> None:
    """Neither where the API starts the turn, nor where the worker does, because it had to wait."""
    traces = await Client.connect(embedded.temporal_target, data_converter=DATA_CONVERTER)
    first = await ask(person, "Say xylophone.", max_tokens=40)
    second = await ask(person, "Say zeppelin.", max_tokens=20, conversation_id=first["conversation_id"])
    assert second["status"] == "queued"
    for turn in (first, second):
        answer = (await ended(person, turn["id"]))["answer"]["text"]
        await closes(traces, turn["id"])
        raw = b"".join(event.SerializeToString() for event in await history(traces, turn["id"])).lower()
        assert b"xylophone" not in raw
        assert b"zeppelin" not in raw
        assert not answer or answer.lower().encode() not in raw
        described = await traces.get_workflow_handle(turn_workflow_id(turn["id"])).describe()
        assert not await described.static_summary()
