"""Asking a model server over HTTP, in the vocabulary of moves."""

import asyncio
import json
from typing import Any, cast

import aiohttp

from activities.contracts.cards import Resident
from activities.errors import MoveFailed

LOOK_S = 5.0
"""How long a server may take to say how it is."""
POLL_S = 0.1


class NobodyThere(MoveFailed):
    """Nothing listens where the resident's server should be."""


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    resident: Resident,
    path: str,
    *,
    body: object = None,
    within_s: float = LOOK_S,
) -> tuple[int, dict[str, Any]]:
    """The status, and the JSON object in the answer (an empty one where it is none).

    Raises `NobodyThere` when the connection is refused, `MoveFailed` when there is no answer in time.
    """
    url = f"{resident.base_url}{path}"
    try:
        async with (
            asyncio.timeout(within_s),
            session.request(method, url, json=body, allow_redirects=False) as answer,
        ):
            return answer.status, _object(await answer.read())
    except TimeoutError as error:
        raise MoveFailed(f"{method} {url} was not answered within {within_s:g} s") from error
    except aiohttp.ClientConnectorError as error:
        raise NobodyThere(f"nothing listens at {resident.base_url}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise MoveFailed(f"{method} {url} broke off: {type(error).__name__}") from error


async def healthy(session: aiohttp.ClientSession, resident: Resident, within_s: float = LOOK_S) -> str:
    """Why the server is not ready; empty where it is, by `GET /health`."""
    try:
        status, _ = await ask(session, "GET", resident, "/health", within_s=within_s)
    except MoveFailed as error:
        return error.message
    return "" if 200 <= status < 300 else f"GET {resident.base_url}/health says {status}"


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(raw)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
