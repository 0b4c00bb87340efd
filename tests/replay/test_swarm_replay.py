"""A changed swarm must still replay what has been lived, and its histories hold no text but previews."""

import base64
from pathlib import Path

import orjson
import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from infra.temporal import DATA_CONVERTER
from tests.replay.swarm_histories import HISTORIES
from workers.sandbox import workflow_runner
from workflows.swarm import SwarmWorkflow
from workflows.swarm_worker import SwarmWorkerWorkflow

paths = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())
    replayer = Replayer(
        workflows=[SwarmWorkflow, SwarmWorkerWorkflow],
        data_converter=DATA_CONVERTER,
        workflow_runner=workflow_runner(),
    )
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_what_was_found_is_in_no_history(path: Path) -> None:
    said: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            data = value.get("data")
            if isinstance(data, str) and set(value) <= {"data", "metadata"}:
                said.append(base64.b64decode(data).decode("utf-8", "replace"))
            for part in value.values():
                collect(part)
        elif isinstance(value, list):
            for part in value:
                collect(part)

    collect(orjson.loads(path.read_text()))
    assert said
    assert "So it is." not in "".join(said)


def test_there_are_histories() -> None:
    assert len(paths) >= 5
