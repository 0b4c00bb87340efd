"""Approvals in PostgreSQL, where they are decided: each call is a function there, and one round trip."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import orjson

from activities.approval_checks import MOST_NOTE_CHARS
from activities.contracts.approvals import (
    Advance,
    Answer,
    ApprovalAsk,
    ApprovalClock,
    ApprovalRef,
    ApprovalStatus,
    ApprovalView,
    Choice,
    Decision,
    Opened,
    Person,
    Surface,
    Told,
    Verdict,
    Withdrawal,
)
from activities.errors import ApprovalInvalid, ApprovalNotFound
from infra.postgres.database import Connection, Database
from infra.postgres.turns import storable

PATIENCE_S = 5.0
NEWEST = 2**63 - 1
_PLACE = "select seq from aither.approvals where tenant_id = $1 and id = $2"
"""Places count the approvals of all tenants, so none is told."""

_CANCEL = "select aither.cancel_approval($1,$2,$3,$4,$5,$6,$7)"
_VIEW = "select aither.approval_view(a) as view from aither.approvals a where a.tenant_id = $1 and a.id = $2"
# The oldest thousand lines of the trail: what decided is among them, whoever comes later.
_STORY = """
select aither.approval_view(a) as view, (
    select json_agg(row_to_json(u) order by u.number) from (
        select number, at, event, by, surface, option, scope, note from aither.approval_audit x
        where x.tenant_id = a.tenant_id and x.approval_id = a.id order by number limit 1000) u) as audit
from aither.approvals a where a.tenant_id = $1 and a.id = $2
"""

_answer = msgspec.json.Decoder(Answer)
_clock = msgspec.json.Decoder(ApprovalClock)
_view = msgspec.json.Decoder(ApprovalView)


class _Read(msgspec.Struct):
    known: bool
    decision: Decision | None


_read = msgspec.json.Decoder(_Read)
_opened = msgspec.json.Decoder(Opened)


class PostgresApprovals:
    """Implements `activities.approval_ports.ApprovalStore`, and what the API needs beside it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- asking and deciding

    async def open(self, ask: ApprovalAsk, by: str, surface: Surface) -> Opened:
        """See `ApprovalStore`."""
        opened, _ = await self.opened(ask, by, surface)
        return opened

    async def opened(self, ask: ApprovalAsk, by: str, surface: Surface) -> tuple[Opened, bool]:
        """The same, and whether this made it."""
        raw = await self._value(
            "select aither.open_approval($1,$2,$3,$4,$5,$6,$7)",
            ask.tenant_id,
            msgspec.json.encode(ask).decode(),
            by,
            surface.value,
            [step.after for step in ask.deciders.then],
            list[timedelta](ask.reminders or ()),
            ask.grant_ttl,
        )
        if raw is None:
            raise ApprovalInvalid("id: another approval has it")
        return _opened.decode(raw), orjson.loads(raw)["new"]

    async def decide(self, ref: ApprovalRef, choice: Choice) -> Answer:
        """See `Deciding`."""
        raw = await self._value(
            "select aither.decide_approval($1,$2,$3,$4,$5,$6,$7,$8)",
            ref.tenant_id,
            ref.approval_id,
            choice.by,
            list(choice.roles),
            choice.surface.value,
            storable(choice.option),
            choice.scope.value,
            storable(choice.note)[:MOST_NOTE_CHARS],
        )
        return _answer.decode(raw)

    async def cancel(
        self, ref: ApprovalRef, by: str, surface: Surface, note: str = "", roles: Sequence[str] = ()
    ) -> Answer:
        """Withdraws it: whoever opened it may, and whoever may decide it. DECIDED says that this did it."""
        raw = await self._value(
            _CANCEL,
            ref.tenant_id,
            ref.approval_id,
            by,
            list(roles),
            surface.value,
            storable(note)[:MOST_NOTE_CHARS],
            None,
        )
        return _answer.decode(raw)

    async def withdraw(self, withdrawal: Withdrawal) -> None:
        """See `ApprovalStore`."""
        ref, waiter = withdrawal.ref, withdrawal.waiter
        await self._value(
            _CANCEL,
            ref.tenant_id,
            ref.approval_id,
            waiter,
            [],
            Surface.WORKFLOW.value,
            withdrawal.why,
            waiter,
        )

    # --- what its workflow goes by

    async def decision(self, ref: ApprovalRef) -> Decision | None:
        """See `ApprovalStore`."""
        raw = await self._value("select aither.read_decision($1,$2)", ref.tenant_id, ref.approval_id)
        read = _read.decode(raw)
        if not read.known:
            raise _no_approval(ref)
        return read.decision

    async def clock(self, ref: ApprovalRef) -> ApprovalClock:
        """See `ApprovalStore`."""
        raw = await self._value("select aither.attend_approval($1,$2)", ref.tenant_id, ref.approval_id)
        if raw is None:
            raise _no_approval(ref)
        return _clock.decode(raw)

    async def advance(self, advance: Advance) -> None:
        """See `ApprovalStore`."""
        ref = advance.ref
        await self._value(
            "select aither.advance_approval($1,$2,$3,$4)",
            ref.tenant_id,
            ref.approval_id,
            advance.stage,
            advance.reminded,
        )

    async def told(self, told: Told) -> None:
        """See `ApprovalStore`."""
        ref, waiters = told.ref, list(told.waiters)
        await self._value("select aither.tell_approval($1,$2,$3)", ref.tenant_id, ref.approval_id, waiters)

    async def due(self, limit: int) -> Sequence[ApprovalRef]:
        """See `ApprovalStore`."""
        rows = await self._db.run(
            lambda c: c.fetch("select * from aither.due_approvals($1)", limit), patience=PATIENCE_S
        )
        return [ApprovalRef(tenant_id=row["tenant_id"], approval_id=row["approval_id"]) for row in rows]

    # --- what people see

    async def people(self, ref: ApprovalRef) -> Sequence[Person]:
        """See `ApprovalStore`."""
        rows = await self._db.run(
            lambda c: c.fetch("select * from aither.approval_people($1,$2)", ref.tenant_id, ref.approval_id),
            patience=PATIENCE_S,
        )
        return [
            Person(name=row["name"], roles=tuple(row["roles"]), time_zone=row["time_zone"]) for row in rows
        ]

    async def view(self, ref: ApprovalRef) -> ApprovalView | None:
        """See `Deciding`."""
        found = await self._seen(ref, _VIEW)
        return None if found is None else _view.decode(found["view"])

    async def story(self, ref: ApprovalRef) -> dict[str, Any] | None:
        """The approval with its audit trail, as `GET /v1/approvals/{id}` shows it; None where there is none."""
        found = await self._seen(ref, _STORY)
        if found is None:
            return None
        return {**orjson.loads(found["view"]), "audit": orjson.loads(found["audit"])}

    async def page(
        self, tenant_id: str, *, status: ApprovalStatus | None, before: str | None, limit: int
    ) -> list[dict[str, Any]] | None:
        """Up to `limit` approvals, newest first, from after the one called `before`; None where there is none.

        They come without their longer parts.
        """

        async def query(connection: Connection) -> list[asyncpg.Record] | None:
            place = NEWEST if before is None else await connection.fetchval(_PLACE, tenant_id, before)
            if place is None:
                return None
            return await connection.fetch(
                "select line from aither.approval_page($1,$2,$3,$4)",
                tenant_id,
                status.value if status else None,
                place,
                limit,
            )

        rows = await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)
        return None if rows is None else [orjson.loads(row["line"]) for row in rows]

    async def closed(self, tenant_id: str, approval_ids: Sequence[str]) -> set[str]:
        """Those of the approvals that are open no more."""

        async def query(connection: Connection) -> set[str]:
            rows = await connection.fetch(
                "select id from aither.approvals where tenant_id = $1 and id = any ($2) and status <> 'open'",
                tenant_id,
                list(approval_ids),
            )
            return {row["id"] for row in rows}

        return await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)

    async def _seen(self, ref: ApprovalRef, sql: str) -> Any:
        async def query(connection: Connection) -> Any:
            return await connection.fetchrow(sql, ref.tenant_id, ref.approval_id)

        return await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)

    async def _value(self, sql: str, *parameters: object) -> Any:
        return await self._db.run(lambda c: c.fetchval(sql, *parameters), patience=PATIENCE_S)


def changed(answer: Answer) -> bool:
    """Whether the approval's workflow has to hear of it."""
    return answer.verdict in {Verdict.DECIDED, Verdict.COUNTED}


def _no_approval(ref: ApprovalRef) -> ApprovalNotFound:
    return ApprovalNotFound(
        f"there is no approval {ref.approval_id}; GET /v1/approvals lists those there are"
    )
