"""A model server that answers as it is told to, well or badly, in OpenAI's and Anthropic's terms.

In a test: `async with StandIn() as backend`, then `backend.script(Reply(...))`. For a benchmark, or from
another process: `python -m tests.support.standin --port 9000 --delay-ms 50 --tokens 20`, with `/control`.
"""

import argparse
import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Literal, Self

import orjson
import uvloop

from tests.support import standin_anthropic, standin_openai
from tests.support.standin_http import Exchange, Listener
from tests.support.standin_player import Player
from tests.support.standin_reply import Call, Fault, Reply, content_text
from tests.support.standin_rules import anthropic_refusal

__all__ = ["Call", "Fault", "Reply", "StandIn"]

Refusal = Callable[[dict[str, Any]], str | None]


class StandIn:
    """One model server on a loopback port.

    `default` answers every call for which nothing is scripted. `refuses` looks at a request's body first, and
    its message becomes a 400; Anthropic's rules hold always. `remember` bounds how many calls are kept. `running`
    calls are there now, `peak` were at once at most.
    """

    def __init__(
        self,
        default: Reply | None = None,
        *,
        port: int = 0,
        models: tuple[str, ...] = ("stand-in",),
        refuses: Refusal | None = None,
        tokenizer: Literal["vllm", "llamacpp"] | None = "vllm",
        remember: int = 10_000,
    ) -> None:
        self.default = default or Reply()
        self.models = models
        self.refuses = refuses
        self.tokenizer = tokenizer
        self.calls: deque[Call] = deque(maxlen=remember)
        self.total = 0
        self.running = self.peak = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._script: deque[Reply] = deque()
        self._arrival = asyncio.Condition()
        self._released = asyncio.Event()
        self._listener = Listener(self._handle, port)

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def connections(self) -> int:
        """How many connections have been opened so far."""
        return self._listener.accepted

    @property
    def origin(self) -> str:
        """The server's root, as Anthropic's SDK wants it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The OpenAI base URL."""
        return f"{self.origin}/v1"

    async def __aenter__(self) -> Self:
        await self._listener.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.close()

    def script(self, *replies: Reply) -> None:
        """The next calls get these, in order; then the default again."""
        self._script.extend(replies)

    def release(self) -> None:
        """Lets every held answer go on."""
        self._released.set()
        self._released = asyncio.Event()

    async def refuse(self) -> None:
        """Closes the port: connections are dropped and refused, until `accept`."""
        await self._listener.close()

    async def accept(self) -> None:
        """Opens the same port again."""
        await self._listener.open()

    def count(self, text: str | None = None, *, model: str | None = None) -> int:
        """How many calls came, of a model, with this in their last user message."""
        return sum(
            number
            for (called, said), number in self._counts.items()
            if (model is None or called == model) and (text is None or text in said)
        )

    async def arrived(self, total: int = 1, within_s: float = 5.0) -> Call:
        """Waits until so many calls have come in all; the latest of them."""
        async with asyncio.timeout(within_s), self._arrival:
            await self._arrival.wait_for(lambda: self.total >= total)
        return self.calls[-1]

    async def _handle(self, exchange: Exchange) -> None:
        match exchange.method, exchange.path:
            case "POST", "/v1/chat/completions" | "/v1/messages":
                await self._chat(exchange)
            case "GET", "/health":
                exchange.send(200, b'{"status":"ok"}')
            case "GET", "/v1/models":
                served = [
                    {"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in self.models
                ]
                exchange.send(200, orjson.dumps({"object": "list", "data": served}))
            case "POST", "/tokenize" if self.tokenizer == "vllm":
                exchange.send(200, standin_openai.counted(orjson.loads(exchange.body)))
            case "POST", "/tokenize" | "/apply-template" if self.tokenizer == "llamacpp":
                exchange.send(200, standin_openai.tokenized(orjson.loads(exchange.body)))
            case "POST", "/v1/messages/count_tokens" if self.tokenizer:
                exchange.send(200, standin_anthropic.counted(orjson.loads(exchange.body)))
            case _, "/control":
                exchange.send(200, orjson.dumps(self._control(exchange.method, exchange.body)))
            case _:
                exchange.send(404, b'{"error":{"message":"no such path","code":404}}')

    async def _chat(self, exchange: Exchange) -> None:
        call = await self._note(exchange)
        reply = self._script.popleft() if self._script else self.default
        anthropic = exchange.path == "/v1/messages"
        dialect = standin_anthropic if anthropic else standin_openai
        refusal = self.refuses(call.body) if self.refuses else None
        refusal = refusal or (anthropic_refusal(call.body) if anthropic else None)
        if refusal:
            reply = Reply(status=400, error=refusal, error_code="invalid_request_error")
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await Player(exchange, call, reply, lambda: self._released).play(dialect)
        except asyncio.CancelledError:
            call.end("disconnected" if not exchange.ended else call.outcome or "faulted")
            raise
        finally:
            self.running -= 1

    async def _note(self, exchange: Exchange) -> Call:
        body = orjson.loads(exchange.body)
        said = [message for message in body.get("messages", []) if message.get("role") == "user"]
        call = Call(
            path=exchange.path,
            model=str(body.get("model")),
            text=content_text(said[-1].get("content")) if said else "",
            body=body,
            headers=exchange.headers,
            at=asyncio.get_running_loop().time(),
        )
        self.calls.append(call)
        self.total += 1
        self._counts[call.model, call.text] += 1
        async with self._arrival:
            self._arrival.notify_all()
        return call

    def _control(self, method: str, body: bytes) -> dict[str, Any]:
        """GET counts; POST {script, default, release} directs; DELETE forgets calls and script."""
        wanted: dict[str, Any] = orjson.loads(body) if method == "POST" else {}
        self.script(*(reply_of(fields) for fields in wanted.get("script", [])))
        if "default" in wanted:
            self.default = reply_of(wanted["default"])
        if wanted.get("release"):
            self.release()
        if method == "DELETE":
            self._script.clear()
            self.calls.clear()
            self._counts.clear()
            self.total = 0
        by_text = [{"model": m, "text": t, "count": n} for (m, t), n in self._counts.items()]
        return {"total": self.total, "scripted": len(self._script), "calls": by_text}


def reply_of(fields: dict[str, Any]) -> Reply:
    """A reply from its JSON."""
    known = dict(fields)
    if "fault" in known:
        known["fault"] = Fault(known["fault"]) if known["fault"] else None
    known["tool_calls"] = tuple((name, arguments) for name, arguments in known.get("tool_calls", []))
    return Reply(**known)


async def _serve(options: argparse.Namespace) -> None:
    reply = Reply(
        delay_s=options.delay_ms / 1000,
        pace_s=options.pace_ms / 1000,
        tokens=options.tokens if options.tokens >= 0 else None,
    )
    async with StandIn(reply, port=options.port, models=tuple(options.model), remember=100) as standin:
        print(standin.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serves until killed; prints the base URL once it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--pace-ms", type=float, default=0.0)
    parser.add_argument("--tokens", type=int, default=-1, help="words an answer; -1 echoes the question")
    parser.add_argument("--model", action="append", default=None)
    options = parser.parse_args()
    options.model = options.model or ["stand-in"]
    uvloop.run(_serve(options))


if __name__ == "__main__":
    main()
