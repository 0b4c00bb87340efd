"""A changed card, or a changed `hold_lease`, must still replay what has been lived."""

from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from infra.temporal import DATA_CONVERTER
from tests.replay.cards import HISTORIES, LIVES, live
from tests.support.holders import Holder
from workers.sandbox import workflow_runner
from workflows.gpu_card import GpuCardWorkflow


def replayer() -> Replayer:
    return Replayer(
        workflows=[GpuCardWorkflow, Holder], data_converter=DATA_CONVERTER, workflow_runner=workflow_runner()
    )


def test_there_are_histories() -> None:
    assert len(list(HISTORIES.glob("*-card.json"))) == len(LIVES)


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    await replayer().replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))


@pytest.mark.parametrize("name", LIVES)
async def test_what_is_lived_now_replays(temporal: Client, name: str) -> None:
    for history in (await live(temporal, name)).values():
        await replayer().replay_workflow(history)
