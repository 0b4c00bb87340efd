"""An agent that is changed while its turns run: those end as they began, the next one speaks anew, with no restart."""

from typing import Any

import httpx2

from tests.e2e.killing import until
from tests.e2e.reading import ask, ended
from tests.support.stack import Stack
from tests.support.standin import Call, Reply, StandIn


async def persona(rest: httpx2.AsyncClient, name: str, text: str) -> int:
    """Gives the agent this persona; its version."""
    reply = await rest.put(f"/v1/agents/{name}", json={"persona": text, "effort": 2})
    assert reply.status_code == 200, reply.text
    return reply.json()["version"]


def call_of(backend: StandIn, text: str) -> Call:
    (call,) = (call for call in backend.calls if call.text == text)
    return call


def spoken_as(call: Call) -> str:
    """The system part that the model was given."""
    return "".join(message["content"] for message in call.body["messages"] if message["role"] == "system")


def pids(stack: Stack) -> dict[str, int | None]:
    return {part.name: part.pid for part in stack.state.parts}


async def mid_answer(rest: httpx2.AsyncClient, backend: StandIn, text: str, agent: str) -> dict[str, Any]:
    """A turn whose model has said its first word, and says no more for now."""
    backend.default = Reply(text="word by word", hold_after=1)
    turn = await ask(rest, text, agent=agent)
    await until(
        lambda: any(call.text == text and call.sent for call in backend.calls), "the first word is said"
    )
    backend.default = Reply()
    return turn


async def test_the_next_turn_of_a_conversation_speaks_as_the_agent_that_was_changed_in_mid_answer(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    before = pids(stack)
    old = await persona(rest, "sailor", "You are an old sailor.")
    first = await mid_answer(rest, backend, "who goes there?", "sailor")
    new = await persona(rest, "sailor", "You are a young pilot.")
    second = await ask(rest, "and now?", conversation_id=first["conversation_id"], agent="sailor")
    elsewhere = await ask(rest, "in another conversation?", agent="sailor")
    await ended(rest, elsewhere["id"])
    assert "young pilot" in spoken_as(call_of(backend, "in another conversation?"))
    backend.release()
    first, second = await ended(rest, first["id"]), await ended(rest, second["id"])
    assert (first["status"], first["agent_version"]) == ("completed", old)
    assert (second["status"], second["agent_version"]) == ("completed", new)
    assert first["answer"]["text"] == "word by word"
    assert "old sailor" in spoken_as(call_of(backend, "who goes there?"))
    following = spoken_as(call_of(backend, "and now?"))
    assert "young pilot" in following
    assert "old sailor" not in following
    assert pids(stack) == before


async def test_a_turn_that_was_accepted_before_the_change_keeps_what_it_was_told_it_would_be(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    """Its effort, its bounds and its version were taken from the agent when it was accepted: all of one version."""
    old = await persona(rest, "cook", "You are a cook.")
    first = await mid_answer(rest, backend, "what is for lunch?", "cook")
    waits = await ask(rest, "and for dinner?", conversation_id=first["conversation_id"], agent="cook")
    assert waits["status"] == "queued"
    new = await persona(rest, "cook", "You are a baker.")
    after = await ask(rest, "and for breakfast?", conversation_id=first["conversation_id"], agent="cook")
    backend.release()
    turns = [await ended(rest, turn["id"]) for turn in (waits, after)]
    assert [turn["agent_version"] for turn in turns] == [old, new]
    assert "a cook" in spoken_as(call_of(backend, "and for dinner?"))
    assert "a baker" in spoken_as(call_of(backend, "and for breakfast?"))
