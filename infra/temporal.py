"""The connection to Temporal, and how payloads are written: JSON, by msgspec."""

from datetime import timedelta
from typing import Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, KeepAliveConfig
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)

from infra.settings import Settings


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


class AitherPayloadConverter(CompositePayloadConverter):
    """Temporal's converters with ours in the place of plain JSON."""

    def __init__(self) -> None:
        super().__init__(
            *(
                MsgspecPayloadConverter() if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


DATA_CONVERTER = DataConverter(payload_converter_class=AitherPayloadConverter)


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """A client for the configured namespace; `lazy` leaves connecting to the first call."""
    return await Client.connect(
        settings.temporal_target,
        namespace=settings.temporal_namespace,
        api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
        tls=settings.temporal_tls or None,
        data_converter=DATA_CONVERTER,
        keep_alive_config=KeepAliveConfig(interval_millis=10_000, timeout_millis=5_000),
        connect_timeout=timedelta(seconds=5),
        lazy=lazy,
    )
