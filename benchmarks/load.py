"""The load: a process of its own, so that its CPU is not the product's. Jobs come in by standard input.

`python -m benchmarks.load` reads one JSON job a line and answers each with one line.
"""

import asyncio
import sys
import time

import msgspec
import uvloop

from benchmarks.wire import Heard, Wire, post

CALL_LIMIT_S = 30.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to call. `fresh` opens a connection for every call, where a server drops those it has kept."""

    name: str
    port: int
    path: str
    body: str
    headers: dict[str, str] = {}
    fresh: bool = False

    def request(self) -> bytes:
        own = {"connection": "close"} if self.fresh else {}
        return post(self.path, self.body.encode(), self.headers | own)


class Alternate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Calls every target once a round, one call at a time, and begins with another one each round."""

    targets: list[Target]
    rounds: int
    warm_up: int = 3


class Crowd(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """So many clients, each with a connection of its own, who between them make so many calls."""

    target: Target
    clients: int
    calls: int


class Took(msgspec.Struct, kw_only=True):
    """One call. `first_ms` is its first token's, `token_ms` the time a token after it; None without a stream."""

    name: str
    ms: float
    first_ms: float | None = None
    token_ms: float | None = None
    turn_id: str | None = None
    error: str | None = None


class Batch(msgspec.Struct, kw_only=True):
    """What a job came to. `seconds` is how long it took, `cpu_s` what this process used."""

    took: list[Took]
    seconds: float
    cpu_s: float


async def one(wire: Wire, target: Target, request: bytes) -> Took:
    """One call, timed. What went wrong is told in the result."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CALL_LIMIT_S):
            heard = await wire.call(request)
    except (TimeoutError, OSError) as error:
        wire.close()
        return Took(name=target.name, ms=_ms_since(began), error=f"{type(error).__name__} {error}")
    took = Took(name=target.name, ms=_ms_since(began), turn_id=_turn_id(heard))
    if target.fresh:
        wire.close()
    if heard.status != 200:
        took.error = f"{heard.status}: {heard.body[:300].decode(errors='replace')}"
    elif heard.headers.get("content-type", "").startswith("text/event-stream"):
        _read_stream(took, heard, began)
    elif b'"status":"failed"' in heard.body[:200]:
        took.error = heard.body[:1000].decode(errors="replace")
    return took


def _turn_id(heard: Heard) -> str | None:
    location = heard.headers.get("location", "")
    return heard.headers.get("x-aither-turn-id") or location.rpartition("/")[2] or None


def _read_stream(took: Took, heard: Heard, began: float) -> None:
    """When the text came: read after the call, so that reading costs it no time."""
    moments: list[float] = []
    tokens = 0
    rest = b""
    for at, piece in heard.pieces:
        *events, rest = (rest + piece).split(b"\n\n")
        for event in events:
            if not event.startswith(b"data: {"):
                continue
            chunk = msgspec.json.decode(event[6:])
            tokens = (chunk.get("usage") or {}).get("completion_tokens") or tokens
            if any(choice["delta"].get("content") for choice in chunk.get("choices", ())):
                moments.append(at)
    if not moments:
        took.error = "a stream without text"
        return
    took.first_ms = 1000 * (moments[0] - began)
    # By the tokens that the backend counted: a chunk may hold several.
    took.token_ms = 1000 * (moments[-1] - moments[0]) / max(1, (tokens or len(moments)) - 1)


async def alternate(job: Alternate) -> list[Took]:
    wires = [(Wire(target.port), target, target.request()) for target in job.targets]
    took: list[Took] = []
    for number in range(job.warm_up + job.rounds):
        turned = number % len(wires)
        for wire, target, request in (*wires[turned:], *wires[:turned]):
            done = await one(wire, target, request)
            if number >= job.warm_up:
                took.append(done)
    for wire, _, _ in wires:
        wire.close()
    return took


async def crowd(job: Crowd) -> list[Took]:
    request = job.target.request()
    left = iter(range(job.calls))
    took: list[Took] = []

    async def client() -> None:
        wire = Wire(job.target.port)
        took.extend([await one(wire, job.target, request) for _ in left])
        wire.close()

    await asyncio.gather(*(client() for _ in range(job.clients)))
    return took


async def run(job: Alternate | Crowd) -> Batch:
    began, used = time.perf_counter(), time.process_time()
    took = await (alternate(job) if isinstance(job, Alternate) else crowd(job))
    return Batch(took=took, seconds=time.perf_counter() - began, cpu_s=time.process_time() - used)


def _ms_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    decoder: msgspec.json.Decoder[Alternate | Crowd] = msgspec.json.Decoder(Alternate | Crowd)
    for line in sys.stdin.buffer:
        batch = uvloop.run(run(decoder.decode(line)))
        sys.stdout.buffer.write(msgspec.json.encode(batch) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
