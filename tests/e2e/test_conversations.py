"""Turns of one conversation are answered one after the other, in the order in which they were accepted."""

import asyncio
from typing import Any

import httpx2

from tests.e2e import records
from tests.e2e.killing import until
from tests.e2e.reading import ask, ended
from tests.support.stack import Stack
from tests.support.standin import Call, Reply, StandIn


def prompt(call: Call) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in call.body["messages"]]


def calls_of(backend: StandIn, text: str) -> list[Call]:
    return [call for call in backend.calls if call.text == text]


async def begun(rest: httpx2.AsyncClient, backend: StandIn, text: str) -> dict[str, Any]:
    """A first turn of a conversation, at work."""
    turn = await ask(rest, text)
    await until(lambda: calls_of(backend, text), "the first turn is asked")
    return turn


async def test_the_second_is_told_what_the_first_was_answered(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    backend.default = Reply(text="the first answer", hold_after=1)
    first = await begun(rest, backend, "first?")
    backend.default = Reply(text="the second answer")
    second = await ask(rest, "second?", conversation_id=first["conversation_id"])
    assert (first["status"], second["status"]) == ("running", "queued")
    assert not calls_of(backend, "second?")
    backend.release()
    assert (await ended(rest, second["id"]))["answer"]["text"] == "the second answer"
    (call,) = calls_of(backend, "second?")
    assert prompt(call) == [("user", "first?"), ("assistant", "the first answer"), ("user", "second?")]


async def test_a_first_that_is_cancelled_or_fails_lets_the_second_go(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    backend.default = Reply(hold_after=1)
    cancelled = await begun(rest, backend, "to be cancelled")
    failing = await begun(rest, backend, "to fail")
    backend.default = Reply()
    after = [
        await ask(rest, f"after {turn['id']}", conversation_id=turn["conversation_id"])
        for turn in (cancelled, failing)
    ]
    assert (await rest.post(f"/v1/turns/{cancelled['id']}/cancel")).json()["status"] == "cancelled"
    backend.refuses = all_but_those_after
    try:
        # Its call breaks off, and is refused when it is tried again.
        await backend.refuse()
        await backend.accept()
        failed = await ended(rest, failing["id"])
    finally:
        backend.refuses = None
    assert failed["status"] == "failed"
    assert "no, said the model" in failed["error"]["message"]
    for turn, later in zip((cancelled, failing), after, strict=True):
        assert (await ended(rest, later["id"]))["status"] == "completed"
        (call,) = calls_of(backend, after_text(turn))
        assert prompt(call) == [("user", after_text(turn))]


def all_but_those_after(body: dict[str, Any]) -> str | None:
    said: str = body["messages"][-1]["content"]
    return None if said.startswith("after ") else "no, said the model"


def after_text(turn: dict[str, Any]) -> str:
    return f"after {turn['id']}"


async def test_ten_at_once_are_answered_in_order(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    first = await ask(rest, "0")
    backend.default = Reply(hold_after=0)
    conversation = first["conversation_id"]
    turns = await asyncio.gather(*(ask(rest, str(n), conversation_id=conversation) for n in range(1, 11)))
    accepted = await records.in_order(stack, conversation)
    assert {turn["id"] for turn in turns} | {first["id"]} == set(accepted)
    backend.default = Reply()
    backend.release()
    for turn in turns:
        assert (await ended(rest, turn["id"]))["status"] == "completed"
    asked = [call for call in backend.calls if call.text in {str(n) for n in range(11)}]
    assert len(asked) == 11
    texts = {turn["id"]: call_text for turn, call_text in zip(turns, map(str, range(1, 11)), strict=True)}
    expected = [texts.get(turn_id, "0") for turn_id in accepted]
    assert [call.text for call in asked] == expected
    for place, call in enumerate(asked):
        told = [said for text in expected[:place] for said in (("user", text), ("assistant", text))]
        assert prompt(call) == [*told, ("user", call.text)]
