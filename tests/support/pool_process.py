"""A worker process of its own that runs a topology's pools, to be killed, frozen, or joined by another."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from activities.contracts.topology import Topology
from tests.support.house import Ground

ROOT = Path(__file__).parents[2]
START_S = 30.0


def written(topology: Topology) -> str:
    """The topology as a configuration file."""
    lines: list[str] = []
    for backend in topology.backends:
        capabilities = ", ".join(f'"{capability}"' for capability in backend.capabilities)
        lines += [
            f"[backends.{backend.name}]",
            f'dialect = "{backend.dialect}"',
            f'base_url = "{backend.base_url}"',
            f'model = "{backend.model}"',
            f"slots = {backend.slots}",
            f'pool = "{backend.pool}"',
            f"capabilities = [{capabilities}]",
        ]
    (ladder,) = topology.ladders
    for chain in ("answer", "reason"):
        for rung in getattr(ladder, chain):
            lines += [f"[[ladders.auto.{chain}]]", f'backend = "{rung.backend}"']
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def worker(
    ground: Ground, folder: Path, topology: Topology
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process that runs the topology's pools, once it is ready."""
    ready, config = folder / "ready", folder / "aither.toml"
    ready.unlink(missing_ok=True)
    config.write_text(written(topology))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")} | {
        "AITHER_CONFIG_FILE": str(config),
        "AITHER_TEMPORAL_ADDRESS": ground.client.service_client.config.target_host,
        "AITHER_DATABASE_URL": ground.stores.app,
        "AITHER_REDIS_URL": ground.stores.redis.url,
        "AITHER_READY_FILE": str(ready),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers.main", "--fleet", "pools", env=environment, cwd=ROOT
    )
    try:
        async with asyncio.timeout(START_S):
            while not ready.exists():
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
