"""The marketplace's adapter against the stand-in: what is unknown is never empty, and nothing is asked twice."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from activities.contracts.leases import BoxOrder, BoxSpec, InstanceState, OfferOrder
from activities.errors import MarketBusy, MarketError, MarketRefused, MarketUnknown, OfferGone
from activities.market_ports import Marketplace
from infra.vast.market import VastMarket, open_market
from tests.support.standin_vast import StandInVast
from tests.support.standin_vast_faults import Boot, Fault, Op
from tests.support.vast_book import book, offer

SPEC = BoxSpec(gpus=1, vram_mib=24_000, disk_gb=80, order=OfferOrder.FASTEST)
SLEEPER = ("-c", "import time; time.sleep(600)")
QUICK = timedelta(seconds=0.3)


def order(label: str = "aither-t-lease_1-1", args: tuple[str, ...] = SLEEPER) -> BoxOrder:
    return BoxOrder(
        image="box:1", label=label, disk_gb=80, env=(("LEASE_KEY", "s3cret"),), ports=(8000,), args=args
    )


@asynccontextmanager
async def market_at(
    place: StandInVast, key: str = "vast-key", patience: timedelta = timedelta(seconds=20)
) -> AsyncGenerator[VastMarket]:
    async with open_market(SecretStr(key), place.url, patience) as market:
        yield market


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[StandInVast]:
    async with StandInVast(tmp_path, [offer(each) for each in range(1, 9)]) as place:
        yield place


@pytest.fixture
async def market(place: StandInVast) -> AsyncGenerator[VastMarket]:
    async with market_at(place) as market:
        yield market


async def ask(market: Marketplace, op: Op) -> object:
    match op:
        case Op.SEARCH:
            return await market.search(SPEC)
        case Op.CREATE:
            return await market.create("1", order())
        case Op.LIST:
            return await market.list("aither-")
        case Op.GET:
            return await market.get("7")
        case Op.DESTROY:
            return await market.destroy("7")
        case Op.CREDIT:
            return await market.credit()


async def test_a_box_is_rented_seen_and_gone(place: StandInVast, market: VastMarket) -> None:
    found = await market.search(SPEC)
    assert {each.id for each in found} == {str(each) for each in range(1, 9)}
    made = await market.create("3", order())
    box = place.boxes.there[int(made)]
    assert box.env == {"LEASE_KEY": "s3cret"}
    assert place.orders[0]["cancel_unavail"] is True, "or a box that cannot start bills its disk"
    await place.boxes.become(box, "running")
    (seen,) = await market.list("aither-t-")
    assert seen == await market.get(made)
    assert (seen.id, seen.label, seen.state) == (made, "aither-t-lease_1-1", InstanceState.RUNNING)
    assert (seen.address, seen.public_port(8000)) == ("127.0.0.1", box.ports[8000])
    assert seen.usd_per_hour == pytest.approx(0.4)
    assert seen.storage_usd_per_hour == pytest.approx(80 * 0.15 / 730)
    process = box.process
    await market.destroy(made)
    assert await market.get(made) is None
    assert await market.list("") == ()
    assert process is not None and process.returncode is not None
    assert not place.ledger.live()
    await market.destroy(made)


async def test_offers_come_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    async with StandInVast(tmp_path, book(3)) as place, market_at(place) as market:
        fastest = await market.search(SPEC)
        cheapest = await market.search(
            BoxSpec(gpus=1, vram_mib=24_000, disk_gb=80, order=OfferOrder.CHEAPEST, limit=5)
        )
        named = await market.search(
            BoxSpec(gpus=1, vram_mib=1, disk_gb=80, order=OfferOrder.FASTEST, gpu_names=("RTX 5090",))
        )
    downs = [each.inet_down_mbps for each in fastest]
    assert downs == sorted(downs, reverse=True)
    assert all(each.vram_mib >= 24_000 and each.gpus == 1 for each in fastest)
    assert len(cheapest) == 5
    assert {each.gpu for each in named} == {"RTX 5090"}


@pytest.mark.parametrize("op", Op)
@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (Fault.NOT_FOUND, MarketRefused),
        (Fault.FORBIDDEN, MarketRefused),
        (Fault.BUSY_TEXT, MarketBusy),
        (Fault.BUSY_JSON, MarketBusy),
        (Fault.QUOTA, MarketBusy),
        (Fault.ERROR, MarketUnknown),
        (Fault.RESET, MarketUnknown),
        (Fault.NOT_JSON, MarketUnknown),
        (Fault.CUT_OFF, MarketUnknown),
        (Fault.NOT_AN_OBJECT, MarketUnknown),
        (Fault.REDIRECT, MarketUnknown),
    ],
)
async def test_each_failure_has_its_word(
    place: StandInVast, market: VastMarket, op: Op, fault: Fault, raised: type[MarketError]
) -> None:
    place.faults.always(op, fault)
    with pytest.raises(MarketError) as caught:
        await ask(market, op)
    assert type(caught.value) is raised
    assert place.faults.seen[op] == 1, "it was asked again"
    assert "vast-key" not in str(caught.value) and "s3cret" not in str(caught.value)
    if raised is MarketBusy:
        assert caught.value.retry_after is not None
        assert timedelta(0) < caught.value.retry_after <= timedelta(days=1)


@pytest.mark.parametrize("op", Op)
async def test_silence_is_unknown(place: StandInVast, op: Op) -> None:
    place.faults.always(op, Fault.SILENT)
    async with market_at(place, patience=QUICK) as market:
        with pytest.raises(MarketUnknown, match="no answer"):
            await ask(market, op)
    assert place.faults.seen[op] == 1


@pytest.mark.parametrize("op", [Op.LIST, Op.CREDIT, Op.SEARCH, Op.GET])
async def test_a_wrong_key_is_never_an_empty_answer(place: StandInVast, op: Op) -> None:
    async with market_at(place, key="another") as market:
        with pytest.raises(MarketRefused):
            await ask(market, op)


@pytest.mark.parametrize(
    "fault",
    [Fault.WITHOUT_LIST, Fault.ODD_ROW, Fault.FALSELY_EMPTY, Fault.CIRCLE, Fault.DECLINED, Fault.GONE],
)
@pytest.mark.parametrize("rented", [0, 2])
async def test_an_odd_list_is_unknown(
    place: StandInVast, market: VastMarket, fault: Fault, rented: int
) -> None:
    for each in range(rented):
        await market.create(str(each + 1), order(f"aither-t-{each}"))
    place.faults.always(Op.LIST, fault)
    if fault is Fault.CIRCLE and not rented:
        place.faults.well()
        return
    with pytest.raises(MarketUnknown):
        await market.list("aither-")


@pytest.mark.parametrize("fault", [Fault.WITHOUT_LIST, Fault.ODD_ROW, Fault.DECLINED])
async def test_an_odd_answer_never_says_gone(place: StandInVast, market: VastMarket, fault: Fault) -> None:
    made = await market.create("1", order())
    place.faults.once(Op.GET, fault)
    with pytest.raises(MarketUnknown):
        await market.get(made)
    assert await market.get(made) is not None


async def test_a_list_has_all_its_pages_or_none(place: StandInVast, market: VastMarket) -> None:
    place.page = 2
    for each in range(5):
        await market.create(str(each + 1), order(f"aither-t-{each}" if each != 2 else "somebody-else"))
    assert {each.label for each in await market.list("aither-t-")} == {
        f"aither-t-{each}" for each in (0, 1, 3, 4)
    }
    for healthy in range(3):
        place.faults.once(Op.LIST, *(None,) * healthy, Fault.ERROR)
        with pytest.raises(MarketUnknown):
            await market.list("aither-t-")


@pytest.mark.parametrize("fault", [Fault.GONE, Fault.DECLINED])
async def test_a_vanished_offer_rents_nothing(place: StandInVast, market: VastMarket, fault: Fault) -> None:
    place.faults.once(Op.CREATE, fault)
    with pytest.raises(OfferGone):
        await market.create("1", order())
    with pytest.raises(OfferGone):
        await market.create("99", order())
    place.faults.boot(Boot.UNAVAILABLE)
    with pytest.raises(OfferGone):
        await market.create("1", order())
    assert not place.ledger.entries


async def test_no_credit_is_refused(place: StandInVast, market: VastMarket) -> None:
    assert await market.credit() == pytest.approx(100)
    place.credit = 0
    with pytest.raises(MarketRefused):
        await market.create("1", order())


@pytest.mark.parametrize("fault", [Fault.SILENT_AFTER, Fault.RESET_AFTER, Fault.ERROR_AFTER, Fault.CUT_OFF])
async def test_an_order_whose_answer_is_lost_is_found_by_its_label(place: StandInVast, fault: Fault) -> None:
    place.faults.once(Op.CREATE, fault)
    async with market_at(
        place, patience=QUICK if fault is Fault.SILENT_AFTER else timedelta(seconds=20)
    ) as market:
        with pytest.raises(MarketUnknown):
            await market.create("1", order("aither-t-lost-1"))
    await place.ordered.wait()
    async with market_at(place) as market:
        (found,) = await market.list("aither-t-lost-1")
        await market.destroy(found.id)
    assert len(place.ledger.entries) == 1 and not place.ledger.live()


async def test_an_id_leads_nowhere_else(place: StandInVast, market: VastMarket) -> None:
    for odd in ("", "1/../../users/current", "١", "-1"):
        with pytest.raises(MarketRefused):
            await market.destroy(odd)
    assert not place.faults.seen


async def test_the_states_of_boxes(place: StandInVast, market: VastMarket) -> None:
    place.faults.boot(Boot.STUCK, Boot.EXITS, Boot.OCI, Boot.OFFLINE, Boot.UNKNOWN)
    ids = [await market.create(str(each), order(f"aither-t-{each}")) for each in range(1, 6)]
    for each, state in zip(ids, ("loading", "exited", "created", "offline", "unknown"), strict=True):
        box = place.boxes.there[int(each)]
        while box.state != state or (state == "created" and "OCI" not in box.message):
            await box.changed.wait()
    seen = [await market.get(each) for each in ids]
    assert [each is not None and each.failed_boot for each in seen] == [False, True, True, True, True]
    ended = await market.create("6", order("aither-t-6", ("-c", "print('bye')")))
    await place.boxes.become(place.boxes.there[int(ended)], "exited")
    assert "bye" in place.boxes.there[int(ended)].log
    assert len(place.ledger.live()) == 6, "a box that has ended bills its disk until it is destroyed"


async def test_a_box_may_end_itself_and_nobody_else(place: StandInVast, market: VastMarket) -> None:
    one, other = [
        place.boxes.there[int(await market.create(each, order(f"aither-t-{each}")))] for each in "12"
    ]
    async with market_at(place, key=one.key) as own:
        for call in (own.destroy(str(other.id)), own.list(""), own.create("3", order("aither-t-3"))):
            with pytest.raises(MarketRefused):
                await call
        await own.destroy(str(one.id))
    assert [box.id for box in place.labelled("aither-t-")] == [other.id]


async def test_the_ledger_bills_by_state_price_and_label(tmp_path: Path) -> None:
    clock = [0.0]
    rented = offer(1, dph_base=3600.0, storage_cost=730.0)
    async with StandInVast(tmp_path, [rented], clock=lambda: clock[0]) as place, market_at(place) as market:
        place.faults.boot(Boot.STUCK)
        made = await market.create("1", order("aither-t-1"))
        box = place.boxes.there[int(made)]
        await place.boxes.become(box, "loading")
        clock[0] = 10
        assert place.ledger.usd() == pytest.approx(10 * 80 / 3600)
        place.boxes.turn(box, "running")
        clock[0] = 20
        place.boxes.raise_price(box, 7200.0)
        clock[0] = 30
        await market.destroy(made)
        clock[0] = 99
        assert place.ledger.usd("aither-t-") == pytest.approx(30 * 80 / 3600 + 10 + 20)
        assert place.ledger.seconds() == 30
        assert place.ledger.unowned({"aither-t-1": [(5, 12), (11, 28)]}) == {int(made): 7}
        assert place.ledger.unowned({"aither-t-1": [(-5, None)]}) == {int(made): 0}
        assert place.ledger.unowned({}) == {int(made): 30}


async def test_what_runs_by_itself_is_steered_over_http(place: StandInVast, market: VastMarket) -> None:
    made = await market.create("1", order())
    box = place.boxes.there[int(made)]
    await place.boxes.become(box, "running")
    async with aiohttp.ClientSession() as session:
        await session.post(
            f"{place.url}/_standin/fault", json={"op": "list", "fault": "error", "always": True}
        )
        with pytest.raises(MarketUnknown):
            await market.list("")
        await session.post(f"{place.url}/_standin/fault", json={"op": "list", "fault": None})
        await session.post(f"{place.url}/_standin/box/{made}/2.5")
        await session.post(f"{place.url}/_standin/box/{made}/die")
        ledger = json.loads(await (await session.get(f"{place.url}/_standin/ledger")).read())
    (seen,) = await market.list("")
    assert (seen.state, seen.usd_per_hour) == (InstanceState.EXITED, pytest.approx(2.5))
    assert [each["label"] for each in ledger["entries"]] == ["aither-t-lease_1-1"]
