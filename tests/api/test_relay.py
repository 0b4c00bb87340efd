"""Whatever part of a stream is lost, a reader that drops at `hop.restarted` ends up with the answer, whole."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.events import EventKind, TurnEvent
from api.relay import Relay, started

HOP = {"step": 0, "rung": "r", "pool": "p", "backend": "b", "model": "m", "outcome": "answered", "why": ""}
Said = tuple[str, list[str]]


def view(text: str, calls: list[str]) -> dict[str, Any]:
    return {
        "id": "turn_1",
        "status": "completed",
        "answer": {
            "text": text,
            "tool_calls": [{"id": f"c{i}", "name": "f", "arguments": said} for i, said in enumerate(calls)],
        },
        "route": [HOP],
        "ended_at": "2026-11-23T09:57:53.869564+00:00",
    }


def attempt(epoch: int, pieces: list[str], calls: list[str], *, kind: EventKind) -> list[TurnEvent]:
    """One attempt's events: it begins, says the pieces, calls the tools."""
    events: list[tuple[EventKind, dict[str, Any]]] = [(kind, {"step": 0})]
    offset = 0
    for piece in pieces:
        events.append((EventKind.TOKEN, {"text": piece, "offset": offset}))
        offset += len(piece)
    for index, said in enumerate(calls):
        for part in (said[:1], said[1:]):
            call = {"index": index, "id": f"c{index}", "name": "f", "arguments": part}
            events.append((EventKind.TOKEN, {"text": "", "offset": offset, "tool_calls": [call]}))
    return [
        TurnEvent(id=f"{epoch}-{n}", kind=kind, data=data) for n, (kind, data) in enumerate(events, start=1)
    ]


def read(events: Iterable[TurnEvent]) -> Said:
    """What a plain reader holds in the end."""
    text, calls = "", dict[int, str]()
    for event in events:
        if event.kind is EventKind.HOP_RESTARTED:
            text, calls = "", {}
        elif event.kind is EventKind.TOKEN:
            text += event.data["text"]
            for call in event.data.get("tool_calls", ()):
                calls[call["index"]] = calls.get(call["index"], "") + call["arguments"]
    return text, [said for _, said in sorted(calls.items())]


def ended(text: str, calls: list[str]) -> TurnEvent:
    return TurnEvent(id="9-1", kind=EventKind.TURN_COMPLETED, data=view(text, calls))


pieces = st.lists(st.text(min_size=1, max_size=4), max_size=6)
arguments = st.lists(st.text(min_size=1, max_size=4), max_size=2)
beginnings = st.sampled_from([EventKind.HOP_STARTED, EventKind.HOP_RESTARTED])
attempts = st.lists(st.tuples(pieces, arguments, beginnings), max_size=2)


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[TurnEvent], str, list[str]]:
    """The events of a turn as they were written: attempts that came to nothing, then the one that answered."""
    stream: list[TurnEvent] = []
    for epoch, (lost, called, kind) in enumerate(draw(attempts), start=1):
        stream += attempt(epoch, lost, called, kind=kind)
    last, calls = draw(pieces), draw(arguments)
    stream += attempt(8, last, calls, kind=draw(beginnings))
    return stream, "".join(last), calls


@given(life=lives(), holes=st.sets(st.integers(0, 40)), told=st.booleans())
def test_holes_in_the_stream_are_mended(
    life: tuple[list[TurnEvent], str, list[str]], holes: set[int], told: bool
) -> None:
    stream, text, calls = life
    relay = Relay()
    heard: list[TurnEvent] = []
    for index, event in enumerate(stream):
        if index not in holes:
            heard += relay.hear(event)
    heard += relay.hear(ended(text, calls)) if told else relay.end(view(text, calls))
    assert read(heard) == (text, calls)
    assert heard[-1].kind is EventKind.TURN_COMPLETED


@given(life=lives(), cut=st.integers(0, 60))
def test_a_reader_may_come_back_anywhere(life: tuple[list[TurnEvent], str, list[str]], cut: int) -> None:
    stream, text, calls = life
    whole = [*stream, ended(text, calls)]
    first = Relay()
    told = [one for event in whole for one in first.hear(event)]
    kept = told[: cut % (len(told) + 1)]
    if kept and kept[-1].kind.ends:
        return
    second = Relay()
    place = next((i for i, event in enumerate(whole) if kept and event.id == kept[-1].id), None)
    if kept and place is None:
        rest, after = [second.lose(kept[-1].id)], 0
    else:
        rest, after = [], 0 if place is None else place + 1
        for event in whole[:after]:
            list(second.hear(event))
    rest += [one for event in whole[after:] for one in second.hear(event)]
    assert read([*kept, *rest]) == (text, calls)


@given(life=lives())
def test_an_unbroken_single_attempt_is_passed_on_as_it_is(
    life: tuple[list[TurnEvent], str, list[str]],
) -> None:
    stream, text, calls = life
    last = [event for event in stream if event.id.startswith("8-")]
    relay = Relay()
    told = [one for event in [*last, ended(text, calls)] for one in relay.hear(event)]
    assert told == [*last, ended(text, calls)]


def test_a_failed_turn_is_told_without_its_broken_text() -> None:
    failed = view("", []) | {"status": "failed", "answer": None, "error": {"code": "x", "message": "y"}}
    relay = Relay()
    told = [*relay.hear(attempt(1, ["half"], [], kind=EventKind.HOP_STARTED)[1]), *relay.end(failed)]
    assert [event.kind for event in told] == [
        EventKind.TOKEN,
        EventKind.HOP_STARTED,
        EventKind.HOP_ENDED,
        EventKind.TURN_FAILED,
    ]


def test_the_first_event_says_what_was_asked_and_no_more() -> None:
    row = dict.fromkeys(
        ("id", "status", "conversation_id", "model", "effort", "effort_why", "priority", "accepted_at"), "x"
    )
    assert started({**row, "input": "secret"}).data == row
