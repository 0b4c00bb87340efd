"""What Temporal is told of a turn: enough to find it and to follow it, little, and none of its text."""

from collections.abc import Sequence
from typing import Any

import httpx2
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.e2e.conftest import question
from tests.e2e.killing import until
from tests.e2e.reading import ask, ended
from tests.e2e.tracing import closes, history
from tests.support.standin import Reply, StandIn
from workflows.attributes import EFFORT, MODEL, RUNG, STATUS, TENANT
from workflows.names import turn_workflow_id

MOST_EVENTS = 15
MOST_BYTES = 8 * 1024
TOLERANCE_BYTES = 64


def size(events: Sequence[HistoryEvent]) -> int:
    return sum(event.ByteSize() for event in events)


def raw(events: Sequence[HistoryEvent]) -> bytes:
    return b"".join(event.SerializeToString() for event in events)


def never(_: dict[str, Any]) -> str:
    return "no, said the model"


async def answered(rest: httpx2.AsyncClient, traces: Client, text: str, **fields: Any) -> dict[str, Any]:
    turn = await ask(rest, text, **fields)
    assert (await ended(rest, turn["id"]))["status"] == "completed"
    await closes(traces, turn["id"])
    return turn


async def test_a_history_does_not_grow_with_the_conversation(
    backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    backend.default = Reply(text="noted")
    few = await answered(rest, traces, question("a-few-tokens", 30))
    many = await answered(rest, traces, question("many-tokens:", 100_000))
    after = await answered(
        rest, traces, question("and-after-it", 30), conversation_id=many["conversation_id"]
    )
    (call,) = [call for call in backend.calls if call.text == question("and-after-it", 30)]
    assert sum(len(message["content"].split()) for message in call.body["messages"]) > 100_000

    histories = [await history(traces, turn["id"]) for turn in (few, many, after)]
    assert len({len(events) for events in histories}) == 1
    assert len(histories[0]) <= MOST_EVENTS
    sizes = [size(events) for events in histories]
    assert max(sizes) <= MOST_BYTES
    assert max(sizes) - min(sizes) <= TOLERANCE_BYTES, sizes


async def test_a_history_holds_no_text_beyond_its_preview(
    backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """Neither of the question nor of the answer, nor of a model's own words on the way to it."""
    backend.script(
        Reply(tool_calls=(("reason", '{"question": "xylophone"}'),)), Reply(text="a zeppelin, of course")
    )
    turn = await answered(rest, traces, f"{question('preview', 20)} xylophone", effort=9)
    events = await history(traces, turn["id"])
    assert b"preview w0 w1 w2" in raw(events)
    assert b"w19" not in raw(events)
    assert b"xylophone" not in raw(events)
    assert b"zeppelin" not in raw(events)
    described = await traces.get_workflow_handle(turn_workflow_id(turn["id"])).describe()
    assert (await described.static_summary() or "") == question("preview", 20)[:48]


async def test_turns_are_found_by_tenant_status_and_model(
    backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    turns = {
        "small": await answered(rest, traces, question("found-small"), effort=2),
        "plain": await answered(rest, traces, question("found-plain"), model="plain", effort=4),
    }
    backend.refuses = never
    try:
        failed = await ask(rest, question("found-failed"), model="plain")
        await ended(rest, failed["id"])
    finally:
        backend.refuses = None

    async def found(query: str) -> set[str]:
        return {run.id async for run in traces.list_workflows(f"WorkflowType='user-turn' and {query}")}

    for model, turn in turns.items():
        workflow_id = turn_workflow_id(turn["id"])
        query = f"AitherTenant='default' and AitherStatus='completed' and AitherModel='{model}'"

        async def listed(query: str = query, workflow_id: str = workflow_id) -> bool:
            return workflow_id in await found(query)

        await until(listed, query)
        shown = (await traces.get_workflow_handle(workflow_id).describe()).typed_search_attributes
        assert (shown[TENANT], shown[STATUS], shown[MODEL], shown[RUNG]) == (
            "default",
            "completed",
            model,
            model,
        )
        assert shown[EFFORT] == {"small": 2, "plain": 4}[model]

    async def listed_as_failed() -> bool:
        return turn_workflow_id(failed["id"]) in await found("AitherStatus='failed'")

    await until(listed_as_failed, "the failed turn is listed")
    assert not await found("AitherTenant='another'")
    plain = await found("AitherModel='plain'")
    assert turn_workflow_id(turns["small"]["id"]) not in plain
