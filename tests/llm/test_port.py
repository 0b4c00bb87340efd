"""What every chat adapter promises, held by each of them over real HTTP."""

import asyncio
from contextlib import aclosing

import pytest

from activities.contracts.backends import BackendKind, Capability
from activities.contracts.chat import ChatCall, FinishReason, Message, Role, Sampling, ToolCall
from tests.llm.asking import KEY, KINDS, asking, gather, saying
from tests.support.standin import Reply, StandIn
from tests.support.standin_reply import words

pytestmark = pytest.mark.parametrize("kind", KINDS)

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


async def test_streams_the_text_token_by_token_and_then_says_how_it_ended(kind: BackendKind) -> None:
    async with (
        StandIn(Reply(text="to be or not to be", cached_tokens=2)) as standin,
        asking(standin, kind) as rung,
    ):
        got = await gather(rung.stream(saying("what is the question")))
    assert got.text == "to be or not to be"
    assert len([c for c in got.chunks if c.text]) == 6
    assert got.finish == [FinishReason.STOP]
    [usage] = got.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (7, 6, 2)
    assert got.model == "stand-in"


async def test_tells_reasoning_apart_from_the_answer(kind: BackendKind) -> None:
    async with (
        StandIn(Reply(text="42", reasoning="six times seven")) as standin,
        asking(standin, kind) as rung,
    ):
        got = await gather(rung.stream(saying("?")))
    assert (got.text, got.reasoning) == ("42", "six times seven")


async def test_hands_over_tool_calls_in_pieces_that_belong_together(kind: BackendKind) -> None:
    reply = Reply(tool_calls=(("weather", '{"town": "Ulm"}'), ("clock", "{}")))
    async with StandIn(reply) as standin, asking(standin, kind) as rung:
        got = await gather(rung.stream(saying("?", tools=(WEATHER,))))
    assert [(c["name"], c["arguments"]) for c in got.calls.values()] == [
        ("weather", '{"town": "Ulm"}'),
        ("clock", "{}"),
    ]
    assert list(got.calls) == [0, 1]
    assert len({c["id"] for c in got.calls.values()}) == 2
    assert got.finish == [FinishReason.TOOL_CALLS]


async def test_offers_tools_and_brings_their_results_back(kind: BackendKind) -> None:
    call = ToolCall(id="functions.weather:0", name="weather", arguments='{"town": "Ulm"}')
    messages = (
        Message(role=Role.SYSTEM, content="Be brief."),
        Message(role=Role.USER, content="Weather in Ulm?"),
        Message(role=Role.ASSISTANT, tool_calls=(call,)),
        Message(role=Role.TOOL, content="rain", tool_call_id=call.id),
    )
    asked = ChatCall(
        model="stand-in", messages=messages, sampling=Sampling(tools=(WEATHER,), tool_choice="auto")
    )
    async with StandIn(Reply(text="It rains.")) as standin, asking(standin, kind) as rung:
        assert (await gather(rung.stream(asked))).text == "It rains."
        body = str(standin.calls[-1].body)
    for said in ("Be brief.", "Weather in Ulm?", "rain", "The weather of a town", "Ulm"):
        assert said in body


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ({"openai": "length", "anthropic": "max_tokens"}, FinishReason.LENGTH),
        ({"openai": "content_filter", "anthropic": "refusal"}, FinishReason.CONTENT_FILTER),
    ],
)
async def test_knows_the_other_ends(kind: BackendKind, word: dict[str, str], meaning: FinishReason) -> None:
    reply = Reply(text="so far", finish_reason=word[kind.value])
    async with StandIn(reply) as standin, asking(standin, kind) as rung:
        assert (await gather(rung.stream(saying("?")))).finish == [meaning]


async def test_an_empty_answer_is_told_as_it_came(kind: BackendKind) -> None:
    async with StandIn(Reply(text="")) as standin, asking(standin, kind) as rung:
        got = await gather(rung.stream(saying("?")))
    assert (got.text, got.finish) == ("", [FinishReason.STOP])


async def test_says_which_model_answered(kind: BackendKind) -> None:
    async with StandIn(Reply(model="another")) as standin, asking(standin, kind) as rung:
        assert (await gather(rung.stream(saying("?")))).model == "another"


async def test_closing_the_iterator_stops_the_model_call(kind: BackendKind) -> None:
    async with StandIn(Reply(tokens=10, hold_after=3)) as standin, asking(standin, kind) as rung:
        async with aclosing(rung.stream(saying("?"))) as chunks:
            async for chunk in chunks:
                if chunk.text == " w2":
                    break
        assert await standin.calls[-1].ended() == "disconnected"
        assert standin.calls[-1].sent == 3


async def test_cancelling_a_silent_call_stops_it(kind: BackendKind) -> None:
    async with StandIn(Reply(hold_after=0)) as standin, asking(standin, kind) as rung:
        task = asyncio.ensure_future(gather(rung.stream(saying("?"))))
        call = await standin.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await call.ended() == "disconnected"


async def test_tokens_come_as_they_are_made(kind: BackendKind) -> None:
    async with StandIn(Reply(tokens=4, hold_after=2)) as standin, asking(standin, kind) as rung:
        chunks = rung.stream(saying("?"))
        text = ""
        while text != "w0 w1":
            text += (await anext(chunks)).text
        standin.release()
        assert text + (await gather(chunks)).text == words(4)


async def test_calls_share_a_connection(kind: BackendKind) -> None:
    async with StandIn() as standin, asking(standin, kind) as rung:
        for _ in range(5):
            await gather(rung.stream(saying("?")))
        assert standin.connections == 1


async def test_each_call_is_sent_once_with_its_key(kind: BackendKind) -> None:
    async with StandIn() as standin, asking(standin, kind) as rung:
        await gather(rung.stream(saying("unique-7")))
        assert standin.count("unique-7", model="stand-in") == standin.total == 1
        assert KEY in standin.calls[-1].headers.get(
            "authorization", standin.calls[-1].headers.get("x-api-key", "")
        )


async def test_limits_and_stops_are_asked_for(kind: BackendKind) -> None:
    async with StandIn() as standin, asking(standin, kind) as rung:
        await gather(rung.stream(saying("?", max_tokens=17, stop=("END",))))
        body = standin.calls[-1].body
    assert body["max_tokens"] == 17
    assert body.get("stop", body.get("stop_sequences")) == ["END"]


async def test_a_schema_is_asked_for(kind: BackendKind) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    async with StandIn() as standin, asking(standin, kind) as rung:
        got = await gather(rung.stream(saying("?", response_format=wanted)))
        assert str(schema) in str(standin.calls[-1].body)
    if kind is BackendKind.OPENAI:
        assert got.text == '{"answer":"text"}'


async def test_counts_tokens_as_the_server_does(kind: BackendKind) -> None:
    async with StandIn() as standin, asking(standin, kind, capabilities=(Capability.TOKENIZE,)) as rung:
        call = saying("one two three four")
        [usage] = (await gather(rung.stream(call))).usage
        assert await rung.count_tokens(call.messages) == usage.prompt_tokens


async def test_counts_an_upper_bound_where_nobody_tells(kind: BackendKind) -> None:
    async with StandIn(tokenizer=None) as standin:
        async with asking(standin, kind, capabilities=(Capability.TOKENIZE,)) as rung:
            told = await rung.count_tokens(saying("äöü").messages)
        async with asking(standin, kind) as rung:
            assert await rung.count_tokens(saying("äöü").messages) == told >= 6


async def test_an_answer_is_gone_on_from(kind: BackendKind) -> None:
    messages = (Message(role=Role.USER, content="count"), Message(role=Role.ASSISTANT, content="one two "))
    asked = ChatCall(model="stand-in", messages=messages, continue_final=True)
    async with StandIn(Reply(text="one two three four")) as standin, asking(standin, kind) as rung:
        assert "one two " + (await gather(rung.stream(asked))).text == "one two three four"
