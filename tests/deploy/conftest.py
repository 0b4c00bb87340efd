"""One installation of processes for the tests that need it; the ground under it is that of the ladder's tests."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from infra.postgres.database import Database
from infra.postgres.keys import PostgresKeys
from tests.deploy.players import CONFIGURATION, Models
from tests.deploy.processes import Installation, installation
from tests.ladder.conftest import ground
from tests.support.house import Ground
from tests.support.standin import Reply

__all__ = ["ground"]

NEEDED = ("api", "worker-turns", "worker-pools", "worker-memory")


@dataclass(frozen=True)
class Site:
    """An installation with its models, and two keys."""

    house: Installation
    models: Models
    operator: str
    user: str

    def client(self, key: str) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(base_url=self.house.api_url, headers=headers, timeout=60)


@pytest.fixture(autouse=True)
async def _no_task_left_behind() -> AsyncIterator[None]:
    """As for all tests; but tasks of the SDK's, whose worker polls for the whole session, are its own business."""
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() - before if t is not asyncio.current_task()]
    ours = {t for t in left if not t.done() and "temporalio" not in repr(t)}
    if ours:
        _, ours = await asyncio.wait(ours, timeout=2)
    assert not ours, f"tasks left running: {ours}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def prepared(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Site]:
    """Migrated, set up, with its first keys: by the commands of compose's one-shot services."""
    folder: Path = tmp_path_factory.mktemp("installation")
    async with Models() as models:
        config = CONFIGURATION.format(url=models.url)
        async with installation(ground, folder, config) as house:
            house.variables |= {"AITHER_EMBEDDINGS_URL": models.origin, "AITHER_EMBEDDING_MODEL": "words"}
            await asyncio.gather(house.once("migrate"), house.once("temporal-setup"))
            said, user = await asyncio.gather(
                house.once("api", "aither", "key", "create", "first", "--role", "operator"), _key(house)
            )
            operator = next(word for word in said.split() if word.startswith("ak_"))
            yield Site(house, models, operator, user)


async def _key(house: Installation) -> str:
    """A user's key, and meanwhile all that a turn needs: each start of Python costs seconds."""
    await house.up(*NEEDED)
    async with Database.connect(house.variables["AITHER_DATABASE_URL"], 1) as database:
        return (await PostgresKeys(database).create("default", "second"))[1]


@pytest.fixture
async def site(prepared: Site) -> AsyncIterator[Site]:
    """With all that a turn needs running, whatever the test before has stopped."""
    prepared.models.held = Reply()
    await prepared.house.up(*NEEDED)
    yield prepared
    prepared.models.held = Reply()
    prepared.models.release()


@pytest.fixture
async def rest(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.client(site.user) as client:
        yield client


@pytest.fixture
async def operator(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.client(site.operator) as client:
        yield client
