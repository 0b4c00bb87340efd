"""The lives of a card and its holders that replays pin down; `python -m tests.replay.cards` records them.

Record anew only for a change that `workflow.patched` guards, or before anything runs in production.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from activities.contracts.cards import Found, Inventory, Posture, Residency
from infra.temporal import DATA_CONVERTER
from tests.support.cardhost import Place, ScriptedHost, card_spec, placed, resident
from tests.support.holders import Holder
from workflows.names import HOST_REPORTS, REPAIR, SET_POSTURE

HISTORIES = Path(__file__).parent / "histories_cards"

Histories = dict[str, WorkflowHistory]


async def _swap(place: Place) -> Histories:
    """Two models that do not fit together, a job beside, a lease that is renewed."""
    first = await place.hold("a", ttl=timedelta(seconds=3))
    await place.lease(first)
    second = await place.hold("b", priority=1)
    job = await place.hold(20, patience=timedelta(milliseconds=500))
    renewed = (await place.view()).leases[0].expires_at
    await place.until(lambda view: view.leases[0].expires_at != renewed)
    await first.signal(Holder.let_go)
    await place.lease(second)
    await second.signal(Holder.let_go)
    for holder in (first, second):
        await holder.result()
    await job.terminate()
    return {"holder": await first.fetch_history()}


async def _trouble(place: Place) -> Histories:
    """A move that fails, a repair, a resident that dies while it is held, a holder that dies, a parked card."""
    place.host.refuse.add("a")
    denied = await place.hold("a")
    await denied.result()
    place.host.refuse.clear()
    await place.card.execute_update(REPAIR)
    await place.until(lambda view: not view.problem)
    holder = await place.hold("a")
    await place.lease(holder)
    place.host.truth["a"] = Residency.ABSENT
    gone = Found(resident="a", residency=Residency.ABSENT)
    await place.card.signal(HOST_REPORTS, Inventory(card=place.spec.card, residents=(gone,)))
    await holder.result()
    dead = await place.hold(40)
    await place.lease(dead)
    await dead.terminate()
    late = await place.hold(100, patience=timedelta(milliseconds=100))
    await late.result()
    await place.card.execute_update(SET_POSTURE, Posture.ASLEEP)
    await place.until(lambda view: view.posture is Posture.ASLEEP)
    return {
        "holder-denied": await denied.fetch_history(),
        "holder-lost": await holder.fetch_history(),
        "holder-impatient": await late.fetch_history(),
    }


LIVES: dict[str, Callable[[Place], Awaitable[Histories]]] = {"swap": _swap, "trouble": _trouble}


async def live(client: Client, name: str) -> Histories:
    """Lives it on a real server; the card's history, and its holders'."""
    spec = card_spec(resident("a", 60), resident("b", 60), host=f"replay-{name}")
    async with placed(client, spec, ScriptedHost()) as place:
        histories = await LIVES[name](place)
        return {"card": await place.card.fetch_history()} | histories


async def record() -> None:
    """Records every history."""
    HISTORIES.mkdir(exist_ok=True)
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
    ) as environment:
        for name in LIVES:
            for who, history in (await live(environment.client, name)).items():
                (HISTORIES / f"{name}-{who}.json").write_text(history.to_json() + "\n")


if __name__ == "__main__":
    asyncio.run(record())
