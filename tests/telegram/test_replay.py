"""The workflow of a card must still replay what has been lived; nothing that a person reads stands in its history."""

import os
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from infra.temporal import DATA_CONVERTER
from tests.support.standin_telegram import BROKEN
from tests.telegram.conftest import Home
from workers.sandbox import workflow_runner
from workflows.names import telegram_card_id
from workflows.telegram_card import TelegramCardWorkflow
from workflows.telegram_starts import show_card

HISTORIES = Path(__file__).parents[1] / "replay" / "histories_telegram"
RECORD = "AITHER_RECORD_HISTORIES"
paths = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    await _replay(WorkflowHistory.from_json(path.stem, path.read_text()))


def test_there_are_histories() -> None:
    assert {path.stem for path in paths} == {"shown", "told-while-showing"}


async def test_a_card_told_while_it_shows_shows_once_more_and_no_text_is_in_its_history(home: Home) -> None:
    await home.bind_quietly(home.ann, "ann")
    home.bot.fail("sendMessage", BROKEN, chat=home.ann.id)
    async with home.running():
        ref = await home.ask("Only people read this", summary="Nor this")
        await home.bot.until(lambda: [m for m, said in home.bot.calls if _to(said, home.ann.id)])
        (card,) = await home.cards.plan(ref)
        for _ in range(3):
            await show_card(home.client, card)
        shown = await home.bot.card(home.ann.id)
        told = home.client.get_workflow_handle(telegram_card_id(card.approval_id, card.chat_id))
        await told.result()
        first = await told.fetch_history()
        await home.decide(ref, "bob", "approve")
        await home.reads(home.ann.id, shown.id, "✅")
        await told.result()
        second = await told.fetch_history()
    for name, history in (("told-while-showing", first), ("shown", second)):
        text = "".join(map(str, history.events))
        assert ref.approval_id in text
        assert "Only people" not in text
        assert "Nor this" not in text
        await _replay(history)
        if os.environ.get(RECORD):
            for event in history.events:
                if event.HasField("activity_task_started_event_attributes"):
                    event.activity_task_started_event_attributes.ClearField("last_failure")
            HISTORIES.mkdir(exist_ok=True)
            (HISTORIES / f"{name}.json").write_text(history.to_json())
    shows = [event for event in first.events if event.HasField("activity_task_scheduled_event_attributes")]
    assert len(shows) == 2


def _to(said: dict[str, str], chat_id: int) -> bool:
    return said.get("chat_id") == str(chat_id)


async def _replay(history: WorkflowHistory) -> None:
    replayer = Replayer(
        workflows=[TelegramCardWorkflow], data_converter=DATA_CONVERTER, workflow_runner=workflow_runner()
    )
    await replayer.replay_workflow(history)
