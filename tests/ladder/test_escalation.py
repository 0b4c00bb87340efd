"""Climbing on demand: pulled, demanded, or because an answer will not do; and what goes out where nothing helps."""

from typing import Any

import orjson
import pytest

from activities.contracts.backends import Capability
from activities.contracts.chat import Message, Role, Sampling, ToolCall
from activities.contracts.events import EventKind
from activities.contracts.policy import TurnPolicy
from activities.contracts.topology import Topology
from tests.ladder.seats import CALLS_TOOLS, PRICE, Seat, laid_out
from tests.ladder.told import Told
from tests.support.house import Ground
from tests.support.standin import Fault, Reply, StandIn

QUESTION = "Is this program correct?"
PULL = Reply(tool_calls=(("reason", '{"question": "Does it halt?", "context": "It loops."}'),))
COMPOSES = TurnPolicy(compose=True)


def ladder(
    primary: StandIn, fallback: StandIn, *, capabilities: tuple[Capability, ...] = CALLS_TOOLS
) -> Topology:
    return laid_out(
        [Seat(name="orchestrator", standin=primary, capabilities=capabilities)],
        [Seat(name="reasoner", standin=fallback, price=PRICE)],
    )


def offered(standin: StandIn, call: int = -1) -> list[str]:
    return [tool["function"]["name"] for tool in standin.calls[call].body.get("tools", [])]


def system_text(standin: StandIn) -> str:
    said: list[dict[str, Any]] = standin.calls[-1].body["messages"]
    return "\n".join(message["content"] for message in said if message["role"] == "system")


def hides_the_tool(told: Told) -> None:
    """No event and no answer shows the call by which a question is handed on."""
    for event in told.events:
        if event.kind in {EventKind.TOKEN, EventKind.TURN_COMPLETED}:
            assert b'"name":"reason"' not in orjson.dumps(event.data)
            assert not event.data.get("tool_calls")
    assert told.view["answer"]["tool_calls"] == []


async def test_a_question_that_is_handed_on_is_answered_verbatim_by_the_reasoner(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.script(PULL)
    fallback.default = Reply(text="It  does not\nhalt.")
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=8)
        assert told.route == ["orchestrator escalated", "reasoner answered"]
        assert told.text == told.answer == "It  does not\nhalt."
        assert offered(primary) == ["reason"]
        assert "Does it halt?" in system_text(fallback)
        assert "It loops." in system_text(fallback)
        assert fallback.calls[-1].text == QUESTION
        hides_the_tool(told)
        assert [e.data["provisional"] for e in told.events if e.kind is EventKind.HOP_STARTED] == [
            True,
            False,
        ]
        assert [nano > 0 for kind, _, nano in await house.spend() if kind == "settled"] == [False, True]


@pytest.mark.parametrize("effort", [1, 6])
async def test_little_effort_is_offered_nothing(
    ground: Ground, primary: StandIn, fallback: StandIn, effort: int
) -> None:
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=effort)
    assert told.route == ["orchestrator answered"]
    assert offered(primary) == []
    assert fallback.connections == 0


async def test_what_is_offered_need_not_be_taken(ground: Ground, primary: StandIn, fallback: StandIn) -> None:
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=8)
    assert told.route == ["orchestrator answered"]
    assert fallback.connections == 0


async def test_much_effort_must_ask_the_reasoner(ground: Ground, primary: StandIn, fallback: StandIn) -> None:
    primary.script(PULL)
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=9)
        assert told.route == ["orchestrator escalated", "reasoner answered"]
        assert primary.calls[-1].body["tool_choice"] == {"type": "function", "function": {"name": "reason"}}

        # A model that answers all the same, or cannot call tools, does not get around it.
        told = await house.ask(QUESTION, effort=9)
        assert told.route == ["orchestrator answered", "reasoner answered"]
        assert told.text == told.answer == QUESTION
    async with ground.house(ladder(primary, fallback, capabilities=())) as house:
        told = await house.ask(QUESTION, effort=10)
        assert told.route == ["orchestrator answered", "reasoner answered"]
        assert offered(primary) == []


async def test_the_orchestrator_puts_it_into_its_own_words_where_that_is_asked(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.script(PULL, Reply(text="In my words: no."))
    fallback.default = Reply(text="It does not halt.")
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=8, policy=COMPOSES)
    assert told.route == ["orchestrator escalated", "reasoner answered", "orchestrator answered"]
    assert told.text == told.answer == "In my words: no."
    assert "It does not halt." in system_text(primary)
    assert offered(primary) == []
    hides_the_tool(told)


@pytest.mark.parametrize(
    "reply",
    [Reply(status=503), Reply(text=""), Reply(text="In my own", fault=Fault.CUT, fault_after=99), PULL],
    ids=["down", "empty", "cut", "calls the tool"],
)
async def test_a_composition_that_fails_lets_the_reasoners_answer_out(
    ground: Ground, primary: StandIn, fallback: StandIn, reply: Reply
) -> None:
    """Whatever part of it the client has seen: that goes, and the answer comes."""
    primary.script(PULL, reply)
    fallback.default = Reply(text="It does not halt.")
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=8, policy=COMPOSES)
        assert told.text == told.answer == "It does not halt."
        assert told.status == "completed"
        assert fallback.total == 1
        hides_the_tool(told)


async def test_a_reason_chain_that_gives_nothing_leads_back(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.script(PULL)
    fallback.default = Reply(status=400)
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=8)
    assert told.route == [
        "orchestrator escalated",
        "reasoner failed backend_rejected",
        "orchestrator answered",
    ]
    assert told.text == told.answer == QUESTION
    assert offered(primary) == []
    assert fallback.total == 1


FLAWS: dict[str, tuple[Reply, dict[str, Any]]] = {
    "empty": (Reply(text=""), {}),
    "cut": (Reply(text="a half", finish_reason="length"), {}),
    "malformed": (Reply(text='{"half":'), {"response_format": {"type": "json_object"}}),
}


@pytest.mark.parametrize("flaw", FLAWS)
async def test_the_supervisor_climbs_once(
    ground: Ground, primary: StandIn, fallback: StandIn, flaw: str
) -> None:
    reply, wanted = FLAWS[flaw]
    primary.script(reply)
    fallback.default = Reply(text='{"whole": true}')
    sampling = Sampling(**wanted)
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, sampling=sampling)
        assert told.route == [f"orchestrator escalated {flaw}", "reasoner answered"]
        assert told.text == told.answer == '{"whole": true}'

        # Where the reasoner's will not do either, the turn does not climb again.
        asked = fallback.total
        primary.script(reply)
        fallback.default = reply
        told = await house.ask(QUESTION, sampling=sampling)
        assert fallback.total == asked + 1
        if flaw == "cut":
            assert told.status == "completed"
            assert told.text == told.answer == "a half"
        elif told.status == "completed":
            assert told.text == told.answer


async def test_a_cut_that_the_client_asked_for_stands(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.script(Reply(text="a half", finish_reason="length"))
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, sampling=Sampling(max_tokens=2))
    assert told.route == ["orchestrator answered"]
    assert told.answer == "a half"


async def test_two_failed_tools_show_that_a_model_is_stuck(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    said = [Message(role=Role.USER, content=QUESTION)]
    for number in range(2):
        call = ToolCall(id=f"c{number}", name="look_up", arguments="{}")
        said.append(Message(role=Role.ASSISTANT, tool_calls=(call,)))
        said.append(Message(role=Role.TOOL, content="Error: no such thing", tool_call_id=call.id))
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    fallback.default = Reply(text="It is known.")
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(messages=said, sampling=Sampling(tools=(tool,)))
    assert told.route == ["orchestrator escalated stuck", "reasoner answered"]
    assert told.text == told.answer == "It is known."


async def test_a_flawed_answer_is_the_best_there_is_where_nobody_does_better(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """The reasoner said some words and died: they go, and the cut answer comes back."""
    primary.script(Reply(text="a half", finish_reason="length"))
    fallback.script(Reply(text="quite another", fault=Fault.CUT, fault_after=99))
    fallback.default = Reply(status=500)
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION)
    assert told.route == ["orchestrator escalated cut", "reasoner failed backend_unavailable"]
    assert told.status == "completed"
    assert told.text == told.answer == "a half"


async def test_a_clients_own_tool_of_that_name_is_the_clients(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    tool = {"type": "function", "function": {"name": "reason", "parameters": {"type": "object"}}}
    primary.script(PULL)
    async with ground.house(ladder(primary, fallback)) as house:
        told = await house.ask(QUESTION, effort=8, sampling=Sampling(tools=(tool,)))
    assert told.route == ["orchestrator answered"]
    assert [call["name"] for call in told.view["answer"]["tool_calls"]] == ["reason"]
    assert [e for e in told.events if e.kind is EventKind.TOKEN and e.data.get("tool_calls")]
    assert offered(primary) == ["reason"]
    assert fallback.connections == 0
