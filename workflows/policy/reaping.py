"""Which instances at the market are nobody's. Pure.

The list must have been made before the leases were read: an instance in it was ordered before, and its order was
written down before that. So one whose lease does not know it is nobody's, and never will be anybody's.
"""

import re
from collections.abc import Iterable, Sequence

from activities.contracts.bursting import Stray
from activities.contracts.lease_views import LeaseView, label_prefix
from activities.contracts.leases import Instance

_REST = re.compile(r"(lease_[0-9a-z]{8,40})-([0-9]{1,6})", re.ASCII)


def lease_of_label(label: str, installation: str) -> str | None:
    """The lease that a label names; None where the label is not of this installation's making."""
    prefix = label_prefix(installation)
    found = _REST.fullmatch(label[len(prefix) :]) if label.startswith(prefix) else None
    return found[1] if found else None


def strays(
    instances: Iterable[Instance], leases: Sequence[LeaseView], installation: str
) -> tuple[Stray, ...]:
    """The instances that bear our label, and that no open lease knows as its box of now."""
    known = {lease.id: lease for lease in leases}
    found: list[Stray] = []
    for instance in instances:
        lease_id = lease_of_label(instance.label, installation)
        why = _stray(instance, known.get(lease_id)) if lease_id else ""
        if lease_id and why:
            found.append(Stray(instance=instance.id, label=instance.label, lease_id=lease_id, why=why))
    return tuple(found)


def _stray(instance: Instance, lease: LeaseView | None) -> str:
    """Why it is nobody's; empty where its lease knows it."""
    if lease is None:
        return "there is no such lease"
    if not lease.state.may_have_a_box:
        return f"its lease is {lease.state}"
    if lease.label != instance.label:
        return f"its lease is at attempt {lease.attempt}"
    if lease.instance is not None and lease.instance != instance.id:
        return f"its lease has instance {lease.instance}"
    return ""
