"""Where a model's file is best had from, and what a box outside of the house must not be handed."""

import ipaddress

from activities.contracts.models import SHARED, Asker, ModelAddress, ModelSource, Tier

INSIDE = (Tier.PRIVATE, Tier.STRATA, Tier.PUBLIC)
OUTSIDE = (Tier.PUBLIC, Tier.PRIVATE, Tier.STRATA)
"""A rented box has a fast way to the publisher, and every byte from us goes through the house's own uplink."""

_INTERNAL_ENDS = (
    ".local",
    ".lan",
    ".internal",
    ".home",
    ".home.arpa",
    ".intranet",
    ".corp",
    ".localdomain",
    ".svc",
)


def order(asker: Asker) -> tuple[Tier, ...]:
    """The tiers, the one to try first first."""
    return OUTSIDE if asker.external else INSIDE


def unreadable(asker: Asker, address: ModelAddress) -> str:
    """Why the asker may not have it; empty where it may."""
    if asker.operator or address.scope in {SHARED, asker.tenant_id}:
        return ""
    return "it is another tenant's"


def unwritable(asker: Asker, address: ModelAddress) -> str:
    """Why the asker may not change it; empty where it may."""
    if asker.operator:
        return ""
    if address.scope == SHARED:
        return "shared files are an operator's to change"
    return unreadable(asker, address)


def unreachable(asker: Asker, source: ModelSource) -> str:
    """Why the source is not for this asker; empty where it is.

    A box outside that is handed an internal name fails silently, or asks whoever has that name where it is; and
    what is handed to it can be read by its host.
    """
    if not asker.external:
        return ""
    if internal(source.host) and source.host.lower() not in asker.reachable:
        return "its host's name means nothing outside of the house"
    if source.headers:
        return "it needs a key, and none leaves the house"
    return ""


def internal(host: str) -> bool:
    """Whether a host's name or address says something only inside of the house."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return not name or "." not in name or name.endswith(_INTERNAL_ENDS)
    return not address.is_global
