"""Spans of HTTP: of the requests that the API serves, and of those that are sent to backends."""

import time
from collections.abc import AsyncIterator, Iterable
from contextvars import ContextVar

import httpx2
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from infra.telemetry.trace_context import Traces

W3C = TraceContextTextMapPropagator()
TRACER = "aither"
MOST_HEADER_CHARS = 512

served: "ContextVar[RequestTrace | None]" = ContextVar("aither_request_trace", default=None)
"""The request that is served here."""


class RequestTrace:
    """The span of a request, which begins when it is known whose trace it is of.

    That of its turn or job, unless it came with a `traceparent`. A request that begins nothing, brings none and does
    not break has no span: its figures are in the metrics.
    """

    def __init__(self, traces: Traces, method: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._traces = traces
        self._method = method
        self._begun_ns = time.time_ns()
        self._caller = _caller(headers)
        self._span: Span | None = None
        self._key = ""
        if self._caller is not None:
            self._begin(self._caller)

    def join(self, key: str, before: bool) -> None:
        """The request came with this turn or job, or with one that was there before. The first one counts."""
        if self._key:
            return
        self._key = key
        if self._span is None and before:
            self._begin(self._traces.below_root(key))
        elif self._span is None:
            with self._traces.root(key):
                self._begin(Context())
        if self._span is not None:
            kind, _, _ = key.partition("_")
            self._span.set_attribute(f"aither.{kind}.id", key)

    def within(self, key: str) -> Context | None:
        """Where what it starts for this turn or job belongs; None where it came with another."""
        if self._span is None or key != self._key:
            return None
        return set_span_in_context(self._span, Context())

    def ids(self) -> tuple[str, str] | None:
        """Trace and span, in hexadecimal digits."""
        return None if self._span is None else ids_of(self._span)

    def end(self, route: str, status: int) -> None:
        """The response is sent."""
        if self._span is None and status >= 500:
            with self._traces.root(""):
                self._begin(Context())
        if self._span is None:
            return
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": self._method,
                "http.route": route,
                "http.response.status_code": status,
            }
        )
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _begin(self, within: Context) -> None:
        self._span = trace.get_tracer(TRACER).start_span(
            self._method, within, SpanKind.SERVER, start_time=self._begun_ns
        )


class TracedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to backends within spans, which end with the response's body.

    Only our own servers are told of the trace (`tells`): nobody outside need know how we number it.
    """

    def __init__(self, beneath: httpx2.AsyncBaseTransport, *, tells: bool) -> None:
        self._beneath = beneath
        self._tells = tells

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `httpx2.AsyncBaseTransport`."""
        span = trace.get_tracer(TRACER).start_span(
            f"{request.method} {request.url.path}", kind=SpanKind.CLIENT, attributes=_attributes(request)
        )
        if self._tells:
            inject(request.headers, set_span_in_context(span))
        try:
            response = await self._beneath.handle_async_request(request)
        except BaseException as error:
            _end(span, error)
            raise
        span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= 400:
            span.set_attribute("error.type", str(response.status_code))
            span.set_status(StatusCode.ERROR)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Body(response.stream, span)
        return response

    async def aclose(self) -> None:
        """See `httpx2.AsyncBaseTransport`."""
        await self._beneath.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, beneath: httpx2.AsyncByteStream, span: Span) -> None:
        self._beneath = beneath
        self._span = span
        self._first = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._beneath:
                if self._first:
                    self._first = False
                    self._span.add_event("first byte")
                yield data
        except BaseException as error:
            if not isinstance(error, GeneratorExit):
                _end(self._span, error)
            raise

    async def aclose(self) -> None:
        """Also where the body is left unread: that is how a call is cut off."""
        try:
            await self._beneath.aclose()
        finally:
            self._span.end()


def ids_here() -> tuple[str, str] | None:
    """Trace and span of what is done here. Imports nothing: it is called in workflows, too."""
    request = served.get()
    return ids_of(trace.get_current_span()) or (request.ids() if request is not None else None)


def ids_of(span: Span) -> tuple[str, str] | None:
    """Trace and span as they are written, None for none."""
    context = span.get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None


def _caller(headers: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """The caller's trace, by W3C's headers; None where there is none that can be understood."""
    carrier = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if name in {b"traceparent", b"tracestate"} and len(value) <= MOST_HEADER_CHARS
    }
    if "traceparent" not in carrier:
        return None
    context = W3C.extract(carrier, Context())
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def _attributes(request: httpx2.Request) -> dict[str, AttributeValue]:
    url = request.url
    return {
        "http.request.method": request.method,
        "server.address": url.host,
        "server.port": url.port or (443 if url.scheme == "https" else 80),
        "url.path": url.path,
    }


def _end(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)
    span.end()
