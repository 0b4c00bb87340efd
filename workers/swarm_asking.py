"""Making turns of what a swarm's roles are asked: rows like any turn's, marked with their job."""

import hashlib
from collections.abc import Callable

import msgspec
import orjson

from activities.contracts.backends import Ladder
from activities.contracts.chat import Message
from activities.contracts.jobs import Asked, JobRecord, JobRef
from activities.contracts.policy import Barred, Bounds, Intent, TurnPolicy
from activities.contracts.records import TurnStart
from activities.contracts.swarm import Role
from activities.contracts.swarm_texts import Prompt
from activities.contracts.topology import Topology
from activities.contracts.turn import TurnStatus
from activities.contracts.urgency import Urgency
from activities.errors import ModelMissing
from activities.swarm_ports import JobTurn
from infra.ids import ID_LENGTH, spelled
from infra.postgres.jobs import PostgresJobs
from infra.postgres.turns import NewTurn
from workflows.policy import budget
from workflows.policy.combine import bounds_of, combine
from workflows.policy.models import ladder_for
from workflows.policy.plans import prompt_estimate, turn_input
from workflows.policy.swarm_prompts import answer_room
from workflows.policy.swarm_roles import least_nano, window_of

CLOCK_CHARS = 10
"""Of an id: the millisecond at which it was made. A job's turns sort beside it."""


class TurnAsking:
    """Implements `activities.swarm_ports.Asking`."""

    def __init__(
        self,
        jobs: PostgresJobs,
        topology: Topology,
        *,
        preview_chars: int,
        barred: Callable[[], tuple[Barred, ...]] = tuple,
    ) -> None:
        self._jobs = jobs
        self._topology = topology
        self._preview_chars = preview_chars
        self._barred = barred

    def window(self, job: JobRecord, role: Role) -> int:
        """See `Asking`: that of the backend which answers first."""
        return window_of(self._topology, self._ladder(job, role))

    def least_nano(self, job: JobRecord, role: Role, prompt: Prompt | None = None) -> int:
        """See `Asking`."""
        messages = prompt.messages if prompt else ()
        most = prompt.sampling.max_tokens if prompt else None
        return least_nano(self._topology, self._ladder(job, role), messages, most)

    def turn_id(self, ref: JobRef, *words: str) -> str:
        """See `Asking`."""
        clock = ref.job_id.partition("_")[2][:CLOCK_CHARS]
        digest = hashlib.sha256("\0".join((ref.tenant_id, ref.job_id, *words)).encode()).digest()
        return f"turn_{clock}{spelled(int.from_bytes(digest), ID_LENGTH - len(clock))}"

    async def ask(self, job: JobRecord, turn: JobTurn) -> Asked:
        """See `Asking`."""
        role = job.options.roles[turn.role]
        ladder = self._ladder(job, turn.role)
        new = self._new_turn(job, turn)
        status = await self._jobs.accept_turn(new, job.ref, turn.role, turn.task_id, self._cap(job, turn))
        if status is None or status.ended:
            return Asked(turn_id=turn.turn_id, status=status or TurnStatus.CANCELLED)
        start = TurnStart(
            status=status,
            model=role.model,
            effort=new.effort,
            effort_why=new.effort_why,
            intent=new.intent,
            intent_why=new.intent_why,
            priority=new.priority,
            policy=new.policy,
            prompt_tokens=new.prompt_tokens,
            answer_tokens=new.answer_tokens,
            preview=self._preview(turn.prompt.messages),
            fairness_weight=job.fairness_weight,
        )
        started = turn_input(
            self._topology,
            ladder,
            start,
            tenant_id=job.ref.tenant_id,
            turn_id=turn.turn_id,
            barred=self._barred(),
        )
        return Asked(turn_id=turn.turn_id, status=status, turn=started)

    def _new_turn(self, job: JobRecord, turn: JobTurn) -> NewTurn:
        role, sampling = job.options.roles[turn.role], turn.prompt.sampling
        metadata = {"job": job.ref.job_id, "role": turn.role.value, "task": turn.task_id}
        return NewTurn(
            tenant_id=job.ref.tenant_id,
            turn_id=turn.turn_id,
            conversation_id=None,
            new_conversation=False,
            model=role.model,
            effort=role.effort,
            effort_why=f"a swarm's {turn.role}",
            intent=Intent.RESEARCH.value,
            intent_why="part of a swarm",
            priority=max(job.priority, int(Urgency.SWARM)),
            agent=None,
            agent_version=None,
            policy=bounds_of(combine(TurnPolicy(), job.policy, self._left(job, turn))),
            prompt_tokens=prompt_estimate(turn.prompt.messages),
            answer_tokens=sampling.max_tokens or answer_room(self.window(job, turn.role)),
            input=msgspec.json.encode(turn.prompt.messages),
            sampling=msgspec.json.encode(sampling),
            metadata=orjson.dumps({name: value for name, value in metadata.items() if value}),
            key_id=job.key_id,
        )

    def _left(self, job: JobRecord, turn: JobTurn) -> Bounds:
        """What is left of the job's money is all that the turn may cost."""
        cap = self._cap(job, turn)
        return Bounds() if cap is None else Bounds(max_usd=budget.to_usd(max(0, cap - job.spent_nano)))

    def _cap(self, job: JobRecord, turn: JobTurn) -> int | None:
        usd = job.options.budget_usd
        return turn.cap_nano if usd is None or turn.cap_nano is not None else budget.to_nano(usd)

    def _ladder(self, job: JobRecord, role: Role) -> Ladder:
        model = job.options.roles[role].model
        ladder = ladder_for(self._topology, model)
        if ladder is None:
            raise ModelMissing(f"{model} is not configured any more; ask for another backend")
        return ladder

    def _preview(self, messages: tuple[Message, ...]) -> str:
        return " ".join(messages[-1].content[: self._preview_chars * 4].split())[: self._preview_chars]
