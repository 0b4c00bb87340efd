"""The chat activity: asks one rung, streams its answer, records it once, and tells whoever waits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
from temporalio import activity

from activities.answering import Gathering
from activities.contracts.chat import ChatCall
from activities.contracts.events import EventKind
from activities.contracts.records import Answer, TurnContext
from activities.contracts.topology import Backend, Topology
from activities.contracts.turn import ChatResult, ChatStep, Hop, HopOutcome, TurnError, TurnStatus
from activities.errors import AitherError, BackendError, BackendTimedOut, to_application_error
from activities.ports import ChatBackend, EventChannel, EventWriter, TurnStore
from activities.running import RunningCalls
from activities.window import answer_reserve, fit

HEARTBEAT = timedelta(seconds=2)
BYTES_A_TOKEN = 8
"""More bytes than any tokenizer packs into a token on average: bounds what is read of a long conversation."""


class ChatActivities:
    """`chat`, on the queue of the pool that it asks."""

    def __init__(
        self,
        topology: Topology,
        backends: Mapping[str, ChatBackend],
        store: TurnStore,
        events: EventChannel,
        running: RunningCalls,
    ) -> None:
        self._topology = topology
        self._backends = backends
        self._store = store
        self._events = events
        self._running = running

    @activity.defn(name="chat")
    async def chat(self, step: ChatStep) -> ChatResult:
        """Asks the rung, unless the step has its answer already.

        Safe to run twice: an answer that was recorded is found and told again, and no model is called.
        """
        try:
            with self._running.track(step.turn_id):
                return await self._chat(step)
        except AitherError as error:
            raise to_application_error(error) from error

    async def _chat(self, step: ChatStep) -> ChatResult:
        backend = self._topology.backend(step.rung.backend)
        context = await self._store.context(
            step.tenant_id, step.turn_id, step.step, backend.window_tokens * BYTES_A_TOKEN
        )
        hop = _hop(step)
        if context.status.ended and context.answer is None:
            return ChatResult(hop=replace(hop, why=f"the turn had been {context.status} already"), ended=True)
        async with self._events.writer(step.turn_id) as events:
            if context.answer is not None:
                hop = _answered(hop, context.answer, "its answer was recorded by an earlier attempt")
                return await self._finish(step, hop, context.answer, events)
            _announce(step, events)
            began = time.monotonic()
            try:
                answer, first_token_ms = await self._ask(step, backend, context, events)
            except BackendError as error:
                return _failed(replace(hop, ran_ms=_ms_since(began)), error, events)
            except asyncio.CancelledError:
                if not self._running.was_cancelled(step.turn_id):
                    raise
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                return ChatResult(hop=replace(hop, ran_ms=_ms_since(began), why="cancelled"), ended=False)
            hop = replace(
                _answered(hop, answer, "it answered"), ran_ms=_ms_since(began), first_token_ms=first_token_ms
            )
            return await self._finish(step, hop, answer, events)

    async def _ask(
        self, step: ChatStep, backend: Backend, context: TurnContext, events: EventWriter
    ) -> tuple[Answer, int | None]:
        """The answer and the milliseconds to its first token. Raises `BackendError`s."""
        client = self._backends[backend.name]
        gathering = Gathering()
        began = time.monotonic()
        first_token_ms: int | None = None
        limit = step.rung.call_timeout
        try:
            async with _heartbeats(), asyncio.timeout(limit.total_seconds()):
                reserve = answer_reserve(backend.window_tokens, context.sampling.max_tokens)
                messages = await fit(
                    (*context.history, *context.input), backend.window_tokens - reserve, client.count_tokens
                )
                call = ChatCall(model=backend.model, messages=messages, sampling=context.sampling)
                async with contextlib.aclosing(client.stream(call)) as chunks:
                    async for chunk in chunks:
                        if (token := gathering.take(chunk)) is not None:
                            if first_token_ms is None:
                                first_token_ms = _ms_since(began)
                            events.emit(EventKind.TOKEN, token)
        except TimeoutError as error:
            raise BackendTimedOut(
                f"{backend.name} did not finish within {limit.total_seconds():.0f} s"
            ) from error
        return gathering.answer(step.step, backend.name, backend.model), first_token_ms

    async def _finish(self, step: ChatStep, hop: Hop, answer: Answer, events: EventWriter) -> ChatResult:
        """Records the answer, and only then tells the client that it stands."""
        recorded = await self._store.record_answer(
            step.tenant_id, step.turn_id, answer, (*step.route, hop), final=True
        )
        events.emit(EventKind.HOP_ENDED, _view(hop))
        if recorded.status.ended:
            events.emit(END_EVENTS[recorded.status], recorded.turn)
        return ChatResult(hop=hop, ended=recorded.status.ended, next_turn_id=recorded.next_turn_id)


END_EVENTS = {
    TurnStatus.COMPLETED: EventKind.TURN_COMPLETED,
    TurnStatus.FAILED: EventKind.TURN_FAILED,
    TurnStatus.CANCELLED: EventKind.TURN_CANCELLED,
}


def _hop(step: ChatStep) -> Hop:
    info = activity.info()
    waited = info.started_time - info.current_attempt_scheduled_time
    return Hop(
        step=step.step,
        rung=step.rung.name,
        pool=step.rung.pool,
        backend=step.rung.backend,
        model=step.rung.model,
        locality=step.rung.locality,
        outcome=HopOutcome.CANCELLED,
        why="",
        waited_ms=max(0, round(waited.total_seconds() * 1000)),
    )


def _announce(step: ChatStep, events: EventWriter) -> None:
    attempt = activity.info().attempt
    data = {
        "step": step.step,
        "rung": step.rung.name,
        "pool": step.rung.pool,
        "backend": step.rung.backend,
        "model": step.rung.model,
        "attempt": attempt,
    }
    if attempt > 1:
        events.emit(EventKind.HOP_RESTARTED, data | {"why": "the attempt before this one was lost"})
    else:
        events.emit(EventKind.HOP_STARTED, data)


def _answered(hop: Hop, answer: Answer, why: str) -> Hop:
    usage = answer.usage
    return replace(
        hop,
        outcome=HopOutcome.ANSWERED,
        why=why,
        model_served=answer.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


def _failed(hop: Hop, error: BackendError, events: EventWriter) -> ChatResult:
    hop = replace(hop, outcome=HopOutcome.FAILED, why=f"{error.code}: {error.message}")
    events.emit(EventKind.HOP_ENDED, _view(hop))
    return ChatResult(
        hop=hop,
        ended=False,
        error=TurnError(code=error.code, message=error.message),
        retry_after=error.retry_after,
    )


@asynccontextmanager
async def _heartbeats() -> AsyncGenerator[None]:
    """Says that the call lives, and lets a cancellation in."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            activity.heartbeat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


def _view(hop: Hop) -> dict[str, Any]:
    return msgspec.to_builtins(hop)


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
