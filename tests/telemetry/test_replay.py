"""Traces of workflows that are replayed at every step: no span twice, and each turn in a trace of its own."""

from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider
from temporalio.worker import Worker

from infra.ids import new_id
from infra.telemetry.trace_context import Traces
from infra.telemetry.trace_export import wordless
from infra.telemetry.trace_ids import root_span_number, trace_id_of, trace_number
from infra.telemetry.trace_temporal import TracingPlugin
from infra.temporal import DATA_CONVERTER
from tests.telemetry.replayed import JobLike, TurnLike, step
from workers.sandbox import workflow_runner

QUEUE = "replayed"
SECRET = "canary-marmalade"


@pytest.fixture(scope="module")
def exported() -> Iterator[tuple[Traces, InMemorySpanExporter]]:
    """Spans of this process. The provider stays set, as OpenTelemetry will have it, and takes none after this."""
    traces, memory = Traces(1.0), InMemorySpanExporter()
    provider = TracerProvider(sampler=traces.sampler, id_generator=traces.ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(ReplaySafeTracerProvider(provider, traces.ids))
    yield traces, memory
    memory.shutdown()


def by_trace(memory: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in memory.get_finished_spans():
        assert span.context is not None
        found.setdefault(f"{span.context.trace_id:032x}", []).append(span)
    return found


async def test_a_workflow_that_is_replayed_at_every_step_leaves_each_span_once(
    temporal: Client, exported: tuple[Traces, InMemorySpanExporter]
) -> None:
    traces, memory = exported
    target = temporal.service_client.config.target_host
    client = await Client.connect(target, data_converter=DATA_CONVERTER, plugins=[TracingPlugin(traces)])
    turn, job, children = new_id("turn"), new_id("job"), [new_id("turn"), new_id("turn")]
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[TurnLike, JobLike],
        activities=[step],
        workflow_runner=workflow_runner(),
        max_cached_workflows=0,
    ):
        await client.execute_workflow(TurnLike.run, 3, id=f"turn/{turn}", task_queue=QUEUE)
        await client.execute_workflow(JobLike.run, children, id=f"swarm/{job}", task_queue=QUEUE)
        await client.execute_workflow(TurnLike.run, 1, id="something-else", task_queue=QUEUE)
    found = by_trace(memory)
    assert set(found) == {trace_id_of(each) for each in (turn, job, *children)}

    names = Counter(span.name for span in found[trace_id_of(turn)])
    assert names == {
        "StartWorkflow:turn-like": 1,
        "RunWorkflow:turn-like": 1,
        "StartActivity:step": 3,
        "RunActivity:step": 3,
    }
    for spans in found.values():
        ids = [span.context.span_id for span in spans if span.context]
        assert len(set(ids)) == len(ids)
        (root,) = [span for span in spans if span.parent is None]
        assert root.context is not None
        assert root.context.span_id == root.context.trace_id & ((1 << 64) - 1)
        assert {span.parent.span_id for span in spans if span.parent} <= set(ids)
    linked = {
        (link.context.trace_id, link.context.span_id)
        for span in found[trace_id_of(job)]
        for link in span.links
    }
    assert linked == {(trace_number(each), root_span_number(each)) for each in children}


def test_a_share_is_decided_by_the_trace_alone_so_that_whoever_starts_a_turn_decides_alike() -> None:
    half, all_of_it, none = Traces(0.5), Traces(1.0), Traces(0.0)
    turns = [new_id("turn") for _ in range(400)]
    taken = [half.root_of(turn).trace_flags.sampled for turn in turns]
    assert 100 < sum(taken) < 300
    assert taken == [Traces(0.5).root_of(turn).trace_flags.sampled for turn in turns]
    assert all(all_of_it.root_of(turn).trace_flags.sampled for turn in turns)
    assert not any(none.root_of(turn).trace_flags.sampled for turn in turns)


def test_what_an_exception_says_leaves_no_process() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with (
        pytest.raises(ValueError, match=SECRET),
        provider.get_tracer("test").start_as_current_span("call"),
    ):
        raise ValueError(SECRET)
    (span,) = memory.get_finished_spans()
    told = wordless(span).to_json()
    assert SECRET in span.to_json()
    assert SECRET not in told
    assert "ValueError" in told
