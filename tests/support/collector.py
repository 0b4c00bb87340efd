"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP, protobuf and gzip, and shows what came."""

import asyncio
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

PATIENCE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span as the collector got it. Ids are hexadecimal; `parent` is empty for a root."""

    service: str
    resource: dict[str, Any]
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...]
    links: tuple[tuple[str, str], ...]
    failed: bool
    started_ns: int
    ended_ns: int
    wire: str = field(repr=False)
    """The whole of it as text, to look for what must not be there."""


class Collector:
    """Listens on a loopback port while it is open. `close()` and `open()` take it away and bring it back."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.batches = 0
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._came = asyncio.Condition()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        ((_, self.port),) = self._runner.addresses

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def of(self, trace: str) -> list[Span]:
        """The spans of a trace, by when they began."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.started_ns)

    async def until(self, there: Callable[[Sequence[Span]], bool]) -> None:
        """Waits until what has come is enough."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: there(self.spans))

    async def _take(self, request: web.Request) -> web.Response:
        # aiohttp has undone the compression already, where it was announced.
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        async with self._came:
            self.batches += 1
            for each in sent.resource_spans:
                resource = _attributes(each.resource.attributes)
                for scope in each.scope_spans:
                    self.spans += [_span(span, resource) for span in scope.spans]
            self._came.notify_all()
        response = web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )
        # So that no connection outlives a test.
        response.force_close()
        return response


def _span(span: WireSpan, resource: dict[str, Any]) -> Span:
    return Span(
        service=str(resource.get("service.name")),
        resource=resource,
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        events=tuple((event.name, _attributes(event.attributes)) for event in span.events),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        wire=str(span),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
