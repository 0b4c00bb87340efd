"""A changed lease must still replay what has been lived, and its histories hold no secret of its box."""

import base64
import re
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from infra.temporal import DATA_CONVERTER
from tests.replay.lease_histories import HISTORIES, LIVES
from workers.sandbox import workflow_runner
from workflows.burst import BurstLeaseWorkflow

paths = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    replayer = Replayer(
        workflows=[BurstLeaseWorkflow], data_converter=DATA_CONVERTER, workflow_runner=workflow_runner()
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
def test_no_key_is_in_a_history(path: Path) -> None:
    data = re.findall(r'"data": "([^"]*)"', path.read_text())
    said = b"".join(base64.b64decode(each) for each in data).decode("utf-8", "replace")
    assert "lease_" in said
    assert "AITHER_BOX" not in said
    assert not re.search(r"\b[0-9a-f]{64}\b", said)


def test_there_are_histories() -> None:
    assert {path.stem for path in paths} == set(LIVES)
