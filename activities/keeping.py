"""Copying what only its own process may read, for a backup of the embedded stack."""

from collections.abc import Awaitable, Callable

from temporalio import activity

from activities.contracts.keeping import CopyAsk
from activities.errors import AitherError, to_application_error


class KeepingActivities:
    """`copy-memory`, on the queue of the worker that has memory open."""

    def __init__(self, copy: Callable[[str], Awaitable[None]]) -> None:
        self._copy = copy

    @activity.defn(name="copy-memory")
    async def copy_memory(self, ask: CopyAsk) -> None:
        """Copies ledger and memory, as they stand between two calls, to the place of that name."""
        try:
            await self._copy(ask.name)
        except AitherError as error:
            raise to_application_error(error) from error
