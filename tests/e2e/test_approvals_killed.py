"""Killed workers, a killed API and a killed Temporal cost an approval time, never its decision."""

import asyncpg
import httpx2
from temporalio.client import Client

from tests.e2e.conftest import Stack
from tests.e2e.killing import back, kill, until
from workflows.names import approval_workflow_id


async def test_it_is_decided_and_told_while_workers_and_temporal_are_gone(
    stack: Stack, rest: httpx2.AsyncClient, traces: Client
) -> None:
    asked = (await rest.post("/v1/approvals", json={"title": "t"})).json()["id"]
    connection = await asyncpg.connect(stack.admin_dsn)
    try:

        async def noted(column: str) -> bool:
            sql = f"select {column} is not null from aither.approvals where id = $1"
            return await connection.fetchval(sql, asked)

        await until(lambda: noted("attended_at"), "its workflow runs")
        killed = kill(stack, "workers", "temporal")
        reply = await rest.post(f"/v1/approvals/{asked}/decision", json={"option": "approve"})
        assert reply.status_code == 200
        opened = (await rest.post("/v1/approvals", json={"title": "meanwhile"})).json()["id"]
        await back(stack, killed)
        assert (await rest.get(f"/v1/approvals/{asked}")).json()["decision"] is not None
        # Whoever was to tell it may have died with Temporal: the sweep looks after ten seconds.
        await until(lambda: noted("told_at"), "those who waited are told", 120)
        status = await traces.get_workflow_handle(approval_workflow_id(asked)).result()
        assert status == "decided"
        cancelled = await rest.post(f"/v1/approvals/{opened}/cancel")
        assert cancelled.status_code == 200
    finally:
        await connection.close()
