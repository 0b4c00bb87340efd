from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from activities.contracts.traces import SEARCH_ATTRIBUTES
from infra.settings import Settings
from infra.temporal import connect
from infra.temporal.namespaces import ensure_attributes, ensure_namespace, until_usable
from tests.telemetry.installed import Installed, installation

NAMESPACE = "watched"
"""Of their own: these processes take every task of their queues, and start the schedules."""


@pytest.fixture(scope="session")
async def installed(
    temporal_server: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installed]:
    target = temporal_server.service_client.config.target_host
    client = await connect(Settings(config_file=None, temporal_address=target, temporal_namespace=NAMESPACE))
    await ensure_namespace(client, None, cloud=False, dry_run=False)
    await until_usable(client, {})
    await ensure_attributes(client, SEARCH_ATTRIBUTES, cloud=False, dry_run=False)
    await until_usable(client, SEARCH_ATTRIBUTES)
    async with installation(client, tmp_path_factory.mktemp("installed")) as found:
        yield found
