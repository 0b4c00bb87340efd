"""The product as it is shipped, in a directory of its own, with a stand-in beside its embedded model."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.load import Alternate, Batch, Crowd, Target, Took
from benchmarks.processes import start, stop
from benchmarks.wire import Wire, post
from infra.embedded import state
from infra.embedded.state import Phase
from infra.topology import EMBEDDED_CHAT_MODEL
from tests.support.stack import AITHER, ROOT, Stack, free_port_base

STAND_IN = "stand-in"
START_LIMIT_S = 90.0
QUESTION = "What is the least machine that can answer this question, and what does it cost?"

CONFIG = """\
[backends.{name}]
base_url = "http://127.0.0.1:{port}/v1"
model = "{name}"
slots = 1100
window_tokens = 1048576
"""


class BenchError(Exception):
    """A measurement could not be made."""


@dataclass(slots=True)
class Product:
    """The stack, the stand-in and the load client, each of them processes of their own."""

    stack: Stack
    stand_in: asyncio.subprocess.Process
    stand_in_port: int
    client: asyncio.subprocess.Process
    running: asyncio.subprocess.Process | None = None

    async def up(self) -> float:
        """Starts the stack; the `perf_counter` at which its start began."""
        began = time.perf_counter()
        command = [*AITHER, *self.stack.up_arguments(detach=False)]
        self.running = await start(*command, env=self.stack.environment, cwd=self.stack.data_dir)
        async with asyncio.timeout(START_LIMIT_S):
            while True:
                seen = state.read(self.stack.layout)
                # An earlier run's state lies there until the new supervisor writes its own.
                if seen and seen.pid == self.running.pid and seen.phase is Phase.UP:
                    return began
                if self.running.returncode is not None:
                    raise BenchError(f"the stack did not come up; see {self.stack.layout.logs_dir}")
                await asyncio.sleep(0.02)

    async def down(self) -> None:
        if self.running is not None:
            await stop(self.running)

    @property
    def pids(self) -> dict[str, int]:
        """The stack's parts, what they answer with, and what asks them."""
        parts = {part.name: part.pid for part in self.stack.state.parts if part.pid}
        return parts | {"stand-in": self.stand_in.pid, "client": self.client.pid}

    async def reply_with(self, *, delay_ms: float = 0, pace_ms: float = 0, tokens: int = 20) -> None:
        """What the stand-in answers from now on."""
        reply = {"delay_s": delay_ms / 1000, "pace_s": pace_ms / 1000, "tokens": tokens}
        wire = Wire(self.stand_in_port)
        await wire.call(post("/control", msgspec.json.encode({"default": reply}), {}))
        wire.close()

    async def load(self, job: Alternate | Crowd) -> Batch:
        """Has the load client do it."""
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        self.client.stdin.write(msgspec.json.encode(job) + b"\n")
        line = await self.client.stdout.readline()
        if not line:
            raise BenchError("the load client has gone")
        batch = msgspec.json.decode(line, type=Batch)
        failed = [took for took in batch.took if took.error]
        if len(failed) * 10 > len(batch.took):
            raise BenchError(f"{len(failed)} of {len(batch.took)} calls failed: {failed[0].error}")
        return batch

    # --- what may be called

    def bare(self, *, stream: bool = False) -> Target:
        """The stand-in itself."""
        body = chat_body(STAND_IN, stream=stream)
        return Target(name="bare", port=self.stand_in_port, path="/v1/chat/completions", body=body)

    def bare_model(self, tokens: int) -> Target:
        """The embedded model itself, streaming. Its server closes what it has streamed on."""
        body = chat_body(EMBEDDED_CHAT_MODEL, stream=True, tokens=tokens)
        port = self.stack.port("orchestrator")
        return Target(name="bare", port=port, path="/v1/chat/completions", body=body, fresh=True)

    def completions(
        self, model: str = STAND_IN, *, stream: bool = False, tokens: int | None = None
    ) -> Target:
        """A turn by OpenAI's protocol."""
        body = chat_body(model, stream=stream, tokens=tokens)
        return self._api("/v1/chat/completions", body)

    def turns(self, question: str = QUESTION) -> Target:
        """A turn by the product's own protocol, waited for."""
        return self._api(
            "/v1/turns", json.dumps({"input": question, "model": STAND_IN}), {"prefer": "wait=30"}
        )

    def _api(self, path: str, body: str, headers: dict[str, str] | None = None) -> Target:
        own = {"authorization": f"Bearer {self.stack.api_key}", **(headers or {})}
        return Target(name=path, port=self.stack.port("api"), path=path, body=body, headers=own)


def chat_body(model: str, *, stream: bool, tokens: int | None = None) -> str:
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if tokens is not None:
        body |= {"max_tokens": tokens, "temperature": 0}
    return json.dumps(body)


def good(batch: Batch, name: str) -> list[Took]:
    """The calls of that name that went well."""
    return [took for took in batch.took if took.name == name and took.error is None]


@asynccontextmanager
async def product() -> AsyncGenerator[Product]:
    """Everything but the stack itself is up within the block; all of it is gone after it."""
    home = Path(tempfile.mkdtemp(prefix="aither-bench-"))
    # PostgreSQL runs as another user where this runs as root.
    home.chmod(0o711)
    async with AsyncExitStack() as exits:
        exits.callback(shutil.rmtree, home, ignore_errors=True)
        python = sys.executable
        command = (python, "-m", "tests.support.standin", "--model", STAND_IN)
        stand_in = await start(*command, cwd=ROOT, talks=True)
        exits.push_async_callback(stop, stand_in)
        client = await start(python, "-m", "benchmarks.load", cwd=ROOT, talks=True)
        exits.push_async_callback(stop, client)
        assert stand_in.stdout is not None
        url = (await asyncio.wait_for(stand_in.stdout.readline(), 30)).decode()
        port = int(url.rpartition(":")[2].partition("/")[0])
        config = home / "aither.toml"
        config.write_text(CONFIG.format(name=STAND_IN, port=port))
        stack = Stack(home / "data", free_port_base(), env={"AITHER_CONFIG_FILE": str(config)})
        stack.data_dir.mkdir()
        whole = Product(stack, stand_in, port, client)
        exits.push_async_callback(whole.down)
        yield whole
