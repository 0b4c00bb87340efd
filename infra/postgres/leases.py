"""Leases in PostgreSQL. Each change locks the lease's row, and commits with its line of the audit."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from activities.contracts.lease_views import (
    Creation,
    EndCode,
    LeaseAsk,
    LeaseEvent,
    LeaseNote,
    LeaseView,
    Spending,
    lease_label,
)
from activities.contracts.leases import Instance, LeaseState, RankedOffer
from activities.errors import LeaseNotFound
from activities.leasing_ports import Guard
from infra.postgres.database import Connection, Database
from infra.postgres.lease_rows import LEASES, NANO, choices_of, event_of, lease_of, plan_of
from infra.postgres.lease_writing import NO_BOX, PATIENCE_S, WORKFLOW, LockedLease, locked, say

UNWATCHED = timedelta(seconds=90)
"""Between two looks: longer, and we were away ourselves. More than a lease is looked at in any state."""
RENTING = "aither.renting"
"""The lock that every order takes: two leases never both spend the same rest of a cap."""
OPEN = tuple(state for state in LeaseState if not state.ended)
WITH_BOX = tuple(state for state in LeaseState if state.may_have_a_box)


class PostgresLeases:
    """Implements `activities.leasing_ports.LeaseStore`, and what the API reads beside it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- reading

    async def lease(self, lease_id: str) -> LeaseView:
        """See `LeaseStore`."""
        row = await self._db.run(
            lambda c: c.fetchrow(f"{LEASES} where l.id = $1", lease_id), patience=PATIENCE_S
        )
        if row is None:
            raise LeaseNotFound(f"there is no lease {lease_id}; GET /v1/leases lists those there are")
        return lease_of(row)

    async def watch(self, lease_id: str) -> LeaseView:
        """See `LeaseStore`."""
        await self._db.run(
            lambda c: c.execute(
                "update aither.leases set looked_at = clock_timestamp(), watched_since ="
                " case when looked_at > clock_timestamp() - $2::interval then watched_since"
                " else clock_timestamp() end where id = $1",
                lease_id,
                UNWATCHED,
            ),
            patience=PATIENCE_S,
        )
        return await self.lease(lease_id)

    async def leases(self, ids: Sequence[str]) -> tuple[LeaseView, ...]:
        """See `LeaseStore`."""
        return await self._all("where l.id = any($1)", list(ids))

    async def open_leases(self) -> tuple[LeaseView, ...]:
        """See `LeaseStore`."""
        return await self._all("where l.ended_at is null order by l.asked_at, l.id")

    async def recent(self, within: timedelta) -> tuple[LeaseView, ...]:
        """The open leases, and those that ended within that time, the oldest first."""
        return await self._all(
            "where l.ended_at is null or l.ended_at > clock_timestamp() - $1::interval order by l.asked_at, l.id",
            within,
        )

    async def newest(self, limit: int, *, only_open: bool = False) -> tuple[LeaseView, ...]:
        """The newest leases first."""
        return await self._all(
            "where not $2 or l.ended_at is null order by l.asked_at desc, l.id limit $1", limit, only_open
        )

    async def events(self, lease_id: str, limit: int = 200) -> tuple[LeaseEvent, ...]:
        """The newest lines of a lease's audit, in order."""
        rows = await self._db.run(
            lambda c: c.fetch(
                "select * from (select id, lease_id, at, actor, event, state, coalesce(data->>'told', '') as told"
                " from aither.lease_audit where lease_id = $1 order by id desc limit $2) e order by id",
                lease_id,
                limit,
            ),
            patience=PATIENCE_S,
        )
        return tuple(event_of(row) for row in rows)

    async def spending(self) -> Spending:
        """See `LeaseStore`."""
        return await self._db.run(_spending, patience=PATIENCE_S)

    # --- what a lease goes through

    async def ask(self, ask: LeaseAsk) -> bool:
        """See `LeaseStore`."""

        async def query(connection: Connection) -> bool:
            async with connection.transaction():
                made = await connection.fetchval(
                    "insert into aither.leases (id, purpose, pool, asked_by, why, plan)"
                    " values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing returning id",
                    ask.id,
                    ask.plan.purpose,
                    ask.plan.pool,
                    ask.asked_by,
                    ask.why,
                    _json(ask.plan),
                )
                if made is not None:
                    await say(connection, ask.id, ask.asked_by, "asked", state=LeaseState.ASKED, told=ask.why)
            return made is not None

        return await self._db.run(query, patience=PATIENCE_S)

    async def quoted(self, lease_id: str, choices: Sequence[RankedOffer], why: str) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            fields = {"choices": _json(tuple(choices)), "quotes": lease.row["quotes"] + 1}
            await lease.write("quoted", why, fields)

        await locked(self._db, lease_id, (LeaseState.ASKED, LeaseState.APPROVED), change)

    async def agree(self, lease_id: str, approval_id: str, by: str) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            await lease.write("agreed", "", {"approval_id": approval_id, "approved_by": by}, actor=by)

        await locked(self._db, lease_id, (LeaseState.ASKED,), change)

    async def intend(self, lease_id: str, guard: Guard) -> LeaseView | None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> bool:
            choices = choices_of(lease.row)
            if lease.row["ending_code"] is not None or not choices:
                return False
            others = await lease.connection.fetch(
                f"{LEASES} where l.ended_at is null and l.id <> $1", lease_id
            )
            refusal = guard(
                await _spending(lease.connection), [await lease.view(), *(lease_of(row) for row in others)]
            )
            if refusal is not None:
                await lease.end(refusal.code, refusal.why, WORKFLOW)
                return False
            best, attempt = choices[0], lease.row["attempt"] + 1
            label = lease_label(plan_of(lease.row).installation, lease_id, attempt)
            fields = {
                **NO_BOX,
                "attempt": attempt,
                "label": label,
                "creation": Creation.INTENDED,
                "offer": _json(best),
                "choices": _json(choices[1:]),
                "machine_id": best.offer.machine,
                "nano_hour": _nano(best.offer.usd_per_hour + best.storage_usd_per_hour),
            }
            told = f"{label}: offer {best.offer.id}, {best.offer.gpu}"
            await lease.write("ordered", told, fields, to=LeaseState.RENTING, stamp="intended_at")
            return True

        intended = await locked(self._db, lease_id, (LeaseState.APPROVED,), change, lock=RENTING)
        return await self.lease(lease_id) if intended else None

    async def made(self, lease_id: str, attempt: int, instance: str) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            fields = {
                "creation": Creation.MADE,
                "instance_id": instance,
                "boxes": lease.row["boxes"] + 1,
                "unseen_since": None,
            }
            told = f"instance {instance}"
            await lease.write("rented", told, fields, to=LeaseState.BOOTING, stamp="made_at")
            offer = (await lease.view()).offer
            await lease.connection.execute(
                "insert into aither.lease_spend (lease_id, attempt, kind, from_at, to_at, nano_hour, nano_usd)"
                " values ($1, $2, 'download', $3, $3, 0, $4)",
                lease_id,
                attempt,
                lease.row["intended_at"],
                _nano(offer.download_usd if offer else 0.0),
            )

        await locked(self._db, lease_id, (LeaseState.RENTING,), change, attempt=attempt)

    async def void(self, lease_id: str, attempt: int, why: str, *, keep: bool = False) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            fields = {**NO_BOX, "creation": Creation.VOID}
            seen = await lease.view()
            if keep and seen.offer is not None:
                fields["choices"] = _json((seen.offer, *seen.choices))
            await lease.write("order_void", why, fields, to=LeaseState.APPROVED)

        await locked(self._db, lease_id, (LeaseState.RENTING,), change, attempt=attempt)

    async def seen(self, lease_id: str, attempt: int, instance: Instance) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            row = lease.row
            price = _price(instance, row["nano_hour"])
            # What it cost while nobody looked is not known: the dearer of both, then.
            await lease.bill(max(price, row["nano_hour"]))
            fields = {
                "box_state": instance.state,
                "unseen_since": None,
                "nano_hour": price,
                "machine_id": instance.machine or row["machine_id"],
                "address": row["address"] or instance.address,
            }
            await lease.fill(fields, "box_seen_at")
            if instance.state != row["box_state"]:
                told = f"{instance.state} {instance.status_message}".strip()[:300]
                await lease.write("box", told, actor="market")
            if price != row["nano_hour"]:
                told = f"{row['nano_hour'] / NANO:.4f} to {price / NANO:.4f} $/h"
                await lease.write("price", told, actor="market")

        await locked(self._db, lease_id, WITH_BOX, change, attempt=attempt)

    async def unseen(self, lease_id: str, attempt: int) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            await lease.bill(lease.row["nano_hour"])
            if lease.row["unseen_since"] is None:
                await lease.write("unseen", stamp="unseen_since", actor="market")

        await locked(self._db, lease_id, WITH_BOX, change, attempt=attempt)

    async def move(self, note: LeaseNote, came_from: Sequence[LeaseState]) -> None:
        """See `LeaseStore`."""

        async def change(lease: LockedLease) -> None:
            if note.ending is not None:
                await lease.end(note.ending, note.why, WORKFLOW)
            fields: dict[str, Any] = {}
            if note.exclude_machine and lease.row["machine_id"]:
                fields["machines_out"] = sorted({*lease.row["machines_out"], lease.row["machine_id"]})
            if note.to is LeaseState.DESTROYING:
                # Only what is not seen after the order to destroy it is verified gone.
                fields["unseen_since"] = None
            if lease.state is LeaseState.DESTROYING:
                await lease.bill(lease.row["nano_hour"])
                fields |= {"nano_hour": 0, "calls": 0}
                if note.to is LeaseState.APPROVED:
                    fields |= {**NO_BOX, "creation": Creation.NONE, "choices": "[]", "quotes": 0}
            stamp = "served_at" if note.to is LeaseState.SERVING else "ended_at" if note.to.ended else ""
            await lease.write(note.to.value, note.why, fields, to=note.to, stamp=stamp)

        await locked(self._db, note.lease_id, came_from, change)

    async def want_end(self, lease_id: str, code: EndCode, why: str, actor: str) -> bool:
        """See `LeaseStore`."""
        ended = await locked(self._db, lease_id, OPEN, lambda lease: lease.end(code, why, actor))
        return bool(ended)

    async def record(self, lease_id: str, actor: str, event: str, told: str = "") -> None:
        """See `LeaseStore`."""
        await self._db.run(
            lambda c: say(c, lease_id, actor, event, state=None, told=told), patience=PATIENCE_S
        )

    async def _all(self, where: str, *arguments: object) -> tuple[LeaseView, ...]:
        rows = await self._db.run(lambda c: c.fetch(f"{LEASES} {where}", *arguments), patience=PATIENCE_S)
        return tuple(lease_of(row) for row in rows)


async def _spending(connection: Connection) -> Spending:
    row = await connection.fetchrow(
        "with now as (select clock_timestamp() at time zone 'UTC' as at)"
        " select coalesce(sum(nano_usd) filter (where to_at >= date_trunc('day', n.at) at time zone 'UTC'), 0)"
        "::bigint as day, coalesce(sum(nano_usd), 0)::bigint as month from now n left join aither.lease_spend"
        " on to_at >= date_trunc('month', n.at) at time zone 'UTC'"
    )
    assert row is not None
    return Spending(day_usd=row["day"] / NANO, month_usd=row["month"] / NANO)


def _price(instance: Instance, before: int) -> int:
    """What it bills an hour, in nano-dollars; as before where the market does not say."""
    if instance.usd_per_hour is None:
        return before
    return _nano(instance.usd_per_hour + (instance.storage_usd_per_hour or 0.0))


def _nano(usd: float) -> int:
    return round(usd * NANO)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
