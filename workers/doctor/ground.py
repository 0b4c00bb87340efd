"""The ground that drills are run on: copies of a configured backend, one of which misbehaves.

What is configured of breaker and repeats holds; only waiting is cut short, so that silence is noticed within a
second.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from activities.contracts.backends import Backend, Capability, Ladder, Locality, Price, Rung
from activities.contracts.policy import TurnPolicy
from activities.contracts.topology import Topology
from activities.contracts.turn import Hop, HopOutcome
from infra.doctor.misbehaving import TEXT, WELL, MisbehavingServer
from infra.llm.backends import opening
from workers.breakers import BreakerBoard
from workers.doctor.rehearsal import Ended, Stage
from workers.pools.desk import Desk

SILENCE = timedelta(seconds=0.6)
CALL_TIMEOUT = timedelta(seconds=2)
ROOM_S = 1.5
"""What a turn may take beside its rungs' budgets, on a machine that is busy."""
DRILLED, STANDBY = "drilled", "standby"
PRICE = Price(input_usd=1.0, output_usd=1.0, read_on="2026-11-01")


class Wrong(Exception):
    """Something went another way than it should have; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A fault, what should come of it, and how that is tried: `run` returns what happened, or raises `Wrong`."""

    name: str
    expected: str
    run: "Callable[[Ground], Awaitable[str]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A drill that was run."""

    name: str
    expected: str
    happened: str
    passed: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Two backends, of which one misbehaves."""

    server: MisbehavingServer
    stage: Stage

    async def healthy_again(self) -> str:
        """The server is well from here on: the next turn that may ask it is answered by it."""
        self.server.now = WELL
        began = time.monotonic()
        await self.until_tried_again()
        ended = await self.stage.climb("after")
        if ended.text != TEXT or ended.route[0].outcome is not HopOutcome.ANSWERED:
            raise Wrong(f"the next healthy request was not answered by it: {told(ended)}")
        return f"healthy {time.monotonic() - began:.1f} s later"

    async def until_tried_again(self) -> None:
        """Waits until its breaker lets a call through."""
        patience = 2 * self.stage.topology.breaker.first_open_s + ROOM_S
        try:
            async with asyncio.timeout(patience):
                while True:
                    barred = self.stage.breakers.barred()
                    if not barred:
                        return
                    await asyncio.sleep(max(0.02, min(each.retry_in_s for each in barred)))
        except TimeoutError:
            raise Wrong(f"still barred after {patience:.0f} s") from None


async def score(drill: Drill, configured: Topology, like: Backend) -> Scored:
    """Runs the drill with copies of the backend `like`."""
    began = time.monotonic()
    try:
        async with _ground(configured, like) as ground:
            happened, passed = await drill.run(ground), True
    except Wrong as wrong:
        happened, passed = str(wrong), False
    except Exception as error:
        happened, passed = f"it broke: {type(error).__name__}: {error}", False
    return Scored(
        name=drill.name,
        expected=drill.expected,
        happened=happened,
        passed=passed,
        seconds=time.monotonic() - began,
    )


def told(ended: Ended) -> str:
    """The route in a few words."""
    hops = ", ".join(f"{hop.rung} {hop.outcome} ({hop.why})" for hop in ended.route)
    return hops if ended.error is None else f"{hops}; failed with {ended.error.code}"


def check_whole(ended: Ended, by: str = STANDBY) -> None:
    """The client has the whole answer, once, from whom it should come."""
    if ended.text != TEXT:
        raise Wrong(f"the answer is not whole: {ended.text!r}; {told(ended)}")
    if ended.notes.told != TEXT:
        raise Wrong(f"the client was told {ended.notes.told!r}")
    if ended.route[-1].rung != by:
        raise Wrong(f"{ended.route[-1].rung} answered: {told(ended)}")


def check_unbilled(ended: Ended, hop: Hop) -> None:
    """A call that failed costs nothing, and nothing stays set aside for it."""
    if ended.notes.billed.get(hop.step) or hop.cost_usd:
        raise Wrong(f"the failed call was billed {hop.cost_usd}")
    if ended.notes.set_aside:
        raise Wrong("money stayed set aside for a call that failed")


@asynccontextmanager
async def _ground(configured: Topology, like: Backend) -> AsyncGenerator[Ground]:
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(MisbehavingServer(f"{name}-model")) for name in (DRILLED, STANDBY)
        ]
        copies = [
            replace(
                like,
                name=name,
                base_url=server.url,
                model=server.model,
                pool=None,
                api_key_env=None,
                locality=Locality.LOCAL,
                window_tokens=max(8192, like.window_tokens),
                capabilities=tuple(each for each in like.capabilities if each is not Capability.TOKENIZE),
                price=PRICE,
            )
            for name, server in zip((DRILLED, STANDBY), servers, strict=True)
        ]
        topology = replace(
            configured,
            backends=tuple(copies),
            ladders=(Ladder(name="drill", answer=tuple(map(_rung, copies))),),
            default_ladder="drill",
            reference=None,
            turn_policy=TurnPolicy(),
        )
        opened = await stack.enter_async_context(opening({}, silence=SILENCE))
        breakers = BreakerBoard(topology.breaker)
        desk = Desk.of(topology, opened, breakers)
        stage = Stage(topology=topology, seats=desk, breakers=breakers)
        yield Ground(server=servers[0], stage=stage)


def _rung(backend: Backend) -> Rung:
    return Rung(
        name=backend.name,
        pool=backend.queue,
        backend=backend.name,
        model=backend.model,
        patience=CALL_TIMEOUT,
        call_timeout=CALL_TIMEOUT,
    )
