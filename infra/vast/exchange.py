"""One request to Vast.ai, and the one translation of its failures into the vocabulary of `activities.errors`.

Nothing is asked twice. What is quoted of an answer is its error code only: its words may repeat the order, whose
environment carries the box's secrets.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import orjson
from pydantic import SecretStr

from activities.errors import MarketBusy, MarketError, MarketRefused, MarketUnknown, OfferGone

MOST_BYTES = 32 * 1024 * 1024
PAUSE = timedelta(seconds=15)
"""How long to keep away after a 429 that does not say: the market sets no such header."""
LONGEST_PAUSE = timedelta(days=1)

_CODE = re.compile(r"[a-z][a-z0-9_]{2,63}")
_QUOTA = "search_quota_exceeded"
_GONE = frozenset({"no_such_ask", "ask_unavailable", "no_such_offer", "ask_not_available"})
_NO_INSTANCE = frozenset({"no_such_instance", "instance_not_found"})


class NoInstance(MarketError):
    """The market says that it has no such instance. Known to this adapter only."""


class Exchange:
    """Sends requests to one account. The key goes in a header to the configured base, and nowhere else."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, key: SecretStr, patience: timedelta
    ) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._key = key
        self._patience = patience

    async def ask(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer's object. `what` names the request in errors. Raises the market's errors only."""
        try:
            async with (
                asyncio.timeout(self._patience.total_seconds()),
                self._session.request(
                    method,
                    self._base + path,
                    params=query,
                    data=None if body is None else orjson.dumps(body),
                    headers={
                        "Authorization": f"Bearer {self._key.get_secret_value()}",
                        "Accept": "application/json",
                        **({} if body is None else {"Content-Type": "application/json"}),
                    },
                    # A redirect would carry the key elsewhere.
                    allow_redirects=False,
                    middlewares=(_only_once,),
                ) as response,
            ):
                raw = await _read(response, what)
                status, waits = response.status, response.headers.get("Retry-After")
        except TimeoutError as error:
            text = f"{what}: no answer within {self._patience.total_seconds():.0f} s"
            raise MarketUnknown(text) from error
        except (_Broken, aiohttp.ClientError, OSError, ValueError) as error:
            raise MarketUnknown(f"{what}: the connection failed ({type(error).__name__})") from error
        return _judged(what, status, raw, waits)


class _Broken(Exception):
    """The connection broke."""


async def _only_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a PUT again when its connection broke: the first may have rented a box."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken from error


async def _read(response: aiohttp.ClientResponse, what: str) -> bytes:
    raw = bytearray()
    async for piece in response.content.iter_any():
        raw += piece
        if len(raw) > MOST_BYTES:
            raise MarketUnknown(f"{what}: an answer of more than {MOST_BYTES} bytes")
    return bytes(raw)


def _judged(what: str, status: int, raw: bytes, waits: str | None) -> dict[str, Any]:
    """The object of an answer that says that all is well; raises what the others mean."""
    said = _object(raw)
    code = _code_of(said)
    told = f"{what}: {status}{f' {code}' if code else ''}"
    if status == 429 or code == _QUOTA:
        raise MarketBusy(f"{told}: asked too often", retry_after=_pause(code, waits))
    if 200 <= status < 300:
        if said is None:
            raise MarketUnknown(f"{told}: the answer is no JSON object")
        if said.get("success", True) is not True:
            raise _declined(told, code)
        return said
    if status >= 500 or status < 400 or status in {408, 409, 425}:
        raise MarketUnknown(f"{told}: it may or may not have happened")
    if code in _NO_INSTANCE:
        raise NoInstance(told)
    if code in _GONE or status == 410:
        raise OfferGone(told)
    if status == 404:
        # Vast.ai answers so to a key that it does not know; "not there" has a code of its own.
        raise MarketRefused(f"{told}: not found, which is also its answer to a wrong key")
    raise MarketRefused(f"{told}: refused")


def _declined(told: str, code: str) -> MarketError:
    """What `success: false` under a good status means."""
    if code in _NO_INSTANCE:
        return NoInstance(told)
    if code in _GONE:
        return OfferGone(told)
    if any(word in code for word in ("credit", "balance", "auth", "key", "permission", "invalid")):
        return MarketRefused(f"{told}: refused")
    return MarketUnknown(f"{told}: it says that it failed")


def _pause(code: str, waits: str | None) -> timedelta:
    if code == _QUOTA:
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - now
    if waits is not None and waits.isascii() and waits.isdecimal():
        return min(timedelta(seconds=min(int(waits), 86_400)), LONGEST_PAUSE)
    return PAUSE


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value: object = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _code_of(said: Mapping[str, Any] | None) -> str:
    """The answer's error code, if it has one that reads like one."""
    code = (said or {}).get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
