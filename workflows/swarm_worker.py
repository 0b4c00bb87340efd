"""A swarm's worker: takes one task after the other, as long as there are any."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow

from activities.contracts.jobs import (
    Asked,
    KeepAsk,
    Kept,
    TaskAsk,
    TaskTaken,
    Worked,
    WorkerInput,
    WorkerLeft,
)
from activities.contracts.ledger import ClaimRef
from workflows.names import LEAVE, RENEW_TASK, SWARM_WORKER, TAKE_TASK
from workflows.swarm_turns import TurnHandle, begun, memory_options, stopped

ELSEWHERE = timedelta(seconds=5)
"""Between looks at a turn that an earlier worker began."""
RENEWALS = 3
"""In a claim's time: two may be late before it is lost."""


@workflow.defn(name=SWARM_WORKER)
class SwarmWorkerWorkflow:
    """Works on a swarm's tasks under the id `swarm/<job>/worker/<name>`, until nothing is open or it is told to go.

    A worker that is lost loses nothing: its claim runs out, and whoever takes the task up finds the turn that it
    had begun. Nothing but ids and numbers is in its history.
    """

    def __init__(self) -> None:
        self._leaving = False

    @workflow.run
    async def run(self, work: WorkerInput) -> WorkerLeft:
        """Claims, has the turn answered, hands in, and claims the next, in one step with handing in."""
        finished, handing_in = work.finished, work.handing_in
        while True:
            taken = await self._take(work, handing_in)
            if taken.claim is None or taken.asked is None:
                return WorkerLeft(finished=finished, why=taken.why)
            kept = await self._worked(work, taken.claim, taken.asked)
            handing_in = Worked(claim=taken.claim, turn_id=taken.asked.turn_id) if kept else None
            finished += 1
            if finished % work.tasks_a_run == 0:
                # Where workers are versioned: each run stays with its build, the next one begins on the current.
                workflow.continue_as_new(
                    replace(work, finished=finished, handing_in=handing_in),
                    initial_versioning_behavior=workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
                )

    @workflow.signal(name=LEAVE)
    def leave(self) -> None:
        """The worker hands in what it is at, and goes."""
        self._leaving = True

    async def _take(self, work: WorkerInput, handing_in: Worked | None) -> TaskTaken:
        ask = TaskAsk(
            ref=work.ref,
            owner=work.name,
            claim_ttl=work.claim_ttl,
            handing_in=handing_in,
            leaving=self._leaving,
        )
        return await workflow.execute_activity(TAKE_TASK, ask, result_type=TaskTaken, **memory_options())

    async def _worked(self, work: WorkerInput, claim: ClaimRef, asked: Asked) -> bool:
        """Waits for the task's turn, keeping the claim meanwhile; False where the claim was lost."""
        if asked.turn is None:
            return True
        handle = await begun(asked.turn, work.turn_lifetime)
        ask = KeepAsk(claim=claim, turn_id=asked.turn_id, claim_ttl=work.claim_ttl)
        beat = work.claim_ttl / RENEWALS
        while True:
            if handle is None:
                await asyncio.sleep(min(beat, ELSEWHERE).total_seconds())
            elif await _closes(handle, beat):
                return True
            kept = await workflow.execute_activity(RENEW_TASK, ask, result_type=Kept, **memory_options())
            if not kept.stands:
                # The turn goes on: whoever has the task now finds its answer.
                return False
            if handle is None and kept.turn_ended:
                return True


async def _closes(handle: TurnHandle, within: timedelta) -> bool:
    """Whether the turn ends in time. When the worker is cancelled, so is the turn."""
    try:
        done, _ = await workflow.wait([handle], timeout=within.total_seconds())
    except asyncio.CancelledError:
        await stopped(handle)
        raise
    return bool(done)
