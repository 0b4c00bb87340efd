"""Thousands of leases: the history stays short, and nothing is lost when one run hands over to the next."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from activities.contracts.cards import Found, Inventory, LeaseRef, Residency
from tests.support.cardhost import Place, card_spec, placed, resident
from tests.support.holders import Holder
from workflows.gpu_card import LONG_HISTORY
from workflows.names import GPU_CARD, RENEW_HOLD, Queue
from workflows.policy.card import step
from workflows.policy.card_state import CardState, Report, Tell

pytestmark = pytest.mark.timeout(600)

LEASES = int(os.environ.get("AITHER_TEST_LEASES", "250"))
HOLDERS = 25
ABSENT = Found(resident="a", residency=Residency.ABSENT)


async def burst(place: Place, rounds: int) -> Sequence[WorkflowHandle[Any, Any]]:
    """Holders that hold so often each, one after the other; done when they are."""
    patience = timedelta(minutes=5)
    starting = (place.hold(1 + n, rounds=rounds, patience=patience) for n in range(HOLDERS))
    holders = await asyncio.gather(*starting)
    results = await asyncio.gather(*(holder.result() for holder in holders))
    assert set(results) == {"let go"}
    return holders


async def test_thousands_of_leases_leave_a_short_history_and_a_held_one_stands(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60), vram_mib=400)) as place:
        kept = await place.hold("a", ttl=timedelta(hours=1))
        lease = await place.lease(kept)
        first_run = (await place.card.describe()).run_id
        rounds = LEASES // HOLDERS
        await burst(place, rounds)
        seen = await place.until(lambda view: len(view.leases) == 1)
        assert seen.granted == rounds * HOLDERS + 1
        assert not seen.waiters
        described = await place.card.describe()
        assert described.run_id != first_run
        assert described.history_length is not None
        assert described.history_length < 4 * LONG_HISTORY
        assert await place.valid(lease.lease, lease.token)
        await place.card.signal(RENEW_HOLD, LeaseRef(lease=lease.lease, token=lease.token))
        await kept.signal(Holder.let_go)
        assert await kept.result() == "let go"
        last = await place.lease(await place.hold(1))
        assert last.token == lease.token + rounds * HOLDERS + 1


async def test_a_run_goes_on_with_what_the_last_one_had_under_way(temporal: Client) -> None:
    """A run with too long a history hands over though its host is at work, and may not have told everybody."""
    spec = card_spec(resident("a", 60))
    async with placed(temporal, spec) as place:
        await place.card.terminate()
        ears = await place.collector()
        state = CardState(spec=spec)
        now = datetime.now(UTC)
        for event in (
            Report(inventory=Inventory(card=spec.card, residents=(ABSENT,)), asked=True),
            place.asked(ears, "loading", "a"),
            place.asked(ears, "told", 10),
        ):
            done = step(state, now, [event])
            state = done.state
        untold = tuple(effect for effect in done.effects if isinstance(effect, Tell))
        assert state.move is not None
        assert untold
        await temporal.start_workflow(
            GPU_CARD, replace(state, untold=untold), id=place.card.id, task_queue=Queue.TURNS
        )
        told = {each.lease: each.granted for each in await place.told(ears, 2)}
        assert all(told.values())
        assert [ask.number for ask in place.host.asked] == [state.move.number]
        assert await place.valid("told", state.token)
        assert await place.valid("loading", state.token + 1)
