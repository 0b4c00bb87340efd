"""The chat activity: asks one rung, streams its answer, records it once, and tells whoever waits."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities import hops, rulings
from activities.answering import REASON, Gathering
from activities.asking import call_for, failed_tools, goes_on, has_own_reason, offers_reason
from activities.attempts import Attempt, heartbeats
from activities.contracts.backends import Backend, Locality
from activities.contracts.cards import Denial, Lease
from activities.contracts.chat import ChatCall
from activities.contracts.events import EventKind
from activities.contracts.policy import Barred
from activities.contracts.records import Answer, CallCost, Recorded, TurnContext
from activities.contracts.topology import Topology
from activities.contracts.turn import ChatResult, ChatStep, Hop, HopOutcome, TurnError
from activities.errors import (
    AitherError,
    AnswerMalformed,
    BackendError,
    BackendTimedOut,
    ContextTooLong,
    ModelMissing,
    Overtaken,
    StoreUnavailable,
    to_application_error,
)
from activities.ports import (
    Breakers,
    ChatBackend,
    EventChannel,
    Leases,
    Rules,
    Seat,
    Seats,
    SpendLedger,
    TurnStore,
)
from activities.running import RunningCalls
from activities.window import prompt_bound

log = logging.getLogger(__name__)

AGAIN = timedelta(milliseconds=500)
RECORDING_GRACE = timedelta(seconds=10)
"""Before its time is over, an activity that could not record its answer fails in order."""
NO_TIME = timedelta()
SEAT_PATIENCE = timedelta(seconds=15)
"""How long a call waits for a seat that its worker had for it and has lost: within the grace of its time limit."""
BYTES_A_TOKEN = 8
"""More bytes than any tokenizer packs into a token on average: bounds what is read of a long conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPorts:
    """What `chat` needs of the world."""

    topology: Topology
    seats: Seats
    store: TurnStore
    ledger: SpendLedger
    events: EventChannel
    breakers: Breakers
    rules: Rules
    running: RunningCalls
    leases: Leases | None = None

    def backend(self, name: str) -> Backend | None:
        """The backend of that name, if it is configured here or has joined."""
        configured = (each for each in self.topology.backends if each.name == name)
        return next(configured, None) or self.seats.member(name)


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
        return replace(result, barred=self._ports.seats.barred())

    async def _chat(self, step: ChatStep) -> ChatResult:
        ports, info = self._ports, activity.info()
        hop = hops.blank(step, info.current_attempt_scheduled_time, info.started_time)
        backend = ports.backend(step.rung.backend)
        if backend is None:
            # The configuration has changed since the turn began: as good as gone.
            why = f"{step.rung.backend} is not configured here any more"
            return rulings.refused(hop, ModelMissing.code, why)
        earlier = [s for s in (step.consult_step, step.compose_step, step.continue_step) if s is not None]
        context = await ports.store.context(
            step.tenant_id, step.turn_id, step.step, backend.window_tokens * BYTES_A_TOKEN, earlier
        )
        if context.answer is not None:
            answered_by = ports.backend(context.answer.backend) or backend
            return await self._take_up(step, answered_by, context, hop)
        if context.status.ended:
            return ChatResult(hop=replace(hop, why=f"the turn was {context.status} already"), ended=True)
        ports.seats.note_wait(step.rung.pool, hop.waited_ms)
        if step.lease is not None and not await self._stands(step.lease):
            return rulings.refused(hop, Denial.LEASE_LOST, f"its hold of card {step.lease.card} is over")
        return await self._seated(step, context, hop)

    async def _seated(self, step: ChatStep, context: TurnContext, hop: Hop) -> ChatResult:
        """Asks the member of the pool that has the most room."""
        waited = timedelta(milliseconds=hop.waited_ms)
        async with (
            heartbeats(),
            self._ports.seats.take(
                step.rung.pool,
                turn_id=step.turn_id,
                only=step.rung.backend if step.rung.exact else None,
                avoid=step.avoid,
                patience=max(NO_TIME, min(SEAT_PATIENCE, step.rung.patience - waited)),
            ) as seat,
        ):
            if isinstance(seat, Barred):
                wait = timedelta(seconds=seat.retry_in_s)
                return rulings.refused(hop, seat.code, seat.why, retry_after=wait)
            hop = replace(hop, backend=seat.backend.name, locality=seat.backend.locality)
            if step.local_only and seat.backend.locality is not Locality.LOCAL:
                # The ladder never asks this; should it ever, nothing leaves the building all the same.
                why = f"{seat.backend.name} is outside, and the turn may not leave"
                self._ports.breakers.abandon(seat.backend.name, seat.ticket)
                return rulings.refused(hop, "local_only", why)
            result = await self._admitted(step, seat, context, hop)
        if result.error is None or result.hop.outcome is not HopOutcome.FAILED:
            return result
        tried = (*step.avoid, seat.backend.name)
        elsewhere = not step.rung.exact and self._ports.seats.any_other(step.rung.pool, tried)
        return replace(result, elsewhere=elsewhere)

    async def _stands(self, lease: Lease) -> bool:
        leases = self._ports.leases
        return leases is None or await leases.stands(lease)

    async def _admitted(self, step: ChatStep, seat: Seat, context: TurnContext, hop: Hop) -> ChatResult:
        """Makes the call that the breaker let through, and tells the breaker whatever comes of it."""
        breakers, number = self._ports.breakers, activity.info().attempt
        backend, ticket = seat.backend, seat.ticket
        told = False
        try:
            prefix, drops = await self._so_far(step, backend, context, number)
            async with self._ports.events.writer(step.turn_id) as events:
                attempt = Attempt(
                    step=step,
                    backend=backend,
                    context=context,
                    hop=hop,
                    events=events,
                    gathering=Gathering(prefix, hides_reason=not has_own_reason(context)),
                    number=number,
                    drops=drops,
                )
                try:
                    result = await self._ask(attempt, seat.client, prefix)
                except BackendError as error:
                    if attempt.asked or not isinstance(error, ContextTooLong):
                        breakers.report(backend.name, ticket, error.code, error.retry_after)
                        told = True
                    return await self._failed(attempt, error)
                except asyncio.CancelledError:
                    if not self._ports.running.was_cancelled(step.turn_id):
                        raise
                    task = asyncio.current_task()
                    assert task is not None
                    task.uncancel()
                    return ChatResult(hop=attempt.timed(), ended=False)
                if attempt.asked:
                    breakers.report(backend.name, ticket, None)
                    told = True
                return result
        finally:
            if not told:
                breakers.abandon(backend.name, ticket)

    async def _ask(self, attempt: Attempt, client: ChatBackend, prefix: str) -> ChatResult:
        """Asks, within the rung's time; sets the money aside first. Raises `BackendError`s."""
        step, backend = attempt.step, attempt.backend
        limit = step.rung.call_timeout.total_seconds()
        try:
            async with asyncio.timeout(limit):
                with _nothing_unforeseen(backend):
                    call = await self._call(attempt, client, prefix.rstrip())
                if (refusal := await self._reserve(attempt, call)) is not None:
                    return refusal
                rulings.announce(attempt)
                with _nothing_unforeseen(backend):
                    await self._listen(attempt, client, call)
        except TimeoutError as error:
            raise BackendTimedOut(f"{backend.name} did not finish within {limit:g} s") from error
        answer = attempt.gathering.answer(step.step, backend.name, backend.model)
        return await self._judge(attempt, answer)

    async def _call(self, attempt: Attempt, client: ChatBackend, prefix: str) -> ChatCall:
        """The call that goes on from the prefix, or starts over where that leaves no room to go on in."""
        step, backend, context = attempt.step, attempt.backend, attempt.context
        try:
            return await call_for(step, backend, client, context, prefix)
        except ContextTooLong:
            if not prefix:
                raise
        attempt.gathering, attempt.drops = Gathering(), "what was said leaves no room to go on in"
        return await call_for(step, backend, client, context, "")

    async def _listen(self, attempt: Attempt, client: ChatBackend, call: ChatCall) -> None:
        """Passes the answer on as it comes. Raises `BackendError`s."""
        async with contextlib.aclosing(client.stream(call)) as chunks:
            async for chunk in chunks:
                if chunk.model:
                    rulings.check_served(attempt.backend, chunk.model)
                if (token := attempt.gathering.take(chunk)) is not None:
                    attempt.note_token()
                    attempt.events.emit(EventKind.TOKEN, token)

    async def _reserve(self, attempt: Attempt, call: ChatCall) -> ChatResult | None:
        """Sets aside what the call can cost at most; a result where that needs an agreement, or a cap forbids it."""
        backend, step = attempt.backend, attempt.step
        answer_tokens = call.sampling.max_tokens or step.max_tokens
        nano = self._ports.rules.most(prompt_bound(call), answer_tokens, backend.price)
        if nano == 0:
            return None
        if step.most_nano is not None and nano > step.most_nano:
            return rulings.too_dear(attempt.timed(), nano)
        reservation = await self._ports.ledger.reserve(rulings.spend_call(step, backend), nano, step.caps)
        if reservation.granted:
            return None
        if reservation.cap is None:
            raise Overtaken("the step has its answer, or the turn its end")
        why = f"up to ${nano / hops.NANO:.6f} would break the {reservation.cap}'s cap"
        return rulings.refused(attempt.timed(), "over_budget", why)

    async def _judge(self, attempt: Attempt, answer: Answer) -> ChatResult:
        """Lets a good answer stand, and leaves a flawed or handed-on one to the ladder.

        Raises `AnswerMalformed` for a model that hands on what it was not offered to.
        """
        step, context = attempt.step, attempt.context
        calls_reason = any(call.name == REASON for call in answer.tool_calls) and not has_own_reason(context)
        pulled = calls_reason and offers_reason(step, attempt.backend, context)
        if calls_reason and not pulled:
            raise AnswerMalformed(f"{attempt.backend.name} asked for a tool that was not offered")
        failed = failed_tools(context.input)
        verdict = None if pulled else self._ports.rules.judge(answer, context.sampling, failed)
        ends, outcome, why = rulings.ruling(step, answer, verdict, pulled=pulled)
        cost = self._cost(attempt.backend, answer)
        hop = hops.answered(attempt.timed(), answer, outcome, why, nano_usd=cost.nano_usd)
        recorded = await self._record(step, answer, hop, cost, final=ends)
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

    async def _record(
        self, step: ChatStep, answer: Answer, hop: Hop, cost: CallCost, *, final: bool
    ) -> Recorded:
        """Records the answer, for as long as the activity may last: a second call would be paid for again."""
        info = activity.info()
        lasts = info.start_to_close_timeout or timedelta.max
        while True:
            try:
                return await self._ports.store.record_answer(
                    step.tenant_id, step.turn_id, answer, (*step.route, hop), final=final, cost=cost
                )
            except StoreUnavailable:
                if datetime.now(UTC) - info.started_time > lasts - RECORDING_GRACE:
                    raise
            await asyncio.sleep(AGAIN.total_seconds())

    async def _take_up(self, step: ChatStep, backend: Backend, context: TurnContext, hop: Hop) -> ChatResult:
        """Goes on from an answer that an earlier attempt recorded before it was lost."""
        assert context.answer is not None
        async with heartbeats(), self._ports.events.writer(step.turn_id) as events:
            attempt = Attempt(
                step=step, backend=backend, context=context, hop=hop, events=events, gathering=Gathering()
            )
            return await self._judge(attempt, context.answer)

    async def _failed(self, attempt: Attempt, error: BackendError) -> ChatResult:
        """Nothing is billed; the text so far is kept, for the next rung to go on from."""
        step, backend = attempt.step, attempt.backend
        hop = replace(attempt.timed(), outcome=HopOutcome.FAILED, why=f"{error.code}: {error.message}")
        kept = False
        # Without the store no text can be kept; the turn's end gives back what was set aside. The failure
        # itself must come out, or Temporal would have the backend asked again.
        with contextlib.suppress(StoreUnavailable):
            if backend.price is not None:
                await self._ports.ledger.release(rulings.spend_call(step, backend))
            if partial := attempt.gathering.partial(step.step, backend.name, backend.model):
                await self._ports.store.record_partial(step.tenant_id, step.turn_id, partial)
                kept = True
        attempt.events.emit(EventKind.HOP_ENDED, hops.view(hop))
        return ChatResult(
            hop=hop,
            ended=False,
            error=TurnError(code=error.code, message=error.message),
            retry_after=error.retry_after,
            broke_off=kept,
        )

    async def _so_far(
        self, step: ChatStep, backend: Backend, context: TurnContext, attempt: int
    ) -> tuple[str, str]:
        """The text that the client has and this backend goes on from, and else why it counts no more."""
        kept = context.earlier.get(step.continue_step) if step.continue_step is not None else None
        text = kept.text if kept else ""
        if goes_on(backend, context):
            if attempt > 1:
                text = await self._ports.events.text_so_far(step.turn_id, step.step) or text
            if text:
                return text, ""
        if attempt > 1:
            return "", "the attempt before this one was lost"
        return "", f"{backend.name} cannot go on from another's text" if text else ""

    def _cost(self, backend: Backend, answer: Answer) -> CallCost:
        rules, reference = self._ports.rules, self._ports.topology.reference
        return CallCost(
            nano_usd=rules.cost(answer.usage, backend.price),
            reference_nano_usd=rules.cost_elsewhere(answer.usage, reference.price) if reference else 0,
            local=backend.locality is Locality.LOCAL,
        )


@contextlib.contextmanager
def _nothing_unforeseen(backend: Backend) -> Generator[None]:
    """Makes a rung's failure of what no one foresaw.

    Left to Temporal, the backend would be asked again, and paid, until the turn's time is over.
    """
    try:
        yield
    except (AitherError, TimeoutError):
        raise
    except Exception as error:
        log.exception("backend %s failed in a way that nobody foresaw", backend.name)
        raise BackendError(f"{backend.name} failed: {type(error).__name__}") from error
