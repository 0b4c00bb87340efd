"""Lives of approvals that replay pins down; `python -m tests.replay.approval_histories` records them anew.

Record anew only for a change that `workflow.patched` guards, or before anything runs in production.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

from activities.contracts.approvals import Deciders, Escalation, Surface
from infra.postgres.webhooks import PostgresWebhooks
from tests.approvals.board import Board, seen_on
from tests.approvals.gate import Gate, asking, soon
from tests.approvals.receiver import receiving
from tests.support.house import Ground
from workflows.approval_starts import wake_approval
from workflows.names import approval_workflow_id

HISTORIES = Path(__file__).parent / "histories_approvals"
SECRET_WORDS = "nobody else is to read this"


async def _keep(ground: Ground, name: str, workflow_id: str) -> None:
    history = await ground.client.get_workflow_handle(workflow_id).fetch_history()
    # Failures say in which file they were raised; where that lies is nobody's business.
    text = history.to_json().replace(f"{Path(__file__).parents[2]}/", "")
    (HISTORIES / f"{name}.json").write_text(text + "\n")


async def decided(gate: Gate) -> None:
    """Asked by a workflow, told by webhook, decided by two."""
    async with receiving() as receiver:
        receiver.statuses.append(500)
        await PostgresWebhooks(gate.ground.database).add(gate.tenant_id, receiver.url)
        ask = gate.ask(deciders=Deciders(roles=("operator",), quorum=2), details=SECRET_WORDS)
        handle = await gate.asked(ask)
        ref = gate.ref(ask.id)
        await gate.attended(ref)
        await receiver.until(2)
        for person in ("anna", "ben"):
            await gate.decide(ref, person)
            await wake_approval(gate.ground.client, ref)
        await gate.told_what(handle)
        await gate.over(ref)
    await _keep(gate.ground, "decided", approval_workflow_id(ask.id))
    await _keep(gate.ground, "asker-told", handle.id)


async def expired(gate: Gate) -> None:
    """Escalated, reminded of, and closed by its deadline."""
    then = (Escalation(after=timedelta(seconds=1), people=("carol",)),)
    ref = await gate.opened(
        deadline=soon(4), reminders=(timedelta(seconds=2),), deciders=Deciders(people=("anna",), then=then)
    )
    await wake_approval(gate.ground.client, ref)
    await gate.over(ref)
    await _keep(gate.ground, "expired", approval_workflow_id(ref.approval_id))


async def unseen(gate: Gate, board: Board) -> None:
    """Cancelled while the surface that it was to be seen on was away."""
    ref = await gate.opened()
    board.away.add(ref.approval_id)
    await wake_approval(gate.ground.client, ref)
    await board.tried_for(ref.approval_id)
    await gate.store.cancel(ref, "bot", Surface.REST)
    await wake_approval(gate.ground.client, ref)
    await gate.told(ref)
    board.away.discard(ref.approval_id)
    await gate.over(ref)
    await _keep(gate.ground, "unseen", approval_workflow_id(ref.approval_id))


async def asker_cancelled(gate: Gate) -> None:
    """Whoever asked is cancelled."""
    ask = gate.ask()
    handle = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)
    await handle.cancel()
    await gate.over(ref)
    await _keep(gate.ground, "withdrawn", approval_workflow_id(ask.id))
    await _keep(gate.ground, "asker-cancelled", handle.id)


async def asker_late(gate: Gate) -> None:
    """Whoever asked was never told, and has looked."""
    ask = gate.ask(deadline=soon(2))
    handle = await gate.asked(ask)
    await gate.attended(gate.ref(ask.id))
    await gate.ground.client.get_workflow_handle(approval_workflow_id(ask.id)).terminate()
    await gate.told_what(handle)
    await _keep(gate.ground, "asker-untold", handle.id)


async def record() -> None:
    """Records them all."""
    HISTORIES.mkdir(exist_ok=True)
    board = Board()
    async with Ground.laid(seen_on(board)) as ground, asking(ground):
        gate = await Gate.built(ground)
        await expired(gate)
        await unseen(gate, board)
        await asker_cancelled(gate)
        await asker_late(gate)
        await decided(gate)


if __name__ == "__main__":
    asyncio.run(record())
