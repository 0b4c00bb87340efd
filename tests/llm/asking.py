"""How the adapter tests reach a backend: the real adapters and SDKs over HTTP to the stand-in."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from activities.contracts.backends import Backend, BackendKind, Capability, Dialect
from activities.contracts.chat import ChatCall, ChatChunk, Message, Role, Sampling
from activities.contracts.topology import Topology
from activities.ports import ChatBackend
from infra.llm.backends import open_backends
from tests.support.standin import StandIn

KEY = "sk-very-secret-0123456789"
KINDS = (BackendKind.OPENAI, BackendKind.ANTHROPIC)


@dataclass
class Gathered:
    """A stream, put together."""

    text: str = ""
    reasoning: str = ""
    calls: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    chunks: list[ChatChunk] = field(default_factory=list[ChatChunk])

    @property
    def finish(self) -> Any:
        return [c.finish_reason for c in self.chunks if c.finish_reason]

    @property
    def usage(self) -> Any:
        return [c.usage for c in self.chunks if c.usage]

    @property
    def model(self) -> str | None:
        return next((c.model for c in self.chunks if c.model), None)


async def gather(chunks: AsyncIterator[ChatChunk]) -> Gathered:
    got = Gathered()
    async for chunk in chunks:
        got.chunks.append(chunk)
        got.text += chunk.text
        got.reasoning += chunk.reasoning
        for delta in chunk.tool_calls:
            call = got.calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
            call["id"] = delta.id or call["id"]
            call["name"] = delta.name or call["name"]
            call["arguments"] += delta.arguments
    return got


def saying(text: str, **sampling: Any) -> ChatCall:
    return ChatCall(
        model="stand-in",
        messages=(Message(role=Role.USER, content=text),),
        sampling=Sampling(**sampling),
    )


@asynccontextmanager
async def asking(
    standin: StandIn,
    kind: BackendKind = BackendKind.OPENAI,
    *,
    dialect: Dialect = Dialect.VLLM,
    capabilities: tuple[Capability, ...] = (),
    silence_s: float = 5.0,
) -> AsyncGenerator[ChatBackend]:
    backend = Backend(
        name="rung",
        kind=kind,
        dialect=dialect,
        base_url=standin.origin if kind is BackendKind.ANTHROPIC else standin.url,
        model="stand-in",
        capabilities=capabilities,
        api_key_env="RUNG_KEY",
    )
    topology = Topology(backends=(backend,), ladders=())
    env = {"RUNG_KEY": KEY}
    async with open_backends(topology, env, silence=timedelta(seconds=silence_s)) as backends:
        yield backends["rung"]
