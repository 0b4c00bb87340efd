"""Traces through Temporal: the SDK's OpenTelemetry plugin, and around it whose trace a workflow joins.

What a span may tell is decided here, word by word: ids, names and numbers, never a reason or a message.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import temporalio.client
import temporalio.worker
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue
from temporalio import activity, workflow
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin

from activities.contracts.turn import ChatResult, ChatStep, Hop, TurnInput, TurnOutcome
from infra.ids import is_id
from infra.telemetry.trace_context import Traces
from infra.telemetry.trace_http import served

CARRIER = "_tracer-data"
"""The header in which the SDK's plugin hands a trace on."""
BEGIN_LATER = frozenset({"sweep-turns", "sweep-jobs", "start-turn"})
"""Activities that start a turn or job which a request came with before: its trace has a root already."""
NANO = 1_000_000_000

_SUBJECTS = {"turn/": "turn", "swarm/": "job"}


def subject_of(workflow_id: str) -> str | None:
    """The turn or job that a workflow is, by its id; None for all others."""
    for prefix, kind in _SUBJECTS.items():
        key = workflow_id.removeprefix(prefix)
        if key != workflow_id and is_id(kind, key):
            return key
    return None


class TracingPlugin(OpenTelemetryPlugin):
    """The SDK's plugin with ours around and inside of it."""

    def __init__(self, traces: Traces) -> None:
        super().__init__(add_temporal_spans=True)
        self.interceptors = [Joining(traces), *(self.interceptors or ()), Telling()]


class Joining(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Sees to it that each turn, and each job, is in a trace of its own: around the SDK's interceptor."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def intercept_client(
        self, next: temporalio.client.OutboundInterceptor
    ) -> temporalio.client.OutboundInterceptor:
        """See `temporalio.client.Interceptor`."""
        return _JoiningClient(next, self._traces)

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor]:
        """See `temporalio.worker.Interceptor`."""

        class OfTheseTraces(_JoiningWorkflow):
            traces = self._traces

        return OfTheseTraces


class _JoiningClient(temporalio.client.OutboundInterceptor):
    def __init__(self, next: temporalio.client.OutboundInterceptor, traces: Traces) -> None:
        super().__init__(next)
        self._traces = traces

    async def start_workflow(
        self, input: temporalio.client.StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        key = subject_of(input.id)
        if key is None:
            return await super().start_workflow(input)
        with self._begun(key):
            return await super().start_workflow(input)

    @contextmanager
    def _begun(self, key: str) -> Generator[None]:
        """Within the trace of this turn or job: below its request, below a root that is elsewhere, or as the root."""
        request = served.get()
        if request is not None and (within := request.within(key)) is not None:
            with _attached(within):
                yield
            return
        _link(self._traces, key)
        begun_before = activity.in_activity() and activity.info().activity_type in BEGIN_LATER
        if begun_before or request is not None:
            with _attached(self._traces.below_root(key)):
                yield
            return
        with _attached(Context()), self._traces.root(key):
            yield


class _JoiningWorkflow(temporalio.worker.WorkflowInboundInterceptor):
    traces: Traces

    def init(self, outbound: temporalio.worker.WorkflowOutboundInterceptor) -> None:
        super().init(_JoiningOutbound(outbound, self.traces))

    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        key = None if CARRIER in input.headers else subject_of(workflow.info().workflow_id)
        if key is None:
            return await super().execute_workflow(input)
        with self.traces.root(key):
            return await super().execute_workflow(input)


class _JoiningOutbound(temporalio.worker.WorkflowOutboundInterceptor):
    def __init__(self, next: temporalio.worker.WorkflowOutboundInterceptor, traces: Traces) -> None:
        super().__init__(next)
        self._traces = traces

    async def start_child_workflow(
        self, input: temporalio.worker.StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        """A job's turn has a trace of its own, to which the job's is linked."""
        key = subject_of(input.id)
        if key is not None:
            _link(self._traces, key)
            input.headers = {name: value for name, value in input.headers.items() if name != CARRIER}
        return await super().start_child_workflow(input)


class Telling(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Writes onto the spans of turns and calls what they came to: inside of the SDK's interceptor."""

    def intercept_activity(
        self, next: temporalio.worker.ActivityInboundInterceptor
    ) -> temporalio.worker.ActivityInboundInterceptor:
        """See `temporalio.worker.Interceptor`."""
        return _TellingActivity(next)

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor]:
        """See `temporalio.worker.Interceptor`."""
        return _TellingWorkflow


class _TellingActivity(temporalio.worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: temporalio.worker.ExecuteActivityInput) -> Any:
        step: object = input.args[0] if input.args else None
        span = trace.get_current_span()
        if not isinstance(step, ChatStep) or not span.is_recording():
            return await super().execute_activity(input)
        span.set_attributes({**asked(step), "aither.attempt": activity.info().attempt})
        result = await super().execute_activity(input)
        if isinstance(result, ChatResult):
            span.set_attributes(told(result))
        return result


class _TellingWorkflow(temporalio.worker.WorkflowInboundInterceptor):
    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        turn: object = input.args[0] if input.args else None
        if not isinstance(turn, TurnInput):
            return await super().execute_workflow(input)
        span = trace.get_current_span()
        span.set_attributes(
            {
                "aither.turn.id": turn.turn_id,
                "aither.tenant.id": turn.tenant_id,
                "aither.ladder": turn.plan.ladder.name,
                "aither.effort": turn.plan.effort,
                "aither.priority": turn.priority,
            }
        )
        outcome = await super().execute_workflow(input)
        if isinstance(outcome, TurnOutcome):
            span.set_attributes({"aither.outcome": outcome.status.value, "aither.hops": outcome.hops})
        return outcome


def asked(step: ChatStep) -> dict[str, AttributeValue]:
    """What a call is asked for, by OpenTelemetry's names where it has some."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": step.rung.model,
        "gen_ai.request.max_tokens": step.max_tokens,
        "aither.turn.id": step.turn_id,
        "aither.tenant.id": step.tenant_id,
        "aither.step": step.step,
        "aither.rung": step.rung.name,
        "aither.pool": step.rung.pool,
        "aither.backend": step.rung.backend,
    }


def told(result: ChatResult) -> Mapping[str, AttributeValue]:
    """What came of it."""
    hop: Hop = result.hop
    found: dict[str, AttributeValue | None] = {
        "gen_ai.provider.name": hop.backend,
        "gen_ai.response.model": hop.model_served,
        "gen_ai.usage.input_tokens": hop.prompt_tokens,
        "gen_ai.usage.output_tokens": hop.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": hop.cached_tokens,
        "aither.backend": hop.backend,
        "aither.locality": hop.locality.value,
        "aither.outcome": hop.outcome.value,
        "aither.cost_usd": hop.cost_usd,
        "aither.cost_nano_usd": round(hop.cost_usd * NANO),
        "aither.queue_ms": hop.waited_ms,
        "aither.run_ms": hop.ran_ms,
        "aither.first_token_ms": hop.first_token_ms,
        "aither.pulled_reason": result.pulled,
        "aither.flaw": result.flaw,
        "error.type": result.error.code if result.error else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _link(traces: Traces, key: str) -> None:
    """Has the span of here say which trace it began."""
    here = trace.get_current_span()
    root = traces.root_of(key)
    if here.is_recording() and here.get_span_context().trace_id != root.trace_id:
        here.add_link(root, {"aither.subject": key})


@contextmanager
def _attached(within: Context) -> Generator[None]:
    token = otel_context.attach(within)
    try:
        yield
    finally:
        otel_context.detach(token)
