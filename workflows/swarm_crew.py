"""The workers of a swarm, from its own workflow's side: as many as there is room for, until the work is over."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import is_cancelled_exception
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from activities.contracts.jobs import SwarmInput, WorkerInput, WorkerLeft, WorkLook
from activities.contracts.swarm import SwarmPhase
from workflows.names import LEAVE, LOOK_AT_WORK, SWARM_WORKER, Queue, swarm_worker_id
from workflows.starts import TASK_TIMEOUT
from workflows.swarm_turns import memory_options

MOST_AT_ONCE = 1_000
"""Workers at once: half of the children that Temporal lets a workflow have."""
STARTED_TOGETHER = 100
FIRST_LOOK = timedelta(seconds=1)
LONGEST_LOOK = timedelta(seconds=15)
"""Between looks at the work, where no worker left and nothing changed."""
FAILURES = 20
"""Workers that may fail, beside those that were ended by an operator, before the swarm gives its work up."""

WorkerHandle = workflow.ChildWorkflowHandle[object, WorkerLeft]


class Crew:
    """Starts workers in windows, lets them go, and begins the swarm's history anew between windows."""

    def __init__(self, swarm: SwarmInput) -> None:
        self._swarm = swarm
        self._limit = swarm.workers
        self._started = swarm.started
        self._at_work: set[WorkerHandle] = set()
        self._failures = 0
        self._news = False

    def grow(self, number: int) -> None:
        """Lets so many more workers join."""
        self._limit += max(0, number)
        self._news = True

    async def work(self) -> str:
        """Has the tasks worked on until none is left, or no more may be begun; why that is."""
        patience, before = FIRST_LOOK, None
        while True:
            look = await workflow.execute_activity(
                LOOK_AT_WORK, self._swarm.ref, result_type=WorkLook, **memory_options()
            )
            stop = look.stop.value if look.stop else ""
            if self._failures > FAILURES:
                stop = stop or "its workers fail"
            if stop or not (look.open or look.claimed or self._at_work):
                await self._finish()
                return stop
            if workflow.info().get_current_history_length() > self._swarm.long_history:
                await self._begin_anew()
            await self._start(min(look.open, min(self._limit, look.room, MOST_AT_ONCE) - len(self._at_work)))
            seen = (look.open, look.claimed, look.room)
            patience = min(patience * 2, LONGEST_LOOK) if seen == before else FIRST_LOOK
            before = seen
            await self._wait(self._until(look, patience))

    async def dismissed(self) -> None:
        """Cancels every worker and its turn, and waits until all have ended."""
        for worker in list(self._at_work):
            worker.cancel()
        await self._gone(None)

    async def _start(self, number: int) -> None:
        for first in range(0, number, STARTED_TOGETHER):
            together = min(STARTED_TOGETHER, number - first)
            await asyncio.gather(*(self._started_one() for _ in range(together)))

    async def _started_one(self) -> None:
        self._started += 1
        name = f"w{self._started}"
        work = WorkerInput(
            ref=self._swarm.ref,
            name=name,
            claim_ttl=self._swarm.claim_ttl,
            turn_lifetime=self._swarm.turn_lifetime,
            tasks_a_run=self._swarm.tasks_a_run,
        )
        worker = await workflow.start_child_workflow(
            SWARM_WORKER,
            work,
            id=swarm_worker_id(self._swarm.ref.job_id, name),
            task_queue=Queue.TURNS,
            result_type=WorkerLeft,
            cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
            task_timeout=TASK_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=1),
            priority=workflow.info().priority,
        )
        self._at_work.add(worker)
        worker.add_done_callback(self._left)

    def _left(self, worker: "asyncio.Task[WorkerLeft]") -> None:
        """Takes in that a worker has gone, whichever way."""
        self._at_work.discard(worker)  # pyright: ignore[reportArgumentType]
        self._news = True
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._failures += not is_cancelled_exception(error)

    async def _wait(self, seconds: float) -> None:
        """Until a worker leaves, workers are added, or the time is over."""
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._news, timeout=seconds, timeout_summary="look")
        self._news = False

    def _until(self, look: WorkLook, patience: timedelta) -> float:
        """Seconds until the work is worth another look."""
        times = [patience.total_seconds()]
        if look.next_expiry_s is not None and not self._at_work:
            times.append(max(0.1, look.next_expiry_s))
        if self._swarm.deadline is not None:
            times.append(max(0.1, (self._swarm.deadline - workflow.now()).total_seconds()))
        return min(times)

    async def _finish(self) -> None:
        """Lets workers finish what they are at; past a deadline's grace they are cancelled."""
        deadline = self._swarm.deadline
        if deadline is None:
            await self._gone(None)
            return
        left = (deadline + self._swarm.grace - workflow.now()).total_seconds()
        if not await self._gone(max(0.001, left)):
            await self.dismissed()

    async def _gone(self, seconds: float | None) -> bool:
        try:
            await workflow.wait_condition(lambda: not self._at_work, timeout=seconds)
        except TimeoutError:
            return False
        return True

    async def _begin_anew(self) -> None:
        """Ends this run of the swarm for a next one, once every worker has handed in what it is at."""
        workers: Sequence[WorkerHandle] = list(self._at_work)
        await asyncio.gather(*(worker.signal(LEAVE) for worker in workers), return_exceptions=True)
        await self._finish()
        workflow.continue_as_new(
            replace(self._swarm, phase=SwarmPhase.WORKING, started=self._started, workers=self._limit)
        )
