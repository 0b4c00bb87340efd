"""A copy of a stack that was at work goes on from where it was copied: nothing promised is lost, nothing paid twice."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from temporalio.client import Client

from infra.embedded import passwords, postgres
from infra.embedded.layout import Layout
from infra.embedded.standby import HOST, standing_by
from infra.temporal import DATA_CONVERTER
from tests.deploy.files import slow
from tests.e2e import records
from tests.e2e.conftest import passing_stack, question
from tests.e2e.killing import until
from tests.e2e.reading import ask, ended, following, look
from tests.e2e.test_agreement_killed import decide
from tests.support.stack import Stack
from tests.support.standin import Reply, StandIn
from workflows.names import SWEEP_TURNS

pytestmark = slow


async def recorded(layout: Layout) -> set[str]:
    """The turns whose answers the copy has, before anything runs on it."""
    secrets = passwords.load_or_make(layout)
    async with standing_by(layout, secrets) as port:
        connection = await asyncpg.connect(postgres.dsn(postgres.ADMIN, secrets.postgres_admin, HOST, port))
        try:
            rows = await connection.fetch("select turn_id from aither.answers")
            return {row["turn_id"] for row in rows}
        finally:
            await connection.close()


async def asking(rest: httpx2.AsyncClient, asked: list[tuple[str, str]]) -> None:
    """Asks one turn after the other until it is told to stop."""
    while True:
        text = question(f"during-{len(asked)}")
        turn = await ask(rest, text)
        asked.append((turn["id"], text))


async def test_a_copy_of_a_stack_at_work_goes_on(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, tmp_path: Path
) -> None:
    before = [(await ask(rest, text), text) for text in (question("before-1"), question("before-2"))]
    for turn, _ in before:
        assert (await ended(rest, turn["id"]))["status"] == "completed"
    backend.script(Reply(hold_after=20))
    held_text, waits_text = question("held"), question("waits")
    held = await ask(rest, held_text)
    await until(lambda: backend.count(held_text), "the model is asked")
    waits = await ask(rest, waits_text, model="dear", policy={"approve_above_usd": 0})
    async with following(rest, waits["id"]) as reading:
        await until(lambda: reading.of("turn.waiting_for_approval"), "a person is asked")
        approval = reading.of("turn.waiting_for_approval")[0].data["approval_id"]

    during: list[tuple[str, str]] = []
    busy = asyncio.create_task(asking(rest, during))
    await until(lambda: len(during) > 5, "turns are asked")
    certain = list(during)
    archive, root = tmp_path / "backup.tar.gz", tmp_path / "restored"
    await asyncio.to_thread(stack.aither, "backup", str(archive))
    await until(lambda: len(during) > len(certain) + 10, "more turns are asked")
    busy.cancel()
    await asyncio.wait([busy])
    after = await ask(rest, question("after"))
    # The one that was copied goes its own way: what it does from now on, the copy must not know.
    backend.release()
    await decide(rest, approval, "deny")
    for turn_id, _ in [(held["id"], ""), (after["id"], ""), *during]:
        assert (await ended(rest, turn_id))["status"] == "completed"

    await asyncio.to_thread(stack.aither, "restore", str(archive), "--data-dir", str(root), timeout=120)
    has = await recorded(Layout(root))
    assert {turn["id"] for turn, _ in before} <= has
    assert held["id"] not in has
    calls = {text: backend.count(text) for _, text in (*during, ("", held_text))}
    async with (
        copied(stack, root) as copy,
        httpx2.AsyncClient(base_url=copy.api_url, headers=stack.headers, timeout=30) as there,
    ):
        for turn, text in before:
            assert (await look(there, turn["id"]))["answer"]["text"] == text
            assert backend.count(text) == 1
        assert (await there.get(f"/v1/turns/{after['id']}")).status_code == 404
        known = await asked_of(there, during)
        assert {turn_id for turn_id, _ in certain} <= set(known)
        client = await Client.connect(copy.temporal_target, data_converter=DATA_CONVERTER)
        for turn_id in known:
            await records.grow_old(copy, turn_id)
        await client.get_schedule_handle(SWEEP_TURNS).trigger()
        for turn_id, text in [(held["id"], held_text), *known.items()]:
            turn = await ended(there, turn_id)
            assert (turn["status"], turn["answer"]["text"]) == ("completed", text)
            assert len(await records.answers(copy, turn_id)) == 1
            assert len(await records.settled(copy, turn_id)) == 1
            assert backend.count(text) == calls[text] + (turn_id not in has)
        # Nobody had decided when it was copied, so it waits still; the first's no is not the copy's.
        assert backend.count(waits_text) == 0
        await decide(there, approval, "approve")
        assert (await ended(there, waits["id"]))["answer"]["text"] == waits_text


def copied(stack: Stack, root: Path) -> Any:
    """The restored directory, started on ports of its own, with the configuration of the first."""
    return passing_stack(root, without=stack.without, env=dict(stack.env))


async def asked_of(there: httpx2.AsyncClient, during: list[tuple[str, str]]) -> dict[str, str]:
    """Those that the copy knows, with their questions."""
    return {
        turn_id: text
        for turn_id, text in during
        if (await there.get(f"/v1/turns/{turn_id}")).status_code == 200
    }
