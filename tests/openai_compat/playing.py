"""A stand-in for `Turns` that plays scripts, and the app that serves the compat routes with it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from activities.contracts.events import EventKind, TurnEvent
from api.asking import AcceptedTurn, TurnRequest
from infra.ids import new_id
from infra.postgres.keys import Caller

KEY = "ak_test"
CALLER = Caller(tenant_id="acme", key_id="key_1", priority_ceiling=1)
HOP: dict[str, Any] = {
    "step": 0,
    "rung": "orchestrator",
    "backend": "orchestrator",
    "model": "small",
    "model_served": "small",
    "outcome": "answered",
    "why": "",
}

USER = {"role": "user", "content": "hi"}

Script = Callable[[str], AsyncGenerator[list[TurnEvent]]]


def chat(**changes: Any) -> dict[str, Any]:
    """A request that is good but for the changes."""
    return {"model": "auto", "messages": [USER]} | changes


def event(kind: EventKind, **data: Any) -> TurnEvent:
    return TurnEvent(id="1-1", kind=kind, data=data)


def token(text: str, offset: int, **more: Any) -> TurnEvent:
    return event(EventKind.TOKEN, text=text, offset=offset, **more)


def tokens(*texts: str, offset: int = 0) -> list[TurnEvent]:
    made: list[TurnEvent] = []
    for text in texts:
        made.append(token(text, offset))
        offset += len(text)
    return made


def hop(kind: EventKind = EventKind.HOP_STARTED, model: str = "small") -> TurnEvent:
    return event(kind, step=0, rung="orchestrator", model=model)


def view(turn_id: str, text: str = "", **changes: Any) -> dict[str, Any]:
    """A turn that has answered, as the API shows it; `answer` holds changes of the answer."""
    answer: dict[str, Any] = {
        "text": text,
        "finish_reason": "stop",
        "tool_calls": [],
        "reasoning": "",
        "logprobs": None,
        "backend": "orchestrator",
        "model": "small",
    }
    answer |= changes.pop("answer", {})
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 2, "reasoning_tokens": 1}
    return {
        "id": turn_id,
        "status": "completed",
        "model": "auto",
        "cost_usd": 0.00125,
        "answer": answer,
        "usage": usage,
        "route": [HOP],
        "error": None,
    } | changes


def completed(turn_id: str, text: str = "", **changes: Any) -> TurnEvent:
    return event(EventKind.TURN_COMPLETED, **view(turn_id, text, **changes))


def failed(turn_id: str, code: str, message: str = "it broke", model: str = "auto") -> TurnEvent:
    broken = view(turn_id, status="failed", model=model, error={"code": code, "message": message})
    return event(EventKind.TURN_FAILED, **broken | {"answer": None})


def says(*texts: str, **changes: Any) -> Script:
    """A script that says these tokens and ends with them as its answer."""

    async def play(turn_id: str) -> AsyncGenerator[list[TurnEvent]]:
        yield [event(EventKind.TURN_STARTED), hop()]
        for one in tokens(*texts):
            yield [one]
        yield [completed(turn_id, "".join(texts), **changes)]

    return play


def plays(*events: TurnEvent, end: Callable[[str], TurnEvent] | None = None) -> Script:
    """A script of these events, one batch each, and an end that may need the turn's id."""

    async def play(turn_id: str) -> AsyncGenerator[list[TurnEvent]]:
        for one in events:
            yield [one]
        if end:
            yield [end(turn_id)]

    return play


@dataclass
class PlayedTurns:
    """Plays `script` for every turn. Lives in the server's loop; tests read it from their own thread."""

    script: Script = field(default_factory=lambda: says("Hello", " there"))
    requests: list[TurnRequest] = field(default_factory=list[TurnRequest])
    cancelled: list[str] = field(default_factory=list[str])
    refusal: Exception | None = None
    after_cancel: Callable[[str], dict[str, Any]] = lambda turn_id: view(turn_id, status="cancelled")
    cancel_seen: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    async def accept(self, caller: Caller, request: TurnRequest) -> AcceptedTurn:
        assert caller == CALLER
        if self.refusal:
            raise self.refusal
        self.requests.append(request)
        return AcceptedTurn(turn_id=new_id("turn"), conversation_id=None)

    async def batches(
        self, caller: Caller, turn_id: str, after: str | None
    ) -> AsyncGenerator[list[TurnEvent]]:
        assert caller == CALLER
        assert after is None
        return self.script(turn_id)

    async def wait(self, caller: Caller, turn_id: str, seconds: float) -> dict[str, Any] | None:
        assert caller == CALLER
        try:
            async with asyncio.timeout(seconds):
                async for batch in self.script(turn_id):
                    for one in batch:
                        if one.kind.ends:
                            return dict(one.data)
        except TimeoutError:
            pass
        return None

    async def cancel(self, caller: Caller, turn_id: str) -> dict[str, Any]:
        assert caller == CALLER
        self.cancelled.append(turn_id)
        self.cancel_seen.set()
        return self.after_cancel(turn_id)

    async def hangs(self, turn_id: str) -> AsyncGenerator[list[TurnEvent]]:
        """A script that says one token and then nothing more; `waiting` is set once it has begun."""
        yield [hop(), token("Hel", 0)]
        self.waiting.set()
        await asyncio.Event().wait()

    async def stays_silent(self, turn_id: str) -> AsyncGenerator[list[TurnEvent]]:
        """A script that says nothing at all."""
        self.waiting.set()
        await asyncio.Event().wait()
        yield []
