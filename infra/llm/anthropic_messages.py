"""Chat over the Anthropic Messages API."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic

from activities.contracts.backends import Backend, Capability
from activities.contracts.chat import ChatCall, ChatChunk, Message, Role
from activities.errors import AnswerMalformed, BackendRejected
from infra.llm.anthropic_request import conversation, request_body
from infra.llm.anthropic_wire import EventReader
from infra.llm.exchange import Exchange, Sdk
from infra.llm.failures import Failures
from infra.llm.tokens import upper_bound

ANTHROPIC = Sdk(
    status_error=anthropic.APIStatusError,
    connection_error=anthropic.APIConnectionError,
    stream=anthropic.AsyncStream[Any],
)


class AnthropicMessages:
    """One backend behind an anthropic client, which must not retry (`max_retries=0`)."""

    def __init__(self, client: AsyncAnthropic, backend: Backend) -> None:
        self._backend = backend
        self._failures = Failures(backend.name, (client.api_key or "",))
        self._exchange = Exchange(client, ANTHROPIC, self._failures)

    def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        """Streams one answer, whole or with an error. Closing the iterator drops the connection."""
        last = call.messages[-1] if call.messages else None
        continues = call.continue_final and last is not None and last.role is Role.ASSISTANT
        return self._exchange.answer(
            "/v1/messages",
            request_body(call, self._backend),
            call.messages,
            EventReader(self._failures, last.content if last and continues else ""),
        )

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens by the API's own count where the backend is declared able, else an upper bound."""
        if not self._backend.can(Capability.TOKENIZE):
            return upper_bound(messages)
        asked = {"model": self._backend.model, **conversation(messages)}
        try:
            count = (await self._exchange.ask("/v1/messages/count_tokens", asked, messages)).get(
                "input_tokens"
            )
        except (AnswerMalformed, BackendRejected):
            count = None
        return count if isinstance(count, int) else upper_bound(messages)


def opened(backend: Backend, key: str, http: httpx2.AsyncClient) -> AnthropicMessages:
    """The backend behind a client of its own."""
    client = AsyncAnthropic(
        api_key=key, base_url=backend.base_url, max_retries=0, timeout=http.timeout, http_client=http
    )
    return AnthropicMessages(client, backend)
