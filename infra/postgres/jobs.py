"""Jobs, their boards and their turns in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import orjson

from activities.contracts.jobs import JobRecord, JobRef, SwarmOptions
from activities.contracts.policy import Bounds
from activities.contracts.swarm import JobStatus, Role, SwarmPhase
from activities.contracts.turn import TurnStatus
from activities.errors import JobNotFound
from activities.swarm_ports import TurnSaid
from infra.postgres.database import Connection
from infra.postgres.job_board import BOARD, PATIENCE_S, PostgresBoard
from infra.postgres.turns import NewTurn, storable

MOST_SHOWN = 1_000
"""Tasks that a job's view shows one by one."""

_options = msgspec.json.Decoder(SwarmOptions)
_bounds = msgspec.json.Decoder(Bounds)


class JobOutcome(StrEnum):
    """What accepting a job came to."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A validated job on its way into the database. `policy` is the whole of what its turns may do."""

    ref: JobRef
    goal: str
    context: str
    options: SwarmOptions
    policy: Bounds
    priority: int
    budget_nano: int | None
    key_id: str
    kind: str = "swarm"
    idempotency_key: str | None = None
    request_sha256: bytes | None = None


class PostgresJobs(PostgresBoard):
    """Implements `activities.swarm_ports.JobStore`, and what the API needs of jobs beside it."""

    # --- what the activities need

    async def record(self, ref: JobRef) -> JobRecord:
        """See `JobStore`."""

        async def query(connection: Connection) -> Any:
            return await connection.fetchrow(
                "select j.*, o.fairness_weight, s.spent_nano, s.reserved_nano, (select count(*) from aither.turns t"
                " where t.tenant_id = j.tenant_id and t.job_id = j.id and t.job_role = 'worker'"
                " and t.status = 'running') as running_turns"
                " from aither.jobs j join aither.tenants o on o.id = j.tenant_id,"
                " lateral aither.job_spend(j.tenant_id, j.id) s where j.tenant_id = $1 and j.id = $2",
                ref.tenant_id,
                ref.job_id,
            )

        row = await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)
        if row is None:
            raise _no_job(ref)
        return JobRecord(
            ref=ref,
            status=JobStatus(row["status"]),
            phase=SwarmPhase(row["phase"]),
            goal=row["goal"],
            context=row["context"],
            options=_options.decode(row["options"]),
            policy=_bounds.decode(row["policy"]),
            priority=row["priority"],
            key_id=row["key_id"],
            fairness_weight=row["fairness_weight"],
            spent_nano=row["spent_nano"],
            reserved_nano=row["reserved_nano"],
            running_turns=row["running_turns"],
        )

    async def said(self, ref: JobRef, turn_ids: Sequence[str]) -> Mapping[str, TurnSaid]:
        """See `JobStore`."""

        async def query(connection: Connection) -> dict[str, TurnSaid]:
            rows = await connection.fetch(
                "select t.id, t.status, t.error, a.text from aither.turns t left join lateral ("
                " select text from aither.answers a where a.tenant_id = t.tenant_id and a.turn_id = t.id"
                " and a.step = coalesce(t.answer_step, a.step) order by a.step desc limit 1) a on true"
                " where t.tenant_id = $1 and t.job_id = $2 and t.id = any ($3)",
                ref.tenant_id,
                ref.job_id,
                list(turn_ids),
            )
            return {row["id"]: _said(row) for row in rows}

        return await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)

    async def accept_turn(
        self, turn: NewTurn, ref: JobRef, role: Role, task_id: str, cap_nano: int | None
    ) -> TurnStatus | None:
        """Stores a turn of the job, once; how it stands, or None where the job has ended."""
        status = await self._db.run(
            lambda c: c.fetchval(
                "select aither.accept_job_turn($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19)",
                turn.tenant_id,
                turn.turn_id,
                ref.job_id,
                role.value,
                task_id or None,
                cap_nano,
                turn.model,
                turn.effort,
                turn.effort_why,
                turn.intent,
                turn.intent_why,
                turn.priority,
                msgspec.json.encode(turn.policy).decode(),
                turn.prompt_tokens,
                turn.answer_tokens,
                storable(turn.input.decode()),
                turn.sampling.decode(),
                turn.metadata.decode(),
                turn.key_id,
            ),
            patience=PATIENCE_S,
        )
        return TurnStatus(status) if status else None

    async def set_phase(self, ref: JobRef, phase: SwarmPhase) -> None:
        """See `JobStore`. Phases only go on."""
        order = list(SwarmPhase)
        earlier = [each.value for each in order[: order.index(phase)]]
        await self._execute(
            ref,
            "update aither.jobs set phase = $3 where tenant_id = $1 and id = $2 and status = 'running'"
            " and phase = any ($4)",
            phase.value,
            earlier,
        )

    async def set_result(self, ref: JobRef, result: Mapping[str, Any]) -> None:
        """See `JobStore`."""
        await self._execute(
            ref,
            "update aither.jobs set result = $3 where tenant_id = $1 and id = $2 and status = 'running'",
            storable(orjson.dumps(result).decode()),
        )

    async def end(
        self, ref: JobRef, status: JobStatus, error: Mapping[str, str] | None
    ) -> tuple[JobStatus, Mapping[str, Any]]:
        """See `JobStore`."""
        raw = await self._db.run(
            lambda c: c.fetchval(
                "select aither.end_job($1,$2,$3,$4,$5)",
                ref.tenant_id,
                ref.job_id,
                status.value,
                None,
                orjson.dumps(error).decode() if error else None,
            ),
            patience=PATIENCE_S,
        )
        if raw is None:
            raise _no_job(ref)
        view: dict[str, Any] = orjson.loads(raw)["job"]
        return JobStatus(view["status"]), view

    async def due(self, limit: int) -> Sequence[JobRef]:
        """See `JobStore`."""
        rows = await self._db.run(
            lambda c: c.fetch("select tenant_id, job_id from aither.due_jobs($1)", limit), patience=PATIENCE_S
        )
        return [JobRef(tenant_id=row["tenant_id"], job_id=row["job_id"]) for row in rows]

    # --- what the API needs

    async def accept(self, job: NewJob) -> tuple[JobOutcome, str]:
        """Stores the job, or finds the one that the same idempotency key stored before; its id."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select outcome, job_id from aither.accept_job($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
                job.ref.tenant_id,
                job.ref.job_id,
                job.kind,
                job.goal,
                job.context,
                msgspec.json.encode(job.options).decode(),
                msgspec.json.encode(job.policy).decode(),
                job.priority,
                job.budget_nano,
                job.key_id,
                job.idempotency_key,
                job.request_sha256,
            ),
            patience=PATIENCE_S,
        )
        assert row is not None
        return JobOutcome(row["outcome"]), row["job_id"]

    async def view(self, ref: JobRef) -> dict[str, Any] | None:
        """The job as `GET /v1/jobs/{id}` shows it, with its context and its board; None where there is none."""

        async def query(connection: Connection) -> dict[str, Any] | None:
            row = await connection.fetchrow(
                "select aither.job_view(j) as job, j.context from aither.jobs j where j.tenant_id = $1 and j.id = $2",
                ref.tenant_id,
                ref.job_id,
            )
            if row is None:
                return None
            tasks = await connection.fetch(BOARD, ref.tenant_id, ref.job_id, MOST_SHOWN)
            board = [dict(task) for task in tasks]
            return {**orjson.loads(row["job"]), "context": row["context"], "board": board}

        return await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)

    async def page(
        self, tenant_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> list[dict[str, Any]]:
        """Up to `limit` jobs with ids below `before`, newest first, without contexts and boards."""

        async def query(connection: Connection) -> list[dict[str, Any]]:
            rows = await connection.fetch(
                "select aither.job_view(j) as job from aither.jobs j where j.tenant_id = $1"
                " and ($2::text is null or j.id < $2) and ($3::text is null or j.status = $3)"
                " order by j.id desc limit $4",
                tenant_id,
                before,
                status.value if status else None,
                limit,
            )
            return [orjson.loads(row["job"]) for row in rows]

        return await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)

    async def running_turns(self, ref: JobRef) -> list[str]:
        """The ids of the job's turns that run."""

        async def query(connection: Connection) -> list[str]:
            rows = await connection.fetch(
                "select id from aither.turns where tenant_id = $1 and job_id = $2 and status = 'running'",
                ref.tenant_id,
                ref.job_id,
            )
            return [row["id"] for row in rows]

        return await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)


def _said(row: Any) -> TurnSaid:
    error: dict[str, str] = orjson.loads(row["error"]) if row["error"] else {}
    return TurnSaid(
        status=TurnStatus(row["status"]),
        text=row["text"] or "",
        code=error.get("code", ""),
        message=error.get("message", ""),
    )


def _no_job(ref: JobRef) -> JobNotFound:
    return JobNotFound(f"there is no job {ref.job_id}; GET /v1/jobs lists those there are")
