"""Waits for a turn on behalf of a client that may leave, and so no longer want the answer."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive

from activities.errors import AitherError
from api.openai_compat.errors import CompatError
from api.turns import Turns
from infra.postgres.keys import Caller

log = logging.getLogger(__name__)

Leave = Callable[[], Awaitable[dict[str, Any] | None]]
"""Called when nobody is there for the answer any more; the turn as it then stands, where that is known."""


class ClientGone(Exception):
    """The client has closed its connection."""


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def ended(waiting: Awaitable[dict[str, Any] | None], receive: Receive) -> dict[str, Any] | None:
    """What `waiting` comes to. Raises `ClientGone` as soon as the client leaves before that."""
    turn = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
        if turn.done():
            return turn.result()
        raise ClientGone
    finally:
        await stopped(turn, gone)


async def stopped(*tasks: asyncio.Future[Any]) -> None:
    """Cancels the tasks and waits until they are over, whatever they came to."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


def leaving(turns: Turns, caller: Caller, turn_id: str, *, may_return: bool) -> Leave:
    """What to do when the client goes. One that sent an idempotency key may come back: its turn goes on."""

    async def leave() -> dict[str, Any] | None:
        if may_return:
            return None
        try:
            return await turns.cancel(caller, turn_id)
        except AitherError as error:
            # Nobody is left to tell; the turn's own time limit ends it.
            log.warning("turn %s, which nobody waits for, could not be cancelled: %s", turn_id, error.message)
            return None

    return leave


def no_answer(turn_id: str, seconds: float, *, closing: bool) -> CompatError:
    """The answer did not come in time, or this process may not wait for it any longer."""
    if closing:
        return CompatError(503, "The server is stopping; ask again.", code="server_stopping", turn_id=turn_id)
    message = f"The answer of turn {turn_id} did not come within {seconds:.0f} s."
    return CompatError(504, message, code="timeout", turn_id=turn_id)
