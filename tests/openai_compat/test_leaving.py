"""Clients that leave, and clients that wait too long: nobody wants the answer, so the turn is cancelled."""

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from tests.openai_compat.playing import KEY, chat, completed, hop, plays, tokens, view
from tests.openai_compat.serving import Served

PATIENCE_S = 10.0


def leave(compat: Served, **headers: str) -> None:
    """Sends a request, and closes the connection once the turn is under way."""

    async def go() -> None:
        sent = {"authorization": f"Bearer {KEY}", **headers}
        async with httpx2.AsyncClient(base_url=compat.url) as http:
            asked = asyncio.create_task(http.post("/v1/chat/completions", json=chat(), headers=sent))
            assert await asyncio.to_thread(compat.turns.waiting.wait, PATIENCE_S)
            asked.cancel()

    asyncio.run(go())


@pytest.fixture
def waits_for_nothing(compat: Served):
    """The server waits for no turn."""
    patient = compat.state.settings
    compat.state.settings = patient.model_copy(update={"max_wait_seconds": 0})
    yield
    compat.state.settings = patient


def test_leaving_a_stream_cancels(compat: Served, sdk: openai.OpenAI):
    compat.turns.script = compat.turns.hangs
    stream = sdk.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    next(iter(stream))
    stream.close()
    assert compat.turns.cancel_seen.wait(PATIENCE_S)
    assert len(compat.turns.cancelled) == 1


def test_leaving_before_the_answer_cancels(compat: Served):
    compat.turns.script = compat.turns.stays_silent
    leave(compat)
    assert compat.turns.cancel_seen.wait(PATIENCE_S)
    assert len(compat.turns.cancelled) == 1


def test_who_sent_an_idempotency_key_may_come_back(compat: Served):
    compat.turns.script = compat.turns.stays_silent
    leave(compat, **{"idempotency-key": "k"})
    compat.turns.script = plays(end=lambda turn_id: completed(turn_id, "Hi"))
    assert compat.post(chat()).status_code == 200
    assert compat.turns.cancelled == []


@pytest.mark.usefixtures("waits_for_nothing")
def test_an_answer_that_does_not_come_in_time(compat: Served):
    compat.turns.script = compat.turns.stays_silent
    # With the SDK's own retries, which must not happen: the turn would be paid for again.
    with (
        openai.OpenAI(base_url=f"{compat.url}/v1", api_key=KEY) as sdk,
        pytest.raises(openai.InternalServerError, match="turn_") as caught,
    ):
        sdk.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}])
    assert (caught.value.status_code, caught.value.code) == (504, "timeout")
    assert compat.turns.cancelled == [caught.value.response.headers["x-aither-turn-id"]]


@pytest.mark.usefixtures("waits_for_nothing")
def test_an_answer_that_comes_as_it_is_cancelled_is_given(compat: Served):
    compat.turns.script = compat.turns.stays_silent
    compat.turns.after_cancel = lambda turn_id: view(turn_id, "just made it")
    reply = compat.post(chat())
    assert reply.json()["choices"][0]["message"]["content"] == "just made it"


def test_a_silent_stream_is_kept_alive(compat: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("api.openai_compat.stream.KEEP_ALIVE_S", 0.01)
    compat.turns.script = compat.turns.stays_silent
    request: dict[str, Any] = {"json": chat(stream=True), "headers": {"authorization": f"Bearer {KEY}"}}
    with compat.http.stream("POST", "/v1/chat/completions", **request) as reply:
        lines = reply.iter_lines()
        assert next(lines) == ": waiting"
        assert reply.headers["x-aither-turn-id"]
        assert reply.headers["content-type"].startswith("text/event-stream")
    assert compat.turns.cancel_seen.wait(PATIENCE_S)


def test_comments_do_not_disturb_the_sdk(compat: Served, sdk: openai.OpenAI, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("api.openai_compat.stream.KEEP_ALIVE_S", 0.001)

    async def slow(turn_id: str):
        yield [hop()]
        for token in tokens("Hel", "lo"):
            await asyncio.sleep(0.01)
            yield [token]
        yield [completed(turn_id, "Hello")]

    compat.turns.script = slow
    stream = sdk.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello"
