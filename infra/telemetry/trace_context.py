"""Whose trace a span is of. A turn's (or job's) trace id is the number that its own id spells, so nobody stores it.

What begins later, or elsewhere (a sweep, the next turn of a conversation), finds the trace by the id alone.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes
from temporalio.contrib.opentelemetry._id_generator import TemporalIdGenerator

from infra.telemetry.trace_ids import root_span_number, trace_number

_asked_for: ContextVar[list[tuple[int, int]] | None] = ContextVar("aither_asked_for", default=None)


class DerivedIds(TemporalIdGenerator):
    """The ids that a root was asked for with; Temporal's deterministic ones in workflows, random ones elsewhere."""

    def __init__(self) -> None:
        super().__init__(RandomIdGenerator())

    def generate_trace_id(self) -> int:
        """See `IdGenerator`. Called before the span's id, and for roots only."""
        asked = _asked_for.get()
        return asked[0][0] if asked else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """See `IdGenerator`."""
        asked = _asked_for.get()
        return asked.pop()[1] if asked else super().generate_span_id()


class AskedForRoots(Sampler):
    """Of spans without a parent, a share of those that were asked for: sweeps and queries begin no traces."""

    def __init__(self, share: float) -> None:
        self._share = TraceIdRatioBased(share)

    def should_sample(  # noqa: PLR0917 - the base class's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See `Sampler`."""
        if not _asked_for.get():
            return SamplingResult(Decision.DROP)
        return self._share.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def takes(self, trace_id: int) -> bool:
        """Whether a trace of that id is among them."""
        return self._share.should_sample(None, trace_id, "").decision.is_sampled()

    def get_description(self) -> str:
        """See `Sampler`."""
        return f"AskedForRoots({self._share.get_description()})"


class Traces:
    """Traces by the ids of turns and jobs."""

    def __init__(self, share: float) -> None:
        self.roots = AskedForRoots(share)
        self.sampler = ParentBased(self.roots)
        self.ids = DerivedIds()

    @contextmanager
    def root(self, key: str) -> Generator[None]:
        """The next span without a parent is the root of this turn's or job's trace; of a trace of its own without."""
        if key:
            numbers = trace_number(key), root_span_number(key)
        else:
            numbers = self.ids.generate_trace_id(), self.ids.generate_span_id()
        token = _asked_for.set([numbers])
        try:
            yield
        finally:
            _asked_for.reset(token)

    def root_of(self, key: str) -> SpanContext:
        """The root of that turn's or job's trace, wherever it was begun."""
        trace = trace_number(key)
        flags = TraceFlags.SAMPLED if self.roots.takes(trace) else TraceFlags.DEFAULT
        return SpanContext(trace, root_span_number(key), is_remote=True, trace_flags=TraceFlags(flags))

    def below_root(self, key: str) -> Context:
        """A context whose spans stand below that root."""
        return set_span_in_context(NonRecordingSpan(self.root_of(key)), Context())
