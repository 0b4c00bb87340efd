"""Choosing a box cheapest first against network first, over drawn offer books: what a lease comes to.

A simulation, with nothing rented. What a box really does is drawn, the same for both ways of choosing: its line
gives a share of what is advertised, hosts fail to boot the more often the less reliable they are, and a boot that
fails costs its deadline before the next offer is tried.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from activities.contracts.leases import Need, Offer, Purpose, RankedOffer
from benchmarks.figures import Section, median, percentile
from infra.vast.reading import offers as read
from tests.support.vast_book import book
from workflows.policy.offers import rank

BOOKS = 100
STUCK_S = 20 * 60.0
TRIES = 4
WIDELY = 0.0
"""The bandwidth that cheapest first asks for."""

REASONING = Need(
    purpose=Purpose.REASONING,
    vram_mib=31_000,
    usd_per_hour=1.5,
    image_gb=9.0,
    model_gb=19.0,
    disk_gb=80.0,
    reliability=0.97,
    hours=2.0,
)
"""A 27B model in 4 bits on a server's image."""
IMAGES = replace(
    REASONING,
    purpose=Purpose.IMAGES,
    vram_mib=24_000,
    usd_per_hour=0.8,
    image_gb=6.0,
    model_gb=12.0,
    inet_down_mbps=200.0,
    hours=6.0,
)


@dataclass(frozen=True, slots=True)
class Lived:
    """What became of a lease: seconds to the first answer, dollars for each hour of use, boxes that failed."""

    useful_s: float
    usd_per_useful_hour: float
    failed: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What is true of a machine, whoever rents it."""

    share: float
    fails: bool
    boot_s: float
    load_s: float


def fates(offers: Iterable[Offer], seed: int) -> dict[str, Fate]:
    rng = random.Random(seed)
    return {
        offer.machine: Fate(
            share=min(1.0, max(0.1, rng.gauss(0.7, 0.18))),
            fails=rng.random() < 0.03 + 4 * (1 - offer.reliability),
            boot_s=rng.uniform(25, 110),
            load_s=rng.uniform(60, 150),
        )
        for offer in offers
    }


def cheapest(offers: Iterable[Offer], need: Need) -> list[RankedOffer]:
    """By the GPU's price alone, as the market's own list is sorted; what cannot do at all is left out."""
    anywhere = replace(need, inet_down_mbps=WIDELY, usd_per_hour=1e9)
    fit = rank(offers, anywhere).ranked
    return sorted(fit, key=lambda each: (each.offer.usd_per_hour, each.offer.id))


def lived(choices: Iterable[RankedOffer], need: Need, truth: dict[str, Fate]) -> Lived | None:
    """Rents the choices in turn until one serves; None where none does."""
    lost_s, lost_usd, failed = 0.0, 0.0, 0
    for choice in list(choices)[:TRIES]:
        offer, fate = choice.offer, truth[choice.offer.machine]
        storage = choice.storage_usd_per_hour
        if fate.fails:
            lost_s, failed = lost_s + STUCK_S, failed + 1
            lost_usd += storage * STUCK_S / 3600 + offer.inet_down_usd_per_gb * need.image_gb
            continue
        mbps = max(1.0, min(offer.inet_down_mbps * fate.share, 4000.0))
        image_s, model_s = need.image_gb * 8000 / mbps, need.model_gb * 8000 / mbps
        ready_s = fate.boot_s + image_s + model_s + fate.load_s
        gpu_h = need.hours + (model_s + fate.load_s) / 3600
        usd = offer.usd_per_hour * gpu_h + storage * (need.hours + ready_s / 3600) + choice.download_usd
        return Lived(lost_s + ready_s, (lost_usd + usd) / need.hours, failed)
    return None


def offers(quick: bool = False) -> Section:
    """Both ways over the same books and the same truth."""
    section = Section("Choosing a box: a simulation over drawn offer books")
    for need in (REASONING, IMAGES):
        outcomes: dict[str, list[Lived]] = {"cheapest first": [], "this policy": []}
        none = 0
        for seed in range(BOOKS // 10 if quick else BOOKS):
            found = read({"offers": [{**row, "dph_total": row["dph_base"]} for row in book(seed)]})
            truth = fates(found, seed)
            mine = lived(rank(found, need).ranked, need, truth)
            theirs = lived(cheapest(found, need), need, truth)
            if mine is None or theirs is None:
                none += 1
                continue
            outcomes["this policy"].append(mine)
            outcomes["cheapest first"].append(theirs)
        for name, all_of in outcomes.items():
            useful = [timedelta(seconds=each.useful_s) / timedelta(minutes=1) for each in all_of]
            costs = [each.usd_per_useful_hour for each in all_of]
            what = f"{need.purpose}, {name}"
            section.add(f"{what}: useful in, median", median(useful), "min")
            section.add(f"{what}: useful in, p95", percentile(useful, 95), "min")
            section.add(f"{what}: cost of an hour of use, median", median(costs), "$", digits=3)
            section.add(
                f"{what}: boxes that failed, each lease",
                sum(e.failed for e in all_of) / len(all_of),
                "",
                digits=2,
            )
        section.note += f"{need.purpose}: {none} books had nothing that served. "
    section.note += (
        f"A useful hour of {REASONING.hours:g} (reasoning) and {IMAGES.hours:g} (images) each lease."
    )
    return section


if __name__ == "__main__":
    for line in offers().lines():
        print(line)
