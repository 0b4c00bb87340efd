"""An API over a configuration of its own: a cloud above the embedded model, and a second ladder."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from api.app import create_app
from api.state import State
from infra.postgres.turns import PostgresTurns
from infra.settings import Settings
from tests.api.conftest import Api, serving
from tests.api.playing import PlayedRuns
from tests.api.stores import HOST, Stores, free_port

LOCAL = "smollm2-135m-instruct"
CLOUD = "cloud-model"
CONFIGURATION = f"""
[backends.cloud]
base_url = "https://cloud.invalid/v1"
model = "{CLOUD}"
window_tokens = 100_000
api_key_env = "NO_SUCH_KEY"
capabilities = ["tools"]
price = {{ input_usd = 2.0, output_usd = 10.0, read_on = 2026-11-01 }}

[ladders.auto]
answer = ["orchestrator", "cloud"]
reason = ["cloud"]

[ladders.private]
answer = ["orchestrator"]

[money]
turn_usd = 2.5
reference = "cloud"
"""


@asynccontextmanager
async def configured_api(
    stores: Stores, folder: Path, more: str = "", tenant: str = "acme"
) -> AsyncGenerator[Api]:
    """A running API over `CONFIGURATION` and whatever is added to it, with a key of the tenant."""
    file = folder / "aither.toml"
    file.write_text(CONFIGURATION + more)
    port = free_port()
    settings = Settings.model_validate(
        {
            "api_port": port,
            "config_file": file,
            "database_url": stores.app,
            "redis_url": stores.redis.url,
            "max_wait_seconds": 20,
        }
    )
    runs = PlayedRuns()
    app = create_app(settings, runs=runs)
    async with serving(app, port) as server:
        state: State = app.state.aither
        runs.rows, runs.events, runs.topology = PostgresTurns(state.database), state.events, state.topology
        _, key = await state.keys.create(tenant, "first")
        api = Api(f"http://{HOST}:{port}", app, runs, stores, key, server)
        yield api
        await settled(api)


async def settled(api: Api) -> None:
    """Returns when nothing of a test goes on any more, neither a play nor the end of a reply."""
    await api.runs.idle()
    while api.server.server_state.tasks:
        await asyncio.sleep(0.001)
