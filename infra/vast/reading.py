"""Reads Vast.ai's offers and instances. What cannot be read is never guessed: see each function.

Wire units: MB of VRAM (taken for MiB, as NVIDIA counts), Mb/s, $/GB of traffic, $/GB and month of storage,
seconds, and 0 to 1 of reliability. `dph_total` has the storage in it that the search asked for, `dph_base` has
not.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from activities.contracts.leases import Instance, InstanceState, Offer
from activities.errors import MarketUnknown

LONGEST = timedelta(days=3650)
MESSAGE_CHARS = 300


def offers(said: Mapping[str, Any]) -> tuple[Offer, ...]:
    """The offers that can be read. Raises `MarketUnknown` where there is no list, or none in it can be."""
    rows = said.get("offers")
    if not isinstance(rows, list):
        raise MarketUnknown("search: the answer has no list of offers")
    read = [_offer(row) for row in cast("list[object]", rows)]
    known = tuple(each for each in read if each is not None)
    if read and not known:
        raise MarketUnknown(f"search: none of {len(read)} offers can be read")
    return known


def instance(row: object) -> Instance:
    """One instance. Raises `MarketUnknown` where its id, its label or its state cannot be read."""
    fields = _table(row)
    if fields is None:
        raise MarketUnknown("an instance is no object")
    label, state = fields.get("label"), fields.get("actual_status")
    if not (label is None or isinstance(label, str)) or not (state is None or isinstance(state, str)):
        raise MarketUnknown("an instance's label or state cannot be read")
    found = _id(fields.get("id"))
    if found is None:
        raise MarketUnknown("an instance has no id")
    storage = _amount(fields.get("storage_total_cost"))
    address, message = fields.get("public_ipaddr"), fields.get("status_msg")
    return Instance(
        id=found,
        label=label or "",
        state=_state(state),
        machine=_id(fields.get("machine_id")) or "",
        gpu=_text(fields.get("gpu_name")),
        usd_per_hour=_gpu_price(fields, storage),
        storage_usd_per_hour=storage,
        status_message=message[:MESSAGE_CHARS] if isinstance(message, str) else "",
        address=(address.strip() or None) if isinstance(address, str) else None,
        ports=tuple(_ports(fields.get("ports"))),
        created_at=_moment(fields.get("start_date")),
    )


def _offer(row: object) -> Offer | None:
    """None where a figure is missing that decides what it costs or whether it will do."""
    fields = _table(row) or {}
    found, machine = _id(fields.get("id")), _id(fields.get("machine_id"))
    base = fields.get("dph_base")
    # Without its base the storage is counted twice: dearer than it is, never cheaper.
    price = _amount(fields.get("dph_total") if base is None else base)
    gpus, vram = _count(fields.get("num_gpus")), _count(fields.get("gpu_ram"))
    down, down_usd = _amount(fields.get("inet_down")), _amount(fields.get("inet_down_cost"))
    storage, disk = _amount(fields.get("storage_cost")), _amount(fields.get("disk_space"))
    reliability = _amount(fields.get("reliability", fields.get("reliability2")))
    if (
        found is None
        or machine is None
        or price is None
        or gpus is None
        or vram is None
        or down is None
        or down_usd is None
        or storage is None
        or disk is None
        or reliability is None
    ):
        return None
    lasts = _amount(fields.get("duration"))
    return Offer(
        id=found,
        machine=machine,
        gpu=_text(fields.get("gpu_name")),
        gpus=gpus,
        vram_mib=vram,
        usd_per_hour=price,
        storage_usd_per_gb_month=storage,
        inet_down_mbps=down,
        inet_down_usd_per_gb=down_usd,
        disk_gb=disk,
        cuda=_amount(fields.get("cuda_max_good")) or 0.0,
        reliability=reliability,
        inet_up_mbps=_amount(fields.get("inet_up")) or 0.0,
        inet_up_usd_per_gb=_amount(fields.get("inet_up_cost")) or 0.0,
        region=_text(fields.get("geolocation")),
        host=_id(fields.get("host_id")) or "",
        direct_ports=_count(fields.get("direct_port_count")) or 0,
        lasts=None if lasts is None else timedelta(seconds=min(lasts, LONGEST.total_seconds())),
    )


def _gpu_price(fields: Mapping[str, Any], storage: float | None) -> float | None:
    base, total = _amount(fields.get("dph_base")), _amount(fields.get("dph_total"))
    if total is None:
        return base
    # A price that was raised may show in either: the higher one is believed.
    return max(total - (storage or 0.0), base or 0.0)


def _state(said: str | None) -> InstanceState:
    if said is None:
        return InstanceState.CREATED
    try:
        return InstanceState(said)
    except ValueError:
        return InstanceState.LOADING


def _ports(said: object) -> Iterator[tuple[int, int]]:
    """The TCP ports that are mapped; the market lists bare numbers before there is a mapping."""
    for name, places in (_table(said) or {}).items():
        own, _, protocol = name.partition("/")
        rows = cast("Sequence[object]", places) if isinstance(places, list) else ()
        public = _port((_table(rows[0]) or {}).get("HostPort")) if rows else None
        inner = _port(own)
        if protocol == "tcp" and inner is not None and public is not None:
            yield inner, public


def _port(said: object) -> int | None:
    digits = str(said) if isinstance(said, str | int) and not isinstance(said, bool) else ""
    valid = digits.isascii() and digits.isdecimal() and len(digits) <= 5
    return int(digits) if valid and 0 < int(digits) < 65_536 else None


def _id(said: object) -> str | None:
    if isinstance(said, int) and not isinstance(said, bool) and said >= 0:
        return str(said)
    return said if isinstance(said, str) and said.isascii() and said.isdecimal() else None


def _amount(said: object) -> float | None:
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if math.isfinite(said) and said >= 0 else None


def _count(said: object) -> int | None:
    amount = _amount(said)
    return None if amount is None else int(amount)


def _text(said: object) -> str:
    return said[:MESSAGE_CHARS] if isinstance(said, str) else ""


def _moment(said: object) -> datetime | None:
    seconds = _amount(said)
    # Seconds since 1970, of this century.
    return datetime.fromtimestamp(seconds, UTC) if seconds and seconds < 4e9 else None


def _table(said: object) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else None
