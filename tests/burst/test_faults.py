"""Whatever fails, wherever: no instance bills without a live lease that knows it, and no cap is passed by much."""

import os
from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.lease_views import EndCode
from activities.contracts.leases import LeaseState
from tests.burst.driving import CHECK_S, LEASE, REAP_S, House
from tests.burst.fair import LATE_S, Fair, Life, Trouble

FULL = "AITHER_TEST_LEASES" in os.environ
EXAMPLES = int(os.environ.get("AITHER_TEST_LEASES", "40"))
SLACK_S = 30.0
"""What one look, its calls and their retries take."""
DAY_S = 24 * 3600.0
PREFIX = "aither-t-"


def unowned_s(fair: Fair, house: House) -> float:
    lives = {label: list(spans) for label, spans in house.shelf.lives.items()}
    return max(fair.ledger.unowned(lives, PREFIX).values(), default=0.0)


async def settle(house: House) -> None:
    """Nothing fails from here on: all must come to its end by itself."""
    house.fair.troubles.clear()
    house.fair.blind_until = 0.0
    await house.run(DAY_S, until_over=True)
    await house.run(LATE_S + 3 * REAP_S)


OPERATIONS = ("search", "create", "list", "get", "destroy")
KINDS = [each for each in Trouble if each is not Trouble.NONE]


@pytest.mark.parametrize("life", list(Life) if FULL else [Life.WELL, Life.STUCK])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_each_fault_at_each_call(operation: str, kind: Trouble, life: Life) -> None:
    house = House()
    await house.ask()
    house.fair.lives.append(life)
    # Once at its first call, and once later on, so that every step has had it.
    house.fair.troubles[operation] = deque([kind, Trouble.NONE, kind])
    await house.run(DAY_S, until_over=True)
    await settle(house)
    assert house.over
    assert not house.fair.ledger.live()
    assert unowned_s(house.fair, house) <= REAP_S + SLACK_S


@pytest.mark.parametrize("at_step", range(26) if FULL else range(0, 26, 5))
@pytest.mark.parametrize("life", [Life.WELL, Life.STUCK, Life.BUSY])
async def test_cancelled_at_any_step_its_box_is_verified_gone(at_step: int, life: Life) -> None:
    house = House()
    await house.ask()
    house.fair.lives.append(life)
    for _ in range(at_step):
        await house.run(5.0)
    await house.cancel()
    await house.run(3600.0, until_over=True)
    row = house.shelf.rows[LEASE]
    assert row.state.ended
    assert not house.fair.there
    assert unowned_s(house.fair, house) == 0.0
    if row.attempt == 0:
        assert not house.fair.ledger.entries


async def test_a_list_that_fails_for_an_hour_is_never_taken_for_an_empty_one() -> None:
    house = House()
    await house.ask()
    house.fair.troubles["create"] = deque([Trouble.LOST_AFTER])
    house.fair.blind_until = 3600.0
    await house.run(3500.0)
    assert house.shelf.rows[LEASE].state is LeaseState.RENTING
    assert len(house.fair.ledger.entries) == 1, "nothing else is ordered while the first is not known"
    assert all(reaped.unknown for reaped in house.reaped)
    await settle(house)
    assert house.over
    assert not house.fair.ledger.live()
    assert unowned_s(house.fair, house) == 0.0


async def test_one_replacement_after_a_verified_cleanup_and_not_on_the_same_machine() -> None:
    house = House()
    await house.ask()
    house.fair.lives.extend([Life.STUCK, Life.EXITS])
    await house.run(DAY_S, until_over=True)
    entries = list(house.fair.ledger.entries.values())
    assert len(entries) == 2
    assert entries[0].ended is not None
    assert entries[0].ended < entries[1].created
    row = house.shelf.rows[LEASE]
    assert row.state is LeaseState.FAILED
    assert row.ending_code is EndCode.BOOT_FAILED or row.ending_code is None
    assert len(row.machines_out) == 2


async def test_a_missing_model_fails_the_lease_without_another_box() -> None:
    house = House()
    await house.ask()
    house.fair.lives.append(Life.BROKEN)
    await house.run(DAY_S, until_over=True)
    row = house.shelf.rows[LEASE]
    assert row.state is LeaseState.FAILED
    assert row.ending_code is EndCode.BOX_FAILED
    assert "required model" in (row.ending or "")
    assert len(house.fair.ledger.entries) == 1


async def test_idle_long_enough_it_is_gone() -> None:
    house = House()
    await house.ask()
    await house.run(DAY_S, until_over=True)
    row = house.shelf.rows[LEASE]
    assert (row.state, row.ending_code) == (LeaseState.GONE, EndCode.IDLE)
    assert house.fair.ledger.entries[1].seconds(house.clock()) < 1500


async def test_a_dry_run_tells_of_strays_and_touches_none() -> None:
    house = House()
    house.fair.ledger.open(99, "", 0.0)
    await house.ask()
    house.fair.troubles["create"] = deque([Trouble.LATE])
    house.next_reap = DAY_S
    await house.run(LATE_S + 100.0)
    reaped = await house.reap(dry_run=True)
    assert [stray.lease_id for stray in reaped.left] == [LEASE]
    assert not reaped.destroyed
    assert len(house.fair.there) == 2
    reaped = await house.reap(dry_run=False)
    assert len(reaped.destroyed) == 1
    assert [told.event for told in house.shelf.audit if told.actor == "reaper"] == [
        "stray_seen",
        "stray_destroyed",
    ]
    assert len(house.fair.there) == 1, "the box that its lease knows is never touched"


@pytest.mark.parametrize("cap", [0.3, 1.0, 2.5])
async def test_no_cap_is_passed_by_more_than_a_check(cap: float) -> None:
    house = House(day_usd=cap)
    for number in range(3):
        await house.ask(f"lease_000000000{number}", lease_usd=1.2)
        house.fair.lives.append(Life.BUSY)
    await house.run(DAY_S, until_over=True)
    await settle(house)
    assert house.over
    one_check = 3 * 0.5 * CHECK_S / 3600
    assert house.fair.ledger.usd() <= cap + one_check
    for number in range(3):
        assert house.fair.ledger.usd(f"aither-t-lease_000000000{number}-") <= 1.2 + one_check
    boxes = len(house.fair.ever)
    await house.ask("lease_0000000009")
    await house.run(DAY_S, until_over=True)
    assert house.shelf.rows["lease_0000000009"].state is LeaseState.DENIED
    assert len(house.fair.ever) == boxes, "no new one is begun where the cap leaves no room"


troubles = st.lists(st.sampled_from([Trouble.NONE, Trouble.NONE, *KINDS]), max_size=12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
async def test_any_sequence_of_faults(data: st.DataObject) -> None:
    house = House(day_usd=data.draw(st.sampled_from([0.2, 1.0, 50.0]), "cap"))
    house.fair.lives.extend(data.draw(st.lists(st.sampled_from(list(Life)), max_size=6), "lives"))
    drawn = {operation: data.draw(troubles, operation) for operation in OPERATIONS}
    house.fair.troubles.update({operation: deque(each) for operation, each in drawn.items()})
    for number in range(data.draw(st.integers(1, 3), "leases")):
        await house.ask(f"lease_000000000{number}")
    blind_s = data.draw(st.sampled_from([0.0, 0.0, 600.0, 3600.0]), "blind")
    for _ in range(data.draw(st.integers(0, 4), "pauses")):
        await house.run(data.draw(st.floats(1.0, 900.0), "runs"))
        if data.draw(st.booleans(), "goes blind"):
            house.fair.blind_until = house.clock() + blind_s
        if data.draw(st.booleans(), "cancels"):
            await house.cancel(data.draw(st.sampled_from(sorted(house.shelf.rows)), "which"))
    await settle(house)
    assert house.over
    assert not house.fair.ledger.live()
    # What fails at the reaper's own calls may cost it a look each; the rest is tried again at once.
    looks = sum(len(drawn[each]) for each in ("list", "get", "destroy"))
    retries = 6 * (5.0 + SLACK_S) + looks * REAP_S
    assert unowned_s(house.fair, house) <= REAP_S + blind_s * 4 + retries
    dearest = 50.0 if Life.DEARER in _drawn(house) else 0.6
    overdue_s = CHECK_S + blind_s * 4 + retries + REAP_S * 12
    assert house.fair.ledger.usd() <= house.day_usd + 3 * dearest * overdue_s / 3600


def _drawn(house: House) -> set[Life]:
    return {booth.life for booth in house.fair.ever}


def test_the_times_are_those_of_the_product() -> None:
    assert timedelta(seconds=CHECK_S) == House().burst.check
