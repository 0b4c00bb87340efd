"""The chat activity: asks one rung, streams its answer, records it once, and tells whoever waits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import activity

from activities import hops, rulings
from activities.answering import REASON, Gathering
from activities.asking import call_for, failed_tools
from activities.contracts.chat import ChatCall, FinishReason
from activities.contracts.events import EventKind
from activities.contracts.policy import Barred
from activities.contracts.records import Answer, CallCost, TurnContext
from activities.contracts.topology import Backend, Capability, Locality, Topology
from activities.contracts.turn import ChatResult, ChatStep, Hop, HopOutcome, TurnError
from activities.errors import AitherError, BackendError, BackendTimedOut, to_application_error
from activities.ports import (
    Breakers,
    ChatBackend,
    EventChannel,
    EventWriter,
    Rules,
    SpendLedger,
    TurnStore,
)
from activities.running import RunningCalls
from activities.window import upper_bound

HEARTBEAT = timedelta(seconds=2)
BYTES_A_TOKEN = 8
"""More bytes than any tokenizer packs into a token on average: bounds what is read of a long conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPorts:
    """What `chat` needs of the world."""

    topology: Topology
    backends: Mapping[str, ChatBackend]
    store: TurnStore
    ledger: SpendLedger
    events: EventChannel
    breakers: Breakers
    rules: Rules
    running: RunningCalls


@dataclass(slots=True)
class _Attempt:
    """One attempt at a step, as it goes."""

    step: ChatStep
    backend: Backend
    context: TurnContext
    hop: Hop
    events: EventWriter
    gathering: Gathering
    began: float
    first_token_ms: int | None = None

    def timed(self) -> Hop:
        return replace(self.hop, ran_ms=_ms_since(self.began), first_token_ms=self.first_token_ms)


class ChatActivities:
    """`chat`, on the queue of the pool that it asks."""

    def __init__(self, ports: ChatPorts) -> None:
        self._ports = ports

    @activity.defn(name="chat")
    async def chat(self, step: ChatStep) -> ChatResult:
        """Asks the rung, unless the step has its answer already.

        Safe to run twice: an answer that was recorded is found and told again, and no model is called.
        """
        try:
            with self._ports.running.track(step.turn_id):
                result = await self._chat(step)
        except AitherError as error:
            raise to_application_error(error) from error
        return replace(result, barred=self._ports.breakers.barred())

    async def _chat(self, step: ChatStep) -> ChatResult:
        ports = self._ports
        backend = ports.topology.backend(step.rung.backend)
        earlier = [s for s in (step.consult_step, step.compose_step, step.continue_step) if s is not None]
        context = await ports.store.context(
            step.tenant_id, step.turn_id, step.step, backend.window_tokens * BYTES_A_TOKEN, earlier
        )
        info = activity.info()
        hop = hops.blank(step, info.current_attempt_scheduled_time, info.started_time)
        if context.answer is not None:
            async with ports.events.writer(step.turn_id) as events:
                return await self._take_up(step, backend, context, hop, events)
        if context.status.ended:
            return ChatResult(hop=replace(hop, why=f"the turn was {context.status} already"), ended=True)
        if step.local_only and backend.locality is not Locality.LOCAL:
            # The ladder never asks this; should it ever, nothing leaves the building all the same.
            return rulings.refused(
                hop, "local_only", f"{backend.name} is outside, and the turn may not leave"
            )
        ticket = ports.breakers.admit(backend.name)
        if isinstance(ticket, Barred):
            wait = timedelta(seconds=ticket.retry_in_s)
            return rulings.refused(hop, "breaker_open", ticket.why, retry_after=wait)
        prefix = await self._prefix(step, backend, context)
        async with ports.events.writer(step.turn_id) as events:
            rulings.announce(step, context, events, attempt=info.attempt, offset=len(prefix))
            attempt = _Attempt(
                step=step,
                backend=backend,
                context=context,
                hop=hop,
                events=events,
                gathering=Gathering(prefix),
                began=time.monotonic(),
            )
            return await self._admitted(attempt, ticket, prefix)

    async def _admitted(self, attempt: _Attempt, ticket: int, prefix: str) -> ChatResult:
        """Makes the call that the breaker let through, and reports to it whatever comes of it."""
        breakers, name = self._ports.breakers, attempt.backend.name
        try:
            result = await self._ask(attempt, prefix)
        except BackendError as error:
            breakers.report(name, ticket, error.code, error.retry_after)
            return await self._failed(attempt, error)
        except asyncio.CancelledError:
            breakers.abandon(name, ticket)
            if not self._ports.running.was_cancelled(attempt.step.turn_id):
                raise
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return ChatResult(hop=attempt.timed(), ended=False)
        except BaseException:
            breakers.abandon(name, ticket)
            raise
        breakers.report(name, ticket, None)
        return result

    async def _ask(self, attempt: _Attempt, prefix: str) -> ChatResult:
        """Asks, within the rung's time; sets the money aside first. Raises `BackendError`s."""
        step, backend = attempt.step, attempt.backend
        limit = step.rung.call_timeout.total_seconds()
        client = self._ports.backends[backend.name]
        try:
            async with _heartbeats(), asyncio.timeout(limit):
                call = await call_for(step, backend, client, attempt.context, prefix.rstrip())
                if (refusal := await self._reserve(attempt, call)) is not None:
                    return refusal
                async with contextlib.aclosing(client.stream(call)) as chunks:
                    async for chunk in chunks:
                        if chunk.model:
                            rulings.check_served(backend, chunk.model)
                        if (token := attempt.gathering.take(chunk)) is None:
                            continue
                        if attempt.first_token_ms is None:
                            attempt.first_token_ms = _ms_since(attempt.began)
                        attempt.events.emit(EventKind.TOKEN, token)
        except TimeoutError as error:
            raise BackendTimedOut(f"{backend.name} did not finish within {limit:.0f} s") from error
        answer = attempt.gathering.answer(step.step, backend.name, backend.model)
        return await self._judge(attempt, answer)

    async def _reserve(self, attempt: _Attempt, call: ChatCall) -> ChatResult | None:
        """Sets aside what the call can cost at most; a result where a cap forbids it."""
        backend, step = attempt.backend, attempt.step
        answer_tokens = call.sampling.max_tokens or step.max_tokens
        nano = self._ports.rules.most(upper_bound(call.messages), answer_tokens, backend.price)
        if nano == 0:
            return None
        reservation = await self._ports.ledger.reserve(rulings.spend_call(step, backend), nano, step.caps)
        if reservation.granted:
            return None
        why = f"up to ${nano / hops.NANO:.6f} would break the {reservation.cap}'s cap"
        return rulings.refused(attempt.timed(), "over_budget", why)

    async def _judge(self, attempt: _Attempt, answer: Answer) -> ChatResult:
        """Lets a good answer stand, and leaves a flawed or handed-on one to the ladder."""
        step, context = attempt.step, attempt.context
        pulled = step.offer_reason and any(call.name == REASON for call in answer.tool_calls)
        failed = failed_tools(context.input)
        verdict = None if pulled else self._ports.rules.judge(answer, context.sampling, failed)
        ends, outcome, why = rulings.ruling(step, answer, verdict, pulled=pulled)
        cost = self._cost(attempt.backend, answer)
        hop = hops.answered(attempt.timed(), answer, outcome, why, nano_usd=cost.nano_usd)
        recorded = await self._ports.store.record_answer(
            step.tenant_id, step.turn_id, answer, (*step.route, hop), final=ends, cost=cost
        )
        attempt.events.emit(EventKind.HOP_ENDED, hops.view(hop))
        ended = recorded.status.ended
        if ended:
            attempt.events.emit(hops.END_EVENTS[recorded.status], recorded.turn)
        return ChatResult(
            hop=hop,
            ended=ended,
            pulled=pulled,
            flaw=verdict.flaw.value if verdict and verdict.flaw else None,
            usable=verdict.usable if verdict else True,
            next_turn_id=recorded.next_turn_id,
        )

    async def _take_up(
        self, step: ChatStep, backend: Backend, context: TurnContext, hop: Hop, events: EventWriter
    ) -> ChatResult:
        """Goes on from an answer that an earlier attempt recorded before it was lost."""
        assert context.answer is not None
        attempt = _Attempt(
            step=step,
            backend=backend,
            context=context,
            hop=hop,
            events=events,
            gathering=Gathering(),
            began=time.monotonic(),
        )
        return await self._judge(attempt, context.answer)

    async def _failed(self, attempt: _Attempt, error: BackendError) -> ChatResult:
        """Nothing is billed; the text so far is kept, for the next rung to go on from."""
        step, backend = attempt.step, attempt.backend
        if backend.price is not None:
            await self._ports.ledger.release(rulings.spend_call(step, backend))
        hop = replace(attempt.timed(), outcome=HopOutcome.FAILED, why=f"{error.code}: {error.message}")
        text = attempt.gathering.text
        if text.strip():
            partial = Answer(
                step=step.step,
                text=text,
                finish_reason=FinishReason.LENGTH,
                backend=backend.name,
                model=attempt.gathering.model or backend.model,
            )
            await self._ports.store.record_partial(step.tenant_id, step.turn_id, partial)
        attempt.events.emit(EventKind.HOP_ENDED, hops.view(hop))
        return ChatResult(
            hop=hop,
            ended=False,
            error=TurnError(code=error.code, message=error.message),
            retry_after=error.retry_after,
            broke_off=bool(text.strip()),
        )

    async def _prefix(self, step: ChatStep, backend: Backend, context: TurnContext) -> str:
        """The text that the client has already and this backend can go on from; empty to start over."""
        if not backend.can(Capability.PREFILL) or context.sampling.response_format or context.sampling.tools:
            return ""
        if activity.info().attempt > 1:
            return await self._ports.events.text_so_far(step.turn_id, step.step)
        kept = context.earlier.get(step.continue_step) if step.continue_step is not None else None
        return kept.text if kept else ""

    def _cost(self, backend: Backend, answer: Answer) -> CallCost:
        rules, reference = self._ports.rules, self._ports.topology.reference
        return CallCost(
            nano_usd=rules.cost(answer.usage, backend.price),
            reference_nano_usd=rules.cost_elsewhere(answer.usage, reference.price) if reference else 0,
            local=backend.locality is Locality.LOCAL,
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


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
