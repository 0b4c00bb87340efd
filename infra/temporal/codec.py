"""Payloads that only we can read: encrypted before they leave for Temporal, by keys that it never sees."""

import base64
import binascii
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from infra.config.mistakes import ConfigError, Mistake
from infra.temporal.converter import SEALED, PayloadSealed

VARIABLE = "AITHER_PAYLOAD_KEYS"
KEY_BYTES = 32
NONCE_BYTES = 12
"""Drawn by chance for each payload: a key is good for some four thousand million of them (NIST SP 800-38D)."""
KEY_ID = "encryption-key-id"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SEALED = SEALED.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadKey:
    """A key of 32 bytes, and the name by which payloads say that it is theirs."""

    id: str
    secret: bytes = field(repr=False)


def payload_keys(written: SecretStr | None) -> tuple[PayloadKey, ...]:
    """The keys of `id:base64,id:base64`; the first writes, all of them read. None where nothing is written.

    Raises `ConfigError`, which quotes no key.
    """
    said = written.get_secret_value().strip() if written else ""
    if not said:
        return ()
    keys: list[PayloadKey] = []
    for number, entry in enumerate(said.split(","), 1):
        name, colon, secret = entry.strip().partition(":")
        if not colon or not _ID.fullmatch(name):
            _refuse(f"entry {number} is not `id:key`; `aither temporal key` makes one")
        if any(key.id == name for key in keys):
            _refuse(f'there are two keys "{name}"; give the new one another id')
        keys.append(PayloadKey(id=name, secret=_decoded(name, secret)))
    return tuple(keys)


def _decoded(name: str, secret: str) -> bytes:
    try:
        decoded = base64.b64decode(secret.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        _refuse(f'key "{name}" is not base64; `aither temporal key` makes one')
    if len(decoded) != KEY_BYTES:
        _refuse(f'key "{name}" has {len(decoded)} bytes, and {KEY_BYTES} are needed')
    return decoded


def _refuse(text: str) -> NoReturn:
    raise ConfigError(VARIABLE, [Mistake(text=text)]) from None


def new_key(name: str) -> str:
    """A new key under this id, as `AITHER_PAYLOAD_KEYS` takes it."""
    return f"{name}:{base64.b64encode(AESGCM.generate_key(KEY_BYTES * 8)).decode()}"


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM: what was changed on its way does not open. Payloads from before there were keys stay readable."""

    def __init__(self, keys: Sequence[PayloadKey]) -> None:
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self._newest = keys[0].id

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys; the first is the one that writes."""
        return tuple(self._ciphers)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Each payload whole, metadata and all, under the first key."""
        return [self._sealed(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """As they were. Raises `PayloadSealed` for a key that is not here, and for one that does not fit."""
        return [self._opened(payload) for payload in payloads]

    def _sealed(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        data = nonce + self._ciphers[self._newest].encrypt(nonce, payload.SerializeToString(), None)
        return Payload(metadata={"encoding": _SEALED, KEY_ID: self._newest.encode()}, data=data)

    def _opened(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != _SEALED:
            return payload
        name = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        cipher = self._ciphers.get(name)
        if cipher is None:
            known = ", ".join(f'"{each}"' for each in self._ciphers)
            raise PayloadSealed(
                f"a payload is encrypted with key {name[:64]!r}, and {VARIABLE} has only {known} here"
            )
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, None))
        except (InvalidTag, ValueError):
            raise PayloadSealed(
                f'a payload does not open with key "{name}": it was changed on its way, or {VARIABLE} has another'
                " key under that id here"
            ) from None


def sealing(converter: DataConverter, keys: Sequence[PayloadKey]) -> DataConverter:
    """The converter with encryption: of payloads, and of the words and stack traces of failures."""
    return replace(
        converter,
        payload_codec=EncryptingCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
