"""Our side comes to the box: where it cannot reach us, its words are collected at its page and answered there.

They are the words that it would have sent, with their signatures, so whoever sits between learns and changes no
more than he could there. A round is cheap; whoever watches the lease makes one as often as the box should beat.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from activities.errors import AitherError
from infra.box import proof
from infra.box.reception import VERBS, BoxRefused, Reception, Said

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 20
ROUND_S = 20.0
_HEADERS = tuple(name.lower() for name in (proof.PROOF, proof.KEY_ID, proof.NONCE, proof.FRESH))


async def collect(session: aiohttp.ClientSession, page: str, lease: str, reception: Reception) -> int:
    """Answers what lies in the box's outbox, until it beats again or says nothing; how many answers it took.

    A box that does not answer, or says nonsense, is silent: its lease will notice.
    """
    taken = beats = 0
    try:
        async with asyncio.timeout(ROUND_S):
            while beats < 2 and (message := await _outbox(session, page)) is not None:
                beats += str(message["path"]).endswith("/heartbeat")
                reply = await _answer(reception, lease, message)
                async with session.post(
                    f"{page.rstrip('/')}/inbox", json=reply, allow_redirects=False
                ) as done:
                    taken += done.status == 200
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.debug("the box of %s is not heard at its page: %s", lease, type(error).__name__)
    return taken


async def _outbox(session: aiohttp.ClientSession, page: str) -> dict[str, Any] | None:
    async with session.get(f"{page.rstrip('/')}/outbox", allow_redirects=False) as reply:
        if reply.status != 200:
            return None
        raw = await reply.content.read(MOST_BYTES)
        return orjson.loads(raw)


async def _answer(reception: Reception, lease: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to bring to the inbox, a refusal included."""
    path = str(message["path"])
    parts = urlsplit(path).path.split("/")
    verb = parts[-1] if len(parts) == 5 and parts[3] == lease and parts[-1] in VERBS else "nothing"
    headers = {str(name).lower(): str(value) for name, value in dict(message["headers"]).items()}
    said = Said(
        lease=lease,
        verb=verb,
        method=str(message["method"]),
        path=path,
        host=str(message["host"]),
        headers={name: headers[name] for name in _HEADERS if name in headers},
        body=str(message["body"]).encode(),
    )
    try:
        told = await reception.take(said)
    except BoxRefused as error:
        return {"id": message["id"], "status": 403, "headers": {}, "body": error.message}
    except AitherError as error:
        return {"id": message["id"], "status": 503, "headers": {}, "body": error.message}
    return {
        "id": message["id"],
        "status": told.status,
        "headers": dict(told.headers),
        "body": told.body.decode(),
    }
