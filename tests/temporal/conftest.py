"""One server for this folder, which notices quickly that a build is drained; each test has a namespace of its own."""

import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.contracts.traces import SEARCH_ATTRIBUTES
from infra.embedded.temporal import DYNAMIC_CONFIG
from infra.settings import Settings
from infra.temporal import DATA_CONVERTER, connect
from infra.temporal.namespaces import ensure_attributes, ensure_namespace, until_usable
from tests.support.house import PROMPT_TIMERS

PROMPT_DRAINS = {
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod": '"100ms"',
    "matching.wv.VersionDrainageStatusRefreshInterval": '"200ms"',
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """Where it is."""

    target: str

    def settings(self, **others: Any) -> Settings:
        """Settings that reach it, by a namespace that nobody else has unless one is named."""
        how: dict[str, Any] = {
            "temporal_address": self.target,
            "temporal_namespace": f"space-{next(_numbers)}",
        }
        return Settings(config_file=None, **(how | others))

    @property
    def port(self) -> int:
        return int(self.target.rpartition(":")[2])


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Server]:
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
        dev_server_log_level="never",
        dev_server_extra_args=[
            word
            for name, value in (DYNAMIC_CONFIG | PROMPT_TIMERS | PROMPT_DRAINS).items()
            for word in ("--dynamic-config-value", f"{name}={value}")
        ],
    ) as environment:
        yield Server(environment.client.service_client.config.target_host)


Spaced = Callable[..., Awaitable[Client]]


@pytest.fixture
async def spaced(server: Server) -> Spaced:
    """Makes a client of a namespace that has all but schedules."""

    async def made(settings: Settings | None = None) -> Client:
        configured = settings or server.settings()
        client = await connect(configured)
        await ensure_namespace(client, None, cloud=False, dry_run=False)
        await until_usable(client, {})
        await ensure_attributes(client, SEARCH_ATTRIBUTES, cloud=False, dry_run=False)
        await until_usable(client, SEARCH_ATTRIBUTES)
        return client

    return made
