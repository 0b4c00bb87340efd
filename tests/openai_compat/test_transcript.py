"""A stream is whole or it is an error: whatever the attempts say, in whatever pieces."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.events import EventKind, TurnEvent
from api.openai_compat.errors import CompatError
from api.openai_compat.transcript import Transcript
from api.openai_compat.wire import DONE, Chunks
from tests.openai_compat.playing import completed, event, hop, token, tokens

Told = tuple[str, list[str], str, bool]


def told(*events: TurnEvent) -> Told:
    """The text, tool arguments and thoughts that a client puts together, and whether it saw a clean end."""
    transcript = Transcript(Chunks("turn_1", 1, "auto", include_usage=False))
    sent = b""
    try:
        for event in events:
            sent += transcript.take(event)
    except CompatError:
        assert DONE not in sent
    text, thoughts = "", ""
    calls: dict[int, str] = {}
    for line in sent.removesuffix(DONE).split(b"\n\n"):
        if line:
            delta: dict[str, Any] = orjson.loads(line.removeprefix(b"data: "))["choices"][0]["delta"]
            text += delta.get("content") or ""
            thoughts += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or ():
                calls[call["index"]] = calls.get(call["index"], "") + call["function"]["arguments"]
    return text, [calls[index] for index in sorted(calls)], thoughts, sent.endswith(DONE)


def pieces(text: str, cuts: list[int]) -> list[TurnEvent]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [token(text[a:b], a) for a, b in pairwise(places)]


def call(arguments: str, **more: Any) -> TurnEvent:
    return token("", 0, tool_calls=[{"index": 0, "id": "c", "name": "look", "arguments": arguments, **more}])


RESTART = hop(EventKind.HOP_RESTARTED)
cuts = st.lists(st.integers(0, 20), max_size=5)


@given(
    st.lists(st.tuples(st.text("ab", max_size=6), cuts), max_size=3),
    st.text("ab\x00é😀", max_size=8),
    cuts,
    st.booleans(),
)
def test_a_clean_end_has_the_recorded_answer_and_nothing_else(
    lost: list[tuple[str, list[int]]], answer: str, final_cuts: list[int], heard: bool
):
    events = [hop()]
    for text, where in lost:
        events += [*pieces(text, where), RESTART]
    if heard:
        events += pieces(answer, final_cuts)
    recorded = answer.replace("\x00", "")
    text, _, _, clean = told(*events, completed("turn_1", recorded))
    if clean:
        assert text.replace("\x00", "") == recorded
    elif not lost:
        pytest.fail("nothing was lost, and yet the stream did not end well")
    if all(recorded.startswith(said) for said, _ in lost) and "\x00" not in answer:
        assert clean, "every attempt agreed with the answer"


@given(st.data())
def test_holes_are_filled_at_the_end(data: st.DataObject):
    said = tokens(*data.draw(st.lists(st.text("abc", min_size=1, max_size=4), max_size=6)))
    whole = "".join(event.data["text"] for event in said)
    kept = [event for event in said if data.draw(st.booleans())]
    assert told(hop(), *kept, completed("turn_1", whole)) == (whole, [], "", True)


@pytest.mark.parametrize("text", ["", "Hel", "Help", "Hello!"])
def test_an_answer_that_takes_back_what_was_said_is_no_clean_end(text: str):
    assert told(hop(), *tokens("Hello"), completed("turn_1", text))[3] is (text == "Hello!")


def test_an_attempt_that_goes_on_from_the_text_so_far():
    events = [hop(), *tokens("Hello"), RESTART, *tokens(" wor", "ld", offset=5)]
    assert told(*events, completed("turn_1", "Hello world"))[0] == "Hello world"


def test_a_rung_that_takes_over_is_held_to_what_was_said():
    took_over = hop(EventKind.HOP_STARTED, model="large")
    events = [hop(), *tokens("Hello"), took_over, *tokens("Hello", "!")]
    assert told(*events, completed("turn_1", "Hello!"))[0::3] == ("Hello!", True)
    with pytest.raises(CompatError, match="started over"):
        transcript = Transcript(Chunks("turn_1", 1, "auto", include_usage=False))
        for event in (hop(), *tokens("Hello"), took_over, *tokens("Bye")):
            transcript.take(event)


def test_what_is_provisional_waits_until_it_stands():
    probability = {"token": "Hi", "logprob": -0.1}
    perhaps = event(EventKind.HOP_STARTED, model="small", provisional=True)
    again = event(EventKind.HOP_RESTARTED, why="lost")
    draft = [perhaps, *tokens("No"), again, token("No", 0, reasoning="hm"), call("{}")]
    surely = event(EventKind.HOP_STARTED, model="large", provisional=False)
    assert told(*draft) == ("", [], "", False)
    assert told(*draft, surely, *tokens("Yes"))[:3] == ("Yes", [], "")
    end = completed("turn_1", "No", answer={"reasoning": "hm", "logprobs": [probability]})
    assert told(*draft, end) == ("No", [], "hm", True)
    transcript = Transcript(Chunks("turn_1", 1, "auto", include_usage=False))
    sent = b"".join(transcript.take(one) for one in (*draft, end))
    assert sent.count(b'"logprob":-0.1') == 1


def test_logprobs_come_once():
    probability = {"token": "Hi", "logprob": -0.1}
    said = token("Hi", 0, logprobs=[probability])
    transcript = Transcript(Chunks("turn_1", 1, "auto", include_usage=False))
    sent = b"".join(transcript.take(event) for event in (hop(), said, RESTART, said))
    assert sent.count(b'"logprob":-0.1') == 1


@pytest.mark.parametrize(
    ("again", "answer", "expected", "clean"),
    [
        (['{"a"', ":1}"], '{"a":1}', '{"a":1}', True),
        (['{"a":1', "0}"], '{"a":10}', '{"a":10}', True),
        (['{"b"'], '{"b":1}', '{"a":1', False),
        ([], '{"a":12}', '{"a":12}', True),
        ([], '{"b":1}', '{"a":1', False),
        ([], '{"a"', '{"a":1', False),
    ],
)
def test_tool_calls_are_held_to_the_same(again: list[str], answer: str, expected: str, clean: bool):
    recorded = {"tool_calls": [{"id": "c", "name": "look", "arguments": answer}]}
    first = [call('{"a"'), call(":1", id=None, name=None)]
    events = [hop(), *first, RESTART, *(call(piece, id="d") for piece in again)]
    _, calls, _, ended = told(*events, completed("turn_1", answer=recorded))
    assert (calls, ended) == ([expected], clean)


def test_another_tool_is_another_answer():
    for recorded in ([], [{"id": "c", "name": "other", "arguments": "{}"}]):
        end = completed("turn_1", "text", answer={"tool_calls": recorded})
        assert told(hop(), call("{}"), end)[3] is False


def test_thoughts_are_those_of_the_first_attempt():
    def thought(text: str) -> TurnEvent:
        return token("", 0, reasoning=text)

    end = completed("turn_1", "Hi", answer={"reasoning": "second"})
    assert told(hop(), thought("fir"), thought("st"), RESTART, thought("second"), end)[2] == "first"
    assert told(hop(), RESTART, thought("second"), end)[2] == "second"
    assert told(hop(), end)[2] == "second"
