"""Choosing a box: nothing that breaks a rule is rented, whatever the market offers."""

import math
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.leases import Drop, Need, Offer, OfferOrder, Purpose
from infra.vast.reading import offers as read
from tests.policy.renting import need, offer
from tests.support.vast_book import book
from workflows.policy.offers import appraise, rank, spec_of

ODD = [math.inf, math.nan, -1.0]
GOOD = st.builds(
    offer,
    st.integers(1, 10_000).map(str),
    machine=st.sampled_from(["m1", "m2", "m3", "m4", "m5"]),
    usd_per_hour=st.floats(0, 1.2),
    storage_usd_per_gb_month=st.floats(0, 0.4),
    inet_down_usd_per_gb=st.floats(0, 0.02),
    inet_down_mbps=st.floats(900, 9000),
    vram_mib=st.sampled_from([24_000, 49_000]),
    lasts=st.none() | st.sampled_from([timedelta(hours=3), timedelta(days=3)]),
)
SPOILT: dict[str, st.SearchStrategy[object]] = {
    "usd_per_hour": st.sampled_from([*ODD, 9.0]),
    "storage_usd_per_gb_month": st.sampled_from([*ODD, 20.0]),
    "inet_down_usd_per_gb": st.sampled_from([*ODD, 0.2]),
    "inet_down_mbps": st.sampled_from([*ODD, 0.0, 0.5, 150.0, 1000.0]),
    "vram_mib": st.sampled_from([8_000, 23_999]),
    "gpus": st.just(2),
    "cuda": st.sampled_from([0.0, 12.2, 12.4]),
    "reliability": st.sampled_from([0.5, 0.98, math.nan]),
    "region": st.sampled_from(["", "Texas, US", "China, CN", "Belarus, BY"]),
    "direct_ports": st.integers(0, 1),
    "disk_gb": st.sampled_from([20.0, 80.0]),
    "lasts": st.just(timedelta(hours=1)),
}


@st.composite
def any_offers(draw: st.DrawFn) -> Offer:
    """A good one with at most two of its fields spoilt."""
    names = draw(st.lists(st.sampled_from(sorted(SPOILT)), max_size=2, unique=True))
    return replace(draw(GOOD), **{name: draw(SPOILT[name]) for name in names})  # pyright: ignore[reportArgumentType]


OFFERS = any_offers()
NEEDS = st.builds(
    need,
    st.sampled_from(Purpose),
    usd_per_hour=st.sampled_from([0.2, 1.0, 4.0]),
    inet_down_mbps=st.sampled_from([0.0, 200.0, 1000.0]),
    regions=st.sampled_from([(), ("SE",), ("us", "Sweden")]),
    regions_out=st.sampled_from([(), ("CN",)]),
    machines_out=st.sampled_from([(), ("m1", "m3")]),
    hours=st.sampled_from([0.5, 2.0, 24.0]),
)


def fits(each: Offer, wanted: Need) -> bool:
    """The rules once more, in other words."""
    storage = each.storage_usd_per_gb_month * wanted.disk_gb / 730
    traffic = each.inet_down_usd_per_gb * (wanted.image_gb + wanted.model_gb) / wanted.hours
    lies_in = {"SE": "Sweden, SE", "Sweden": "Sweden, SE", "us": "Texas, US", "CN": "China, CN"}
    return (
        all(
            math.isfinite(value) and value >= 0
            for value in (
                each.usd_per_hour,
                each.storage_usd_per_gb_month,
                each.inet_down_usd_per_gb,
                each.inet_down_mbps,
            )
        )
        and each.inet_down_mbps > max(wanted.inet_down_mbps, 0.999)
        and each.usd_per_hour + storage + traffic <= wanted.usd_per_hour
        and each.gpus == wanted.gpus
        and each.vram_mib * each.gpus >= wanted.vram_mib
        and each.cuda >= wanted.cuda
        and each.reliability >= wanted.reliability
        and each.disk_gb >= wanted.disk_gb
        and each.direct_ports >= wanted.direct_ports
        and (each.lasts is None or each.lasts >= timedelta(hours=wanted.hours))
        and each.machine not in wanted.machines_out
        and (not wanted.regions or each.region in {lies_in[one] for one in wanted.regions})
        and (not wanted.regions_out or each.region not in {"", *(lies_in[one] for one in wanted.regions_out)})
    )


@given(
    st.lists(OFFERS, max_size=25, unique_by=lambda each: each.id), NEEDS, st.randoms(use_true_random=False)
)
def test_what_is_ranked_keeps_every_rule(offers: list[Offer], wanted: Need, rng: Random) -> None:
    ranking = rank(offers, wanted)
    ranked, dropped = ranking.ranked, ranking.dropped
    assert sorted(each.offer.id for each in (*ranked, *dropped)) == sorted(each.id for each in offers)
    for each in ranked:
        assert fits(each.offer, wanted)
        assert each.real_usd_per_hour <= wanted.usd_per_hour
        assert each.usd_per_useful_hour >= each.real_usd_per_hour
    for each in dropped:
        assert each.why
        assert fits(each.offer, wanted) == (each.drop is Drop.SAME_MACHINE)
    machines = [each.offer.machine for each in ranked]
    assert len(machines) == len(set(machines))
    for each in dropped:
        if each.drop is Drop.SAME_MACHINE:
            assert each.offer.machine in machines
    if wanted.purpose is Purpose.REASONING:
        downs = [each.offer.inet_down_mbps for each in ranked]
        assert downs == sorted(downs, reverse=True)
    else:
        costs = [each.usd_per_useful_hour for each in ranked]
        assert costs == sorted(costs)
    shuffled = list(offers)
    rng.shuffle(shuffled)
    assert (
        rank(shuffled, wanted) == ranking
        or any(math.isnan(each.reliability) for each in offers)
        or _odd(offers)
    )


def _odd(offers: list[Offer]) -> bool:
    """NaN is not equal to itself, so rankings with one in them cannot be compared."""
    return any(
        math.isnan(value)
        for each in offers
        for value in (
            each.usd_per_hour,
            each.storage_usd_per_gb_month,
            each.inet_down_usd_per_gb,
            each.inet_down_mbps,
        )
    )


@given(GOOD, st.floats(1.01, 4))
def test_a_faster_line_is_sooner_of_use_and_never_dearer_for_it(each: Offer, times: float) -> None:
    wanted = need()
    slow, fast = (
        appraise(each, wanted),
        appraise(replace(each, inet_down_mbps=each.inet_down_mbps * times), wanted),
    )
    assert fast.useful_in <= slow.useful_in
    assert fast.usd_per_useful_hour <= slow.usd_per_useful_hour
    assert slow.useful_in >= wanted.boot + wanted.load


@pytest.mark.parametrize(
    ("fields", "drop"),
    [
        ({"machine": "bad"}, Drop.EXCLUDED),
        ({"gpus": 2}, Drop.GPU),
        ({"vram_mib": 23_999}, Drop.VRAM),
        ({"cuda": 12.2}, Drop.CUDA),
        ({"disk_gb": 79.0}, Drop.DISK),
        ({"direct_ports": 0}, Drop.PORTS),
        ({"region": "China, CN"}, Drop.REGION),
        ({"reliability": 0.97}, Drop.RELIABILITY),
        ({"inet_down_mbps": 1000.0}, Drop.NETWORK),
        ({"lasts": timedelta(minutes=119)}, Drop.ENDS_SOON),
        ({"usd_per_hour": 0.99}, Drop.PRICE),
        ({"storage_usd_per_gb_month": 9.0}, Drop.PRICE),
        ({"inet_down_usd_per_gb": 0.06}, Drop.PRICE),
        ({"usd_per_hour": math.nan}, Drop.ODD),
    ],
)
def test_each_rule_drops_by_itself_and_says_so(fields: dict[str, object], drop: Drop) -> None:
    wanted = need(machines_out=("bad",), regions_out=("CN",))
    assert len(rank([offer()], wanted).ranked) == 1
    ((dropped,),) = (rank([offer("1", **fields)], wanted).dropped,)
    assert dropped.drop is drop
    assert len(dropped.why) > 8


def test_what_it_comes_to() -> None:
    wanted = need(hours=2.0, load=timedelta(seconds=90), boot=timedelta(seconds=60))
    ranked = appraise(offer(inet_down_mbps=2000.0, inet_down_usd_per_gb=0.02), wanted)
    assert ranked.download_usd == pytest.approx(0.02 * 25)
    assert ranked.storage_usd_per_hour == pytest.approx(80 * 0.15 / 730)
    assert ranked.real_usd_per_hour == pytest.approx(0.4 + 80 * 0.15 / 730 + 0.25)
    fetch_s = 25 * 8000 / 1400
    assert ranked.useful_in.total_seconds() == pytest.approx(150 + fetch_s, abs=0.01)
    gpu_s = 17 * 8000 / 1400 + 90 + 7200
    whole = 0.4 * gpu_s / 3600 + ranked.storage_usd_per_hour * (150 + fetch_s + 7200) / 3600 + 0.5
    assert ranked.usd_per_useful_hour == pytest.approx(whole / 2)


def test_a_country_is_its_code_and_not_two_letters_of_a_name() -> None:
    wanted = need(regions=("DE",))
    assert not rank([offer(region="Denver, US")], wanted).ranked
    assert rank([offer(region="Hesse, DE")], wanted).ranked
    assert rank([offer(region="Sweden, SE")], need(regions=("sweden",))).ranked


def test_names_of_gpus_are_read_as_people_write_them() -> None:
    wanted = need(gpu_names=("rtx_4090",))
    assert rank([offer()], wanted).ranked
    assert rank([offer(gpu="RTX 3090")], wanted).dropped[0].drop is Drop.GPU


def test_purposes_choose_differently_from_a_real_looking_book() -> None:
    offers = read({"offers": [{**row, "dph_total": row["dph_base"]} for row in book(11)]})
    reasoning = rank(offers, need(Purpose.REASONING)).ranked
    images = rank(offers, need(Purpose.IMAGES, inet_down_mbps=200.0)).ranked
    assert len(reasoning) >= 3 and len(images) >= 3
    assert reasoning[0].useful_in < images[0].useful_in
    assert images[0].usd_per_useful_hour < reasoning[0].usd_per_useful_hour
    assert {each.order for each in (spec_of(need(each)) for each in Purpose)} == set(OfferOrder)
