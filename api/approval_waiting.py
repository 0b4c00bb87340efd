"""Waiting for approvals to close: one look at the rows for everybody who waits, however many they are."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from activities.contracts.approvals import ApprovalRef
from activities.errors import StoreUnavailable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


class Rows(Protocol):
    """Where approvals' rows are looked at."""

    async def closed(self, tenant_id: str, approval_ids: Sequence[str]) -> set[str]:
        """Those of the approvals that are open no more."""
        ...


class Closings:
    """Who waits for which approval. What this process decides is known at once, the rest within half a second."""

    def __init__(self, rows: Rows, closing: asyncio.Event) -> None:
        self._rows = rows
        self._closing = closing
        self._waiting: defaultdict[ApprovalRef, set[asyncio.Event]] = defaultdict(set)
        self._some = asyncio.Event()

    async def closed(self, ref: ApprovalRef, seconds: float) -> bool:
        """Whether there is something to look at: it is closed, or the process stops. False when the time is over."""
        happened = asyncio.Event()
        self._waiting[ref].add(happened)
        self._some.set()
        try:
            async with asyncio.timeout(seconds):
                await happened.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._waiting[ref].discard(happened)
            if not self._waiting[ref]:
                del self._waiting[ref]

    def note(self, ref: ApprovalRef) -> None:
        """It has been closed."""
        for happened in self._waiting.get(ref, ()):
            happened.set()

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Looks, within the block, for as long as anybody waits."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            if not self._waiting:
                self._some.clear()
                await self._some.wait()
            if self._closing.is_set():
                for ref in list(self._waiting):
                    self.note(ref)
            try:
                await self._look()
            except StoreUnavailable as error:
                log.warning("nobody hears of approvals until the database is back: %s", error.message)
            except Exception:
                log.exception("the rows of approvals could not be looked at")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for ref in self._waiting:
            wanted[ref.tenant_id].append(ref.approval_id)
        for tenant_id, approval_ids in wanted.items():
            for approval_id in await self._rows.closed(tenant_id, approval_ids):
                self.note(ApprovalRef(tenant_id=tenant_id, approval_id=approval_id))
