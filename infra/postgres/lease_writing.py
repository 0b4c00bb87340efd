"""Changing a lease's row, under its lock, with a line of the audit in the same commit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg

from activities.contracts.lease_views import EndCode, LeaseView
from activities.contracts.leases import LeaseState
from activities.errors import LeaseNotFound
from infra.postgres.database import Connection, Database
from infra.postgres.lease_rows import LEASES, lease_of

PATIENCE_S = 5.0
WORKFLOW = "workflow"
NO_BOX: Mapping[str, Any] = {
    "instance_id": None,
    "machine_id": None,
    "address": None,
    "box_state": "",
    "box_seen_at": None,
    "unseen_since": None,
    "joined_at": None,
    "heard_at": None,
    "busy_at": None,
    "made_at": None,
    "calls": 0,
    "nano_hour": 0,
}
"""What is known of an attempt's box, before there is one."""


class LockedLease:
    """A lease whose row is locked until its transaction ends. Columns are named by this package's own code."""

    def __init__(self, connection: Connection, row: asyncpg.Record) -> None:
        self.connection = connection
        self.row = row
        self.id: str = row["id"]
        self.state = LeaseState(row["state"])

    async def view(self) -> LeaseView:
        """The lease as it is now."""
        row = await self.connection.fetchrow(f"{LEASES} where l.id = $1", self.id)
        assert row is not None
        return lease_of(row)

    async def write(
        self,
        event: str,
        told: str = "",
        fields: Mapping[str, Any] | None = None,
        *,
        to: LeaseState | None = None,
        stamp: str = "",
        actor: str = WORKFLOW,
    ) -> None:
        """Sets columns and says so; `stamp` names a time that is now, `to` a state that begins."""
        moved = {} if to is None else {"state": to, "why": told[:500]}
        stamps = [each for each in (stamp, "state_at" if to is not None else "") if each]
        await self.fill({**(fields or {}), **moved}, *stamps)
        await say(self.connection, self.id, actor, event, state=to or self.state, told=told)

    async def fill(self, fields: Mapping[str, Any], *stamps: str) -> None:
        """Sets columns, and times that are now."""
        named = [f"{name} = ${number}" for number, name in enumerate(fields, start=2)]
        named += [f"{stamp} = clock_timestamp()" for stamp in stamps]
        if named:
            await self.connection.execute(
                f"update aither.leases set {', '.join(named)} where id = $1",  # noqa: S608
                self.id,
                *fields.values(),
            )

    async def end(self, code: EndCode, why: str, actor: str) -> bool:
        """Notes for what the lease ends; False where there was a reason before."""
        if self.row["ending_code"] is not None:
            return False
        fields = {"ending": why[:500], "ending_code": code}
        await self.write("ending", f"{code}: {why}", fields, stamp="ending_at", actor=actor)
        return True

    async def bill(self, nano_hour: int) -> None:
        """Books what the attempt's box has cost since it was last booked, at this price."""
        await self.connection.execute("select aither.bill_lease($1, $2)", self.id, nano_hour)


Change = Callable[[LockedLease], Awaitable[bool | None]]


async def locked(
    database: Database,
    lease_id: str,
    states: Sequence[LeaseState],
    change: Change,
    *,
    attempt: int | None = None,
    lock: str = "",
) -> bool | None:
    """Makes the change where the lease is in one of those states, at that attempt; None where it is not.

    `lock` names a lock that is taken before any row's. Raises `LeaseNotFound` and `StoreUnavailable`; the change is
    made again where the connection was lost, so it must be safe to make twice.
    """

    async def query(connection: Connection) -> bool | None:
        async with connection.transaction():
            if lock:
                await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", lock)
            row = await connection.fetchrow("select * from aither.leases where id = $1 for update", lease_id)
            if row is None:
                raise LeaseNotFound(f"there is no lease {lease_id}; GET /v1/leases lists those there are")
            if row["state"] not in states or (attempt is not None and attempt != row["attempt"]):
                return None
            return await change(LockedLease(connection, row))

    return await database.run(query, patience=PATIENCE_S)


async def say(
    connection: Connection, lease_id: str, actor: str, event: str, *, state: LeaseState | None, told: str
) -> None:
    """Adds a line to the audit."""
    await connection.execute(
        "insert into aither.lease_audit (lease_id, actor, event, state, data)"
        " values ($1, $2, $3, $4, json_build_object('told', $5::text))",
        lease_id,
        actor,
        event,
        state,
        told,
    )
