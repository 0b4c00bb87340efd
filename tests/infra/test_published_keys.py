"""An identity provider's keys: which are taken, when they are asked for, and what becomes of them while it is away."""

import asyncio

import pytest

from infra.identity import published
from infra.identity.published import IdentityAway, NoKeys, PublishedKeys, taken
from tests.support.standin_identity import SigningKey, StandInIdentity


async def test_keys_that_may_not_verify_tokens_are_left_out() -> None:
    good = SigningKey("ES256").jwk
    small = {**SigningKey("RS256").jwk, "n": SigningKey("RS256").jwk["n"][:170]}
    shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}
    wrong = [
        small,
        shared,
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "alg", "alg": "ES384"},
        {**good, "kid": "ops", "key_ops": ["sign"]},
        {**good, "kid": 7},
        {**good, "kid": "x", "x": "!"},
        {"kid": "nothing"},
        "text",
    ]
    assert list(taken({"keys": [*wrong, good]})) == [good["kid"]]
    for nothing in ({}, [], {"keys": 7}, None):
        with pytest.raises(NoKeys):
            taken(nothing)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_unknown_keys_make_us_ask_once_in_a_while() -> None:
    async with StandInIdentity() as provider:
        clock = Clock()
        keys = PublishedKeys(provider.jwks_url, clock=clock)
        assert await keys.find(provider.keys[0].id)
        found = await asyncio.gather(*(keys.find(f"invented-{n}") for n in range(200)))
        assert (set(found), provider.asked) == ({None}, 1)
        clock.now += published.PAUSE_S
        await asyncio.gather(*(keys.find(f"invented-{n}") for n in range(200)))
        assert provider.asked == 2
        # A rotated key is known as soon as it may be asked for.
        provider.keys = [SigningKey("EdDSA")]
        assert await keys.find(provider.keys[0].id) is None
        clock.now += published.PAUSE_S
        assert await keys.find(provider.keys[0].id)
        assert provider.asked == 3


async def test_a_key_that_was_taken_out_dies_with_the_set() -> None:
    async with StandInIdentity() as provider:
        clock, gone = Clock(), provider.keys[0].id
        keys = PublishedKeys(provider.jwks_url, clock=clock)
        assert await keys.find(gone)
        provider.keys = [SigningKey("ES256")]
        assert await keys.find(gone)
        clock.now += published.FRESH_S + 1
        assert await keys.find(gone) is None


async def test_an_old_set_does_while_the_provider_is_away_but_not_for_ever() -> None:
    async with StandInIdentity() as provider:
        clock = Clock()
        keys = PublishedKeys(provider.jwks_url, clock=clock)
        assert await keys.find(provider.keys[0].id)
        for broken in ("closed", "failing", "rubbish", "large"):
            if broken == "closed":
                await provider.refuse()
            else:
                provider.status = 500 if broken == "failing" else 200
                provider.body = b" " * (published.MOST_BYTES + 1) if broken == "large" else b"<html>"
            clock.now += published.FRESH_S + 1
            assert await keys.find(provider.keys[0].id), broken
            if broken == "closed":
                await provider.accept()
        clock.now += published.MOST_STALE_S
        with pytest.raises(IdentityAway):
            await keys.find(provider.keys[0].id)
        provider.body = None
        clock.now += published.PAUSE_S
        assert await keys.find(provider.keys[0].id)
