"""The configured backends, ready to be asked."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx2
from openai import AsyncOpenAI

from activities.contracts.backends import Backend, BackendKind, Locality
from activities.contracts.topology import Topology
from activities.ports import ChatBackend
from infra.llm.keyless import Keyless
from infra.llm.openai_chat import OpenAIChat
from infra.llm.transport import AiohttpTransport
from infra.telemetry.tracing import traced

CONNECT_S = 5.0
SILENCE = timedelta(minutes=2)
"""How long a backend may say nothing, before its first token or between two: a long prompt takes its time."""


@asynccontextmanager
async def open_backends(
    topology: Topology, env: Mapping[str, str], *, silence: timedelta = SILENCE
) -> AsyncGenerator[dict[str, ChatBackend]]:
    """The configured chat backends by name, with their connections; leaving the block closes them."""
    async with opening(env, silence=silence) as opened:
        yield {backend.name: opened(backend) for backend in topology.backends}


@asynccontextmanager
async def opening(
    env: Mapping[str, str], *, silence: timedelta = SILENCE
) -> AsyncGenerator[Callable[[Backend], ChatBackend]]:
    """What opens a backend, at any time within the block; leaving it closes their connections.

    `env` holds the keys, by the names that the backends give. A backend whose key is missing refuses every
    call and says why, so that one provider that is not paid for does not stop the others.
    """
    timeout = httpx2.Timeout(silence.total_seconds(), connect=CONNECT_S, pool=None)
    async with AsyncExitStack() as open_until:
        clients = {
            locality: await open_until.enter_async_context(
                httpx2.AsyncClient(
                    transport=traced(
                        AiohttpTransport(proxied=locality is Locality.CLOUD),
                        tells=locality is Locality.LOCAL,
                    ),
                    timeout=timeout,
                    trust_env=False,
                )
            )
            for locality in Locality
        }
        yield lambda backend: _opened(backend, env, clients[backend.locality])


def _opened(backend: Backend, env: Mapping[str, str], http: httpx2.AsyncClient) -> ChatBackend:
    key = env.get(backend.api_key_env, "").strip() if backend.api_key_env else "none"
    if not key:
        return Keyless(backend)
    if backend.kind is BackendKind.ANTHROPIC:
        # Here, because the SDK takes a second to import, and many installations have no use for it.
        from infra.llm.anthropic_messages import opened

        return opened(backend, key, http)
    client = AsyncOpenAI(
        api_key=key, base_url=backend.base_url, max_retries=0, timeout=http.timeout, http_client=http
    )
    # The SDK takes these from the environment, and would send them to whoever serves the backend.
    client.organization = client.project = None
    return OpenAIChat(client, backend)
