from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tests.telemetry.installed import Installed, installation


@pytest.fixture(scope="session")
async def installed(
    temporal_server: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installed]:
    async with installation(temporal_server, tmp_path_factory.mktemp("installed")) as found:
        yield found
