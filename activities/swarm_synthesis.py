"""A swarm's end: closing the work, putting the findings together, recording what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio import activity

from activities.contracts.jobs import (
    JobEnded,
    JobEnding,
    JobEventKind,
    JobRef,
    PackAsk,
    Packed,
    SynthesisTaken,
    TurnAsk,
    WorkClosed,
)
from activities.contracts.swarm import Finding, JobStatus, Role, SwarmPhase, TaskStatus
from activities.ports import StartOutcome
from activities.swarm_job import SwarmPorts, findings_of, put_right, translated
from activities.swarm_ports import BoardTask, JobStarter
from activities.swarm_reading import Reading

SWEEP_LIMIT = 50
MOST_CITED = 200
NOT_DONE = "the work was over before it was done"
END_EVENTS = {
    JobStatus.COMPLETED: JobEventKind.COMPLETED,
    JobStatus.FAILED: JobEventKind.FAILED,
    JobStatus.CANCELLED: JobEventKind.CANCELLED,
}


class SynthesisActivities:
    """`close-work`, `pack-findings`, `take-synthesis`, `end-job` and `sweep-jobs`, on the queue of the ledger."""

    def __init__(self, ports: SwarmPorts, reading: Reading, starter: JobStarter) -> None:
        self._ports = ports
        self._reading = reading
        self._starter = starter

    @activity.defn(name="close-work")
    async def close_work(self, ref: JobRef, why: str) -> WorkClosed:
        """Ends the work: what is handed in after this is not taken, so what is counted now is all there is."""
        with translated():
            await self._ports.jobs.set_phase(ref, SwarmPhase.SYNTHESIZING)
            await put_right(self._ports, ref)
            await self._ports.jobs.close_board(ref, f"{NOT_DONE} ({why})" if why else NOT_DONE)
            findings, board = await findings_of(self._ports, ref)
            await self._ports.teller.tell(
                ref.job_id,
                (
                    JobEventKind.PHASE,
                    {"phase": SwarmPhase.SYNTHESIZING, "findings": len(findings), "why": why},
                ),
            )
            done = sum(task.status is TaskStatus.DONE for task in board)
            first = next((task.why for task in board if task.why), "")
            return WorkClosed(tasks=len(board), done=done, findings=len(findings), why=first[:300])

    @activity.defn(name="pack-findings")
    async def pack_findings(self, ask: PackAsk) -> Packed:
        """How many of what a level reads go into each of its passes."""
        with translated():
            job = await self._ports.jobs.record(ask.ref)
            items, _, _ = await self._reading.items(job, level=ask.level, passes=ask.passes)
            rules = self._ports.rules
            window = rules.reading_room(self._ports.asking.window(job, Role.SYNTHESIZER)) * 2 // 3
            return Packed(counts=rules.packed([rules.tokens(item) for item in items], window))

    @activity.defn(name="take-synthesis")
    async def take_synthesis(self, ask: TurnAsk) -> SynthesisTaken:
        """Records the synthesis, or says what is wrong with it.

        A second answer is taken without what it cites that there is not. Where there is no answer at all, the
        findings themselves are what comes of the job, and it says so.
        """
        with translated():
            turn_id = self._reading.turn_id(ask)
            said = (await self._ports.jobs.said(ask.ref, [turn_id])).get(turn_id)
            text = said.text if said and not said.failed else ""
            findings, board = await self._reading.found(await self._ports.jobs.record(ask.ref))
            mistake = self._reading.mistake(text, len(findings))
            if mistake and ask.attempt == 0:
                return SynthesisTaken(mistake=mistake)
            problem = f"{said.code}: {said.message}"[:500] if said and said.failed else ""
            await self._ports.jobs.set_result(ask.ref, self._result(text, findings, board, problem))
            return SynthesisTaken(problem="" if text else problem or "the answer was empty")

    @activity.defn(name="end-job")
    async def end_job(self, ending: JobEnding) -> JobEnded:
        """Records the job's end unless it has one, and tells who follows it."""
        with translated():
            return JobEnded(status=await self._end(ending))

    @activity.defn(name="sweep-jobs")
    async def sweep_jobs(self) -> int:
        """Starts jobs whose workflow never started, and ends those whose workflow is gone; returns how many."""
        mended = 0
        with translated():
            for ref in await self._ports.jobs.due(SWEEP_LIMIT):
                activity.heartbeat()
                outcome = await self._starter.start(ref)
                if outcome is StartOutcome.CLOSED:
                    why = "the job's workflow was terminated or ran out of time; ask again"
                    await self._end(
                        JobEnding(ref=ref, status=JobStatus.FAILED, code="workflow_closed", message=why)
                    )
                mended += outcome is not StartOutcome.RUNNING
        return mended

    async def _end(self, ending: JobEnding) -> JobStatus:
        error = {"code": ending.code, "message": ending.message} if ending.code else None
        if ending.status is not JobStatus.COMPLETED:
            await self._ports.jobs.close_board(ending.ref, NOT_DONE)
        status, view = await self._ports.jobs.end(ending.ref, ending.status, error)
        await self._ports.teller.tell(ending.ref.job_id, (END_EVENTS[status], view))
        return status

    def _result(
        self, text: str, findings: Sequence[Finding], board: Sequence[BoardTask], problem: str
    ) -> Mapping[str, Any]:
        rules, total = self._ports.rules, len(findings)
        cited = rules.read_citations(text, total)
        kept = rules.without_unknown(text, total) if cited.unknown else text
        if not text:
            kept = "\n".join(rules.labelled(place, finding, "") for place, finding in enumerate(findings, 1))
            cited = rules.read_citations(kept, total)
        return {
            "text": kept,
            "synthesized": bool(text),
            "problem": problem,
            "findings": total,
            "read": total,
            "tasks": len(board),
            "done": sum(task.status is TaskStatus.DONE for task in board),
            "citations": [_shown(place, findings[place - 1]) for place in cited.known[:MOST_CITED]],
            "stripped": list(cited.unknown),
            "missing": [
                {"task": task.id, "title": task.title, "why": task.why}
                for task in board
                if task.status is not TaskStatus.DONE
            ],
        }


def _shown(place: int, finding: Finding) -> dict[str, Any]:
    return {
        "label": f"F{place}",
        "finding": finding.id,
        "task": finding.task_id,
        "text": finding.text,
        "confidence": finding.confidence,
        "sources": list(finding.sources),
    }
