"""The keys that an identity provider publishes (JWKS, RFC 7517): fetched when needed, kept, not asked for in haste.

Only keys that are public by nature are taken. A secret that both sides share would be in the set for all to read, and
a public key that is taken for one is how tokens are forged.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from activities.errors import AitherError

FRESH_S = 600.0
"""How long a set is good without a look at whether it has changed, hence how long a key that was taken out lives on."""
MOST_STALE_S = 86_400.0
"""How long it is good where the provider cannot be reached."""
PAUSE_S = 10.0
"""The least between two fetches, whatever tokens come: what they name is anybody's invention."""
FETCH_S = 5.0
MOST_BYTES = 256 * 1024
MOST_KEYS = 64
LEAST_RSA_BITS = 2048
ALGORITHMS: Mapping[tuple[str, str], str] = {
    ("EC", "P-256"): "ES256",
    ("RSA", ""): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""How a key of this type and curve signs; there is one way for each, whatever a token's header says."""


class IdentityAway(AitherError):
    """The identity provider cannot be reached, and its keys are not known."""

    code = "identity_unavailable"


class NoKeys(ValueError):
    """What was fetched is no set of keys."""


class PublishedKeys:
    """The provider's keys by their ids."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key of that id; None where the provider has none. Raises `IdentityAway`.

        A key that is not known is asked for at most every `PAUSE_S`, by one request for all who wait.
        """
        if self._stale():
            # Whoever comes while another one fetches goes by what there is.
            if self._keys is None or not self._one_at_a_time.locked():
                await self._refresh(self._stale)
        elif self._keys is not None and key_id not in self._keys:
            await self._refresh(lambda: self._keys is None or key_id not in self._keys)
        if self._keys is None or self._age() > MOST_STALE_S:
            raise IdentityAway(
                "the identity provider cannot be reached, so no user's token can be checked; API keys work"
            )
        return self._keys.get(key_id)

    async def _refresh(self, wanted: Callable[[], bool]) -> None:
        async with self._one_at_a_time:
            now = self._clock()
            if not wanted() or now - self._tried_at < PAUSE_S:
                return
            self._tried_at = now
            try:
                async with asyncio.timeout(FETCH_S):
                    keys = await self._fetch()
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                return
            self._keys, self._fetched_at = keys, self._clock()

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        """What is published now. Raises `NoKeys` for what is no set of them."""
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(self._url, allow_redirects=False) as reply,
        ):
            if reply.status != 200:
                raise NoKeys(f"the answer is {reply.status}")
            body = await reply.content.read(MOST_BYTES + 1)
            while len(body) <= MOST_BYTES and (more := await reply.content.read(MOST_BYTES)):
                body += more
        if len(body) > MOST_BYTES:
            raise NoKeys("the set is too large")
        return taken(json.loads(body))

    def _stale(self) -> bool:
        return self._keys is None or self._age() > FRESH_S

    def _age(self) -> float:
        return self._clock() - self._fetched_at


def taken(published: Any) -> dict[str, jwt.PyJWK]:
    """The keys of a set that may verify a token, by id. Raises `NoKeys` where it is no set."""
    listed = cast("dict[str, Any]", published).get("keys") if isinstance(published, dict) else None
    if not isinstance(listed, list):
        raise NoKeys("this is no set of keys")
    found: dict[str, jwt.PyJWK] = {}
    for each in cast("list[Any]", listed)[:MOST_KEYS]:
        key = _usable(cast("dict[str, Any]", each)) if isinstance(each, dict) else None
        if key is not None and key.key_id:
            found.setdefault(key.key_id, key)
    return found


def _usable(data: dict[str, Any]) -> jwt.PyJWK | None:
    algorithm = ALGORITHMS.get((str(data.get("kty")), str(data.get("crv", ""))))
    if algorithm is None or data.get("alg", algorithm) != algorithm or data.get("use", "sig") != "sig":
        return None
    if not isinstance(data.get("kid"), str) or "verify" not in data.get("key_ops", ["verify"]):
        return None
    try:
        key = jwt.PyJWK({name: value for name, value in data.items() if name != "d"}, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < LEAST_RSA_BITS
    return None if weak else key
