"""The boards of jobs in PostgreSQL: what the ledger of tasks says, as its readers see it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from activities.contracts.jobs import JobRef
from activities.contracts.swarm import TaskStatus
from activities.swarm_ports import BoardLook, BoardTask
from infra.postgres.database import Connection, Database
from infra.postgres.turns import storable

PATIENCE_S = 5.0

BOARD = """
select k.id, k.place, k.title, case when k.status = 'claimed' and k.expires_at <= now() then 'open' else k.status end
       as status, k.owner, k.expires_at, k.findings, k.why
from aither.job_tasks k where k.tenant_id = $1 and k.job_id = $2 order by k.place, k.id limit $3
"""


class PostgresBoard:
    """The part of `activities.swarm_ports.JobStore` that is about tasks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def while_working(self, ref: JobRef, do: Callable[[], Awaitable[BoardTask]]) -> BoardTask | None:
        """See `JobStore`. The row is locked against `set_phase` and `end`, not against other workers."""

        async def query(connection: Connection) -> BoardTask | None:
            open_ = await connection.fetchval(
                "select true from aither.jobs where tenant_id = $1 and id = $2 and status = 'running'"
                " and phase = 'working' for share",
                ref.tenant_id,
                ref.job_id,
            )
            if not open_:
                return None
            noted = await do()
            await _note(connection, ref, noted)
            return noted

        return await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)

    async def put_board(self, ref: JobRef, tasks: Sequence[BoardTask]) -> None:
        """See `JobStore`."""
        await self._execute(
            ref,
            "insert into aither.job_tasks (tenant_id, job_id, id, place, title)"
            " select $1, $2, * from unnest($3::text[], $4::integer[], $5::text[]) on conflict do nothing",
            [task.id for task in tasks],
            [task.place for task in tasks],
            [storable(task.title) for task in tasks],
        )

    async def note(self, ref: JobRef, task: BoardTask) -> None:
        """See `JobStore`."""
        await self._db.in_tenant(ref.tenant_id, lambda c: _note(c, ref, task), patience=PATIENCE_S)

    async def note_expiry(self, ref: JobRef, task_id: str, until: datetime) -> None:
        """See `JobStore`."""
        await self._execute(
            ref,
            "update aither.job_tasks set expires_at = $4 where tenant_id = $1 and job_id = $2 and id = $3"
            " and status = 'claimed'",
            task_id,
            until,
        )

    async def look(self, ref: JobRef) -> BoardLook:
        """See `JobStore`."""

        async def query(connection: Connection) -> Any:
            return await connection.fetchrow(
                "select count(*) filter (where s.status = 'open') as open,"
                " count(*) filter (where s.status = 'claimed') as claimed,"
                " count(*) filter (where s.status = 'done') as done,"
                " count(*) filter (where s.status = 'failed') as failed, coalesce(sum(s.findings), 0) as findings,"
                " extract(epoch from min(s.expires_at) filter (where s.status = 'claimed') - now())::float8 as expiry"
                " from (select case when status = 'claimed' and expires_at <= now() then 'open' else status end"
                " as status, findings, expires_at from aither.job_tasks where tenant_id = $1 and job_id = $2) s",
                ref.tenant_id,
                ref.job_id,
            )

        row = await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)
        return BoardLook(
            open=row["open"],
            claimed=row["claimed"],
            done=row["done"],
            failed=row["failed"],
            findings=row["findings"],
            next_expiry_s=row["expiry"],
        )

    async def board(self, ref: JobRef, limit: int | None = None) -> Sequence[BoardTask]:
        """See `JobStore`."""

        async def query(connection: Connection) -> list[BoardTask]:
            rows = await connection.fetch(BOARD, ref.tenant_id, ref.job_id, limit)
            return [
                BoardTask(
                    id=row["id"],
                    place=row["place"],
                    title=row["title"],
                    status=TaskStatus(row["status"]),
                    owner=row["owner"],
                    expires_at=row["expires_at"],
                    findings=row["findings"],
                    why=row["why"],
                )
                for row in rows
            ]

        return await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)

    async def close_board(self, ref: JobRef, why: str) -> None:
        """See `JobStore`."""
        await self._execute(
            ref,
            "update aither.job_tasks set status = 'failed', why = case when why = '' then $3 else why end,"
            " changed_at = clock_timestamp()"
            " where tenant_id = $1 and job_id = $2 and status in ('open', 'claimed')",
            why,
        )

    async def _execute(self, ref: JobRef, sql: str, *parameters: object) -> None:
        await self._db.in_tenant(
            ref.tenant_id,
            lambda c: c.execute(sql, ref.tenant_id, ref.job_id, *parameters),
            patience=PATIENCE_S,
        )


async def _note(connection: Connection, ref: JobRef, task: BoardTask) -> None:
    await connection.execute(
        "update aither.job_tasks set status = $4, owner = $5, expires_at = $6, findings = $7, why = $8,"
        " changed_at = clock_timestamp() where tenant_id = $1 and job_id = $2 and id = $3"
        " and status not in ('done', 'failed')",
        ref.tenant_id,
        ref.job_id,
        task.id,
        task.status.value,
        task.owner,
        task.expires_at,
        task.findings,
        storable(task.why),
    )
