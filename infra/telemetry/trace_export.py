"""Where spans go: a collector by OTLP over HTTP, from a thread beside the work. It may be away; nobody waits for it."""

import logging
import threading
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode
from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

from infra.settings import Settings
from infra.telemetry.trace_context import Traces

log = logging.getLogger(__name__)

EXPORT_S = 2.0
"""How long one batch may take, repeats included."""
FLUSH_S = 3.0
"""How long a process that stops waits for its last spans to be taken."""
MOST_QUEUED = 4096
"""Spans that wait for the collector; beyond that they are dropped. Some MB at most."""
TELLS_ITSELF = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.trace",
    # Told whenever a workflow is put out of the cache, whose spans go on elsewhere.
    "opentelemetry.context",
)
LIMITS = SpanLimits(max_span_attributes=64, max_events=32, max_links=1024, max_attribute_length=256)


class Exporter(SpanExporter):
    """Exports without the words of exceptions, and says once that the collector is away, and once that it is back."""

    def __init__(self, beneath: SpanExporter, endpoint: str) -> None:
        self._beneath = beneath
        self._endpoint = endpoint
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`."""
        result = self._beneath.export([wordless(span) for span in spans])
        away = result is not SpanExportResult.SUCCESS
        if away != self._away:
            self._away = away
            if away:
                log.warning("traces are lost: the collector at %s does not take them", self._endpoint)
            else:
                log.info("the collector at %s takes traces again", self._endpoint)
        return result

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self._beneath.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `SpanExporter`."""
        return self._beneath.force_flush(timeout_millis)


class Sending:
    """The provider of this process, until it is closed."""

    def __init__(self, traces: Traces, settings: Settings, resource: dict[str, str]) -> None:
        assert settings.otlp_endpoint is not None
        for name in TELLS_ITSELF:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        endpoint = settings.otlp_endpoint.rstrip("/")
        beneath = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_S, compression=Compression.Gzip)
        # How often it sends: OTEL_BSP_SCHEDULE_DELAY, every 5 s unless that says so.
        self._processor = BatchSpanProcessor(Exporter(beneath, endpoint), max_queue_size=MOST_QUEUED)
        provider = TracerProvider(
            sampler=traces.sampler,
            resource=Resource.create(dict(resource)),
            shutdown_on_exit=False,
            id_generator=traces.ids,
            span_limits=LIMITS,
        )
        provider.add_span_processor(self._processor)
        trace.set_tracer_provider(ReplaySafeTracerProvider(provider, traces.ids))

    def close(self) -> None:
        """Sends what is left, for `FLUSH_S` at most."""
        # The SDK's own shutdown would wait for 30 s.
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_S)


def wordless(span: ReadableSpan) -> ReadableSpan:
    """The span without messages and stacks of exceptions, which may quote a prompt; their classes stay."""
    if not span.events and span.status.description is None:
        return span
    status = span.status
    if status.status_code is StatusCode.ERROR:
        status = Status(StatusCode.ERROR, (status.description or "").partition(":")[0][:64] or None)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_wordless_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _wordless_event(event: Event) -> Event:
    if event.name != "exception":
        return event
    kind = (event.attributes or {}).get("exception.type", "")
    return Event(event.name, {"exception.type": kind}, event.timestamp)
