"""How payloads are written: JSON, by msgspec."""

from typing import Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)

SEALED = "binary/encrypted"
"""The encoding of a payload that only a key opens; the name that Temporal's own samples give it."""


class PayloadSealed(Exception):
    """A payload cannot be opened here; says which key it needs, never what is in it.

    Temporal repeats a task that ends so, and goes on when a worker with the right key takes it: nothing is lost
    to a key that is put in late.
    """


class MsgspecPayloadConverter(EncodingPayloadConverter):
    """Contracts as plain JSON: readable in Temporal's UI, several times faster than the default, and it
    knows timedelta and tuples.
    """

    @property
    def encoding(self) -> str:
        """Plain JSON, so that every tool reads it."""
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        """The value as JSON; None where it is not one of ours, for the next converter to try."""
        try:
            data = msgspec.json.encode(value)
        except TypeError:
            return None
        return Payload(metadata={"encoding": b"json/plain"}, data=data)

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """The value of the hinted type. Raises msgspec.ValidationError where it does not fit."""
        hint: Any = type_hint or Any
        return msgspec.json.decode(payload.data, type=hint)


class SealedPayloadConverter(EncodingPayloadConverter):
    """Writes nothing, and says of an encrypted payload what is missing where there are no keys at all."""

    @property
    def encoding(self) -> str:
        """What the codec leaves where it is not in force."""
        return SEALED

    def to_payload(self, value: Any) -> Payload | None:
        """None."""
        return None

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Raises `PayloadSealed`."""
        raise PayloadSealed("a payload is encrypted, and AITHER_PAYLOAD_KEYS is not set here")


class AitherPayloadConverter(CompositePayloadConverter):
    """Temporal's converters with ours in the place of plain JSON."""

    def __init__(self) -> None:
        super().__init__(
            *(
                MsgspecPayloadConverter() if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            ),
            SealedPayloadConverter(),
        )


DATA_CONVERTER = DataConverter(payload_converter_class=AitherPayloadConverter)
