"""Tracing as the rest of the product knows it. While it is off, nothing of OpenTelemetry is imported here.

It is on for a process that has begun it (`tracing`), which those do that serve: the API and the workers.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
from temporalio.client import Plugin

from infra.settings import Settings
from infra.telemetry import logs
from infra.telemetry.subject import joining

if TYPE_CHECKING:
    from infra.telemetry.trace_context import Traces
    from infra.telemetry.trace_http import RequestTrace


@dataclass(slots=True)
class _Process:
    traces: "Traces | None" = None
    beside: list[Plugin] = field(default_factory=list[Plugin])


_process = _Process()


@contextmanager
def tracing(settings: Settings, *, service: str, fleets: tuple[str, ...], build: str) -> Generator[None]:
    """Traces this process within the block, if a collector is configured. Leaving it sends what is left.

    Once a process: OpenTelemetry's provider is set for good.
    """
    if settings.otlp_endpoint is None:
        yield
        return
    from infra.telemetry.trace_context import Traces
    from infra.telemetry.trace_export import Sending
    from infra.telemetry.trace_http import ids_here

    traces = Traces(settings.trace_sample)
    sending = Sending(
        traces,
        settings,
        {
            "service.name": service,
            "service.version": build,
            "service.instance.id": settings.host_name,
            "aither.fleets": ",".join(fleets),
        },
    )
    _process.traces = traces
    logs.tracing.ids = ids_here
    try:
        yield
    finally:
        _process.traces = None
        logs.tracing.ids = None
        sending.close()


@contextmanager
def beside(plugin: Plugin) -> Generator[None]:
    """Has connections that are made within the block take this plugin along, too."""
    _process.beside.append(plugin)
    try:
        yield
    finally:
        _process.beside.remove(plugin)


def temporal_plugins(settings: Settings) -> list[Plugin]:
    """What a connection to Temporal takes along: nothing, unless this process traces or counts."""
    if settings.otlp_endpoint is None or _process.traces is None:
        return list(_process.beside)
    from infra.telemetry.trace_temporal import TracingPlugin

    return [TracingPlugin(_process.traces), *_process.beside]


def traced(transport: httpx2.AsyncBaseTransport, *, tells: bool) -> httpx2.AsyncBaseTransport:
    """The transport, with a span for each request while this process traces; the same one otherwise."""
    if _process.traces is None:
        return transport
    from infra.telemetry.trace_http import TracedTransport

    return TracedTransport(transport, tells=tells)


def request_trace(method: str, headers: Iterable[tuple[bytes, bytes]]) -> "RequestTrace | None":
    """The span-to-be of a request that is served in this context, None while nobody traces."""
    if _process.traces is None:
        return None
    from infra.telemetry.trace_http import RequestTrace, served

    request = RequestTrace(_process.traces, method, headers)
    served.set(request)
    joining.set(request.join)
    return request
