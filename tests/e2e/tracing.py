"""What Temporal has of a turn: how its workflow stands, and what its history says."""

from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskStartedEventAttributes, HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e.killing import until
from workflows.names import CHAT, turn_workflow_id


async def history(traces: Client, turn_id: str) -> Sequence[HistoryEvent]:
    """The events of the turn's workflow so far."""
    return (await traces.get_workflow_handle(turn_workflow_id(turn_id)).fetch_history()).events


async def chats(traces: Client, turn_id: str) -> list[int]:
    """The calls of the turn's workflow that came to an end, each as the number of its last attempt."""
    return [each.attempt for each in _started(await history(traces, turn_id))]


async def failures(traces: Client, turn_id: str) -> list[str]:
    """What ended the attempt before the last one, of each call that had more than one."""
    started = _started(await history(traces, turn_id))
    return [each.last_failure.message for each in started if each.attempt > 1]


def _started(events: Sequence[HistoryEvent]) -> list[ActivityTaskStartedEventAttributes]:
    """The starts of the chat activities, which a history tells once they have ended."""
    chat = {
        event.event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == CHAT
    }
    return [
        event.activity_task_started_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
        and event.activity_task_started_event_attributes.scheduled_event_id in chat
    ]


async def closes(
    traces: Client, turn_id: str, wanted: WorkflowExecutionStatus = WorkflowExecutionStatus.COMPLETED
) -> None:
    """Waits until the turn's workflow has closed, in this way."""
    handle = traces.get_workflow_handle(turn_workflow_id(turn_id))

    async def closed() -> bool:
        status = (await handle.describe()).status
        assert status in {WorkflowExecutionStatus.RUNNING, wanted}, status
        return status is wanted

    await until(closed, f"the workflow of {turn_id} is {wanted.name}")
