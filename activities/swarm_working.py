"""A swarm's work: taking tasks, handing in what was found, and how the work stands."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.contracts.jobs import (
    Asked,
    JobEventKind,
    JobRecord,
    JobRef,
    KeepAsk,
    Kept,
    Stop,
    TaskAsk,
    TaskTaken,
    Worked,
    WorkLook,
)
from activities.contracts.ledger import (
    ClaimAsk,
    ClaimRef,
    CompleteAsk,
    FailAsk,
    ReleaseAsk,
    RenewAsk,
    SearchAsk,
)
from activities.contracts.swarm import Claim, Role, Task, TaskStatus
from activities.contracts.turn import TurnStatus
from activities.errors import ClaimLost
from activities.swarm_job import SwarmPorts, budget_nano, newest_attempt, put_right, translated
from activities.swarm_ports import BoardTask, JobTurn, TurnSaid

NANO = 1_000_000_000
NOTHING_OPEN = "nothing is open"
NO_ROOM = "there is no room"
LEAVING = "it was told to go"
HIT_CHARS = 400
LEAST_SCORE = 0.3


class WorkingActivities:
    """`take-task`, `renew-task` and `look-at-work`, on the queue of the ledger."""

    def __init__(self, ports: SwarmPorts) -> None:
        self._ports = ports
        self._store = ports.store

    @activity.defn(name="take-task")
    async def take_task(self, ask: TaskAsk) -> TaskTaken:
        """Takes in what the worker has done, and gives it the next task with its turn, or the reason for none.

        Repeated, it brings the claim that it made the first time.
        """
        with translated():
            noted = await self._handed_in(ask.ref, ask.handing_in) if ask.handing_in else None
            job = await self._ports.jobs.record(ask.ref)
            if ask.handing_in and noted:
                await self._tell(job, ask.handing_in.claim, noted)
            if ask.leaving:
                return TaskTaken(why=LEAVING)
            why = await self._why_not(job)
            return TaskTaken(why=why) if why else await self._claimed(job, ask)

    @activity.defn(name="renew-task")
    async def renew_task(self, ask: KeepAsk) -> Kept:
        """Keeps the claim for another while, and looks at its turn."""
        with translated():
            claim = ask.claim
            ref = JobRef(tenant_id=claim.tenant_id, job_id=claim.goal_id)
            said = (await self._ports.jobs.said(ref, [ask.turn_id])).get(ask.turn_id)
            ended = said is not None and said.status.ended
            try:
                kept = await self._store.renew(RenewAsk(claim=claim, ttl=ask.claim_ttl))
            except ClaimLost:
                return Kept(stands=False, turn_ended=ended)
            await self._ports.jobs.note_expiry(ref, claim.task_id, kept.expires_at)
            return Kept(stands=True, turn_ended=ended)

    @activity.defn(name="look-at-work")
    async def look_at_work(self, ref: JobRef) -> WorkLook:
        """How the work stands, how many workers there is room for, and whether it is to stop."""
        with translated():
            job = await self._ports.jobs.record(ref)
            board = await self._ports.jobs.look(ref)
            return WorkLook(
                open=board.open,
                claimed=board.claimed,
                room=await self._ports.room.room(job) if self._money(job) else 0,
                next_expiry_s=board.next_expiry_s,
                stop=self._stop(job),
            )

    async def _why_not(self, job: JobRecord) -> str:
        """Why no task may be begun now; empty where one may."""
        stop = self._stop(job)
        if stop:
            return stop.value
        if not self._money(job):
            return Stop.BUDGET.value
        room = await self._ports.room.room(job)
        return NO_ROOM if job.running_turns >= room else ""

    def _stop(self, job: JobRecord) -> Stop | None:
        deadline = job.options.deadline
        late = deadline is not None and self._ports.now() >= deadline
        return self._ports.rules.stopped(job, late=late, money=self._money(job))

    def _money(self, job: JobRecord) -> bool:
        least = self._ports.asking.least_nano(job, Role.WORKER)
        return self._ports.rules.money_left(job, budget_nano(self._ports, job), least)

    async def _claimed(self, job: JobRecord, ask: TaskAsk) -> TaskTaken:
        ref = job.ref
        wanted = ClaimAsk(
            tenant_id=ref.tenant_id,
            goal_id=ref.job_id,
            owner=ask.owner,
            ttl=ask.claim_ttl,
            request=_request(),
            with_text=True,
        )
        claim = (await self._store.claim(wanted)).claim
        if claim is None:
            if (await self._ports.jobs.look(ref)).open:
                await put_right(self._ports, ref)
            return TaskTaken(why=NOTHING_OPEN)
        await self._note(ref, claim.task, TaskStatus.CLAIMED, owner=claim.owner, expires_at=claim.expires_at)
        title = {
            "task": claim.task.id,
            "title": claim.task.title,
            "place": claim.task.place,
            "owner": claim.owner,
        }
        await self._ports.teller.tell(ref.job_id, (JobEventKind.CLAIMED, title))
        return TaskTaken(claim=ClaimRef.of(claim), asked=await self._asked(job, claim))

    async def _asked(self, job: JobRecord, claim: Claim) -> Asked:
        """The task's turn: the one that an earlier claim began, where that has not failed."""
        ref = job.ref
        words = (Role.WORKER.value, claim.task.id)
        if claim.task.attempts == 1:
            # Nobody had it before, so nobody asked.
            turn_id, said = self._ports.asking.turn_id(ref, *words, "0"), None
        else:
            turn_id, said = await newest_attempt(self._ports, ref, *words)
        if said is not None and said.status.ended:
            return Asked(turn_id=turn_id, status=said.status)
        window = self._ports.asking.window(job, Role.WORKER)
        remembered = await self._remembered(job, claim.task)
        prompt = self._ports.rules.work_prompt(claim.task, job.context, remembered, window)
        cap = self._ports.rules.worker_cap_nano(budget_nano(self._ports, job))
        return await self._ports.asking.ask(
            job,
            JobTurn(turn_id=turn_id, role=Role.WORKER, prompt=prompt, task_id=claim.task.id, cap_nano=cap),
        )

    async def _remembered(self, job: JobRecord, task: Task) -> list[str]:
        if not job.options.memory_hits:
            return []
        asked = SearchAsk(
            tenant_id=job.ref.tenant_id,
            query=f"{task.title}\n{task.text}",
            limit=job.options.memory_hits,
            min_score=LEAST_SCORE,
        )
        hits = (await self._store.search(asked)).hits
        return [" ".join(hit.finding.text.split())[:HIT_CHARS] for hit in hits]

    async def _handed_in(self, ref: JobRef, worked: Worked) -> BoardTask | None:
        """Completes the task with what was found, gives it back for another attempt, or gives it up.

        None where a claim that is no more brings nothing: somebody else has the task, or the work is over.
        """
        said = (await self._ports.jobs.said(ref, [worked.turn_id])).get(worked.turn_id)
        if said is None or not said.status.ended:
            return None
        claim, last = worked.claim, True
        if said.failed:
            _, newest = await newest_attempt(self._ports, ref, Role.WORKER.value, claim.task_id)
            last = newest is not None
        try:
            return await self._ports.jobs.while_working(ref, lambda: self._record(claim, said, last=last))
        except ClaimLost as error:
            activity.logger.info("task %s: %s", claim.task_id, error.message)
            return None

    async def _tell(self, job: JobRecord, claim: ClaimRef, noted: BoardTask) -> None:
        spent = {"cost_usd": job.spent_nano / NANO, "reserved_usd": job.reserved_nano / NANO}
        await self._ports.teller.tell(job.ref.job_id, *_told(claim, noted), (JobEventKind.SPEND, spent))

    async def _record(self, claim: ClaimRef, said: TurnSaid, *, last: bool) -> BoardTask:
        """What the ledger has taken. `last`: there is no turn left to try."""
        findings = () if said.failed else self._ports.rules.read_findings(said.text)
        if findings:
            done = await self._store.complete(CompleteAsk(claim=claim, findings=findings))
            return _board(claim, TaskStatus.DONE, findings=len(done.finding_ids))
        why = _why(said)
        if last:
            await self._store.fail(FailAsk(claim=claim, why=why))
            return _board(claim, TaskStatus.FAILED, why=why)
        await self._store.release(ReleaseAsk(claim=claim, why=why))
        return _board(claim, TaskStatus.OPEN, why=why)

    async def _note(
        self, ref: JobRef, task: Task, status: TaskStatus, *, owner: str, expires_at: datetime
    ) -> None:
        await self._ports.jobs.note(
            ref,
            BoardTask(
                id=task.id,
                place=task.place,
                title=task.title,
                status=status,
                owner=owner,
                expires_at=expires_at,
            ),
        )


def _board(claim: ClaimRef, status: TaskStatus, *, findings: int = 0, why: str = "") -> BoardTask:
    owner = claim.owner if status is not TaskStatus.OPEN else ""
    return BoardTask(
        id=claim.task_id, place=0, title="", status=status, owner=owner, findings=findings, why=why
    )


def _told(claim: ClaimRef, noted: BoardTask) -> list[tuple[JobEventKind, Mapping[str, Any]]]:
    """What the job's readers hear of a task that was handed in."""
    kinds = {
        TaskStatus.DONE: JobEventKind.DONE,
        TaskStatus.FAILED: JobEventKind.FAILED_TASK,
        TaskStatus.OPEN: JobEventKind.REOPENED,
    }
    told: dict[str, Any] = {"task": claim.task_id, "owner": claim.owner}
    told |= {"findings": noted.findings} if noted.status is TaskStatus.DONE else {"why": noted.why}
    found = [
        (JobEventKind.FINDING, {"task": claim.task_id, "agent": claim.owner, "number": number})
        for number in range(1, noted.findings + 1)
    ]
    return [*found, (kinds[noted.status], told)]


def _why(said: TurnSaid) -> str:
    if said.status is TurnStatus.CANCELLED:
        return "its turn was cancelled"
    if said.failed:
        return f"{said.code}: {said.message}"[:300] if said.code else "its turn failed"
    return "its answer was empty"


def _request() -> str:
    """The same for every attempt of this activity, and for no other."""
    info = activity.info()
    return f"{info.workflow_run_id}/{info.activity_id}"
