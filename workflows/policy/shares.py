"""How the worker processes of a pool divide a member's slots between them, so that together they never exceed it.

Each process holds a share, written where all see it, and renews it with a growing beat. It uses no more than its
share, and nothing once it could not renew for `LASTS_S`. A share is another's to take only when its beat has stood
still for `LASTS_S` on the taker's own clock, or when its process is known to be dead: no two clocks are ever
compared, so none has to be right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LASTS_S = 10.0
"""How long a share may be used after the renewal was begun, and must be seen to stand still to be taken."""
MARGIN_S = 0.5
"""By how much sooner its holder stops, for clocks that do not run alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a process holds of a member: slots, and how many calls it had in hand when it said so."""

    slots: int
    used: int
    beat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a process may want of a member: its `slots` in all, and how many calls the process must keep."""

    slots: int
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The beat of another's share, and since when (on our clock) it has been that one."""

    beat: int
    since_s: float


def watch(before: Watched | None, share: Share, now_s: float) -> Watched:
    """What we have seen of another's share now that we look again."""
    if before is not None and before.beat == share.beat:
        return before
    return Watched(beat=share.beat, since_s=now_s)


def is_still(watched: Watched, now_s: float) -> bool:
    """Whether its holder has stopped using it by now, whatever became of it."""
    return now_s - watched.since_s >= LASTS_S


def fair(member: str, slots: int, workers: Sequence[str], me: str) -> int:
    """My part of the slots if all workers had theirs. What does not divide goes to others for each member."""
    names = sorted({*workers, me})
    each, left = divmod(slots, len(names))
    turned = (names.index(me) + sum(member.encode())) % len(names)
    return each + (1 if turned < left else 0)


def claim(member: str, wish: Wish, mine: int, others: Mapping[str, Share], me: str) -> int:
    """The share that I hold from now on: towards the fair one, within what the others leave.

    Calls in hand are never given away, so a share may for a while be larger than is fair; it never grows beyond
    what is free.
    """
    free = max(0, wish.slots - sum(share.slots for share in others.values()))
    wanted = min(fair(member, wish.slots, list(others), me), free)
    return wanted if wanted >= mine else max(wanted, min(mine, wish.used))
