"""Rungs with stand-ins on them, and the topologies that they make."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from activities.contracts.backends import (
    Backend,
    BackendKind,
    Capability,
    Dialect,
    Ladder,
    Locality,
    Price,
    Rung,
)
from activities.contracts.policy import RepeatRules
from activities.contracts.topology import Topology
from tests.support.standin import StandIn

PRICE = Price(input_usd=2.0, output_usd=10.0, read_on="2026-11-01")
CONTINUES = (Capability.PREFILL, Capability.TOOLS)
CALLS_TOOLS = (Capability.TOOLS,)

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One rung, and the stand-in that sits on it. `call_s` bounds the call, `patience_s` the wait for room."""

    name: str
    standin: StandIn
    cloud: bool = False
    price: Price | None = None
    capabilities: tuple[Capability, ...] = ()
    window_tokens: int = 8192
    slots: int = 4
    call_s: float = 5.0
    patience_s: float = 5.0
    model: str = ""
    kind: BackendKind = BackendKind.OPENAI
    dialect: Dialect = Dialect.VLLM

    def backend(self, suffix: str) -> Backend:
        return Backend(
            name=self.name,
            kind=self.kind,
            dialect=self.dialect,
            base_url=self.standin.origin if self.kind is BackendKind.ANTHROPIC else self.standin.url,
            model=self.model or f"{self.name}-model",
            slots=self.slots,
            window_tokens=self.window_tokens,
            locality=Locality.CLOUD if self.cloud else Locality.LOCAL,
            capabilities=self.capabilities,
            price=self.price,
            pool=f"llm-{self.name}-{suffix}",
        )

    def rung(self, suffix: str) -> Rung:
        backend = self.backend(suffix)
        return Rung(
            name=backend.name,
            pool=backend.queue,
            backend=backend.name,
            model=backend.model,
            patience=timedelta(seconds=self.patience_s),
            call_timeout=timedelta(seconds=self.call_s),
            locality=backend.locality,
        )


def laid_out(answer: Sequence[Seat], reason: Sequence[Seat] = (), **rules: Any) -> Topology:
    """A topology of one ladder over these seats, on pools that no other house has. Waits are short."""
    suffix = f"{next(_numbers)}"
    everyone = {seat.name: seat.backend(suffix) for seat in (*answer, *reason)}
    ladder = Ladder(
        name="auto",
        answer=tuple(seat.rung(suffix) for seat in answer),
        reason=tuple(seat.rung(suffix) for seat in reason),
    )
    rules.setdefault("repeats", RepeatRules(times=2, first=timedelta(milliseconds=50)))
    return Topology(backends=tuple(everyone.values()), ladders=(ladder,), **rules)
