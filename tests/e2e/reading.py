"""Clients of the REST API as they are meant to be written: they ask, follow, and resume what breaks."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.e2e.killing import PATIENCE_S, until

ENDS = {"turn.completed", "turn.failed", "turn.cancelled"}


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    kind: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class Reading:
    """What one client holds of a turn, kept by both of the rules that a client may go by.

    `text` follows the offsets: it is cut at `hop.started` and `hop.restarted`, and each token goes to its place.
    `appended` only drops what it has at `hop.restarted`. `breaks` counts lost connections.
    """

    turn_id: str
    events: list[Event] = field(default_factory=list[Event])
    text: str = ""
    appended: str = ""
    breaks: int = 0

    def take(self, event: Event) -> None:
        self.events.append(event)
        data = event.data
        if event.kind in {"hop.started", "hop.restarted"}:
            self.text = self.text[: data.get("offset", 0)]
            self.appended = "" if event.kind == "hop.restarted" else self.appended
        elif event.kind == "token":
            self.text = self.text[: data["offset"]] + data["text"]
            self.appended += data["text"]

    @property
    def tokens(self) -> int:
        return len(self.of("token"))

    @property
    def end(self) -> Event | None:
        return self.events[-1] if self.events and self.events[-1].kind in ENDS else None

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    async def heard(self, tokens: int) -> None:
        """Waits until so many tokens have come."""
        await until(lambda: self.tokens >= tokens, f"{tokens} tokens of {self.turn_id}: {self.events[-3:]}")

    async def ended(self, kind: str = "turn.completed", within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Waits for the end, which must be of this kind; the turn as it stands then."""
        await until(lambda: self.end, f"the end of {self.turn_id}: {self.events[-3:]}", within_s)
        assert self.end is not None
        assert self.end.kind == kind, self.end.data
        return dict(self.end.data)

    def holds(self, answer: str) -> None:
        """Asserts that the client has exactly the answer, and has been told no event twice."""
        assert self.text == answer
        assert self.appended == answer
        ids = [event.id for event in self.events]
        assert len(ids) == len(set(ids))


@asynccontextmanager
async def following(rest: httpx2.AsyncClient, turn_id: str) -> AsyncGenerator[Reading]:
    """A client that follows the turn in the background, across lost connections, to its end."""
    reading = Reading(turn_id)
    task = asyncio.create_task(_follow(rest, reading))
    try:
        yield reading
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


async def _follow(rest: httpx2.AsyncClient, reading: Reading) -> None:
    while reading.end is None:
        headers = {"Last-Event-ID": reading.events[-1].id} if reading.events else {}
        try:
            async with rest.stream("GET", f"/v1/turns/{reading.turn_id}/events", headers=headers) as reply:
                if reply.status_code != 503:
                    assert reply.status_code == 200, reply.status_code
                    async for event in _events(reply.aiter_lines()):
                        reading.take(event)
        except httpx2.TransportError:
            pass
        if reading.end is None:
            reading.breaks += 1
            await asyncio.sleep(0.05)


async def _events(lines: AsyncIterator[str]) -> AsyncGenerator[Event]:
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


async def ask(rest: httpx2.AsyncClient, text: str, **fields: Any) -> dict[str, Any]:
    """Asks, and does not wait; the accepted turn."""
    reply = await rest.post("/v1/turns", json={"input": text, **fields})
    assert reply.status_code == 202, reply.text
    return reply.json()


async def look(rest: httpx2.AsyncClient, turn_id: str) -> dict[str, Any]:
    """The turn as it stands."""
    reply = await rest.get(f"/v1/turns/{turn_id}")
    assert reply.status_code == 200, reply.text
    return reply.json()


async def ended(rest: httpx2.AsyncClient, turn_id: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
    """The turn once it has ended, in whichever way."""
    async with following(rest, turn_id) as reading:
        await until(lambda: reading.end, f"the end of {turn_id}: {reading.events[-3:]}", within_s)
    assert reading.end is not None
    return dict(reading.end.data)
