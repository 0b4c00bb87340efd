"""Memory through its worker: over Temporal, over REST and from the command line, with the real embedding model."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
import uvicorn
from temporalio.client import ActivityFailureError
from temporalio.exceptions import ApplicationError
from typer.testing import CliRunner

from activities.contracts.ledger import (
    ClaimAsk,
    ClaimRef,
    ClaimReply,
    CompleteAsk,
    Completed,
    FindingsPage,
    GoalPage,
    NewFinding,
    PutTasks,
    TaskPage,
    TasksPut,
)
from activities.contracts.swarm import Task
from activities.contracts.topology import Topology
from api.app import create_app
from api.cli.main import app as command
from infra.embedded.embeddings_server import EmbeddingsApp
from infra.embedded.minilm import MiniLm
from infra.postgres.keys import PostgresKeys
from infra.settings import Settings
from infra.topology import EMBEDDED_EMBEDDING_MODEL
from tests.api.conftest import QuietServer, serving
from tests.api.stores import free_port
from tests.support.house import SETTINGS, Ground
from workers.composition import Composition
from workers.memory import remembering
from workflows.names import Queue
from workflows.policy import claims

T = TypeVar("T")
TOPOLOGY = Topology(backends=(), ladders=(), embedding_model=EMBEDDED_EMBEDDING_MODEL)

PATIENCE = timedelta(seconds=60)

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def embeddings_port() -> AsyncIterator[int]:
    """The embedding model that the product ships with."""
    port = free_port()
    app: Any = EmbeddingsApp(MiniLm.load(), EMBEDDED_EMBEDDING_MODEL)
    async with without_lifespan(app, port):
        yield port


@asynccontextmanager
async def without_lifespan(app: Any, port: int) -> AsyncGenerator[None]:
    config = uvicorn.Config(app, port=port, lifespan="off", ws="none", log_config=None)
    server = QuietServer(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await task


@pytest.fixture
def settings(tmp_path: Path, embeddings_port: int) -> Settings:
    return SETTINGS.model_copy(update={"data_dir": tmp_path, "embeddings_port": embeddings_port})


@pytest.fixture
def parts(ground: Ground) -> Composition:
    def nobody(backend: Any) -> Any:
        raise AssertionError(backend)

    return ground.composed(TOPOLOGY, nobody)


@pytest.fixture(scope="module")
async def api_url(ground: Ground) -> AsyncIterator[str]:
    port = free_port()
    known = Settings.model_validate(
        {
            "api_port": port,
            "database_url": ground.stores.app,
            "redis_url": ground.stores.redis.url,
            "temporal_address": ground.client.service_client.config.target_host,
        }
    )
    async with serving(create_app(known), port):
        yield f"http://127.0.0.1:{port}"


async def tenant(ground: Ground) -> tuple[str, str]:
    """A new tenant, and its key."""
    name = f"searching-{next(_numbers)}"
    _, key = await PostgresKeys(ground.database).create(name, "test")
    return name, key


async def call(ground: Ground, name: str, ask: object, result: type[T]) -> T:
    """One activity of the memory's worker, as a workflow would ask it."""
    return await ground.client.execute_activity(
        name,
        ask,
        id=f"{name}/{next(_numbers)}",
        task_queue=Queue.MEMORY,
        result_type=result,
        start_to_close_timeout=PATIENCE,
    )


async def search(url: str, key: str, **parameters: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=30, headers={"Authorization": f"Bearer {key}"}) as client:
        return await client.get(f"{url}/v1/memory/search", params=parameters)


async def remember(ground: Ground, tenant_id: str, goal: str, *texts: str) -> Completed:
    """A task of the goal, put, claimed and completed with these findings."""
    task = Task(
        id=claims.task_id(goal, texts[0]),
        goal_id=goal,
        tenant_id=tenant_id,
        place=0,
        title="t",
        text="what to do",
    )
    put = PutTasks(tenant_id=tenant_id, goal_id=goal, tasks=(task,))
    assert (await call(ground, "put-tasks", put, TasksPut)).added == 1
    reply = await call(
        ground, "claim-task", ClaimAsk(tenant_id=tenant_id, goal_id=goal, owner="w"), ClaimReply
    )
    assert reply.claim is not None and reply.claim.task.text == "", "texts stay out of histories"
    found = tuple(NewFinding(text=text, confidence=0.8, sources=("https://example.org",)) for text in texts)
    return await call(
        ground, "complete-task", CompleteAsk(claim=ClaimRef.of(reply.claim), findings=found), Completed
    )


TEXTS = ("A cat sits on the mat.", "The central bank raised its interest rate.")


async def test_what_was_found_is_found_by_meaning_by_its_tenant(
    ground: Ground, settings: Settings, parts: Composition, api_url: str
) -> None:
    (mine, key), (_, other_key) = await tenant(ground), await tenant(ground)
    async with remembering(parts, settings):
        done = await remember(ground, mine, "job_1", *TEXTS)
        page = GoalPage(tenant_id=mine, goal_id="job_1")
        assert {ref.id for ref in (await call(ground, "goal-findings", page, FindingsPage)).refs} == set(
            done.finding_ids
        )
        (task,) = (await call(ground, "list-tasks", page, TaskPage)).tasks
        assert (task.findings, task.text) == (2, "")

        reply = await search(api_url, key, q="a kitten rests on a rug")
        assert reply.status_code == 200, reply.text
        first, second = reply.json()["data"]
        assert (first["text"], first["id"], first["goal"]) == (TEXTS[0], done.finding_ids[0], "job_1")
        assert first["score"] > 0.4 > second["score"] >= 0
        assert {"kind": "goal", "to": "job_1"} in first["edges"]
        narrow = await search(api_url, key, q="a kitten rests on a rug", min_score=0.4, goal="job_1")
        assert [hit["text"] for hit in narrow.json()["data"]] == [TEXTS[0]]
        assert (await search(api_url, key, q="kitten", goal="job_2")).json() == {"data": []}
        assert (await search(api_url, other_key, q="kitten")).json() == {"data": []}

        words = ("memory", "search", "what did the bank do", "--limit", "1")
        env = {"AITHER_API_URL": api_url, "AITHER_API_KEY": key, "AITHER_DATA_DIR": "/nonexistent"}
        shown = await asyncio.to_thread(CliRunner().invoke, command, words, env=env)
        assert shown.exit_code == 0 and TEXTS[1] in shown.stdout and TEXTS[0] not in shown.stdout
        raw = await asyncio.to_thread(CliRunner().invoke, command, (*words, "--json"), env=env)
        assert [hit["text"] for hit in json.loads(raw.stdout)] == [TEXTS[1]]


async def test_a_lost_claim_and_another_embedder_reach_the_asker_by_their_codes(
    ground: Ground, settings: Settings, parts: Composition, api_url: str
) -> None:
    mine, key = await tenant(ground)
    async with remembering(parts, settings):
        await remember(ground, mine, "job_1", *TEXTS)
        stale = ClaimRef(
            tenant_id=mine, goal_id="job_1", task_id=claims.task_id("job_1", TEXTS[0]), owner="x", token=0
        )
        with pytest.raises(ActivityFailureError) as failure:
            await call(ground, "complete-task", CompleteAsk(claim=stale), Completed)
        cause = failure.value.cause
        assert isinstance(cause, ApplicationError) and (cause.type, cause.non_retryable) == (
            "claim_lost",
            True,
        )
    about = settings.data_dir / "qdrant"
    assert about.is_dir()
    async with remembering(parts, settings.model_copy(update={"memory_collection": "another"})):
        assert (await search(api_url, key, q="kitten")).json() == {"data": []}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "  "}, "q"),
        ({"q": "x" * 2001}, "q"),
        ({"q": "x", "limit": 0}, "limit"),
        ({"q": "x", "limit": 51}, "limit"),
        ({"q": "x", "limit": "many"}, "limit"),
        ({"q": "x", "min_score": 1.5}, "min_score"),
        ({"q": "x", "min_score": "nan"}, "min_score"),
        ({"q": "x", "goal": "g" * 201}, "goal"),
        ({"q": "x", "tenant": "other"}, "tenant"),
    ],
)
async def test_a_search_that_cannot_be_is_refused_by_field(
    ground: Ground, api_url: str, parameters: dict[str, Any], field: str
) -> None:
    _, key = await tenant(ground)
    reply = await search(api_url, key, **parameters)
    assert reply.status_code == 422, reply.text
    assert field in [error["field"] for error in reply.json()["errors"]]


async def test_without_a_key_nothing_is_told(api_url: str) -> None:
    assert (await search(api_url, "wrong", q="x")).status_code == 401


async def test_without_a_worker_the_search_ends_soon_and_says_why(ground: Ground, api_url: str) -> None:
    _, key = await tenant(ground)
    reply = await search(api_url, key, q="kitten")
    assert reply.status_code == 503
    assert reply.json()["type"].endswith("memory_unavailable") and "worker" in reply.json()["detail"]
    assert reply.headers["retry-after"]


async def test_one_process_serves_a_directory_and_another_takes_over(
    ground: Ground, settings: Settings, parts: Composition, caplog: pytest.LogCaptureFixture
) -> None:
    mine, _ = await tenant(ground)
    async with remembering(parts, settings):
        await remember(ground, mine, "job_1", *TEXTS)
        second = remembering(parts, settings)
        await second.__aenter__()
        async with asyncio.timeout(30):
            while "AITHER_QDRANT_URL" not in caplog.text:
                await asyncio.sleep(0.01)
    try:
        page = GoalPage(tenant_id=mine, goal_id="job_1")
        assert (await call(ground, "goal-findings", page, FindingsPage)).total == 2
    finally:
        await second.__aexit__(None, None, None)
