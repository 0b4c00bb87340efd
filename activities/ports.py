"""What the activities need of the world, as protocols that infra implements and tests fake."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from activities.contracts.backends import Backend, Price
from activities.contracts.cards import Lease
from activities.contracts.chat import ChatCall, ChatChunk, Message, Sampling, Usage
from activities.contracts.events import EventKind
from activities.contracts.policy import Barred, Caps
from activities.contracts.records import (
    Answer,
    CallCost,
    DueTurn,
    Recorded,
    Reservation,
    SpendCall,
    TurnContext,
)
from activities.contracts.turn import Hop, TurnEnding

FREE = CallCost()


class ChatBackend(Protocol):
    """One model backend. Raises `BackendError`s only, and owns no retry."""

    def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        """Streams one answer. Closing the iterator stops the model call."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of these messages by the model's own template, or an upper bound."""
        ...


class TurnStore(Protocol):
    """Turns and answers in PostgreSQL. Raises `StoreUnavailable` and `TurnNotFound`."""

    async def context(
        self, tenant_id: str, turn_id: str, step: int, history_bytes: int, earlier: Sequence[int] = ()
    ) -> TurnContext:
        """The step's context: at most `history_bytes` bytes of earlier messages, and these steps' answers."""
        ...

    async def record_answer(
        self,
        tenant_id: str,
        turn_id: str,
        answer: Answer,
        route: Sequence[Hop],
        *,
        final: bool,
        cost: CallCost = FREE,
    ) -> Recorded:
        """Records the answer and its cost unless the step has one; `final` also completes the turn."""
        ...

    async def record_partial(self, tenant_id: str, turn_id: str, partial: Answer) -> None:
        """Keeps the text of a call that broke off, for the next rung to go on from."""
        ...

    async def end_turn(self, ending: TurnEnding) -> Recorded:
        """Records the end unless the turn has one."""
        ...

    async def due_turns(self, limit: int) -> Sequence[DueTurn]:
        """Turns that should have a running workflow and were not looked at lately, of all tenants."""
        ...


class EventWriter(Protocol):
    """Writes one attempt's events, in order, without ever blocking or failing the attempt."""

    def emit(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Queues an event; it is on its way before the caller next awaits for long."""
        ...


class EventChannel(Protocol):
    """The side channel that carries a turn's events to whoever listens."""

    async def text_so_far(self, turn_id: str, step: int) -> str:
        """What a lost attempt at the step has told the client of its answer; empty where that is unknown."""
        ...

    def writer(self, turn_id: str) -> AbstractAsyncContextManager[EventWriter]:
        """A writer for a new attempt; leaving the block flushes it."""
        ...


class SpendLedger(Protocol):
    """Money, set aside before a call and given back after it; answers book theirs as they are recorded."""

    async def reserve(self, call: SpendCall, nano_usd: int, caps: Caps) -> Reservation:
        """Sets at most `nano_usd` aside for the call within the caps. Safe to run twice."""
        ...

    async def release(self, call: SpendCall) -> None:
        """Gives back what was set aside for a call that is not billed. Safe to run twice."""
        ...


class Breakers(Protocol):
    """One circuit breaker a backend, as this process has seen them."""

    def admit(self, backend: str) -> int | Barred:
        """A ticket for one call, to be reported or abandoned, or why the backend may not be called now."""
        ...

    def report(
        self, backend: str, ticket: int, code: str | None, retry_after: timedelta | None = None
    ) -> None:
        """How the call ended: None for success, else a code of `activities.errors`."""
        ...

    def abandon(self, backend: str, ticket: int) -> None:
        """We gave the call up ourselves: it says nothing about the backend."""
        ...

    def barred(self) -> tuple[Barred, ...]:
        """The backends that may not be called now."""
        ...

    def phase(self, backend: str) -> str:
        """`closed`, `open` or `half_open`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One of a member's slots, for one call. `ticket` is its breaker's: report it or abandon it."""

    backend: Backend
    client: ChatBackend
    ticket: int


class Seats(Protocol):
    """The members of the pools that this process serves, and who sits where."""

    def take(
        self,
        pool: str,
        *,
        turn_id: str,
        only: str | None = None,
        avoid: Sequence[str] = (),
        patience: timedelta = timedelta(),
    ) -> AbstractAsyncContextManager[Seat | Barred]:
        """A slot of the member with the most room, for as long as the block; or why there is none.

        Waits for `patience` where members are there but full. `only` names the one that will do, `avoid` those
        that will not. Raises `Overtaken` out of the block when the slot is lost to another process.
        """
        ...

    def member(self, name: str) -> Backend | None:
        """The backend of that name, if it is, or lately was, a member of a pool."""
        ...

    def any_other(self, pool: str, tried: Sequence[str]) -> bool:
        """Whether a member that is up is left besides those."""
        ...

    def note_wait(self, pool: str, waited_ms: int) -> None:
        """How long a call has waited in the pool's queue."""
        ...

    def barred(self) -> tuple[Barred, ...]:
        """The backends of the pools of which no member may be called now."""
        ...


class Leases(Protocol):
    """Asks a card whether a lease still stands. Raises `StoreUnavailable` where nobody can tell."""

    async def stands(self, lease: Lease) -> bool:
        """Whether work that brings this lease may go on."""
        ...


class Verdict(Protocol):
    """What a supervisor says of an answer: see `workflows.policy.supervisor.Verdict`."""

    @property
    def flaw(self) -> StrEnum | None:
        """What is wrong, if anything."""
        ...

    @property
    def usable(self) -> bool:
        """Whether the answer may go out all the same."""
        ...

    @property
    def why(self) -> str:
        """In a few words, of form only."""
        ...


class Rules(Protocol):
    """The pure rules that a call is made and judged by; `workflows.policy` holds them."""

    def judge(self, answer: Answer, asked: Sampling, failed_tools: int) -> Verdict:
        """Whether an answer may stand."""
        ...

    def most(self, prompt_tokens: int, max_tokens: int, price: Price | None) -> int:
        """What a call can cost at most, in nano-dollars."""
        ...

    def cost(self, usage: Usage, price: Price | None) -> int:
        """What a call has cost, in nano-dollars."""
        ...

    def cost_elsewhere(self, usage: Usage, reference: Price) -> int:
        """What its tokens would have cost on the reference model, in nano-dollars."""
        ...


class StartOutcome(StrEnum):
    """What starting a turn's workflow came to. `CLOSED`: it has run and closed before."""

    STARTED = "started"
    RUNNING = "running"
    CLOSED = "closed"


class TurnStarter(Protocol):
    """Starts turns' workflows; starting one that runs or has run changes nothing."""

    async def start(self, tenant_id: str, turn_id: str) -> StartOutcome:
        """Starts the turn's workflow from its row."""
        ...
