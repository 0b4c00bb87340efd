"""The store of leases: the real one and the one that the fast tests use do the same; and what is the real one's."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.lease_views import EndCode, LeaseAsk, LeaseNote, LeaseView, Refusal
from activities.contracts.leases import Instance, InstanceState, LeaseState
from activities.leasing import _CAME_FROM, _ENDS_FROM
from activities.leasing_ports import LeaseStore
from infra.ids import new_id
from infra.postgres.leases import PostgresLeases
from tests.burst.driving import offers, plan
from tests.burst.shelf import Clock, Shelf
from tests.support.house import Ground
from workflows.policy.offers import appraise

CHOICES = tuple(appraise(each, plan().need) for each in offers(3))
MOVES = [
    LeaseState.APPROVED,
    LeaseState.JOINING,
    LeaseState.SERVING,
    LeaseState.DRAINING,
    LeaseState.DESTROYING,
    LeaseState.GONE,
    LeaseState.FAILED,
]
acts = st.one_of(
    st.tuples(st.just("quoted"), st.integers(0, 3)),
    st.tuples(st.just("intend"), st.booleans()),
    st.tuples(st.just("made"), st.sampled_from([0, 0, 0, -1])),
    st.tuples(st.just("void"), st.booleans()),
    st.tuples(st.just("seen"), st.sampled_from([0.4, 0.9, None])),
    st.tuples(st.just("unseen"), st.none()),
    st.tuples(st.just("move"), st.sampled_from(MOVES)),
    st.tuples(st.just("end"), st.sampled_from(list(EndCode))),
    st.tuples(st.just("join"), st.booleans()),
    st.tuples(st.just("hear"), st.integers(0, 2)),
)
LIKELY = ["quoted", "move", "intend", "made", "seen", "join", "hear"]


def shown(lease: LeaseView) -> dict[str, Any]:
    """What two stores on two clocks must agree on."""
    return {
        "state": lease.state,
        "attempt": lease.attempt,
        "boxes": lease.boxes,
        "quotes": lease.quotes,
        "choices": [each.offer.id for each in lease.choices],
        "creation": lease.creation,
        "label": lease.label,
        "instance": lease.instance,
        "machine": lease.machine,
        "out": lease.machines_out,
        "ending": lease.ending_code,
        "box": lease.box_state,
        "price": round(lease.usd_per_hour, 6),
        "calls": lease.calls,
        "tokens": lease.tokens,
        "times": [
            each is not None
            for each in (
                lease.intended_at,
                lease.joined_at,
                lease.heard_at,
                lease.served_at,
                lease.unseen_since,
                lease.ended_at,
                lease.billed_to,
            )
        ],
    }


async def act(store: LeaseStore, lease_id: str, what: str, how: Any) -> None:
    attempt = (await store.lease(lease_id)).attempt
    match what:
        case "quoted":
            await store.quoted(lease_id, CHOICES[:how], "")
        case "intend":
            refusal = None if how else Refusal(code=EndCode.DAY_CAP, why="")
            await store.intend(lease_id, lambda _, __: refusal)
        case "made":
            await store.made(lease_id, attempt + how, "77")
        case "void":
            await store.void(lease_id, attempt, "", keep=how)
        case "seen":
            instance = Instance(
                id="77", label="", state=InstanceState.RUNNING, machine="m1", usd_per_hour=how
            )
            await store.seen(lease_id, attempt, instance)
        case "unseen":
            await store.unseen(lease_id, attempt)
        case "move":
            note = LeaseNote(lease_id=lease_id, to=how, exclude_machine=how is LeaseState.DESTROYING)
            await store.move(note, _ENDS_FROM if how.ended else _CAME_FROM[how])
        case _:
            await store.want_end(lease_id, how, "", "test")


async def box_says(ground: Ground, shelf: Shelf, lease_id: str, what: str, how: Any) -> None:
    attempt = shelf.rows[lease_id].attempt
    if what == "join":
        instance = "77" if how else "78"
        query, words = "select aither.join_lease($1, $2, $3, null)", (lease_id, attempt, instance)
        mine = shelf.join(lease_id, attempt, instance)
    else:
        query, words = "select aither.hear_box($1, $2, $3, $4)", (lease_id, attempt, how, 10 * how)
        mine = shelf.hear(lease_id, attempt, how, 10 * how)
    assert await ground.database.run(lambda c: c.fetchval(query, *words)) == mine


@settings(max_examples=25, deadline=None)
@given(drawn=st.lists(acts, max_size=10), first=st.integers(0, len(LIKELY)))
async def test_both_stores_do_the_same(ground: Ground, drawn: list[tuple[str, Any]], first: int) -> None:
    real, shelf = PostgresLeases(ground.database), Shelf(Clock())
    ask = LeaseAsk(id=new_id("lease"), plan=plan(), asked_by="test")
    assert [await store.ask(ask) for store in (real, shelf, real, shelf)] == [True, True, False, False]
    usual: dict[str, Any] = {
        "quoted": 3,
        "move": LeaseState.APPROVED,
        "intend": True,
        "made": 0,
        "seen": 0.4,
        "join": True,
        "hear": 1,
    }
    for what, how in [(name, usual[name]) for name in LIKELY[:first]] + drawn:
        shelf.clock.s += 1.0
        if what in {"join", "hear"}:
            await box_says(ground, shelf, ask.id, what, how)
        else:
            await act(real, ask.id, what, how)
            await act(shelf, ask.id, what, how)
        assert shown(await real.lease(ask.id)) == shown(await shelf.lease(ask.id)), (what, how)


async def serving(store: PostgresLeases) -> str:
    ask = LeaseAsk(id=new_id("lease"), plan=plan(), asked_by="test")
    await store.ask(ask)
    for what, how in (
        ("quoted", 3),
        ("move", LeaseState.APPROVED),
        ("intend", True),
        ("made", 0),
        ("seen", 0.4),
    ):
        await act(store, ask.id, what, how)
    return ask.id


async def test_orders_are_judged_one_after_the_other(ground: Ground) -> None:
    """However many leases order at once, each sees what those before it may cost."""
    store = PostgresLeases(ground.database)
    ids = [new_id("lease") for _ in range(6)]
    for lease_id in ids:
        await store.ask(LeaseAsk(id=lease_id, plan=plan(), asked_by="test"))
        await act(store, lease_id, "quoted", 3)
        await act(store, lease_id, "move", LeaseState.APPROVED)

    def only_two(_: object, leases: Any) -> Refusal | None:
        ordered = sum(each.state is LeaseState.RENTING for each in leases if each.id in ids)
        return Refusal(code=EndCode.TOO_MANY, why="two are enough") if ordered >= 2 else None

    ordered = await asyncio.gather(*(store.intend(lease_id, only_two) for lease_id in ids))
    assert sum(each is not None for each in ordered) == 2
    labels = [each.label for each in ordered if each]
    assert len(set(labels)) == 2


async def test_what_is_booked_has_no_gap_and_is_never_booked_twice(ground: Ground) -> None:
    store = PostgresLeases(ground.database)
    lease_id = await serving(store)
    await asyncio.gather(*(store.unseen(lease_id, 1) for _ in range(8)))
    seen = Instance(
        id="77", label="", state=InstanceState.RUNNING, usd_per_hour=1.6, storage_usd_per_hour=0.0
    )
    await asyncio.gather(*(store.seen(lease_id, 1, seen) for _ in range(4)))
    rows = await ground.database.run(
        lambda c: c.fetch(
            "select * from aither.lease_spend where lease_id = $1 order by kind desc, from_at", lease_id
        )
    )
    spans = [row for row in rows if row["kind"] == "time"]
    lease = await store.lease(lease_id)
    assert spans[0]["from_at"] == lease.intended_at
    assert all(one["to_at"] == two["from_at"] for one, two in pairwise(spans))
    assert [row["kind"] for row in rows].count("download") == 1
    assert lease.spent_usd == pytest.approx(sum(row["nano_usd"] for row in rows) / 1e9)
    dear = sum((row["to_at"] - row["from_at"] for row in spans if row["nano_hour"] > 1e9), timedelta())
    assert dear > timedelta(), "from when a price was raised is not known: the dearer one counts"


async def test_the_audit_and_the_books_are_only_added_to(ground: Ground) -> None:
    lease_id = await serving(PostgresLeases(ground.database))
    for statement in (
        "update aither.lease_audit set event = 'x' where lease_id = $1",
        "delete from aither.lease_audit where lease_id = $1",
        "update aither.lease_spend set nano_usd = 0 where lease_id = $1",
        "delete from aither.lease_spend where lease_id = $1",
        "delete from aither.leases where id = $1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ground.database.run(lambda c, said=statement: c.execute(said, lease_id))


async def test_while_nobody_looked_nobody_was_silent(ground: Ground) -> None:
    store = PostgresLeases(ground.database)
    lease_id = await serving(store)
    first = await store.watch(lease_id)
    assert first.age_s(first.watched_since) < 1.0
    await ground.database.run(
        lambda c: c.execute(
            "update aither.leases set looked_at = looked_at - interval '10 minutes',"
            " watched_since = watched_since - interval '10 minutes' where id = $1",
            lease_id,
        )
    )
    again = await store.watch(lease_id)
    assert again.age_s(again.watched_since) < 5.0
    assert replace(again, now=first.now).state is first.state
