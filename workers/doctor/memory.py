"""One turn's stores, in memory: a drill needs no database, and leaves nothing in one."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from activities.contracts.chat import Message, Role, Sampling
from activities.contracts.events import EventKind
from activities.contracts.policy import Caps, Spending
from activities.contracts.records import (
    Answer,
    CallCost,
    DueTurn,
    Recorded,
    Reservation,
    SpendCall,
    TurnContext,
)
from activities.contracts.turn import Hop, TurnEnding, TurnStatus
from activities.ports import FREE


class Notes:
    """Implements the store, the ledger and the event channel of one turn, and remembers what came of it.

    `told` is the text that a client holds who cuts at a hop's offset and puts each token at its own.
    """

    def __init__(self, question: str) -> None:
        self.question = question
        self.status = TurnStatus.RUNNING
        self.answers: dict[int, Answer] = {}
        self.partials: dict[int, Answer] = {}
        self.final: Answer | None = None
        self.told = ""
        self.billed: dict[int, int] = {}
        self.set_aside: dict[int, int] = {}

    async def context(
        self, tenant_id: str, turn_id: str, step: int, history_bytes: int, earlier: Sequence[int] = ()
    ) -> TurnContext:
        """See `TurnStore`."""
        del tenant_id, turn_id, history_bytes
        known = self.partials | self.answers
        return TurnContext(
            status=self.status,
            input=(Message(role=Role.USER, content=self.question),),
            sampling=Sampling(),
            answer=self.answers.get(step),
            earlier={number: known[number] for number in earlier if number in known},
        )

    async def record_answer(
        self,
        tenant_id: str,
        turn_id: str,
        answer: Answer,
        route: Sequence[Hop],
        *,
        final: bool,
        cost: CallCost = FREE,
    ) -> Recorded:
        """See `TurnStore`."""
        del tenant_id, turn_id, route
        won = answer.step not in self.answers
        kept = self.answers.setdefault(answer.step, answer)
        self.set_aside.pop(answer.step, None)
        self.billed.setdefault(answer.step, cost.nano_usd)
        if final:
            self._end(TurnStatus.COMPLETED, kept)
        return self._recorded(won)

    async def record_partial(self, tenant_id: str, turn_id: str, partial: Answer) -> None:
        """See `TurnStore`."""
        del tenant_id, turn_id
        self.partials[partial.step] = partial

    async def end_turn(self, ending: TurnEnding) -> Recorded:
        """See `TurnStore`."""
        answer = self.answers.get(ending.answer_step) if ending.answer_step is not None else None
        self._end(ending.status, answer)
        return self._recorded(won=True)

    async def due_turns(self, limit: int) -> Sequence[DueTurn]:
        """See `TurnStore`."""
        del limit
        return ()

    async def reserve(self, call: SpendCall, nano_usd: int, caps: Caps) -> Reservation:
        """See `SpendLedger`."""
        del caps
        self.set_aside[call.step] = nano_usd
        return Reservation(granted=True, cap=None, spending=Spending())

    async def release(self, call: SpendCall) -> None:
        """See `SpendLedger`."""
        self.set_aside.pop(call.step, None)

    async def text_so_far(self, turn_id: str, step: int) -> str:
        """See `EventChannel`."""
        del turn_id, step
        return ""

    @asynccontextmanager
    async def writer(self, turn_id: str) -> AsyncGenerator["Notes"]:
        """See `EventChannel`."""
        del turn_id
        yield self

    def emit(self, kind: EventKind, data: dict[str, Any]) -> None:
        """See `EventWriter`."""
        if kind in {EventKind.HOP_STARTED, EventKind.HOP_RESTARTED}:
            self.told = self.told[: data["offset"]]
        elif kind is EventKind.TOKEN:
            self.told = self.told[: data["offset"]] + data["text"]

    def _end(self, status: TurnStatus, answer: Answer | None) -> None:
        if not self.status.ended:
            self.status, self.final = status, answer

    def _recorded(self, won: bool) -> Recorded:
        return Recorded(won=won, status=self.status, turn={"status": self.status})
