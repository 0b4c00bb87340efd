"""The passwords that the parts use among each other: made once, kept in one private file."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from infra.embedded.layout import Layout, read_json, write_private_json

SCRAM_ITERATIONS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """What opens which part."""

    postgres_admin: str
    postgres_app: str
    redis: str
    burst_master: str = ""
    """From which the keys of rented boxes are derived."""


def load_or_make(layout: Layout) -> Passwords:
    """The passwords of this data directory; made on first use, and never changed after.

    A directory that is older than rented boxes gets their key when it is first missed.
    """
    known = read_json(layout.secrets_file)
    if known is not None and "burst_master" in known:
        return Passwords(**{name: known[name] for name in Passwords.__slots__})
    made = {name: secrets.token_urlsafe(24) for name in Passwords.__slots__} | (known or {})
    write_private_json(layout.secrets_file, made)
    return Passwords(**{name: made[name] for name in Passwords.__slots__})


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password (RFC 5803), so that the password itself is in no statement."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")

    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{text(salt)}${text(stored_key)}:{text(server_key)}"
