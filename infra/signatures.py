"""Signatures of webhooks, by the Standard Webhooks specification: HMAC-SHA256 over id, timestamp and body."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

PREFIX = "whsec_"
SECRET_BYTES = 32
TOLERANCE = timedelta(minutes=5)
"""How old, or how far ahead of our clock, a message may be."""
ID_HEADER = "webhook-id"
TIME_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
MOST_ID_CHARS = 255
MOST_SIGNATURES = 8


class BadSignature(Exception):
    """The message is not from whoever has the secret, or not from now; the text says which, and quotes nothing."""


def new_secret() -> str:
    """A secret for an endpoint, to be shown once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that a message is sent with."""
    timestamp = str(int(at.timestamp()))
    return {
        ID_HEADER: message_id,
        TIME_HEADER: timestamp,
        SIGNATURE_HEADER: f"v1,{_signature(secret, message_id, timestamp, body)}",
    }


def verified(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The message's id. Raises `BadSignature`."""
    message_id, timestamp = headers.get(ID_HEADER, ""), headers.get(TIME_HEADER, "")
    if not 1 <= len(message_id) <= MOST_ID_CHARS or not message_id.isascii() or not message_id.isprintable():
        raise BadSignature(f"{ID_HEADER} must be 1 to {MOST_ID_CHARS} visible characters")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature(f"{TIME_HEADER} must be seconds since 1970")
    wanted = _signature(secret, message_id, timestamp, body).encode()
    given = headers.get(SIGNATURE_HEADER, "").split()[:MOST_SIGNATURES]
    # Every one is compared, so that time tells nothing.
    right = [
        hmac.compare_digest(each.removeprefix("v1,").encode("utf-8", "replace"), wanted)
        for each in given
        if each.startswith("v1,")
    ]
    if not any(right):
        raise BadSignature(f"{SIGNATURE_HEADER} is not right for this message")
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
        raise BadSignature(f"{TIME_HEADER} is more than {TOLERANCE.seconds // 60} minutes from now")
    return message_id


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise BadSignature("the secret is not base64") from None
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
