"""Approvals over REST: the product's API before the stores and the Temporal of the ground."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson

from api.app import create_app
from infra.ids import new_id
from infra.postgres.keys import PostgresKeys, Role
from infra.settings import Settings
from infra.signatures import signed
from tests.api.conftest import serving
from tests.api.stores import HOST, free_port
from tests.approvals.gate import Gate
from tests.support.house import Ground


@dataclass(frozen=True)
class Api:
    """Where it is."""

    url: str
    ground: Ground
    keys: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    async def key(self, gate: Gate, name: str, role: Role = Role.USER, person: str | None = None) -> str:
        """A key of the gate's tenant; made once for each name."""
        known = (gate.tenant_id, name)
        if known not in self.keys:
            _, self.keys[known] = await PostgresKeys(self.ground.database).create(
                gate.tenant_id, name, role=role, person=person
            )
        return self.keys[known]


@dataclass(frozen=True)
class Desk:
    """A client of the API with somebody's key."""

    gate: Gate
    http: httpx2.AsyncClient

    async def ask(self, **body: Any) -> dict[str, Any]:
        """Asks, and gives the approval."""
        reply = await self.http.post("/v1/approvals", json={"title": "Deploy the thing"} | body)
        assert reply.status_code in {200, 201}, reply.text
        return reply.json()

    async def decide(self, approval_id: str, option: str = "approve", **body: Any) -> httpx2.Response:
        return await self.http.post(f"/v1/approvals/{approval_id}/decision", json={"option": option} | body)

    async def get(self, approval_id: str, wait: int | None = None) -> dict[str, Any]:
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        reply = await self.http.get(f"/v1/approvals/{approval_id}", headers=headers)
        assert reply.status_code == 200, reply.text
        return reply.json()


@asynccontextmanager
async def opened(ground: Ground) -> AsyncGenerator[Api]:
    """The API for the block."""
    port = free_port()
    settings = Settings.model_validate(
        {
            "api_port": port,
            "config_file": None,
            "database_url": ground.stores.app,
            "redis_url": ground.stores.redis.url,
            "temporal_address": ground.client.service_client.config.target_host,
            "max_wait_seconds": 20,
            "allow_private_webhooks": True,
        }
    )
    async with serving(create_app(settings), port):
        yield Api(f"http://{HOST}:{port}", ground)


@asynccontextmanager
async def client(api: Api, gate: Gate, name: str, **how: Any) -> AsyncGenerator[Desk]:
    """Somebody at the desk: an operator `op`, a `user`, or a person by their name."""
    key = await api.key(gate, name, **how)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=api.url, headers=headers, timeout=30) as http:
        yield Desk(gate, http)


async def message(
    http: httpx2.AsyncClient, endpoint: str, secret: str, body: Any, *, message_id: str = "", **changed: str
) -> httpx2.Response:
    """A decision by webhook, signed; `changed` are headers that are sent instead."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = signed(secret, message_id or new_id("msg"), datetime.now(UTC), raw)
    headers |= {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in changed.items()}
    return await http.post(f"/v1/approvals/webhook/{endpoint}", content=raw, headers=headers)
