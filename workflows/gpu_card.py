"""A GPU card: one workflow that never ends, and knows who is on the card, who holds and who waits."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from activities.contracts.cards import (
    CardSpec,
    CardView,
    HoldAsk,
    InspectAsk,
    Inventory,
    LeaseRef,
    MoveAsk,
    MoveDone,
    Posture,
    Residency,
)
from workflows.names import (
    CARD,
    CONFIGURE,
    GPU_CARD,
    HOST_REPORTS,
    INSPECT_CARD,
    LEASE_DECIDED,
    LEASE_VALID,
    MOVE_RESIDENT,
    PUBLISH_CARD,
    RELEASE_HOLD,
    RENEW_HOLD,
    REPAIR,
    REQUEST_HOLD,
    SET_POSTURE,
)
from workflows.options import inspect_options, move_options, store_options
from workflows.policy.card import resumed, step
from workflows.policy.card_state import (
    CardState,
    Effect,
    Event,
    Inspect,
    Release,
    Renew,
    Repair,
    Report,
    StartMove,
    Tell,
    Uninspected,
    lease_valid,
)
from workflows.policy.card_view import line, view

LONG_HISTORY = 500
"""Events after which a run hands over to the next as soon as the host is not at work for it.

A run that would end just as a signal comes in is refused, and read anew from its first event: keep that quick."""
TOO_LONG_HISTORY = 2_000
"""Events after which it hands over all the same; what the host was asked is asked again, which is safe."""
PUBLISH_EVERY = timedelta(seconds=5)
"""How often holds alone are published. What becomes of the residents is published at once."""


@workflow.defn(name=GPU_CARD)
class GpuCardWorkflow:
    """Decides who may use a card. Its id is `gpu-card/<host>/<index>`.

    For coarse holds: some 40 leases a second at most on a small machine, with four signals each. It trusts its
    state and its host's word. To repair it: `aither gpu repair CARD` asks the host what is true, takes that, and
    brings every resident to where it should be. One that was terminated is started again by the next worker, or
    card host, that starts: all leases of before are over then, and its tokens go on above theirs.
    """

    @workflow.init
    def __init__(self, state: CardState) -> None:
        self._state = state
        self._inbox: list[Event] = []
        self._telling: dict[asyncio.Task[None], Tell] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: datetime | None = None
        self._woken = False
        self._published = (-1, -1)
        self._publish_from: datetime | None = None
        self._publishing = False

    @workflow.run
    async def run(self, state: CardState) -> None:
        """Takes in what happens, does what follows, and hands over to a fresh run before its history is long."""
        self._state = replace(state, untold=())
        self._carry_out(resumed(state))
        self._take_in()
        while not self._ends():
            await workflow.wait_condition(lambda: bool(self._inbox) or self._woken)
            self._take_in()
        untold = tuple(self._telling.values())
        # Whoever was told in this moment may not have heard it: an ended run delivers no more signals.
        workflow.continue_as_new(replace(self._state, untold=untold))

    # --- what happens

    @workflow.signal(name=REQUEST_HOLD)
    def request_hold(self, ask: HoldAsk) -> None:
        """Somebody asks for a hold; the signal `lease-decided` answers."""
        self._inbox.append(ask)

    @workflow.signal(name=RENEW_HOLD)
    def renew_hold(self, ref: LeaseRef) -> None:
        """A holder goes on. It is answered only where its lease is lost."""
        self._inbox.append(Renew(ref=ref))

    @workflow.signal(name=RELEASE_HOLD)
    def release_hold(self, ref: LeaseRef) -> None:
        """A holder is done, or waits no longer."""
        self._inbox.append(Release(ref=ref))

    @workflow.signal(name=HOST_REPORTS)
    def host_reports(self, inventory: Inventory) -> None:
        """The host tells what is true, unasked."""
        self._inbox.append(Report(inventory=inventory))

    @workflow.signal(name=CONFIGURE)
    def configure(self, spec: CardSpec) -> None:
        """The card's configuration, new or the same."""
        self._inbox.append(spec)

    @workflow.update(name=SET_POSTURE)
    def set_posture(self, posture: Posture) -> None:
        """Notes an operator's wish; the query tells how far it has come."""
        self._inbox.append(posture)

    @workflow.update(name=REPAIR)
    def repair(self) -> None:
        """Notes that the state is to be made true; the query tells how far that has come."""
        self._inbox.append(Repair())

    @workflow.query(name=CARD)
    def card(self) -> CardView:
        """The card as it is."""
        return view(self._state)

    @workflow.query(name=LEASE_VALID)
    def lease_valid(self, ref: LeaseRef) -> bool:
        """Whether work that brings this lease and token may be taken."""
        return lease_valid(self._state, ref)

    # --- what follows

    def _take_in(self) -> None:
        events, self._inbox, self._woken = self._inbox, [], False
        done = step(self._state, workflow.now(), events)
        self._state = done.state
        self._carry_out(done.effects)
        self._wake(self._publish(), done.wake_in)
        workflow.set_current_details(line(self._state))

    def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Tell():
                    task = asyncio.create_task(self._tell(effect))
                    self._telling[task] = effect
                    task.add_done_callback(self._telling.pop)
                case StartMove(ask=ask):
                    self._do(self._move(ask))
                case Inspect(ask=ask):
                    self._do(self._inspect(ask))

    async def _tell(self, tell: Tell) -> None:
        """Tells a holder. One that is gone needs no lease."""
        holder = workflow.get_external_workflow_handle(tell.holder, run_id=tell.holder_run or None)
        try:
            await holder.signal(LEASE_DECIDED, tell.decision)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            if tell.decision.granted:
                ref = LeaseRef(lease=tell.decision.lease, token=tell.decision.granted.token)
                self._inbox.append(Release(ref=ref))

    async def _move(self, ask: MoveAsk) -> None:
        try:
            done = await workflow.execute_activity(
                MOVE_RESIDENT, ask, result_type=MoveDone, **move_options(self._state.spec.host, ask)
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            done = MoveDone(
                resident=ask.resident.name,
                number=ask.number,
                residency=Residency.UNKNOWN,
                ok=False,
                why=_cause(error),
            )
        self._inbox.append(done)

    async def _inspect(self, ask: InspectAsk) -> None:
        try:
            found = await workflow.execute_activity(
                INSPECT_CARD, ask, result_type=Inventory, **inspect_options(ask.spec)
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._inbox.append(Uninspected(why=_cause(error)))
        else:
            self._inbox.append(Report(inventory=found, asked=True))

    def _publish(self) -> timedelta | None:
        """Publishes what has changed, or says in how long it is to be done."""
        now, current = workflow.now(), (self._state.revision, self._state.changes)
        if self._publishing or current == self._published:
            return None
        due = self._publish_from
        if current[0] == self._published[0] and due is not None and now < due:
            return due - now
        self._published, self._publish_from = current, now + PUBLISH_EVERY
        self._publishing = True
        self._do(self._tell_everybody(view(self._state)))
        return None

    async def _tell_everybody(self, shown: CardView) -> None:
        try:
            await workflow.execute_activity(PUBLISH_CARD, shown, **store_options())
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("%s is not published: %s", shown.card, _cause(error))
        self._publishing = False
        # For what has changed meanwhile.
        self._woken = True

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _wake(self, *after: timedelta | None) -> None:
        """Sees to it that there is a step by then. A timer that runs out early costs less than one for each step."""
        soon = min((each for each in after if each is not None), default=None)
        if soon is None:
            return
        at = workflow.now() + soon
        if self._alarm_at is not None and self._alarm_at <= at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.create_task(self._ring(soon))

    async def _ring(self, after: timedelta) -> None:
        await asyncio.sleep(after.total_seconds())
        self._alarm = self._alarm_at = None
        self._woken = True

    def _ends(self) -> bool:
        """Whether this run is long enough. What has come in by now is never left behind."""
        info = workflow.info()
        length = info.get_current_history_length()
        if self._inbox or not (info.is_continue_as_new_suggested() or length >= LONG_HISTORY):
            return False
        at_rest = self._state.move is None and self._state.inspecting is None
        return at_rest or length >= TOO_LONG_HISTORY


def _cause(error: ActivityError) -> str:
    return str(error.cause or error)
