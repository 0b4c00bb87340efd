"""Agents: who a turn speaks as. Each change is a new version; the next turn uses the newest."""

from typing import Any

import asyncpg
import orjson

from activities.contracts.agents import Agent, AgentTexts
from activities.errors import AitherError
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0


class AgentNotFound(AitherError):
    """No agent (or no version of it) of that name for this tenant."""

    code = "agent_not_found"


class PostgresAgents:
    """Versioned rows of agents."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(
        self, tenant_id: str, name: str, texts: AgentTexts, *, restored_from: int | None = None
    ) -> Agent:
        """A new version, in use from the next turn on. Putting what is there already makes none."""

        async def query(connection: Connection) -> Agent:
            # Two writers take turns, so that versions are gapless and neither write is lost.
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended('aither.agents/' || $1 || '/' || $2, 0))",
                tenant_id,
                name,
            )
            newest = await _newest(connection, tenant_id, name)
            if newest is not None and newest.texts == texts and restored_from is None:
                return newest
            row = await connection.fetchrow(
                "insert into aither.agents (tenant_id, name, version, will, spirit, persona, effort, tools,"
                " policy, restored_from) values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) returning *",
                tenant_id,
                name,
                newest.version + 1 if newest else 1,
                texts.will,
                texts.spirit,
                texts.persona,
                texts.effort,
                None if texts.tools is None else orjson.dumps(list(texts.tools)).decode(),
                orjson.dumps(texts.policy).decode(),
                restored_from,
            )
            assert row is not None
            return _agent(row)

        return await self._db.in_tenant(tenant_id, query)

    async def get(self, tenant_id: str, name: str, version: int | None = None) -> Agent:
        """The newest version, or the one asked for. Raises `AgentNotFound`."""

        async def query(connection: Connection) -> Agent | None:
            if version is None:
                return await _newest(connection, tenant_id, name)
            row = await connection.fetchrow(
                "select * from aither.agents where tenant_id = $1 and name = $2 and version = $3",
                tenant_id,
                name,
                version,
            )
            return _agent(row) if row else None

        agent = await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)
        if agent is None:
            which = name if version is None else f"{name} version {version}"
            raise AgentNotFound(f"there is no agent {which}; `GET /v1/agents` lists those there are")
        return agent

    async def history(self, tenant_id: str, name: str) -> list[Agent]:
        """All versions, newest first. Raises `AgentNotFound`."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select * from aither.agents where tenant_id = $1 and name = $2 order by version desc",
                tenant_id,
                name,
            ),
            patience=PATIENCE_S,
        )
        if not rows:
            raise AgentNotFound(f"there is no agent {name}; `GET /v1/agents` lists those there are")
        return [_agent(row) for row in rows]

    async def list(self, tenant_id: str) -> list[Agent]:
        """The newest version of every agent, by name."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select distinct on (name) * from aither.agents"
                " where tenant_id = $1 order by name, version desc",
                tenant_id,
            ),
            patience=PATIENCE_S,
        )
        return [_agent(row) for row in rows]

    async def restore(self, tenant_id: str, name: str, version: int) -> Agent:
        """A new version with an earlier one's texts. Raises `AgentNotFound`."""
        earlier = await self.get(tenant_id, name, version)
        return await self.put(tenant_id, name, earlier.texts, restored_from=version)


async def _newest(connection: Connection, tenant_id: str, name: str) -> Agent | None:
    row = await connection.fetchrow(
        "select * from aither.agents where tenant_id = $1 and name = $2 order by version desc limit 1",
        tenant_id,
        name,
    )
    return _agent(row) if row else None


def _agent(row: asyncpg.Record) -> Agent:
    tools: list[str] | None = None if row["tools"] is None else orjson.loads(row["tools"])
    policy: dict[str, Any] = orjson.loads(row["policy"])
    return Agent(
        name=row["name"],
        version=row["version"],
        created_at=row["created_at"],
        restored_from=row["restored_from"],
        texts=AgentTexts(
            will=row["will"],
            spirit=row["spirit"],
            persona=row["persona"],
            effort=row["effort"],
            tools=None if tools is None else tuple(tools),
            policy=policy,
        ),
    )
