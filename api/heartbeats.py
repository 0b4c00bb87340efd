"""Heartbeats as the API takes them: what is new is written before the reply, what repeats itself soon after.

A thousand services beat 33 times a second, and nearly every beat says what the one before it said. Such a beat is
gathered in memory and written with a hundred others in one statement. A gathered beat is lost when this
process is killed, which costs nothing: its service is online by the beat before it, and sends the next one.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson

from activities.contracts.registry import HEARTBEAT_EVERY, MISSED, Beat, Service
from activities.errors import AitherError
from infra.postgres.registry import PostgresRegistry, Repeat, said

log = logging.getLogger(__name__)

WRITE_EVERY_S = 3.0
LATE_S = (HEARTBEAT_EVERY * (MISSED - 1)).total_seconds()
"""A beat that comes later after the one before it is written at once: its service is about to be called offline."""
MOST_KNOWN = 20_000


@dataclass(slots=True)
class _Known:
    """What a service said last, raw but for its load, and when by the loop's clock."""

    told: dict[str, Any]
    beat: Beat
    said: str
    heard_at: float


class Heartbeats:
    """This process's memory of what services said. Raises `StoreUnavailable` where it writes."""

    def __init__(self, store: PostgresRegistry) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}
        self._gathered: dict[str, tuple[float | None, float]] = {}
        self._any = asyncio.Event()
        self._writing = asyncio.Lock()

    def again(self, body: bytes) -> Beat | None:
        """Gathers a beat that repeats what its service said last; None where it must be looked at and written."""
        told, load = _read(body)
        name = told.get("service")
        known = self._known.get(name) if isinstance(name, str) else None
        if known is None or known.told != told or not _is_load(load):
            return None
        now = asyncio.get_running_loop().time()
        if now - known.heard_at > LATE_S:
            return None
        known.heard_at = now
        self._gathered[known.beat.name] = (load, now)
        self._any.set()
        return known.beat

    async def first(self, beat: Beat, body: bytes) -> None:
        """Writes a beat that says something new; it is safe when this returns."""
        digest, now = said(beat), asyncio.get_running_loop().time()
        await self._store.write([(beat, digest, 0.0)])
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[beat.name] = _Known(_read(body)[0], beat, digest, now)

    async def leave(self, name: str) -> Service:
        """Takes a goodbye. Raises `ServiceNotFound`."""
        self._known.pop(name, None)
        self._gathered.pop(name, None)
        return await self._store.leave(name)

    async def settle(self) -> None:
        """Writes what was gathered; what could not be written is kept for the next time."""
        async with self._writing:
            gathered, self._gathered = self._gathered, {}
            self._any.clear()
            if not gathered:
                return
            try:
                await self._write(gathered)
            except BaseException:
                self._gathered = gathered | self._gathered
                self._any.set()
                raise

    async def _write(self, gathered: dict[str, tuple[float | None, float]]) -> None:
        now = asyncio.get_running_loop().time()
        repeats = [
            Repeat(name=name, said=known.said, load=load, age_s=now - at)
            for name, (load, at) in gathered.items()
            if (known := self._known.get(name))
        ]
        missing = await self._store.repeat(repeats)
        # Another process has heard something else meanwhile, or the service was forgotten.
        whole = [
            (replace(known.beat, load=gathered[name][0]), known.said, now - gathered[name][1])
            for name in missing
            if (known := self._known.get(name))
        ]
        await self._store.write(whole)

    @asynccontextmanager
    async def gathering(self) -> AsyncGenerator[None]:
        """Keeps writing within the block, and once more at its end."""
        task = asyncio.create_task(self._keep_writing())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            try:
                await self.settle()
            except AitherError as error:
                log.warning("the last heartbeats are not written: %s", error.message)

    async def _keep_writing(self) -> None:
        away = False
        while True:
            await self._any.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            try:
                await self.settle()
                away = False
            except AitherError as error:
                if not away:
                    log.warning("heartbeats are kept for a moment: %s", error.message)
                away = True
            except Exception:
                log.exception("heartbeats could not be written")


def _read(body: bytes) -> tuple[dict[str, Any], Any]:
    """What the body says but for the load, and the load; nothing where it cannot be read."""
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}, None
    if not isinstance(told, dict):
        return {}, None
    whole = cast("dict[str, Any]", told)
    return whole, whole.pop("load", None)


def _is_load(load: Any) -> bool:
    return load is None or (type(load) in (int, float) and 0 <= load <= 1)
