"""The lives of a turn that replay and fingerprints pin down; `python -m tests.replay.scenarios` records them.

Names of scenarios as arguments record only those. Record anew only for a change that `workflow.patched` guards,
or before anything runs in production.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.contracts.turn import TurnInput, TurnOutcome
from infra.temporal import DATA_CONVERTER
from tests.support.turns import ScriptedActivities, answered, failed, flawed, good, pulled, rung, turn
from workers.sandbox import workflow_runner
from workflows.attributes import EFFORT, MODEL, RUNG, STATUS, TENANT
from workflows.names import Queue
from workflows.starts import start_turn
from workflows.turn import UserTurnWorkflow

HISTORIES = Path(__file__).parent / "histories"
FINGERPRINTS = Path(__file__).parent / "fingerprints.json"

COMMANDED = frozenset(
    {
        "activity_task_cancel_requested",
        "activity_task_scheduled",
        "marker_recorded",
        "request_cancel_external_workflow_execution_initiated",
        "signal_external_workflow_execution_initiated",
        "start_child_workflow_execution_initiated",
        "timer_canceled",
        "timer_started",
        "upsert_workflow_search_attributes",
        "workflow_execution_canceled",
        "workflow_execution_completed",
        "workflow_execution_continued_as_new",
        "workflow_execution_failed",
    }
)

FIRST, SECOND = "llm-first", "llm-second"

During = Callable[[WorkflowHandle[UserTurnWorkflow, TurnOutcome], ScriptedActivities], Awaitable[None]]


async def _nothing(*_: object) -> None:
    return None


async def _cancel_when_asked(
    handle: WorkflowHandle[UserTurnWorkflow, TurnOutcome], scripted: ScriptedActivities
) -> None:
    await scripted.asked.wait()
    await handle.cancel()


def scenarios() -> dict[str, tuple[TurnInput, ScriptedActivities, During]]:
    """Each life by name: the turn, what the activities say, and what happens meanwhile."""
    one, two = rung("first", FIRST), rung("second", SECOND)
    absent = rung("absent", "llm-absent", patience=timedelta(milliseconds=200))
    patient = turn("aged", rung("absent", "llm-absent", patience=timedelta(milliseconds=500)), two)
    return {
        "answered": (turn("answered", one), ScriptedActivities([answered]), _nothing),
        "answered-and-next": (
            turn("answered-and-next", one),
            ScriptedActivities([lambda step: answered(step, next_turn_id="turn_next")]),
            _nothing,
        ),
        "fallback": (
            turn("fallback", one, two),
            ScriptedActivities([lambda step: failed(step, "backend_unavailable"), answered]),
            _nothing,
        ),
        "escalated": (
            turn("escalated", one, reason=(two,), effort=8),
            ScriptedActivities([pulled, good]),
            _nothing,
        ),
        "reason-gives-nothing": (
            turn("reason-gives-nothing", one, reason=(two,), effort=3),
            ScriptedActivities(
                [lambda step: flawed(step, "cut"), lambda step: failed(step, "backend_rejected")]
            ),
            _nothing,
        ),
        "tried-again": (
            turn("tried-again", one),
            ScriptedActivities([lambda step: failed(step, "backend_unavailable"), good]),
            _nothing,
        ),
        "out-of-patience": (turn("out-of-patience", absent, two), ScriptedActivities([answered]), _nothing),
        "aged": (
            replace(patient, priority=4, plan=replace(patient.plan, aging=timedelta(milliseconds=200))),
            ScriptedActivities([answered]),
            _nothing,
        ),
        "failed-over": (
            turn("failed-over", one, two),
            ScriptedActivities([lambda step: failed(step, "backend_unavailable", member="a"), answered]),
            _nothing,
        ),
        "failed": (
            turn("failed", one),
            ScriptedActivities([lambda step: failed(step, "backend_rejected")]),
            _nothing,
        ),
        "cancelled": (turn("cancelled", one), ScriptedActivities([None]), _cancel_when_asked),
    }


async def live(client: Client, name: str) -> tuple[WorkflowHistory, ScriptedActivities]:
    """Lives the scenario on a real server; its history, and the activities that played in it."""
    template, scripted, during = scenarios()[name]
    turn_input = replace(template, turn_id=f"{name}-{uuid4().hex[:8]}")
    short = timedelta(milliseconds=100)
    async with AsyncExitStack() as workers:
        await workers.enter_async_context(
            Worker(
                client,
                task_queue=Queue.TURNS,
                workflows=[UserTurnWorkflow],
                activities=[scripted.end_turn, scripted.start_turn],
                workflow_runner=workflow_runner(),
            )
        )
        for queue in (FIRST, SECOND):
            await workers.enter_async_context(
                Worker(
                    client,
                    task_queue=queue,
                    activities=[scripted.chat],
                    max_heartbeat_throttle_interval=short,
                    default_heartbeat_throttle_interval=short,
                )
            )
        await start_turn(client, turn_input, lifetime=timedelta(minutes=1))
        handle = client.get_workflow_handle_for(UserTurnWorkflow.run, f"turn/{turn_input.turn_id}")
        await during(handle, scripted)
        try:
            await handle.result()
        except WorkflowFailureError as error:
            # A turn that fails or is cancelled closes its workflow the same way.
            assert name in {"failed", "cancelled"}, f"scenario {name} failed: {error.cause}"
        return await handle.fetch_history(), scripted


def fingerprint(history: WorkflowHistory) -> list[str]:
    """What the workflow commanded, in order; what came in meanwhile, and when, differs from run to run."""
    lines: list[str] = []
    for event in history.events:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        if kind not in COMMANDED:
            continue
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            kind += f" {scheduled.activity_type.name} on {scheduled.task_queue.name}"
        elif event.HasField("upsert_workflow_search_attributes_event_attributes"):
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            kind += " " + ",".join(sorted(fields))
        lines.append(kind)
    return lines


async def record(names: Collection[str]) -> None:
    """Records the histories and fingerprints of these scenarios."""
    HISTORIES.mkdir(exist_ok=True)
    prints: dict[str, list[str]] = json.loads(FINGERPRINTS.read_text()) if FINGERPRINTS.exists() else {}
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
        search_attributes=[TENANT, STATUS, EFFORT, RUNG, MODEL],
    ) as environment:
        for name in names:
            history, _ = await live(environment.client, name)
            (HISTORIES / f"turn-{name}.json").write_text(history.to_json() + "\n")
            prints[name] = fingerprint(history)
    prints = {name: prints[name] for name in scenarios() if name in prints}
    FINGERPRINTS.write_text(json.dumps(prints, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or list(scenarios())))
