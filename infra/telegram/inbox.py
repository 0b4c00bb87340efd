"""Updates that have been kept are dealt with here: at once, and again after a crash, by whichever process has room."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import msgspec

from activities.errors import AitherError
from infra.postgres.telegram_updates import Due, PostgresTelegramUpdates
from infra.telegram.updates import Desk

log = logging.getLogger(__name__)

AT_ONCE = 32
LOOK_S = 5.0
"""How often somebody looks for updates whose process has died, or that were put off."""
TIDY_S = 600.0
GIVE_UP = 15
"""Attempts, hence about half an hour, after which an update that nobody can deal with is left."""
LONGEST = timedelta(minutes=3)


class _Chat(msgspec.Struct):
    id: int


class _Said(msgspec.Struct):
    chat: _Chat | None = None


class _Tap(msgspec.Struct):
    message: _Said | None = None


class _Whose(msgspec.Struct):
    """As much of an update as says in which chat it happened."""

    message: _Said | None = None
    callback_query: _Tap | None = None


_whose = msgspec.json.Decoder(_Whose)


class Inbox:
    """One process's share of a bot's updates. What happened in one chat is dealt with in its order."""

    def __init__(self, updates: PostgresTelegramUpdates, desk: Desk) -> None:
        self._updates = updates
        self._desk = desk
        self._news = asyncio.Event()
        self._begun = 0
        self._tidy_at = 0.0
        self._told: type[Exception] | None = None
        self._last: dict[int, asyncio.Task[None]] = {}

    async def keep(self, updates: Sequence[tuple[int, str]]) -> int:
        """Keeps what came; how much of it is new. Raises `StoreUnavailable`: then nobody may be told that it came."""
        new = await self._updates.keep(updates)
        if new:
            self._news.set()
        return new

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Deals with updates within the block."""
        task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                if await self._round(tasks):
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_S)

    async def _round(self, tasks: asyncio.TaskGroup) -> bool:
        """Begins with those that are due; whether there may be more. One slow chat does not hold up another."""
        room = AT_ONCE - self._begun
        if room <= 0:
            return False
        try:
            due = await self._updates.due(room)
            if time.monotonic() > self._tidy_at:
                self._tidy_at = time.monotonic() + TIDY_S
                await self._updates.forget()
        except Exception as error:
            if type(error) is not self._told:
                log.warning("updates wait: %s: %s", type(error).__name__, error)
            self._told = type(error)
            return False
        self._told = None
        for each in due:
            chat = _chat(each.body)
            self._begun += 1
            self._last[chat] = tasks.create_task(self._next(each, chat, self._last.get(chat)))
        return len(due) == room

    async def _next(self, due: Due, chat: int, before: asyncio.Task[None] | None) -> None:
        """Deals with one update, after the one before it in its chat."""
        if before is not None:
            await asyncio.wait([before])
        try:
            await self._deal(due)
        finally:
            if self._begun == AT_ONCE:
                # There is room again, for which something may wait.
                self._news.set()
            self._begun -= 1
            if self._last.get(chat) is asyncio.current_task():
                del self._last[chat]

    async def _deal(self, due: Due) -> None:
        try:
            await self._desk.take(due.body)
            await self._updates.done(due.update_id)
        except Exception as error:
            if not isinstance(error, AitherError):
                log.exception("update %d cannot be dealt with", due.update_id)
            try:
                await self._put_off(due, error)
            except AitherError as lost:
                # Whoever looks when it is due again deals with it.
                log.warning("update %d waits: %s", due.update_id, lost.message)

    async def _put_off(self, due: Due, error: Exception) -> None:
        if due.attempts >= GIVE_UP:
            log.error("update %d is left: %s", due.update_id, type(error).__name__)
            await self._updates.done(due.update_id)
            return
        asked = error.retry_after if isinstance(error, AitherError) else None
        pause = min(timedelta(seconds=0.25 * 2**due.attempts), LONGEST)
        await self._updates.later(due.update_id, max(asked, pause) if asked else pause)


def _chat(body: str) -> int:
    try:
        update = _whose.decode(body)
    except msgspec.DecodeError:
        return 0
    said = update.message or (update.callback_query.message if update.callback_query else None)
    return said.chat.id if said is not None and said.chat is not None else 0
