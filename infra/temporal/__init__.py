"""The connection to Temporal: by which address and which TLS, and how payloads are written and sealed."""

from datetime import timedelta

from temporalio.client import Client, KeepAliveConfig
from temporalio.converter import DataConverter

from infra.settings import Settings
from infra.telemetry.tracing import temporal_plugins
from infra.temporal.access import access
from infra.temporal.converter import DATA_CONVERTER, AitherPayloadConverter, MsgspecPayloadConverter

__all__ = ["DATA_CONVERTER", "AitherPayloadConverter", "MsgspecPayloadConverter", "connect", "data_converter"]


def data_converter(settings: Settings) -> DataConverter:
    """How payloads are written: plainly, or encrypted where there are keys. Raises `ConfigError`."""
    if settings.payload_keys is None:
        return DATA_CONVERTER
    from infra.temporal.codec import payload_keys, sealing

    keys = payload_keys(settings.payload_keys)
    return sealing(DATA_CONVERTER, keys) if keys else DATA_CONVERTER


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """A client for the configured namespace; `lazy` leaves connecting to the first call. Raises `ConfigError`."""
    reached = access(settings)
    return await Client.connect(
        reached.target,
        namespace=reached.namespace,
        api_key=reached.api_key,
        tls=reached.tls,
        data_converter=data_converter(settings),
        keep_alive_config=KeepAliveConfig(interval_millis=10_000, timeout_millis=5_000),
        connect_timeout=timedelta(seconds=5),
        lazy=lazy,
        plugins=temporal_plugins(settings),
    )
