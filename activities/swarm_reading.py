"""What a synthesizer's passes read: findings, or what the passes below made of them."""

from collections.abc import Sequence

from activities.contracts.jobs import ATTEMPTS, JobRecord, JobRef, TurnAsk
from activities.contracts.swarm import Finding, Role, SwarmPhase, TaskStatus
from activities.contracts.swarm_texts import Prompt
from activities.swarm_job import SwarmPorts, findings_of
from activities.swarm_ports import BoardTask

UNREAD = "(this part could not be put together)"
MOST_HELD = 4
"""Jobs whose findings are held in memory while their passes are put into words."""


class Reading:
    """Puts passes into words, always the same ones for the same pass."""

    def __init__(self, ports: SwarmPorts) -> None:
        self._ports = ports
        self._held: dict[JobRef, tuple[Sequence[Finding], Sequence[BoardTask]]] = {}

    async def found(self, job: JobRecord) -> tuple[Sequence[Finding], Sequence[BoardTask]]:
        """The job's findings and tasks. Once its work is over they stay as they are, and are read once."""
        held = self._held.get(job.ref)
        if held is None:
            held = await findings_of(self._ports, job.ref)
            if job.phase is SwarmPhase.SYNTHESIZING:
                if len(self._held) >= MOST_HELD:
                    del self._held[next(iter(self._held))]
                self._held[job.ref] = held
        return held

    def turn_id(self, ask: TurnAsk, *, attempt: int | None = None) -> str:
        """The id of the turn that is asked for, or of another attempt at it."""
        number = ask.attempt if attempt is None else attempt
        words = (ask.role.value, str(ask.level), str(ask.index), str(number))
        return self._ports.asking.turn_id(ask.ref, *words)

    async def prompt(self, job: JobRecord, ask: TurnAsk) -> Prompt:
        """What the pass is asked."""
        window = self._ports.asking.window(job, Role.SYNTHESIZER)
        passes = ask.first + ask.count
        items, board, total = await self.items(job, level=ask.level, passes=passes)
        missing = [f"{task.title} ({task.why})" for task in board if task.status is not TaskStatus.DONE]
        mistake = said = ""
        if ask.attempt:
            first = self.turn_id(ask, attempt=0)
            before = (await self._ports.jobs.said(ask.ref, [first])).get(first)
            said = before.text if before else ""
            mistake = self.mistake(said, total)
        read = items[ask.first : passes]
        return self._ports.rules.synthesis_prompt(
            job.goal, read, missing, window, last=ask.last, mistake=mistake, said=said
        )

    async def items(
        self, job: JobRecord, *, level: int, passes: int
    ) -> tuple[list[str], Sequence[BoardTask], int]:
        """What a level reads, the tasks, and how many findings there are in all."""
        findings, board = await self.found(job)
        rules = self._ports.rules
        if level == 0:
            titles = {task.id: task.title for task in board}
            labelled = [
                rules.labelled(place, finding, titles.get(finding.task_id, ""))
                for place, finding in enumerate(findings, 1)
            ]
            return labelled, board, len(findings)
        texts = await self._below(job.ref, level - 1, passes)
        return [rules.without_unknown(text, len(findings)) for text in texts], board, len(findings)

    def mistake(self, text: str, findings: int) -> str:
        """What is wrong with a synthesis, in words that its author understands; empty where nothing is."""
        if not text.strip():
            return "the answer was empty"
        cited = self._ports.rules.read_citations(text, findings)
        unknown = cited.unknown
        if not unknown:
            return (
                "" if cited.known else "it cites no finding; name those that a sentence rests on, like [F1]"
            )
        return f"there is no finding {', '.join(unknown[:10])}; the findings are F1 to F{findings}"

    async def _below(self, ref: JobRef, level: int, passes: int) -> list[str]:
        asks = [TurnAsk(ref=ref, role=Role.SYNTHESIZER, level=level, index=index) for index in range(passes)]
        ids = [[self.turn_id(ask, attempt=number) for number in range(ATTEMPTS)] for ask in asks]
        said = await self._ports.jobs.said(ref, [turn for attempts in ids for turn in attempts])
        good = [
            [said[turn].text for turn in attempts if turn in said and not said[turn].failed]
            for attempts in ids
        ]
        return [next((text for text in texts if text.strip()), UNREAD) for texts in good]
