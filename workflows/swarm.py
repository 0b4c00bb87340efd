"""A swarm: a goal is planned, worked on by many, and put together again."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.contracts.jobs import (
    ATTEMPTS,
    JobEnded,
    JobEnding,
    JobRef,
    PackAsk,
    Packed,
    PlanTaken,
    SwarmInput,
    SynthesisTaken,
    TurnAsk,
    WorkClosed,
)
from activities.contracts.swarm import JobStatus, Role, SwarmPhase
from activities.contracts.turn import TurnStatus
from workflows.attributes import STATUS
from workflows.names import (
    ADD_WORKERS,
    CLOSE_WORK,
    END_JOB,
    PACK_FINDINGS,
    SWARM,
    TAKE_PLAN,
    TAKE_SYNTHESIS,
)
from workflows.swarm_crew import Crew
from workflows.swarm_turns import answered, memory_options

T = TypeVar("T")

PASSES_AT_ONCE = 50
"""Passes of the synthesis that are asked for together; the pool's queue and slots bound them further."""


@workflow.defn(name=SWARM)
class SwarmWorkflow:
    """Runs a swarm under the id `swarm/<job>`. Its history holds ids and counts: texts are in rows and in Qdrant.

    Cancelling it cancels its workers and their turns; terminating it leaves the row to the sweep, and a claim that
    is left behind runs out. Everything that it does may be done again: it begins anew when its history is long.
    """

    @workflow.init
    def __init__(self, swarm: SwarmInput) -> None:
        self._swarm = swarm
        self._crew = Crew(swarm)

    @workflow.run
    async def run(self, swarm: SwarmInput) -> JobEnded:
        """Plans, works, synthesizes, and ends the job in whichever way that ended."""
        try:
            if swarm.phase is SwarmPhase.PLANNING:
                await self._in_time(self._plan())
            stop = swarm.stop
            if swarm.phase is not SwarmPhase.SYNTHESIZING:
                stop = await self._crew.work()
            return await self._close(await self._put_together(stop))
        except (asyncio.CancelledError, ActivityError) as error:
            await self._crew.dismissed()
            if is_cancelled_exception(error):
                return await self._close(JobEnding(ref=swarm.ref, status=JobStatus.CANCELLED))
            return await self._close(_failed(swarm.ref, *_told(error)))

    @workflow.signal(name=ADD_WORKERS)
    def add_workers(self, number: int) -> None:
        """So many more workers join the swarm, as there is room for them."""
        self._crew.grow(number)

    async def _plan(self) -> None:
        """Puts tasks on the ledger; a plan that cannot be used is sent back once."""
        for attempt in range(ATTEMPTS):
            ask = TurnAsk(ref=self._swarm.ref, role=Role.PLANNER, attempt=attempt)
            await answered(ask, self._swarm.turn_lifetime)
            taken = await self._do(TAKE_PLAN, PlanTaken, ask)
            if not taken.mistake:
                return

    async def _put_together(self, stop: str) -> JobEnding:
        """Closes the work, and has what was found put together; how the job ends."""
        ref = self._swarm.ref
        closed = await self._do(CLOSE_WORK, WorkClosed, ref, stop)
        if not closed.findings:
            why = closed.why or stop or "no task was planned"
            return _failed(ref, "nothing_found", f"no task of {closed.tasks} was done: {why}")
        problem = await self._synthesize()
        if problem:
            return _failed(
                ref, "not_synthesized", f"the findings stand, but nobody put them together: {problem}"
            )
        return JobEnding(ref=ref, status=JobStatus.COMPLETED)

    async def _synthesize(self) -> str:
        """Has the findings put together: in one pass, or in a tree of them; what kept it from being done."""
        level = passes = 0
        while True:
            pack = PackAsk(ref=self._swarm.ref, level=level, passes=passes)
            counts = (await self._do(PACK_FINDINGS, Packed, pack)).counts
            asks = [
                TurnAsk(
                    ref=self._swarm.ref,
                    role=Role.SYNTHESIZER,
                    level=level,
                    index=index,
                    first=sum(counts[:index]),
                    count=count,
                    last=len(counts) == 1,
                )
                for index, count in enumerate(counts)
            ]
            if len(asks) == 1:
                return await self._last_pass(asks[0])
            for first in range(0, len(asks), PASSES_AT_ONCE):
                done = await asyncio.gather(*map(self._pass, asks[first : first + PASSES_AT_ONCE]))
                for ask in done:
                    if ask is not None:
                        return (await self._do(TAKE_SYNTHESIS, SynthesisTaken, ask)).problem
            level, passes = level + 1, len(asks)

    async def _pass(self, ask: TurnAsk) -> TurnAsk | None:
        """One pass of many; what was asked last, where nobody answered it."""
        for attempt in range(ATTEMPTS):
            asked = _again(ask, attempt)
            if await answered(asked, self._swarm.turn_lifetime) is TurnStatus.COMPLETED:
                return None
        return _again(ask, ATTEMPTS - 1)

    async def _last_pass(self, ask: TurnAsk) -> str:
        """The synthesis; sent back once where it cites what there is not, or says nothing."""
        problem = ""
        for attempt in range(ATTEMPTS):
            asked = _again(ask, attempt)
            await answered(asked, self._swarm.turn_lifetime)
            taken = await self._do(TAKE_SYNTHESIS, SynthesisTaken, asked)
            problem = taken.problem
            if not taken.mistake:
                break
        return problem

    async def _in_time(self, doing: Coroutine[object, object, None]) -> None:
        """Does it up to the swarm's deadline and its grace; what is not done then is left."""
        task = asyncio.create_task(doing)
        left = _left(self._swarm.deadline, self._swarm.grace)
        try:
            await workflow.wait([task], timeout=left)
        finally:
            if not task.done():
                task.cancel()
                await workflow.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error

    async def _close(self, ending: JobEnding) -> JobEnded:
        ended = await self._do(END_JOB, JobEnded, ending)
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [STATUS.value_set(ended.status.value)]
        )
        if ended.status is JobStatus.CANCELLED:
            raise asyncio.CancelledError
        if ended.status is JobStatus.FAILED:
            raise ApplicationError(ending.message or "the job failed", type=ending.code, non_retryable=True)
        return ended

    async def _do(self, name: str, kind: type[T], *asked: object) -> T:
        return await workflow.execute_activity(name, args=asked, result_type=kind, **memory_options())


def _again(ask: TurnAsk, attempt: int) -> TurnAsk:
    return TurnAsk(
        ref=ask.ref,
        role=ask.role,
        attempt=attempt,
        level=ask.level,
        index=ask.index,
        first=ask.first,
        count=ask.count,
        last=ask.last,
    )


def _failed(ref: JobRef, code: str, message: str) -> JobEnding:
    return JobEnding(ref=ref, status=JobStatus.FAILED, code=code, message=message)


def _told(error: BaseException) -> tuple[str, str]:
    """Code and message of an activity's failure."""
    cause = error.cause if isinstance(error, ActivityError) else None
    if isinstance(cause, ApplicationError):
        return cause.type or "internal", cause.message
    return "internal", str(cause or error)


def _left(deadline: datetime | None, grace: timedelta) -> float | None:
    """Seconds until a deadline and its grace are over, at least a moment; None where there is none."""
    return None if deadline is None else max(0.001, (deadline + grace - workflow.now()).total_seconds())
