"""Which offer to rent: what each comes to, which will do, and which is best for its purpose. Pure.

A box that reasons is waited for by people, and is of no use until tens of gigabytes are on it: network first. A
box that makes images works through a queue: what an hour of its use costs comes first, the wait for it included.
"""

import math
from collections.abc import Callable, Iterable
from datetime import timedelta

from activities.contracts.leases import (
    BoxSpec,
    Drop,
    DroppedOffer,
    Need,
    Offer,
    OfferOrder,
    Purpose,
    RankedOffer,
    Ranking,
)

HOURS_A_MONTH = 730
ATTAINED = 0.7
"""The share of the advertised bandwidth that is counted on: it was measured by others, at another hour."""
MOST_MBPS = 4000.0
"""More than this no source of models or images gives one box: above it, a faster line makes nothing sooner."""

Finding = tuple[Drop, str]


def spec_of(need: Need, limit: int = 500) -> BoxSpec:
    """The search for a need. It leaves to the ranking what is worth telling of."""
    order = OfferOrder.FASTEST if need.purpose is Purpose.REASONING else OfferOrder.CHEAPEST
    return BoxSpec(
        gpus=need.gpus,
        vram_mib=need.vram_mib,
        disk_gb=need.disk_gb,
        order=order,
        gpu_names=need.gpu_names,
        limit=limit,
    )


def rank(offers: Iterable[Offer], need: Need) -> Ranking:
    """Those that will do, the best first, one for each machine; and why each of the others will not."""
    fit: list[RankedOffer] = []
    dropped: list[DroppedOffer] = []
    for offer in offers:
        finding = _odd(offer)
        ranked = None if finding else appraise(offer, need)
        if ranked is not None:
            finding = _objection(ranked, need)
        if ranked is None or finding is not None:
            drop, why = finding or (Drop.ODD, "it cannot be judged")
            dropped.append(DroppedOffer(offer=offer, drop=drop, why=why))
        else:
            fit.append(ranked)
    fit.sort(key=_ORDERS[need.purpose])
    best: dict[str, RankedOffer] = {}
    for each in fit:
        kept = best.setdefault(each.offer.machine, each)
        if kept is not each:
            why = f"machine {each.offer.machine} has a better offer: {kept.offer.id}"
            dropped.append(DroppedOffer(offer=each.offer, drop=Drop.SAME_MACHINE, why=why))
    dropped.sort(key=lambda each: (each.drop, _by_number(each.offer.id)))
    return Ranking(ranked=tuple(best.values()), dropped=tuple(dropped))


def appraise(offer: Offer, need: Need) -> RankedOffer:
    """What the offer comes to for the need.

    The market bills the GPU while the box runs, its disk from the order on, and each gigabyte once: the image
    comes before it runs, the model after. What is paid once is spread over the hours of use.
    """
    storage = offer.storage_usd_per_gb_month * need.disk_gb / HOURS_A_MONTH
    download_usd = offer.inet_down_usd_per_gb * (need.image_gb + need.model_gb)
    image_s, model_s = _fetch_s(offer, need.image_gb), _fetch_s(offer, need.model_gb)
    useful_in = need.boot + timedelta(seconds=image_s + model_s) + need.load
    runs_h = need.hours + (model_s + need.load.total_seconds()) / 3600
    there_h = need.hours + useful_in.total_seconds() / 3600
    whole = offer.usd_per_hour * runs_h + storage * there_h + download_usd
    return RankedOffer(
        offer=offer,
        storage_usd_per_hour=storage,
        download_usd=download_usd,
        real_usd_per_hour=offer.usd_per_hour + storage + download_usd / need.hours,
        useful_in=useful_in,
        usd_per_useful_hour=whole / need.hours,
    )


def _fetch_s(offer: Offer, gigabytes: float) -> float:
    return gigabytes * 8000 / min(offer.inet_down_mbps * ATTAINED, MOST_MBPS)


def _odd(offer: Offer) -> Finding | None:
    """Figures that nobody can reckon with."""
    figures = {
        "price": offer.usd_per_hour,
        "storage price": offer.storage_usd_per_gb_month,
        "traffic price": offer.inet_down_usd_per_gb,
        "bandwidth": offer.inet_down_mbps,
    }
    wrong = [name for name, value in figures.items() if not math.isfinite(value) or value < 0]
    if not wrong and offer.inet_down_mbps < 1:
        wrong = ["bandwidth"]
    return (Drop.ODD, f"its {wrong[0]} makes no sense") if wrong else None


def _objection(ranked: RankedOffer, need: Need) -> Finding | None:
    """The first thing that speaks against it; price last, so that it is told of boxes that would do."""
    offer = ranked.offer
    return (
        _machine(offer, need)
        or _rest_of_it(offer, need)
        or _place(offer, need)
        or _network(offer, need)
        or _price(ranked, need)
    )


def _machine(offer: Offer, need: Need) -> Finding | None:
    if offer.machine in need.machines_out:
        return Drop.EXCLUDED, f"machine {offer.machine} failed before"
    if offer.gpus != need.gpus:
        return Drop.GPU, f"{offer.gpus} GPUs, {need.gpus} wanted"
    if need.gpu_names and _plain(offer.gpu) not in {_plain(name) for name in need.gpu_names}:
        return Drop.GPU, f"{offer.gpu} is none of {', '.join(need.gpu_names)}"
    if offer.vram_in_all_mib < need.vram_mib:
        return Drop.VRAM, f"{offer.vram_in_all_mib} MiB of VRAM, {need.vram_mib} wanted"
    return None


def _rest_of_it(offer: Offer, need: Need) -> Finding | None:
    if offer.cuda < need.cuda:
        return Drop.CUDA, f"CUDA {offer.cuda:g}, the image wants {need.cuda:g}"
    if offer.disk_gb < need.disk_gb:
        return Drop.DISK, f"{offer.disk_gb:.0f} GB of disk, {need.disk_gb:.0f} wanted"
    if offer.direct_ports < need.direct_ports:
        return Drop.PORTS, f"{offer.direct_ports} ports, {need.direct_ports} wanted"
    return None


def _place(offer: Offer, need: Need) -> Finding | None:
    if need.regions and not _lies_in(offer.region, need.regions):
        return Drop.REGION, f"{offer.region or 'nowhere known'} is none of {', '.join(need.regions)}"
    if need.regions_out and (not offer.region or _lies_in(offer.region, need.regions_out)):
        return Drop.REGION, f"{offer.region or 'where it is, is not known: it may'} is ruled out"
    if not offer.reliability >= need.reliability:
        return Drop.RELIABILITY, f"reliability {offer.reliability:.4f}, {need.reliability:g} wanted"
    if offer.lasts is not None and offer.lasts < need.lasts:
        return Drop.ENDS_SOON, f"let for {offer.lasts.total_seconds() / 3600:.1f} h, {need.hours:g} wanted"
    return None


def _network(offer: Offer, need: Need) -> Finding | None:
    if offer.inet_down_mbps > need.inet_down_mbps:
        return None
    return Drop.NETWORK, f"{offer.inet_down_mbps:.0f} Mb/s, more than {need.inet_down_mbps:.0f} wanted"


def _price(ranked: RankedOffer, need: Need) -> Finding | None:
    real = ranked.real_usd_per_hour
    if real <= need.usd_per_hour:
        return None
    parts = (
        f"GPU {ranked.offer.usd_per_hour:.3f}, disk {ranked.storage_usd_per_hour:.3f},"
        f" download {ranked.download_usd / need.hours:.3f}"
    )
    return Drop.PRICE, f"{real:.3f} $/h all told ({parts}), {need.usd_per_hour:g} is the most"


def _lies_in(region: str, wanted: Iterable[str]) -> bool:
    """Two letters are a country's code, which ends the market's text; anything else is a part of it."""
    text = region.casefold()
    code = text.rpartition(",")[2].strip()
    return any(
        (each == code) if len(each) == 2 else (each in text)
        for each in (one.strip().casefold() for one in wanted)
        if each
    )


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _by_number(identifier: str) -> tuple[int, str]:
    return len(identifier), identifier


def _network_first(each: RankedOffer) -> tuple[float, float, tuple[int, str]]:
    return -each.offer.inet_down_mbps, each.real_usd_per_hour, _by_number(each.offer.id)


def _cost_first(each: RankedOffer) -> tuple[float, float, tuple[int, str]]:
    return each.usd_per_useful_hour, each.useful_in.total_seconds(), _by_number(each.offer.id)


_ORDERS: dict[Purpose, Callable[[RankedOffer], tuple[float, float, tuple[int, str]]]] = {
    Purpose.REASONING: _network_first,
    Purpose.IMAGES: _cost_first,
}
