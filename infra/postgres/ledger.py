"""The spend ledger: money is set aside before a call, booked or given back after it, and never changed."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import msgspec

from activities.contracts.policy import Caps, Spending
from activities.contracts.records import Reservation, SpendCall
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0
NANO = 1_000_000_000


class SpendBy(StrEnum):
    """What spend can be summed by."""

    DAY = "day"
    MODEL = "model"
    TENANT = "tenant"
    KEY = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """One group's sums: dollars spent, what the reference model would have cost, turns, calls and tokens.

    `local_calls` and `local_turns` were answered without leaving the building: no call of such a turn left it.
    """

    group: str
    usd: float
    reference_usd: float
    turns: int
    local_turns: int
    calls: int
    local_calls: int
    prompt_tokens: int
    completion_tokens: int


NOTHING = SpendLine(
    group="total",
    usd=0.0,
    reference_usd=0.0,
    turns=0,
    local_turns=0,
    calls=0,
    local_calls=0,
    prompt_tokens=0,
    completion_tokens=0,
)


class _Reserved(msgspec.Struct, frozen=True):
    granted: bool
    cap: str | None
    turn_spent: int
    turn_reserved: int
    day_spent: int
    day_reserved: int
    month_spent: int
    month_reserved: int


_reserved = msgspec.json.Decoder(_Reserved)

_GROUPS = {
    SpendBy.DAY: "s.day::text",
    SpendBy.MODEL: "s.model",
    SpendBy.TENANT: "s.tenant_id",
    SpendBy.KEY: "s.key_id",
}


class PostgresLedger:
    """Implements `activities.ports.SpendLedger`, and the reports on it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def reserve(self, call: SpendCall, nano_usd: int, caps: Caps) -> Reservation:
        """See `SpendLedger`."""
        raw = await self._db.run(
            lambda c: c.fetchval(
                "select aither.reserve_spend($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
                call.tenant_id,
                call.turn_id,
                call.step,
                call.backend,
                call.model,
                call.local,
                nano_usd,
                _nano(caps.turn_usd),
                _nano(caps.tenant_day_usd),
                _nano(caps.tenant_month_usd),
            ),
            patience=PATIENCE_S,
        )
        row = _reserved.decode(raw)
        return Reservation(
            granted=row.granted,
            cap=row.cap,
            spending=Spending(
                turn_spent=row.turn_spent,
                turn_reserved=row.turn_reserved,
                day_spent=row.day_spent,
                day_reserved=row.day_reserved,
                month_spent=row.month_spent,
                month_reserved=row.month_reserved,
            ),
        )

    async def release(self, call: SpendCall) -> None:
        """See `SpendLedger`."""
        await self._db.run(
            lambda c: c.execute(
                "select aither.settle_spend($1,$2,$3,'released',$4,$5,$6,0,0,0,0,0,0)",
                call.tenant_id,
                call.turn_id,
                call.step,
                call.backend,
                call.model,
                call.local,
            ),
            patience=PATIENCE_S,
        )

    async def report(self, tenant_id: str, by: SpendBy, since: date, until: date) -> list[SpendLine]:
        """Sums of what was settled from `since` to `until`, both included (UTC days), by group."""
        return await self._sums(_GROUPS[by], tenant_id, since, until)

    async def total(self, tenant_id: str, since: date, until: date) -> SpendLine:
        """The same sums over everything; its group is `total`."""
        return (await self._sums("'total'", tenant_id, since, until) or [NOTHING])[0]

    async def _sums(self, group: str, tenant_id: str, since: date, until: date) -> list[SpendLine]:
        # The group is a constant of ours, never a caller's text. A turn is local where all its calls were.
        sql = (
            "select name, sum(nano) as nano, sum(reference) as reference, count(*) as turns,"  # noqa: S608
            " count(*) filter (where local) as local_turns, sum(calls) as calls,"
            " sum(local_calls) as local_calls, sum(prompt) as prompt, sum(completion) as completion from ("
            f" select {group} as name, s.turn_id, sum(s.nano_usd) as nano,"
            " sum(s.reference_nano_usd) as reference, count(*) as calls, bool_and(s.local) as local,"
            " count(*) filter (where s.local) as local_calls, sum(s.prompt_tokens) as prompt,"
            " sum(s.completion_tokens) as completion from aither.spend s"
            " where s.tenant_id = $1 and s.kind = 'settled' and s.day between $2 and $3 group by 1, 2"
            ") turns group by 1 order by 1"
        )

        async def query(connection: Connection) -> list[SpendLine]:
            rows = await connection.fetch(sql, tenant_id, since, until)
            return [
                SpendLine(
                    group=row["name"],
                    usd=int(row["nano"]) / NANO,
                    reference_usd=int(row["reference"]) / NANO,
                    turns=row["turns"],
                    local_turns=row["local_turns"],
                    calls=int(row["calls"]),
                    local_calls=int(row["local_calls"]),
                    prompt_tokens=int(row["prompt"]),
                    completion_tokens=int(row["completion"]),
                )
                for row in rows
            ]

        return await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)


def _nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * NANO)
