"""Boxes of leases: their plans, their joins and what they tell. Keys are derived elsewhere, and stored nowhere."""

from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg
import msgspec

from activities.contracts.boxes import BoxPhase, BoxPlan, BoxRefusal, BoxReport, BoxView
from activities.contracts.leases import LeaseState
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0

_plan = msgspec.json.Decoder(BoxPlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRow:
    """A box as a request of its is judged: its plan, the salts of its joins, where it is asked."""

    lease_id: str
    attempt: int
    plan: BoxPlan
    salts: tuple[bytes, ...] = field(repr=False)
    base_url: str

    @property
    def service(self) -> str:
        """Its name in the registry, and as a member of its pool."""
        return service_name(self.lease_id)


def service_name(lease_id: str) -> str:
    """A lease's backend in the registry; one name for all attempts, of which one at most lives."""
    return f"burst/{lease_id}"


class PostgresBoxes:
    """All of it raises `StoreUnavailable`; then nothing has changed, or it is unknown."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def prepare(
        self, lease_id: str, attempt: int, plan: BoxPlan, *, probe_url: str | None = None
    ) -> None:
        """Has a box be expected. To be done before it is ordered; twice is once, and a joined one stays."""
        said = msgspec.json.encode(plan).decode()
        await self._db.run(
            lambda c: c.execute(
                "insert into aither.boxes as b (lease_id, attempt, plan, probe_url) values ($1, $2, $3, $4)"
                " on conflict (lease_id, attempt) do update set plan = excluded.plan,"
                " probe_url = coalesce(excluded.probe_url, b.probe_url) where b.salts = '{}'",
                lease_id,
                attempt,
                said,
                probe_url,
            ),
            patience=PATIENCE_S,
        )

    async def locate(
        self, lease_id: str, attempt: int, *, base_url: str | None = None, probe_url: str | None = None
    ) -> None:
        """Notes where its server is asked, and where our side comes for its words, as the market says."""
        await self._db.run(
            lambda c: c.execute(
                "update aither.boxes set base_url = coalesce($3, base_url),"
                " probe_url = coalesce($4, probe_url) where lease_id = $1 and attempt = $2",
                lease_id,
                attempt,
                base_url,
                probe_url,
            ),
            patience=PATIENCE_S,
        )

    async def row(self, lease_id: str, attempt: int) -> BoxRow | None:
        """What a request of the box is judged by; None where no such box is expected."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select plan, salts, base_url from aither.boxes where lease_id = $1 and attempt = $2",
                lease_id,
                attempt,
            ),
            patience=PATIENCE_S,
        )
        if row is None:
            return None
        plan = _plan.decode(row["plan"])
        return BoxRow(
            lease_id=lease_id,
            attempt=attempt,
            plan=plan,
            salts=tuple(row["salts"]),
            base_url=row["base_url"] or plan.backend.base_url,
        )

    async def join(
        self, box: BoxRow, *, joins: int, nonce: str, salt: bytes, instance: str | None, base_url: str | None
    ) -> str:
        """Lets the box join: `joined`, `replay`, `second` or `unwanted`. It must have proved itself."""

        async def query(connection: Connection) -> str:
            return await connection.fetchval(
                "select aither.join_box($1, $2, $3, $4, $5, $6, $7)",
                box.lease_id,
                box.attempt,
                joins,
                nonce,
                salt,
                instance,
                base_url,
            )

        # Not tried again: a second try of one that was lost would find its own nonce used.
        return await self._db.run(query)

    async def hear(
        self, box: BoxRow, *, joins: int, sequence: int, report: BoxReport | None
    ) -> tuple[str, LeaseState | None]:
        """Takes a joined box's word: `heard` or `replay`, and its lease's state, None where it is not wanted."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select * from aither.hear_joined_box($1, $2, $3, $4, $5, $6, $7, $8)",
                box.lease_id,
                box.attempt,
                joins,
                sequence,
                report and report.phase.value,
                report and msgspec.json.encode(report).decode(),
                report.calls if report else 0,
                report.tokens if report else 0,
            )
        )
        assert row is not None
        return row["outcome"], None if row["state"] is None else LeaseState(row["state"])

    async def refuse(self, lease_id: str, reason: str, detail: str = "") -> None:
        """Records that somebody who spoke as this lease's box was refused."""
        await self._db.run(
            lambda c: c.execute("select aither.refuse_box($1, $2, $3)", lease_id, reason, detail),
            patience=PATIENCE_S,
        )

    async def refusals(self, lease_id: str) -> tuple[BoxRefusal, ...]:
        """What was refused in the lease's name, the newest first."""
        rows = await self._db.run(
            lambda c: c.fetch(
                "select reason, times, minute from aither.box_refusals where lease_id = $1"
                " order by last_at desc limit 1000",
                lease_id,
            ),
            patience=PATIENCE_S,
        )
        return tuple(BoxRefusal(lease_id=lease_id, **row) for row in rows)

    async def view(self, lease_id: str, attempt: int) -> BoxView | None:
        """The box as it is known; None where none is expected."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select *, extract(epoch from clock_timestamp() - heard_at)::float8 as age_s from aither.boxes"
                " where lease_id = $1 and attempt = $2",
                lease_id,
                attempt,
            ),
            patience=PATIENCE_S,
        )
        return None if row is None else _view(row)

    async def to_probe(self) -> tuple[tuple[str, int, str, timedelta], ...]:
        """Boxes that our side has to come to: lease, attempt, address, and how often."""
        rows = await self._db.run(
            lambda c: c.fetch(
                "select b.lease_id, b.attempt, b.probe_url, b.plan from aither.boxes b"
                " join aither.leases l on l.id = b.lease_id and l.attempt = b.attempt"
                " where b.probe_url is not null and l.ended_at is null order by b.lease_id"
            ),
            patience=PATIENCE_S,
        )
        return tuple(
            (row["lease_id"], row["attempt"], row["probe_url"], _plan.decode(row["plan"]).pace.heartbeat)
            for row in rows
        )


def _view(row: asyncpg.Record) -> BoxView:
    said = {"phase": row["phase"]} | msgspec.json.decode(row["report"])
    report = msgspec.convert(said, BoxReport)
    return BoxView(
        lease_id=row["lease_id"],
        attempt=row["attempt"],
        phase=BoxPhase(row["phase"]),
        report=report,
        base_url=row["base_url"] or _plan.decode(row["plan"]).backend.base_url,
        joins=len(row["salts"]),
        joined_at=row["joined_at"],
        age_s=row["age_s"],
    )
