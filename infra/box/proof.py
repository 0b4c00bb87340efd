"""How a box and we prove ourselves to each other: HMAC-SHA256 under a key of the one lease and attempt.

Both sides run this file, the box on whatever Python its image has: standard library only, nothing newer than 3.8.

A box's first word is signed with the *lease key*, which we derive from a master key (HKDF, RFC 5869) and put into
the box's environment; it is good for one join. Both sides derive the *session key* from it and the two nonces of
that join, so it is never sent. A box that rebooted joins again with its session key, and the key after that is
derived from this one.

What is signed is version, key id, method, path, host, nonce and the body's digest, each with its length before
it, so that no two different requests are signed alike. A reply is signed over the box's own nonce.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "aither-box-1"
LEASE, SESSION = "lease", "session"
"""The kinds of key ids."""

NONCE_BYTES = 32
PROOF, KEY_ID, NONCE, FRESH = "X-Aither-Proof", "X-Aither-Key", "X-Aither-Nonce", "X-Aither-Fresh"
"""Headers: the signature, which key made it, our nonce or the session's count, and the signer's own nonce."""


def fields(*parts: bytes) -> bytes:
    """The parts in one, each after its length, so that they can be told apart again."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes derived from `key` (RFC 5869, SHA-256, one block)."""
    extracted = hmac.new(salt, key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def lease_key(master: bytes, lease: str, attempt: int) -> bytes:
    """The key of one attempt's box."""
    info = fields(VERSION.encode(), LEASE.encode(), lease.encode(), str(attempt).encode())
    return hkdf(master, b"aither burst", info)


def session_key(before: bytes, salt: bytes) -> bytes:
    """The key after a join whose nonces, ours and the box's, are the salt; `before` is the key that signed it."""
    return hkdf(before, salt, fields(VERSION.encode(), SESSION.encode()))


def session_of(first: bytes, salts: Sequence[bytes]) -> bytes:
    """The key after all these joins, the first of which was signed with `first`."""
    for salt in salts:
        first = session_key(first, salt)
    return first


def key_id(kind: str, attempt: int, joins: int) -> str:
    """Which key a request is signed with: `lease.ATTEMPT.0`, or `session.ATTEMPT.JOINS`."""
    return f"{kind}.{attempt}.{joins}"


def nonce() -> str:
    """Fresh randomness, in hex."""
    return secrets.token_hex(NONCE_BYTES)


def sign_request(  # noqa: PLR0917
    key: bytes, name: str, method: str, path: str, host: str, ours: str, fresh: str, body: bytes
) -> str:
    """A box's signature. `ours` is our nonce or the session's count, `fresh` the box's nonce for the reply."""
    said = fields(
        VERSION.encode(),
        b"request",
        name.encode(),
        method.encode(),
        path.encode(),
        host.encode(),
        ours.encode(),
        fresh.encode(),
        hashlib.sha256(body).digest(),
    )
    return hmac.new(key, said, hashlib.sha256).hexdigest()


def sign_reply(key: bytes, name: str, fresh: str, status: int, body: bytes) -> str:
    """Our signature under a reply to the request that carried `fresh`."""
    said = fields(
        VERSION.encode(),
        b"reply",
        name.encode(),
        fresh.encode(),
        str(status).encode(),
        hashlib.sha256(body).digest(),
    )
    return hmac.new(key, said, hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two signatures are equal, told in a time that does not depend on where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
