"""A surface that people see, and that can be away."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from activities.approving import ApprovalActivities
from activities.contracts.approvals import ApprovalView, Person, Surface
from activities.errors import StoreUnavailable
from infra.postman import WebhookPostman
from workers.composition import Composition

Seen = list[tuple[str, tuple[str, ...]]]


class Board:
    """Implements `Announcer`; what each approval's people have seen, in order."""

    def __init__(self) -> None:
        self.seen: defaultdict[str, Seen] = defaultdict(list)
        self.away: set[str] = set()
        self.tried: defaultdict[str, int] = defaultdict(int)

    async def announce(self, view: ApprovalView, people: Sequence[Person]) -> None:
        self._show(view, "card", people)

    async def remind(self, view: ApprovalView, people: Sequence[Person]) -> None:
        self._show(view, "reminder", people)

    async def settle(self, view: ApprovalView) -> None:
        assert view.decision is not None
        self._show(view, f"{view.status} {view.decision.option}".strip(), ())

    async def tried_for(self, approval_id: str) -> None:
        """Waits until there has been something to show."""
        async with asyncio.timeout(30):
            while not self.tried[approval_id]:
                await asyncio.sleep(0.02)

    def _show(self, view: ApprovalView, what: str, people: Sequence[Person]) -> None:
        approval_id = view.ref.approval_id
        self.tried[approval_id] += 1
        if approval_id in self.away:
            raise StoreUnavailable("the board is away")
        self.seen[approval_id].append((what, tuple(person.name for person in people)))


def seen_on(board: Board) -> Callable[[Composition], Composition]:
    """Has the workers of a ground show approvals on the board, and send webhooks to this machine."""

    def adapted(parts: Composition) -> Composition:
        postman = WebhookPostman(allow_private=True)
        ports = replace(parts.approving.ports, announcers={Surface.TELEGRAM: board}, postman=postman)
        return replace(parts, approving=ApprovalActivities(ports))

    return adapted
