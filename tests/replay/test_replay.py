"""A changed workflow must still replay what has been lived, and do what was fingerprinted."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from activities.contracts.turn import TurnStatus
from infra.temporal import DATA_CONVERTER
from tests.replay.scenarios import FINGERPRINTS, HISTORIES, fingerprint, live, scenarios
from workers.sandbox import workflow_runner
from workflows.turn import UserTurnWorkflow


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("turn-*.json")), ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())
    replayer = Replayer(
        workflows=[UserTurnWorkflow], data_converter=DATA_CONVERTER, workflow_runner=workflow_runner()
    )
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("name", scenarios())
async def test_a_life_leaves_the_fingerprint_that_is_committed(temporal: Client, name: str) -> None:
    history, _ = await live(temporal, name)
    assert fingerprint(history) == json.loads(FINGERPRINTS.read_text())[name]


async def test_an_answered_turn_is_small_and_says_who_answered(temporal: Client) -> None:
    _, scripted = await live(temporal, "answered-and-next")
    assert [started.turn_id for started in scripted.started] == ["turn_next"]
    assert not scripted.endings, "the chat activity has recorded the end; nobody records it again"
    plain, _ = await live(temporal, "fallback")
    assert len(plain.events) <= 18


async def test_a_failed_turn_is_ended_with_its_whole_route(temporal: Client) -> None:
    _, scripted = await live(temporal, "failed")
    (ending,) = scripted.endings
    assert ending.status is TurnStatus.FAILED
    assert ending.error is not None
    assert ending.error.code == "backend_rejected"
    assert [hop.rung for hop in ending.route] == ["first"]


async def test_a_cancelled_turn_is_ended_as_cancelled(temporal: Client) -> None:
    _, scripted = await live(temporal, "cancelled")
    assert scripted.statuses == [TurnStatus.CANCELLED]


async def test_a_rung_without_room_is_left_when_patience_ends(temporal: Client) -> None:
    _, scripted = await live(temporal, "out-of-patience")
    (step,) = scripted.steps
    assert step.rung.name == "second"
    (skipped,) = step.route
    assert skipped.outcome == "skipped"
    assert skipped.why.startswith("no_room")
    assert timedelta(milliseconds=skipped.waited_ms) >= timedelta(milliseconds=150)


async def test_a_question_that_is_handed_on_reaches_the_reasoner_with_the_step_that_handed_it(
    temporal: Client,
) -> None:
    _, scripted = await live(temporal, "escalated")
    first, second = scripted.steps
    assert first.offer_reason
    assert second.consult_step == first.step
    assert [hop.outcome for hop in second.route] == ["escalated"]


async def test_a_flawed_answer_goes_out_when_the_reason_chain_gives_nothing(temporal: Client) -> None:
    _, scripted = await live(temporal, "reason-gives-nothing")
    (ending,) = scripted.endings
    assert ending.status is TurnStatus.COMPLETED
    assert ending.answer_step == scripted.steps[0].step


async def test_a_call_that_waits_becomes_more_urgent_and_its_hop_tells_the_whole_wait(
    temporal: Client,
) -> None:
    history, scripted = await live(temporal, "aged")
    waits = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert [(each.task_queue.name, each.priority.priority_key) for each in waits] == [
        *(("llm-absent", priority) for priority in (4, 3, 2)),
        ("llm-second", 4),
    ]
    assert {each.priority.fairness_key for each in waits} == {"acme"}
    patience = sum(each.schedule_to_start_timeout.ToMilliseconds() for each in waits[:3])
    assert patience == 500
    (step,) = scripted.steps
    (skipped,) = step.route
    assert skipped.why.endswith("within 0.5 s; it aged from priority 4 to 2")
    assert skipped.waited_ms >= 500


async def test_a_rung_is_asked_again_of_another_member(temporal: Client) -> None:
    _, scripted = await live(temporal, "failed-over")
    first, second = scripted.steps
    assert (first.rung, first.avoid) == (second.rung, ())
    assert (second.step, second.avoid) == (2, ("a",))
    assert [hop.backend for hop in second.route] == ["a"]
