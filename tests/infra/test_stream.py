"""A turn's stream in a real Redis: a later attempt always follows, and an earlier one is heard no more."""

import logging

import pytest

from activities.contracts.events import EventKind
from infra.ids import new_id
from infra.redis_events import RedisEvents
from tests.api.stores import Stores

AHEAD_MS = 3_600_000


async def texts(events: RedisEvents, turn_id: str) -> list[str]:
    return [event.data["text"] for event in await events.read(turn_id, "0", block_ms=0)]


async def test_a_later_attempt_follows_one_whose_clock_is_ahead(
    real_stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    turn_id = new_id("turn")
    async with RedisEvents.connect(real_stores.redis.url, 60) as events:
        async with events.writer(turn_id) as first:
            first._epoch += AHEAD_MS
            first.emit(EventKind.TOKEN, {"text": "one", "offset": 0})
            await first.drain()
            async with events.writer(turn_id) as second:
                for number, text in enumerate(("two", "three")):
                    second.emit(EventKind.TOKEN, {"text": text, "offset": number})
                await second.drain()
                assert await texts(events, turn_id) == ["one", "two", "three"]

                first.emit(EventKind.TOKEN, {"text": "too late", "offset": 1})
                await first.drain()
                second.emit(EventKind.TOKEN, {"text": "four", "offset": 2})
        assert await texts(events, turn_id) == ["one", "two", "three", "four"]
    assert turn_id in caplog.text, "who is no longer heard is told of in the log"
