"""A member of a pool as this process knows it: who it is, whether it is well, and who sits there."""

import asyncio
from dataclasses import dataclass, field

from activities.contracts.backends import Backend
from activities.contracts.pools import EngineFigures, MemberHealth, MemberSource
from activities.ports import ChatBackend

UNSEEN = "not looked at yet"
"""Why one that has just joined is down: it gets calls once its health is known."""


@dataclass(eq=False, slots=True)
class Sitting:
    """A call that has one of the member's slots. `lost`: the slot is another process's now."""

    turn_id: str
    task: asyncio.Task[object]
    lost: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class Member:
    """One backend of a pool. `share` is None where this process has the member to itself.

    `down` and `parked` say why no calls go there; empty where they may. `foreign` calls are others' than ours.
    """

    backend: Backend
    client: ChatBackend
    source: MemberSource = MemberSource.CONFIGURED
    share: int | None = None
    foreign: int = 0
    down: str = ""
    parked: str = ""
    draining: bool = False
    engine: EngineFigures = field(default_factory=EngineFigures)
    sitting: set[Sitting] = field(default_factory=set[Sitting])

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend.name

    @property
    def used(self) -> int:
        """How many of our calls are there."""
        return len(self.sitting)

    @property
    def open_slots(self) -> int:
        """What all processes together may use."""
        return max(0, self.backend.slots - self.foreign)

    def health(self, *, barred: bool) -> tuple[MemberHealth, str]:
        """How it is, and why where it is not well."""
        if self.draining:
            return MemberHealth.DRAINING, "it finishes what it has"
        if self.parked:
            return MemberHealth.PARKED, self.parked
        if self.down:
            return MemberHealth.DOWN, self.down
        return (MemberHealth.BARRED, "") if barred else (MemberHealth.UP, "")
