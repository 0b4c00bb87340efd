"""A backend whose key was not given: every call says so, and the rest of the ladder works."""

from collections.abc import AsyncGenerator, Sequence

from activities.contracts.backends import Backend
from activities.contracts.chat import ChatCall, ChatChunk, Message
from activities.errors import BackendRefusedKey
from infra.llm.tokens import upper_bound


class Keyless:
    """Stands for a backend that cannot be asked. Nothing leaves the building."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        """Raises `BackendRefusedKey`."""
        raise BackendRefusedKey(
            f"{self._backend.name} has no key: the environment variable {self._backend.api_key_env} is not set"
        )
        yield ChatChunk()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """An upper bound."""
        return upper_bound(messages)
