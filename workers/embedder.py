"""The embeddings server, as graph memory uses it: in batches, and asked again where it is away."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import httpx2

from activities.errors import BackendRateLimited, BackendTimedOut, BackendUnavailable, StoreUnavailable
from infra.embeddings import EmbeddingsClient
from infra.settings import Settings

BATCH = 64
WAIT_S = 60.0


class ServedEmbedder:
    """Implements `activities.ledgers.Embedder`."""

    def __init__(self, client: EmbeddingsClient, model: str | None) -> None:
        self._client = client
        self._model = model

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings, model: str | None) -> "AsyncGenerator[ServedEmbedder]":
        """The configured server's, for the block; connects when it is first asked."""
        async with httpx2.AsyncClient(timeout=httpx2.Timeout(WAIT_S, connect=3.0)) as http:
            yield cls(EmbeddingsClient(http, settings.embeddings_target), model)

    @property
    def name(self) -> str:
        """See `Embedder`."""
        return self._model or "none"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder`. Raises other `BackendError`s where the server refuses the texts themselves."""
        if self._model is None:
            raise StoreUnavailable("memory needs an embedding model, and none is configured")
        vectors: list[list[float]] = []
        try:
            for first in range(0, len(texts), BATCH):
                found = await self._client.embed(self._model, texts[first : first + BATCH])
                vectors += found.vectors
        except (BackendUnavailable, BackendTimedOut, BackendRateLimited) as error:
            # No ladder decides here: without a vector nothing can be remembered, so it is asked until it answers.
            raise StoreUnavailable(error.message, retry_after=error.retry_after) from error
        return vectors
