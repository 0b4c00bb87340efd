"""The model router refines the rules' estimate, and never fails a turn."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from activities.contracts.backends import Capability
from activities.contracts.chat import Message, Role, Sampling
from activities.contracts.policy import Bounds
from activities.contracts.records import TurnStart
from activities.contracts.topology import RouterKind, Topology
from activities.contracts.turn import TurnStatus
from activities.errors import AnswerMalformed
from activities.routing import read_estimate
from infra.ids import new_id
from infra.postgres.turns import NewTurn
from tests.ladder.seats import Seat, laid_out
from tests.ladder.told import Told
from tests.support.house import LIFETIME, Ground, House
from tests.support.standin import Fault, Reply, StandIn
from workflows.policy.plans import turn_input
from workflows.starts import start_turn

BY_RULES = "estimated: question 3"
FRONT = (Capability.JSON_SCHEMA,)


def routed(front: StandIn, back: StandIn, *capabilities: Capability) -> Topology:
    seats = (Seat(name="front", standin=front, capabilities=capabilities or FRONT),)
    return laid_out(seats, (Seat(name="back", standin=back),), router=RouterKind.MODEL)


async def asked(house: House, effort_why: str = BY_RULES) -> Told:
    """A turn that is accepted and started as the API does it."""
    turn_id = new_id("turn")
    row: dict[str, Any] = {
        "model": "auto",
        "effort": 3,
        "effort_why": effort_why,
        "intent": "question",
        "intent_why": "by rules",
        "priority": 1,
        "policy": Bounds(),
        "prompt_tokens": 10,
        "answer_tokens": 64,
    }
    await house.ground.turns.accept(
        NewTurn(
            tenant_id=house.tenant_id,
            turn_id=turn_id,
            conversation_id=None,
            new_conversation=False,
            agent=None,
            agent_version=None,
            input=msgspec.json.encode((Message(role=Role.USER, content="Is it so?"),)),
            sampling=msgspec.json.encode(Sampling()),
            metadata=b"{}",
            key_id=house.key_id,
            **row,
        )
    )
    start = TurnStart(status=TurnStatus.RUNNING, preview="", **row)
    ladder = house.topology.ladders[0]
    turn = turn_input(house.topology, ladder, start, tenant_id=house.tenant_id, turn_id=turn_id)
    await start_turn(house.ground.client, turn, lifetime=LIFETIME)
    return await house.follow(Told(turn_id))


async def test_the_models_estimate_replaces_the_rules(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.script(Reply(text='{"intent": "planning", "effort": 6}'))
    async with ground.house(routed(primary, fallback)) as house:
        told = await asked(house)
    assert told.status == "completed"
    assert (told.view["intent"], told.view["effort"]) == ("planning", 6)
    assert told.view["effort_why"].startswith("estimated by front-model in ")
    route, chat = primary.calls
    assert route.body["response_format"]["type"] == "json_schema"
    assert "response_format" not in chat.body


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=503), "backend_unavailable"),
        (Reply(text="I think it is hard."), "answer_malformed"),
        (Reply(text='{"intent": "planning", "effort": 11}'), "answer_malformed"),
        (Reply(fault=Fault.SILENCE), "backend_timed_out"),
    ],
)
async def test_a_router_that_fails_leaves_the_rules_estimate_and_a_word(
    ground: Ground,
    primary: StandIn,
    fallback: StandIn,
    reply: Reply,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("activities.routing.LIMIT", timedelta(seconds=0.4))
    primary.script(reply)
    async with ground.house(routed(primary, fallback)) as house:
        told = await asked(house)
    assert told.status == "completed"
    assert (told.view["intent"], told.view["effort"]) == ("question", 3)
    assert told.view["effort_why"].startswith(f"{BY_RULES}; the router had no say ({why}")


async def test_nobody_is_asked_where_the_effort_was_given(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    async with ground.house(routed(primary, fallback)) as house:
        told = await asked(house, effort_why="asked for")
    assert (told.view["effort"], primary.total) == (3, 1)


async def test_nobody_is_asked_who_cannot_answer_in_form(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    async with ground.house(routed(primary, fallback, Capability.TOOLS)) as house:
        await asked(house)
    assert primary.total == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"intent": "planning"}',
        '{"intent": "mischief", "effort": 3}',
        '{"intent": "planning", "effort": true}',
        '{"intent": "planning", "effort": 0}',
        "[" * 100_000,
    ],
)
def test_what_is_no_estimate_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(AnswerMalformed):
        read_estimate(text)
