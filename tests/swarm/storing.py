"""Stores for tests: Qdrant in-process, a stand-in server, or a real one, each with an embedder that needs no model."""

import hashlib
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.contracts.ledger import PutTasks
from activities.contracts.swarm import Task
from activities.swarm_store import SwarmStore
from infra.qdrant.ledger import QdrantLedger
from infra.qdrant.local import LocalQdrant
from infra.qdrant.memory import QdrantMemory
from infra.qdrant.points import Qdrant
from infra.qdrant.server import ServerQdrant
from tests.support.standin_qdrant import KEY, StandinQdrant
from workflows.policy import claims

KINDS = ("local", "standin", *(["server"] if "AITHER_TEST_QDRANT_URL" in os.environ else []))
START = datetime(2026, 1, 1, tzinfo=UTC)
GOAL, TENANT = "job_g", "acme"


@dataclass
class Clock:
    """Time that passes when it is told to."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, time: timedelta) -> None:
        self.at += time


@dataclass
class WordEmbedder:
    """A bag of words as a vector: texts that share words are near."""

    name: str = "words"
    size: int = 64
    texts: list[str] = field(default_factory=list[str])

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.01] * self.size
        for word in text.lower().split():
            vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % self.size] += 1.0
        return vector


@dataclass
class Place:
    """Where a Qdrant is, to be opened, closed and opened again. `prefix` keeps a shared server's tests apart."""

    kind: str
    folder: Path
    standin: StandinQdrant | None = None
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def opened(self) -> AbstractAsyncContextManager[Qdrant]:
        if self.kind == "local":
            return LocalQdrant.opened(self.folder)
        if self.kind == "server":
            return ServerQdrant.connected(
                os.environ["AITHER_TEST_QDRANT_URL"], os.environ.get("AITHER_TEST_QDRANT_API_KEY")
            )
        assert self.standin is not None
        return ServerQdrant.connected(self.standin.url, KEY)

    @property
    def goal(self) -> str:
        """A goal of this place's own."""
        return f"{GOAL}_{self.prefix}"

    @property
    def tenant(self) -> str:
        return f"{TENANT}-{self.prefix}"

    def ledger(self, qdrant: Qdrant) -> QdrantLedger:
        return QdrantLedger(qdrant, claims)

    def memory(self, qdrant: Qdrant, embedder: WordEmbedder | None = None) -> QdrantMemory:
        return QdrantMemory(qdrant, f"test-{self.prefix}", embedder or WordEmbedder())

    def store(self, qdrant: Qdrant, clock: Callable[[], datetime]) -> SwarmStore:
        return SwarmStore(self.ledger(qdrant), self.memory(qdrant), claims, clock)

    def tasks(self, count: int) -> tuple[Task, ...]:
        texts = [f"look into part {number} of the engine" for number in range(count)]
        return tuple(
            Task(
                id=claims.task_id(self.goal, text),
                goal_id=self.goal,
                tenant_id=self.tenant,
                place=place,
                title=f"part {place}",
                text=text,
            )
            for place, text in enumerate(texts)
        )

    def put(self, count: int) -> PutTasks:
        return PutTasks(tenant_id=self.tenant, goal_id=self.goal, tasks=self.tasks(count))


@asynccontextmanager
async def a_place(kind: str, folder: Path) -> AsyncGenerator[Place]:
    if kind != "standin":
        yield Place(kind, folder)
        return
    async with StandinQdrant(folder).serving() as standin:
        yield Place(kind, folder, standin)


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Somewhere that a Qdrant is, of each kind that there is here."""
    async with a_place(request.param, tmp_path) as found:
        yield found
