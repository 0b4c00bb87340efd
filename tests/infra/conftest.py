from collections.abc import AsyncIterator

import pytest

from infra.postgres.database import Database
from tests.api.stores import Stores, stores


@pytest.fixture(scope="session")
async def real_stores() -> AsyncIterator[Stores]:
    async with stores() as running:
        yield running


@pytest.fixture(scope="session")
async def database(real_stores: Stores) -> AsyncIterator[Database]:
    async with Database.connect(real_stores.app, 10) as database:
        yield database
