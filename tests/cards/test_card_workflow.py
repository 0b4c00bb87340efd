"""A card on a real server: who gets it, who loses it, what its host does to it."""

import asyncio
from datetime import datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.contracts.cards import (
    CardView,
    Denial,
    Found,
    Inventory,
    LeaseRef,
    Posture,
    Residency,
)
from tests.support.cardhost import Place, ScriptedHost, card_spec, placed, resident, until
from tests.support.holders import Holder, TwoHolds
from workflows.names import HOST_REPORTS, RENEW_HOLD, REPAIR, SET_POSTURE, Queue
from workflows.starts import ensure_card

SHORT = timedelta(seconds=1)


def holders(view: CardView) -> set[str]:
    return {lease.holder for lease in view.leases}


def latest(view: CardView) -> datetime:
    """When the last of the card's leases ends."""
    return max(lease.expires_at for lease in view.leases if lease.expires_at)


async def test_a_hold_loads_the_model_and_letting_go_leaves_it_there(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60))) as place:
        holder = await place.hold("a")
        lease = await place.lease(holder)
        assert await place.valid(lease.lease, lease.token)
        assert not await place.valid(lease.lease, lease.token - 1)
        await holder.signal(Holder.let_go)
        assert await holder.result() == "let go"
        seen = await place.until(lambda view: not view.leases)
        one = seen.resident("a")
        assert one is not None
        assert (one.residency, one.holders) == (Residency.AWAKE, 0)
        assert not await place.valid(lease.lease, lease.token)
        assert [(ask.resident.name, ask.to) for ask in place.host.asked] == [("a", Residency.AWAKE)]


async def test_grants_go_by_priority_and_tokens_grow(temporal: Client) -> None:
    async with placed(temporal, card_spec()) as place:
        ears = await place.collector()
        await place.ask(ears, "first", 100)
        # Who asks in the same moment goes by priority, too.
        await place.told(ears, 1)
        for lease, priority in (("low", 5), ("mid", 3), ("top", 1)):
            await place.ask(ears, lease, 100, priority=priority)
        await place.until(lambda view: len(view.waiters) == 3)
        for granted, lease in enumerate(("first", "top", "mid"), 1):
            await place.told(ears, granted)
            await place.release(lease)
        told = await place.told(ears, 4)
        assert [each.lease for each in told] == ["first", "top", "mid", "low"]
        tokens = [each.granted.token for each in told if each.granted]
        assert tokens == sorted(set(tokens))
        assert len(tokens) == 4


async def test_what_cannot_be_is_said_at_once(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60))) as place:
        assert (await (await place.hold(101)).result()).startswith("never_fits")
        assert (await (await place.hold("b")).result()).startswith("never_fits")
        elsewhere = Place(temporal, card_spec(), place.host)
        assert (await (await elsewhere.hold(1)).result()).startswith("card_unknown")


async def test_patience_ends_and_the_ask_is_withdrawn(temporal: Client) -> None:
    async with placed(temporal, card_spec()) as place:
        first = await place.hold(100)
        await place.lease(first)
        late = await place.hold(50, patience=timedelta(milliseconds=200))
        assert (await late.result()).startswith("no_room")
        await place.until(lambda view: not view.waiters)
        assert holders(await place.view()) == {first.id}


async def test_a_holder_that_is_terminated_loses_its_lease_at_its_ttl_and_the_next_gets_it(
    temporal: Client,
) -> None:
    async with placed(temporal, card_spec()) as place:
        dead = await place.hold(100, ttl=SHORT)
        lease = await place.lease(dead)
        await dead.terminate()
        heir = await place.hold(100)
        inherited = await place.lease(heir)
        assert inherited.token > lease.token
        assert not await place.valid(lease.lease, lease.token)
        assert await place.valid(inherited.lease, inherited.token)


async def test_a_holder_that_dies_waiting_does_not_keep_what_it_is_then_given(temporal: Client) -> None:
    async with placed(temporal, card_spec()) as place:
        first = await place.hold(100)
        await place.lease(first)
        dead = await place.hold(100, priority=1)
        await place.until(lambda view: len(view.waiters) == 1)
        await dead.terminate()
        heir = await place.hold(100)
        await place.until(lambda view: len(view.waiters) == 2)
        await first.signal(Holder.let_go)
        assert await place.lease(heir)
        assert holders(await place.view()) == {heir.id}


async def test_a_holder_renews_for_as_long_as_it_runs(temporal: Client) -> None:
    async with placed(temporal, card_spec()) as place:
        holder = await place.hold(100, ttl=5 * SHORT)
        lease = await place.lease(holder)
        later = lease.expires_at + 3 * SHORT
        seen = await place.until(lambda view: latest(view) >= later)
        assert seen.leases[0].token == lease.token
        await holder.cancel()
        with pytest.raises(WorkflowFailureError):
            await holder.result()
        await place.until(lambda view: not view.leases)


async def test_a_block_whose_lease_is_lost_is_cancelled(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60))) as place:
        holder = await place.hold("a")
        await place.lease(holder)
        place.host.truth["a"] = Residency.ABSENT
        gone = Found(resident="a", residency=Residency.ABSENT, why="it has died")
        report = Inventory(card=place.spec.card, residents=(gone,))
        await place.card.signal(HOST_REPORTS, report)
        assert (await holder.result()).startswith("lease_lost: a is gone")
        again = await place.hold("a")
        assert await place.lease(again)


async def test_a_holder_of_a_card_that_began_anew_learns_it_at_its_next_renewal(temporal: Client) -> None:
    spec = card_spec()
    async with placed(temporal, spec) as place:
        holder = await place.hold(100, ttl=timedelta(seconds=3))
        lease = await place.lease(holder)
        await place.card.terminate()
        await ensure_card(temporal, spec)
        assert (await holder.result()).startswith("lease_lost")
        heir = await place.lease(await place.hold(100))
        assert heir.token > lease.token
        assert not await place.valid(lease.lease, lease.token)


async def test_several_holds_in_one_workflow(temporal: Client) -> None:
    async with placed(temporal, card_spec(), more=[TwoHolds]) as place:
        tokens = await temporal.execute_workflow(
            TwoHolds.run, place.spec.card, id=f"two-{place.spec.host}", task_queue=Queue.TURNS
        )
        assert len(set(tokens)) == 3
        assert not (await place.view()).leases


async def test_one_model_makes_room_for_another_once_it_is_let_go(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60), resident("b", 60))) as place:
        first = await place.hold("a")
        await place.lease(first)
        second = await place.hold("b")
        await place.until(lambda view: len(view.waiters) == 1)
        await first.signal(Holder.let_go)
        await place.lease(second)
        moves = [(ask.resident.name, ask.to) for ask in place.host.asked]
        assert moves == [("a", "awake"), ("a", "absent"), ("b", "awake")]
        assert [ask.number for ask in place.host.asked] == sorted({ask.number for ask in place.host.asked})


async def test_a_move_that_fails_is_a_denial_and_a_problem_and_repair_clears_it(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60)), ScriptedHost(refuse={"a"})) as place:
        assert (await (await place.hold("a")).result()).startswith("move_failed")
        assert "refused" in (await place.view()).problem
        place.host.refuse.clear()
        await place.card.execute_update(REPAIR)
        await place.until(lambda view: not view.problem)
        assert await place.lease(await place.hold("a"))


async def test_a_parked_card_denies_and_its_residents_rest(temporal: Client) -> None:
    spec = card_spec(resident("a", 60), resident("always", 20, on_demand=False))
    async with placed(temporal, spec) as place:
        await place.until(lambda view: all(each.residency == "awake" for each in view.residents[1:]))
        await place.card.execute_update(SET_POSTURE, Posture.ASLEEP)
        assert (await (await place.hold("a")).result()).startswith("card_asleep")
        await place.until(lambda view: all(each.residency == "absent" for each in view.residents))
        await place.card.execute_update(SET_POSTURE, Posture.AWAKE)
        await place.until(lambda view: view.residents[1].residency == "awake")
        assert await place.lease(await place.hold("a"))


async def test_what_happens_is_published_with_growing_revisions(temporal: Client) -> None:
    async with placed(temporal, card_spec(resident("a", 60))) as place:
        await place.lease(await place.hold("a"))

        async def published() -> CardView | None:
            newest = place.host.published[-1] if place.host.published else None
            return newest if newest and newest.residents[0].residency is Residency.AWAKE else None

        assert (await until(published)).leases
        revisions = [view.revision for view in place.host.published]
        assert revisions == sorted(revisions)


async def test_a_word_about_a_lease_that_nobody_knows_is_answered_to_who_asks(temporal: Client) -> None:
    async with placed(temporal, card_spec()) as place:
        ears = await place.collector()
        ref = LeaseRef(lease="lost", holder=ears.id, holder_run=ears.result_run_id or "")
        await place.card.signal(RENEW_HOLD, ref)
        (told,) = await place.told(ears, 1)
        assert told.denial is Denial.LEASE_LOST


async def test_holds_go_on_while_a_move_is_under_way(temporal: Client) -> None:
    host = ScriptedHost()
    async with placed(temporal, card_spec(resident("a", 60)), host) as place:
        host.gate.clear()
        slow = await place.hold("a")
        await asyncio.wait_for(host.moving.wait(), 30)
        assert await place.lease(await place.hold(40))
        host.gate.set()
        assert await place.lease(slow)


async def test_workflows_that_leave_their_worker_go_on(temporal: Client) -> None:
    """With room for one workflow in its cache, the worker builds every other anew from its history."""
    async with placed(temporal, card_spec(), max_cached_workflows=1) as place:
        first = await place.hold(100)
        await place.lease(first)
        second = await place.hold(100)
        await place.until(lambda view: len(view.waiters) == 1)
        await first.signal(Holder.let_go)
        assert await first.result() == "let go"
        await place.lease(second)
        await second.signal(Holder.let_go)
        assert await second.result() == "let go"
