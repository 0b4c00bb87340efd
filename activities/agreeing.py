"""What a turn that waits for a person needs beside the approval: who asks, and a word to its client."""

from collections.abc import Callable
from typing import Protocol

import msgspec
from temporalio import activity

from activities.contracts.agreement import Asker, TurnRef, Waiting
from activities.contracts.events import EventKind
from activities.errors import AitherError, to_application_error
from activities.ports import EventChannel


class Askers(Protocol):
    """Who turns are for. Raises `StoreUnavailable` and `TurnNotFound`."""

    async def asker(self, tenant_id: str, turn_id: str) -> Asker:
        """Who the turn is for."""
        ...


class AgreementActivities:
    """`turn-asker` and `tell-waiting`, on the queue of the turns' workflows. `link` is where an approval is shown."""

    def __init__(self, askers: Askers, events: EventChannel, link: Callable[[str], str]) -> None:
        self._askers = askers
        self._events = events
        self._link = link

    @activity.defn(name="turn-asker")
    async def turn_asker(self, turn: TurnRef) -> Asker:
        """Who the turn is for."""
        try:
            return await self._askers.asker(turn.tenant_id, turn.turn_id)
        except AitherError as error:
            raise to_application_error(error) from error

    @activity.defn(name="tell-waiting")
    async def tell_waiting(self, waiting: Waiting) -> None:
        """Tells the turn's client that a person is asked, and until when. Told twice is told once more."""
        told = msgspec.to_builtins(waiting)
        told["turn_id"] = told.pop("turn")["turn_id"]
        told["link"] = self._link(waiting.approval_id)
        async with self._events.writer(waiting.turn.turn_id) as events:
            events.emit(EventKind.TURN_WAITING, told)
