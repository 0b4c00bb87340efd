"""A changed approval must still replay what has been lived; its own history holds no text."""

import base64
from pathlib import Path

import orjson
import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from infra.temporal import DATA_CONVERTER
from tests.approvals.asker import Asker
from tests.replay.approval_histories import HISTORIES, SECRET_WORDS
from workers.sandbox import workflow_runner
from workflows.approval import ApprovalWorkflow

paths = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())
    replayer = Replayer(
        workflows=[ApprovalWorkflow, Asker], data_converter=DATA_CONVERTER, workflow_runner=workflow_runner()
    )
    await replayer.replay_workflow(history)


def test_what_is_asked_is_in_no_history_of_an_approval() -> None:
    said = payloads(HISTORIES / "decided.json")
    assert "approval_id" in said
    assert SECRET_WORDS not in said
    assert SECRET_WORDS in payloads(HISTORIES / "asker-told.json"), "or this test looks in the wrong place"


def payloads(path: Path) -> str:
    """All that workflow and activities have said to each other."""
    found: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            data = value.get("data")
            if isinstance(data, str) and set(value) <= {"data", "metadata"}:
                found.append(base64.b64decode(data).decode("utf-8", "replace"))
            for part in value.values():
                collect(part)
        elif isinstance(value, list):
            for part in value:
                collect(part)

    collect(orjson.loads(path.read_text()))
    return "".join(found)


def test_there_are_histories() -> None:
    assert len(paths) == 7
