"""Chat over the OpenAI chat-completions protocol: vLLM, llama.cpp, OpenAI, DeepSeek, Gemini."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import openai
from openai import AsyncOpenAI

from activities.contracts.backends import Backend, Capability
from activities.contracts.chat import ChatCall, ChatChunk, Message
from activities.errors import AnswerMalformed, BackendRejected, ModelMissing
from infra.llm.dialects import MANNERS, Tokenize
from infra.llm.exchange import Exchange, Sdk
from infra.llm.failures import Failures
from infra.llm.openai_request import as_json, request_body
from infra.llm.openai_wire import ChunkReader
from infra.llm.tokens import upper_bound

OPENAI = Sdk(
    status_error=openai.APIStatusError,
    connection_error=openai.APIConnectionError,
    stream=openai.AsyncStream[Any],
)


class OpenAIChat:
    """One backend behind an openai client, which must not retry (`max_retries=0`).

    The client's timeouts bound connecting and silence; the whole call is bounded by the caller.
    """

    def __init__(self, client: AsyncOpenAI, backend: Backend) -> None:
        self._backend = backend
        self._manner = MANNERS[backend.dialect]
        self._failures = Failures(backend.name, (client.api_key,))
        self._exchange = Exchange(client, OPENAI, self._failures)
        # What a server offers beside its API lies beside `/v1`, not below it.
        self._root = str(client.base_url).rstrip("/").removesuffix("/v1")
        self._tokenize = self._manner.tokenize if backend.can(Capability.TOKENIZE) else None

    def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        """Streams one answer, whole or with an error. Closing the iterator drops the connection."""
        return self._exchange.answer(
            "/chat/completions",
            request_body(call, self._backend, self._manner),
            call.messages,
            ChunkReader(self._failures, needs_done=self._manner.ends_with_done),
        )

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens by the server's own template, or an upper bound where it does not tell.

        Raises what a failing server raises. One that is well but has no such endpoint is not asked again.
        """
        while self._tokenize is not None:
            try:
                counted = await self._count(self._tokenize, messages)
            except (AnswerMalformed, BackendRejected, ModelMissing):
                counted = None
            if counted is not None:
                return counted
            # vLLM's endpoint is asked first: llama.cpp answers vLLM's question harmlessly, without a count.
            self._tokenize = Tokenize.LLAMACPP if self._tokenize is Tokenize.PROBE else None
        return upper_bound(messages)

    async def _count(self, where: Tokenize, messages: Sequence[Message]) -> int | None:
        """Tokens as the server counts them; None where its answer holds no count."""
        said = [as_json(message) for message in self._manner.normalise(messages)]
        if where is Tokenize.LLAMACPP:
            rendered = await self._ask("/apply-template", {"messages": said}, messages)
            text = {"content": rendered.get("prompt"), "add_special": True, "parse_special": True}
            tokens = (await self._ask("/tokenize", text, messages)).get("tokens")
            return len(cast("list[Any]", tokens)) if isinstance(tokens, list) else None
        asked = {"model": self._backend.model, "messages": said, "add_generation_prompt": True}
        count = (await self._ask("/tokenize", asked, messages)).get("count")
        return count if isinstance(count, int) else None

    async def _ask(self, path: str, body: dict[str, Any], said: Sequence[Message]) -> dict[str, Any]:
        return await self._exchange.ask(self._root + path, body, said)
