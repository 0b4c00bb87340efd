"""Which Qdrant: a server where one is configured, else the directory in the data directory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from infra.qdrant.points import Qdrant
from infra.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Qdrant]:
    """The configured Qdrant for the block. Raises `infra.qdrant.local.InUse` and `StoreUnavailable`.

    Only what is opened is imported: neither the API nor the command line pays for it.
    """
    if settings.qdrant_url:
        from infra.qdrant.server import ServerQdrant

        key = settings.qdrant_api_key
        async with ServerQdrant.connected(
            settings.qdrant_url, key.get_secret_value() if key else None
        ) as server:
            yield server
        return
    from infra.qdrant.local import LocalQdrant

    async with LocalQdrant.opened(settings.data_dir / "qdrant") as local:
        yield local
