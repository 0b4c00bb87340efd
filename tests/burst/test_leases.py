"""Leases at a market that speaks HTTP, with boxes that are processes: from the wish to the account."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from pydantic import SecretStr

from activities.contracts.lease_views import EndCode
from activities.contracts.leases import BoxOrder, LeaseState
from activities.contracts.registry import ServiceStatus
from infra.postgres.boxes import service_name
from infra.postgres.registry import PostgresRegistry
from infra.vast.market import open_market
from tests.burst.estate import KEY, QUICK, Estate
from tests.support.standin_vast_faults import Boot, Fault, Op

STORY = (
    "asked",
    "quoted",
    "approved",
    "ordered",
    "rented",
    "joining",
    "serving",
    "ending",
    "draining",
    "destroying",
    "unseen",
    "gone",
)


async def test_from_the_wish_to_the_account(rented: Estate) -> None:
    lease_id = await rented.ask()
    lease = await rented.until(lease_id, LeaseState.SERVING)
    registry = PostgresRegistry(rented.ground.database)
    service = await registry.service(service_name(lease_id))
    assert service.status is ServiceStatus.ONLINE
    assert service.backend is not None
    assert service.backend.pool == lease.pool
    lease = await rented.ended(lease_id)
    assert (lease.state, lease.ending_code) == (LeaseState.GONE, EndCode.IDLE)
    assert not rented.market.boxes.there
    assert (await registry.service(service_name(lease_id))).status is ServiceStatus.LEFT
    assert [event for event in await rented.events(lease_id) if event in STORY] == list(STORY)
    assert "joined" in await rented.events(lease_id)
    billed = rented.market.ledger.usd()
    assert billed <= lease.spent_usd <= billed + 0.01
    assert rented.unowned_s(await rented.lives(lease_id)) == 0.0


async def test_orders_that_fail_in_every_way_are_found_out_about(rented: Estate) -> None:
    faults = rented.market.faults
    lost = (Fault.RESET_AFTER, Fault.ERROR_AFTER, Fault.CUT_OFF)
    faults.once(Op.CREATE, *lost, Fault.BUSY_TEXT, Fault.BUSY_JSON, Fault.GONE, Fault.DECLINED)
    faults.once(Op.LIST, Fault.FALSELY_EMPTY, Fault.NOT_JSON, Fault.WITHOUT_LIST, Fault.ERROR, Fault.CIRCLE)
    faults.once(Op.GET, Fault.NOT_FOUND, Fault.ODD_ROW, Fault.NOT_JSON)
    faults.once(Op.DESTROY, Fault.ERROR, Fault.BUSY_TEXT, Fault.RESET_AFTER)
    faults.boot(Boot.OCI, Boot.EXITS)
    # Both boots that fail may be one lease's.
    ids = [await rented.ask(boxes=3) for _ in range(3)]
    ended = [await rented.ended(lease_id) for lease_id in ids]
    assert all(lease.state is LeaseState.GONE for lease in ended), [await rented.story(each) for each in ids]
    assert not rented.market.boxes.there
    assert len(rented.market.ledger.entries) == sum(lease.boxes for lease in ended) == 5
    failed = [machine for lease in ended for machine in lease.machines_out]
    assert len(failed) == 2
    assert rented.unowned_s(await rented.lives(*ids)) == 0.0


async def test_what_befalls_a_box_that_serves(rented: Estate) -> None:
    """One is cancelled in Temporal, one dies, one gets dearer, one has its workflow terminated."""
    never = replace(QUICK, idle=timedelta(hours=1))
    hurried = replace(never, silence=timedelta(seconds=3))
    ids = [await rented.ask(timing=hurried if number == 1 else never) for number in range(4)]
    leases = [await rented.until(lease_id, LeaseState.SERVING) for lease_id in ids]
    cancelled, dies, dearer, terminated = leases
    boxes = {box.label: box for box in rented.market.boxes.there.values()}
    await rented.handle(cancelled.id).cancel()
    await rented.market.boxes.die(boxes[dies.label or ""])
    rented.market.boxes.raise_price(boxes[dearer.label or ""], 9.0)
    await rented.handle(terminated.id).terminate()
    codes = [(await rented.ended(lease.id)).ending_code for lease in leases[:3]]
    assert codes == [EndCode.CANCELLED, EndCode.BOX_LOST, EndCode.PRICE_RAISED]
    assert list(rented.market.labelled("aither-test-")) == [boxes[terminated.label or ""]]
    await rented.until_running(terminated.id)
    await rented.cancel(terminated.id)
    assert (await rented.ended(terminated.id)).ending_code is EndCode.CANCELLED
    assert not rented.market.boxes.there
    assert rented.unowned_s(await rented.lives(*ids)) == 0.0


async def test_a_stray_is_reaped_and_nobody_elses_box_is_touched(rented: Estate) -> None:
    others = ["", "aither-test2-lease_0123456789-1", "somebody", "aither-test-by-hand"]
    ours = ["aither-test-lease_0123456789-1"]
    async with open_market(SecretStr(KEY), rented.market.url) as market:
        for number, label in enumerate([*others, *ours], start=1):
            await market.create(
                str(number), BoxOrder(image="box:1", label=label, disk_gb=20, onstart="sleep 99")
            )
    stray = next(box for box in rented.market.boxes.there.values() if box.label == ours[0])
    while stray.id in rented.market.boxes.there:
        await asyncio.sleep(0.05)
    assert sorted(box.label for box in rented.market.boxes.there.values()) == sorted(others)
