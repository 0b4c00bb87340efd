"""Webhooks: where a tenant's approvals are told, who may answer by them, and what waits to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from activities.approval_checks import MOST_NOTE_CHARS
from activities.approval_ports import Delivery
from activities.contracts.approvals import Answer, ApprovalRef, Choice, DeliveryRef
from activities.errors import AitherError
from infra.ids import new_id
from infra.postgres.database import Connection, Database
from infra.postgres.turns import storable
from infra.signatures import new_secret

PATIENCE_S = 5.0
MOST_ENDPOINTS = 20
MOST_PROBLEM_CHARS = 500


class EndpointNotFound(AitherError):
    """No such endpoint of this tenant."""

    code = "webhook_not_found"


class TooManyEndpoints(AitherError):
    """The tenant has as many as it may have."""

    code = "too_many_webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant's approvals are told, and as whom whoever is there may answer. Its secret is shown once."""

    id: str
    url: str | None
    speaks_for: tuple[str, ...]
    created_at: datetime
    waiting: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondent:
    """Whose endpoint a message names."""

    tenant_id: str
    endpoint_id: str
    speaks_for: tuple[str, ...]
    secret: str = field(repr=False)


class Taken(msgspec.Struct):
    """What became of a message: its answer, of the first time it came."""

    replayed: bool
    answer: Answer


_taken = msgspec.json.Decoder(Taken)


class PostgresWebhooks:
    """Implements `activities.approval_ports.Outbox`, and what the API needs beside it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- endpoints

    async def add(
        self, tenant_id: str, url: str | None, speaks_for: Sequence[str] = ()
    ) -> tuple[Endpoint, str]:
        """A new endpoint and its secret. Raises `TooManyEndpoints`."""
        secret = new_secret()

        async def query(connection: Connection) -> Any:
            return await connection.fetchrow(
                "insert into aither.webhook_endpoints (tenant_id, id, url, secret, speaks_for)"
                " select $1, $2, $3, $4, $5 where (select count(*) from aither.webhook_endpoints"
                " where tenant_id = $1 and removed_at is null) < $6 returning *",
                tenant_id,
                new_id("hook"),
                url,
                secret,
                list(speaks_for),
                MOST_ENDPOINTS,
            )

        row = await self._db.in_tenant(tenant_id, query)
        if row is None:
            raise TooManyEndpoints(f"there are {MOST_ENDPOINTS} webhooks; remove one first")
        return _endpoint(row), secret

    async def list(self, tenant_id: str) -> list[Endpoint]:
        """The tenant's endpoints, newest first, with what waits to be sent there and what was wrong last."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select e.*, d.waiting, d.problem from aither.webhook_endpoints e, lateral ("
                " select count(*) as waiting, max(problem) as problem from aither.webhook_deliveries x"
                " where x.tenant_id = e.tenant_id and x.endpoint_id = e.id and x.delivered_at is null"
                " and x.given_up_at is null) d where e.tenant_id = $1 and e.removed_at is null order by e.id desc",
                tenant_id,
            ),
            patience=PATIENCE_S,
        )
        return [_endpoint(row, row["waiting"], row["problem"] or "") for row in rows]

    async def remove(self, tenant_id: str, endpoint_id: str) -> None:
        """Nothing is sent there any more, nor taken from there. Raises `EndpointNotFound`."""
        found = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchval(
                "update aither.webhook_endpoints set removed_at = now(), secret = ''"
                " where tenant_id = $1 and id = $2 and removed_at is null returning true",
                tenant_id,
                endpoint_id,
            ),
            patience=PATIENCE_S,
        )
        if not found:
            raise EndpointNotFound(
                f"there is no webhook {endpoint_id}; GET /v1/webhooks lists those there are"
            )

    # --- what comes in

    async def correspondent(self, endpoint_id: str) -> Correspondent | None:
        """Whose endpoint it is; None where there is none."""
        row = await self._db.run(
            lambda c: c.fetchrow("select * from aither.webhook_endpoint($1)", endpoint_id),
            patience=PATIENCE_S,
        )
        if row is None:
            return None
        return Correspondent(
            tenant_id=row["tenant_id"],
            endpoint_id=endpoint_id,
            speaks_for=tuple(row["speaks_for"]),
            secret=row["secret"],
        )

    async def decide(
        self, endpoint: Correspondent, message_id: str, approval_id: str, choice: Choice
    ) -> Taken:
        """Takes the choice in a message, once for each message."""
        raw = await self._db.run(
            lambda c: c.fetchval(
                "select aither.decide_by_webhook($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                endpoint.tenant_id,
                endpoint.endpoint_id,
                message_id,
                approval_id,
                choice.by,
                list(choice.roles),
                storable(choice.option),
                choice.scope.value,
                storable(choice.note)[:MOST_NOTE_CHARS],
            ),
            patience=PATIENCE_S,
        )
        return _taken.decode(raw)

    # --- what goes out

    async def delivery(self, ref: DeliveryRef) -> Delivery | None:
        """See `Outbox`."""

        async def query(connection: Connection) -> Any:
            return await connection.fetchrow(
                "update aither.webhook_deliveries d set attempts = d.attempts + 1"
                " from aither.webhook_endpoints e where d.tenant_id = $1 and d.id = $2 and d.delivered_at is null"
                " and d.given_up_at is null and e.tenant_id = d.tenant_id and e.id = d.endpoint_id"
                " and e.removed_at is null returning d.id, d.endpoint_id, d.body, e.url, e.secret",
                ref.tenant_id,
                ref.delivery_id,
            )

        row = await self._db.in_tenant(ref.tenant_id, query, patience=PATIENCE_S)
        if row is None:
            await self.failed(ref, "the webhook was removed", for_good=True)
            return None
        return Delivery(
            id=row["id"],
            endpoint_id=row["endpoint_id"],
            url=row["url"],
            secret=row["secret"],
            body=row["body"],
        )

    async def delivered(self, ref: DeliveryRef) -> None:
        """See `Outbox`."""
        await self._note(ref, "delivered_at = coalesce(delivered_at, now()), problem = $3", "")

    async def failed(self, ref: DeliveryRef, why: str, *, for_good: bool = False) -> None:
        """See `Outbox`."""
        gone = "given_up_at = now(), " if for_good else ""
        text = why[:MOST_PROBLEM_CHARS]
        await self._note(ref, f"{gone}problem = case when $3 = '' then problem else $3 end", text)

    async def _note(self, ref: DeliveryRef, change: str, why: str) -> None:
        await self._db.in_tenant(
            ref.tenant_id,
            lambda c: c.execute(
                f"update aither.webhook_deliveries set {change}"  # noqa: S608  (from the two lines above)
                " where tenant_id = $1 and id = $2 and delivered_at is null and given_up_at is null",
                ref.tenant_id,
                ref.delivery_id,
                why,
            ),
            patience=PATIENCE_S,
        )


def ref_of(endpoint: Correspondent, approval_id: str) -> ApprovalRef:
    """The approval that a message from there names."""
    return ApprovalRef(tenant_id=endpoint.tenant_id, approval_id=approval_id)


def _endpoint(row: Any, waiting: int = 0, problem: str = "") -> Endpoint:
    return Endpoint(
        id=row["id"],
        url=row["url"],
        speaks_for=tuple(row["speaks_for"]),
        created_at=row["created_at"],
        waiting=waiting,
        problem=problem,
    )
