"""What one reader of a turn's events has been told, so that its text ends up as the answer, whole.

A stream may have holes (Redis was away), overtaken text (an attempt died, the next rung began anew) or be
gone altogether. Whatever was lost, a reader that drops its text at `hop.restarted` and appends tokens holds
exactly the answer when the turn completes.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from activities.contracts.events import EventKind, TurnEvent
from activities.contracts.turn import HopOutcome, TurnStatus

STARTED_ID = "0-1"
_REBUILT = 1_000_000_000
"""Sequence numbers from here on are of events that never stood in a stream: none can be resumed after, so who
tries is given the text anew."""

ENDS = {
    TurnStatus.COMPLETED: EventKind.TURN_COMPLETED,
    TurnStatus.FAILED: EventKind.TURN_FAILED,
    TurnStatus.CANCELLED: EventKind.TURN_CANCELLED,
}


def started(view: Mapping[str, Any]) -> TurnEvent:
    """The first event of every turn, from its row."""
    shown = ("id", "status", "conversation_id", "model", "effort", "effort_why", "priority", "accepted_at")
    return TurnEvent(id=STARTED_ID, kind=EventKind.TURN_STARTED, data={key: view[key] for key in shown})


def rebuilt_end_id(view: Mapping[str, Any]) -> str:
    """The id of the last event as a rebuilt stream gives it."""
    return f"{_ended_ms(view)}-{_REBUILT * 2}"


class Relay:
    """Follows what a reader holds, and turns each event of the stream into those that the reader needs."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._length = 0
        self._calls: dict[int, list[str]] = {}
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._anew = False
        self._lost = False
        self._sequence = _REBUILT

    def lose(self, after: str) -> TurnEvent:
        """What the reader holds is not known: it is to drop that, and is told everything from the start."""
        self._drop()
        return self._restart(after, "the stream was resumed at a place that is gone; the text comes again")

    def hear(self, event: TurnEvent) -> Iterator[TurnEvent]:
        """The events that the reader is told for one of the stream's."""
        kind, data = event.kind, event.data
        if kind is EventKind.TOKEN:
            yield from self._token(event)
        elif kind is EventKind.TURN_COMPLETED:
            yield from self._mend(event.id, data)
            yield event
        else:
            if kind is EventKind.HOP_STARTED:
                self._anew = True
                self._begun.add(data["step"])
            elif kind is EventKind.HOP_RESTARTED:
                self._drop()
                self._begun.add(data["step"])
            elif kind is EventKind.HOP_ENDED:
                self._ended.add(data["step"])
            yield event

    def end(self, view: Mapping[str, Any]) -> Iterator[TurnEvent]:
        """What is left to tell when the turn's row says that it has ended and the stream does not."""
        place = f"{_ended_ms(view)}-0"
        for hop in view["route"]:
            if hop["step"] not in self._ended:
                if hop["step"] not in self._begun:
                    shown = {key: hop[key] for key in ("step", "rung", "pool", "backend", "model")}
                    # What the reader holds stays until the answer is told: `_mend` knows whether it counts.
                    shown["offset"] = self._length
                    yield self._new(place, EventKind.HOP_STARTED, shown)
                if hop["outcome"] == HopOutcome.ANSWERED:
                    yield from self._mend(place, view)
                yield self._new(place, EventKind.HOP_ENDED, hop)
        yield from self._mend(place, view)
        yield TurnEvent(id=rebuilt_end_id(view), kind=ENDS[view["status"]], data=view)

    def _token(self, event: TurnEvent) -> Iterator[TurnEvent]:
        offset, text = event.data["offset"], event.data["text"]
        if offset > self._length or (self._lost and offset > 0):
            self._lost = True
            return
        # A rung that takes over may go on from the text so far; one that had only called tools begins anew.
        if offset < self._length or self._lost or (self._anew and self._calls):
            kept = "".join(self._text)[:offset]
            self._drop()
            yield self._restart(event.id, "another attempt took over")
            if kept:
                yield self._new(event.id, EventKind.TOKEN, {"text": kept, "offset": 0})
                self._take(kept)
        self._anew = False
        self._take(text)
        for call in event.data.get("tool_calls", ()):
            said = self._calls.setdefault(call["index"], [])
            said.append(call.get("arguments") or "")
        yield event

    def _mend(self, place: str, view: Mapping[str, Any]) -> Iterator[TurnEvent]:
        """Gives the reader what it lacks of the answer: the rest, or the whole anew."""
        answer = view.get("answer")
        if answer is None:
            return
        held, whole = "".join(self._text), answer["text"]
        calls = [call["arguments"] for call in answer["tool_calls"]]
        if held == whole and self._arguments() == calls:
            return
        if self._calls or not whole.startswith(held):
            self._drop()
            yield self._restart(place, "part of the stream was lost; the answer comes again, whole")
            held = ""
        data: dict[str, Any] = {"text": whole[len(held) :], "offset": len(held)}
        if calls:
            data["tool_calls"] = [{"index": i, **call} for i, call in enumerate(answer["tool_calls"])]
            self._calls = {i: [arguments] for i, arguments in enumerate(calls)}
        self._take(data["text"])
        yield self._new(place, EventKind.TOKEN, data)

    def _arguments(self) -> list[str]:
        return ["".join(said) for _, said in sorted(self._calls.items())]

    def _take(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)

    def _drop(self) -> None:
        self._text.clear()
        self._calls.clear()
        self._length = 0
        self._lost = False

    def _restart(self, place: str, why: str) -> TurnEvent:
        return self._new(place, EventKind.HOP_RESTARTED, {"why": why, "offset": 0})

    def _new(self, place: str, kind: EventKind, data: Mapping[str, Any]) -> TurnEvent:
        self._sequence += 1
        epoch = place.partition("-")[0]
        return TurnEvent(id=f"{epoch}-{self._sequence}", kind=kind, data=data)


def _ended_ms(view: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(view["ended_at"]).timestamp() * 1000)
