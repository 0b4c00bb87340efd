"""Following a turn: resumable anywhere, whole whatever was lost, never without an end."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from activities.contracts.events import EventKind
from activities.contracts.turn import TurnInput
from api import following
from infra.redis_events import end_key, stream_key
from tests.api.conftest import Api, ask
from tests.api.playing import TEXT, WORDS, PlayedRuns, answers, fails, never, shown, speak

Event = tuple[str, str, dict[str, Any]]


async def follow(client: httpx2.AsyncClient, turn_id: str, **headers: str) -> AsyncIterator[Event]:
    """The events of a turn as a client sees them."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", f"/v1/turns/{turn_id}/events", headers=named) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["x-accel-buffering"] == "no"
        fields: dict[str, str] = {}
        async for line in reply.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
                fields = {}


async def read(client: httpx2.AsyncClient, turn_id: str, **headers: str) -> list[Event]:
    return [event async for event in follow(client, turn_id, **headers)]


def text_of(events: list[Event]) -> str:
    text = ""
    for _, kind, data in events:
        if kind == "hop.restarted":
            text = ""
        elif kind == "token":
            text += data["text"]
    return text


def kinds(events: list[Event]) -> list[str]:
    return [kind for _, kind, _ in events]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.3)
    monkeypatch.setattr(following, "POLL_S", 0.05)


async def test_a_turn_is_followed_while_it_runs(api: Api, client: httpx2.AsyncClient) -> None:
    half = asyncio.Event()

    async def in_two_parts(runs: PlayedRuns, turn: TurnInput) -> None:
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_STARTED, shown(turn))
            offset = speak(writer, WORDS[:4])
            await half.wait()
            speak(writer, WORDS[4:], offset)
            await runs.finish(turn, writer)

    api.runs.play = in_two_parts
    turn = await ask(client, wait=None)
    seen: list[Event] = []
    async for event in follow(client, turn["id"]):
        seen.append(event)
        if event[1] == "token" and event[2]["text"] == WORDS[3]:
            half.set()
    assert kinds(seen) == ["turn.started", "hop.started", *["token"] * 9, "hop.ended", "turn.completed"]
    assert text_of(seen) == TEXT
    assert seen[0][2]["id"] == turn["id"]
    assert seen[-1][2]["answer"]["text"] == TEXT


async def test_resuming_anywhere_gives_the_same_text(api: Api, client: httpx2.AsyncClient) -> None:
    turn = await ask(client)
    whole = await read(client, turn["id"])
    for place in range(len(whole) - 1):
        rest = await read(client, turn["id"], Last_Event_ID=whole[place][0])
        assert rest == whole[place + 1 :]
    by_query = await client.get(f"/v1/turns/{turn['id']}/events?after={whole[3][0]}")
    assert by_query.text.count("event: token") == 7
    done = await client.get(f"/v1/turns/{turn['id']}/events", headers={"Last-Event-ID": whole[-1][0]})
    assert (done.status_code, done.content) == (204, b"")


async def test_a_stream_that_is_gone_is_rebuilt(api: Api, client: httpx2.AsyncClient) -> None:
    turn = await ask(client)
    whole = await read(client, turn["id"])
    await _forget(api, turn["id"])
    rebuilt = await read(client, turn["id"])
    assert kinds(rebuilt) == ["turn.started", "hop.started", "token", "hop.ended", "turn.completed"]
    assert text_of(rebuilt) == TEXT
    assert rebuilt[-1][2] == whole[-1][2]
    for place, event in enumerate(whole[:-1]):
        rest = await read(client, turn["id"], Last_Event_ID=event[0])
        assert text_of([*whole[: place + 1], *rest]) == TEXT
        assert rest[-1][1] == "turn.completed"
    for place, event in enumerate(rebuilt[:-1]):
        rest = await read(client, turn["id"], Last_Event_ID=event[0])
        assert text_of([*rebuilt[: place + 1], *rest]) == TEXT
    done = await client.get(f"/v1/turns/{turn['id']}/events", headers={"Last-Event-ID": rebuilt[-1][0]})
    assert done.status_code == 204


async def test_a_failure_is_told_after_the_stream_is_gone(api: Api, client: httpx2.AsyncClient) -> None:
    api.runs.play = fails
    turn = await ask(client)
    await _forget(api, turn["id"])
    events = await read(client, turn["id"])
    assert kinds(events) == ["turn.started", "hop.started", "hop.ended", "turn.failed"]
    assert events[-1][2]["error"]["code"] == "backend_unavailable"


async def test_a_lost_attempt_is_gone_on_from_by_the_next(api: Api, client: httpx2.AsyncClient) -> None:
    async def dies_and_is_retried(runs: PlayedRuns, turn: TurnInput) -> None:
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_STARTED, shown(turn))
            speak(writer, ["This ", "was ", "lost"])
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_RESTARTED, shown(turn, attempt=2))
            speak(writer, WORDS)
            await runs.finish(turn, writer)

    api.runs.play = dies_and_is_retried
    turn = await ask(client)
    events = await read(client, turn["id"])
    assert text_of(events) == TEXT
    assert kinds(events).count("hop.restarted") == 1


async def test_losing_redis_in_mid_answer_loses_no_text(api: Api, client: httpx2.AsyncClient) -> None:
    killed = asyncio.Event()

    async def loses_redis(runs: PlayedRuns, turn: TurnInput) -> None:
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_STARTED, shown(turn))
            offset = speak(writer, WORDS[:4])
            await writer.drain()
            await killed.wait()
            speak(writer, WORDS[4:], offset)
            await runs.finish(turn, writer)

    api.runs.play = loses_redis
    turn = await ask(client, wait=None)
    waiting = asyncio.create_task(ask(client, Idempotency_Key="while-redis-is-away"))
    seen: list[Event] = []
    try:
        async for event in follow(client, turn["id"]):
            seen.append(event)
            if event[1] == "token" and event[2]["text"] == WORDS[3]:
                await api.stores.redis.kill()
                killed.set()
        assert text_of(seen) == TEXT
        assert seen[-1][1] == "turn.completed"
        assert (await waiting)["status"] == "completed"
        # New turns, and those that have ended, are served without Redis as well.
        assert (await ask(client))["answer"]["text"] == TEXT
        assert text_of(await read(client, turn["id"])) == TEXT
        assert (await client.get("/health")).json()["status"] == "degraded"
    finally:
        await api.stores.redis.start()
    assert (await ask(client))["status"] == "completed"
    assert text_of(await read(client, turn["id"], Last_Event_ID=seen[2][0])) == TEXT


async def test_a_frozen_redis_does_not_hang_a_reader(
    api: Api, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.runs.play = never
    turn = await ask(client, wait=None)
    seen: list[Event] = []
    try:
        async for event in follow(client, turn["id"]):
            seen.append(event)
            if event[1] == "turn.started":
                api.stores.redis.freeze()
                await api.runs.finish(api.runs.started[0], None)
    finally:
        api.stores.redis.thaw()
    assert text_of(seen) == TEXT


async def test_an_end_that_was_never_told_is_found_in_the_row(api: Api, client: httpx2.AsyncClient) -> None:
    api.runs.play = never
    turn = await ask(client, wait=None)
    waiting = asyncio.create_task(ask(client, {"input": "x"}, wait=10))
    seen: list[Event] = []
    async for event in follow(client, turn["id"]):
        seen.append(event)
        if event[1] == "turn.started":
            while len(api.runs.started) < 2:
                await asyncio.sleep(0)
            for begun in api.runs.started:
                await api.runs.finish(begun, None)
    assert text_of(seen) == TEXT
    assert (await waiting)["status"] == "completed"


async def test_a_silent_stream_is_kept_alive(
    api: Api, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.sse.HEARTBEAT_S", 0.0)
    api.runs.play = never
    turn = await ask(client, wait=None)
    async with client.stream("GET", f"/v1/turns/{turn['id']}/events") as reply:
        beats = 0
        async for line in reply.aiter_lines():
            beats += line == ": still here"
            if beats == 1:
                await api.runs.finish(api.runs.started[0], None)
        assert beats


async def test_the_events_of_a_turn_that_waits_begin_when_it_does(
    api: Api, client: httpx2.AsyncClient
) -> None:
    api.runs.play = never
    first = await ask(client, wait=None)
    second = await ask(client, {"input": "x", "conversation_id": first["conversation_id"]}, wait=None)
    api.runs.play = answers
    seen: list[Event] = []
    async for event in follow(client, second["id"]):
        seen.append(event)
        if event[1] == "turn.started":
            assert event[2]["status"] == "queued"
            await client.post(first["links"]["cancel"])
    assert text_of(seen) == TEXT


async def test_a_cancelled_turn_tells_its_followers(api: Api, client: httpx2.AsyncClient) -> None:
    api.runs.play = never
    turn = await ask(client, wait=None)
    seen: list[Event] = []
    async for event in follow(client, turn["id"]):
        seen.append(event)
        if event[1] == "turn.started":
            await client.post(turn["links"]["cancel"])
    assert kinds(seen) == ["turn.started", "turn.cancelled"]


async def _forget(api: Api, turn_id: str) -> None:
    async with Redis(port=api.stores.redis.port) as redis:
        await redis.delete(stream_key(turn_id), end_key(turn_id))
