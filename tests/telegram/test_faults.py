"""Telegram that is away, busy or unfriendly, and processes that die: nothing is lost, and no approval waits for it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.contracts.approvals import ApprovalStatus
from activities.contracts.telegram import CardRef
from infra.postgres.telegram_cards import PostgresTelegramCards
from infra.postgres.telegram_updates import PostgresTelegramUpdates
from infra.telegram.access import bot_access
from infra.telegram.poller import Leader
from infra.telegram.surface import opened_surface
from tests.support.standin_telegram import BROKEN, NOT_EDITABLE, flooded
from tests.telegram.conftest import Home
from workers.telegram_announcing import outward
from workflows.names import approval_workflow_id, telegram_card_id


async def test_telegram_away_for_an_approvals_whole_life_costs_it_nothing(home: Home) -> None:
    await home.bind_quietly(home.ann, "ann")
    await home.bind_quietly(home.bob, "bob")
    await home.bot.refuse()
    async with home.running():
        ref = await home.ask("Nobody on Telegram hears of it")
        await _planned(home, 2)
        await home.decide(ref, "bob", "approve")
        # The approval's workflow is over, while its cards still wait for Telegram.
        await home.client.get_workflow_handle(approval_workflow_id(ref.approval_id)).result()
        view = await home.view(ref)
        assert (view.status, view.decision and view.decision.by) == (ApprovalStatus.DECIDED, "bob")
        assert await home.trail(ref) == [("opened", "test", "rest"), ("decided", "bob", "rest")]
        assert not home.bot.messages
        await home.bot.accept()
        for who in (home.ann, home.bob):
            shown = await home.bot.until(lambda who=who: home.bot.sent_to(who.id))
            assert shown[0].text.startswith("✅ Approve: bob by the API")
            assert not shown[0].buttons


async def test_a_busy_telegram_is_asked_again_when_it_says(home: Home) -> None:
    await home.bind_quietly(home.ann, "ann")
    home.bot.fail("sendMessage", flooded(2), BROKEN, chat=home.ann.id)
    async with home.running():
        ref = await home.ask()
        await home.bot.card(home.ann.id)
        card = CardRef(tenant_id=ref.tenant_id, approval_id=ref.approval_id, chat_id=home.ann.id)
        await _shown(home, card)
        history = await home.client.get_workflow_handle(_id(card)).fetch_history()
        assert len(history.events) < 20
        calls = zip(home.bot.calls, home.bot.called_at, strict=True)
        mine = str(home.ann.id)
        first, second, _ = [
            at for (method, said), at in calls if method == "sendMessage" and said["chat_id"] == mine
        ]
        assert second - first >= 2


async def test_one_who_has_blocked_the_bot_keeps_nobody_else_from_deciding(home: Home) -> None:
    await home.bind_quietly(home.ann, "ann")
    await home.bind_quietly(home.bob, "bob")
    home.bot.blocked.add(home.ann.id)
    async with home.running():
        ref = await home.ask()
        card = await home.bot.card(home.bob.id)
        of_ann = CardRef(tenant_id=ref.tenant_id, approval_id=ref.approval_id, chat_id=home.ann.id)
        await _shown(home, of_ann)
        seen = await home.bindings.bindings(home.tenant)
        assert [(each.person, each.blocked_at is not None) for each in seen] == [
            ("ann", True),
            ("bob", False),
        ]
        (row,) = await home.rows("select trouble from aither.telegram_cards where chat_id = $1", home.ann.id)
        assert "blocked" in row["trouble"]

        # Ann comes back: what waits is shown to her.
        home.bot.blocked.clear()
        chat = {"id": home.ann.id, "type": "private", "first_name": "Ann"}
        me = {"id": 1, "is_bot": True, "first_name": "Aither"}
        change = {
            "chat": chat,
            "from": home.ann.wire,
            "date": 0,
            "old_chat_member": {"status": "kicked", "user": me, "until_date": 0},
            "new_chat_member": {"status": "member", "user": me},
        }
        await home.bot.inject({"my_chat_member": change})
        late = await home.bot.card(home.ann.id)
        await home.bot.tap(home.bob, card, "Approve")
        await home.reads(home.ann.id, late.id, "✅ Approve: bob")


async def test_a_card_that_cannot_be_edited_is_sent_anew(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        home.bot.fail("editMessageText", NOT_EDITABLE)
        await home.decide(ref, "bob", "deny")
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if m.text.startswith("⛔")])
        assert card.text.startswith("❓")
        assert len(home.bot.sent_to(home.ann.id)) == 2


async def test_a_card_that_shows_it_already_is_as_good_as_edited(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        # As after a crash between Telegram's word and ours.
        await home.rows("update aither.telegram_messages set shown = null where chat_id = $1", home.ann.id)
        await home.decide(ref, "bob", "approve")
        await home.reads(home.ann.id, card.id, "✅")
        await home.rows("update aither.telegram_messages set shown = 'x' where chat_id = $1", home.ann.id)
        ref_card = CardRef(tenant_id=ref.tenant_id, approval_id=ref.approval_id, chat_id=home.ann.id)
        await _shown(home, ref_card)
        await home.bot.tap_data(home.ann, home.ann.id, card.id, await _button(home, ref_card))
        await home.bot.until(lambda: _edits(home) == 2)
        await _shown(home, ref_card)
        assert len(card.earlier) == len(home.bot.sent_to(home.ann.id)) == 1


async def test_a_message_that_was_sent_and_not_noted_is_found_by_its_tap(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask()
        orphan = await home.bot.card(home.ann.id)
        card = CardRef(tenant_id=ref.tenant_id, approval_id=ref.approval_id, chat_id=home.ann.id)
        await _shown(home, card)
        await home.rows("delete from aither.telegram_messages where chat_id = $1", home.ann.id)
        await home.bot.tap(home.ann, orphan, "Approve")
        await home.reads(home.ann.id, orphan.id, "✅ Approve: ann")


async def test_a_tap_outlives_the_process_that_read_it(home: Home) -> None:
    await home.bind_quietly(home.ann, "ann")
    async with home.running():
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        await _shown(home, CardRef(tenant_id=ref.tenant_id, approval_id=ref.approval_id, chat_id=home.ann.id))
    # Another process reads the tap, keeps it, takes it up, and dies there.
    await home.bot.tap(home.ann, card, "Approve")
    (update,) = home.bot.updates
    updates = _updates(home)
    await updates.keep([(update["update_id"], json.dumps(update))])
    (due,) = await updates.due(10)
    assert await updates.due(10) == []
    assert (await home.view(ref)).status is ApprovalStatus.OPEN
    await updates.later(due.update_id, timedelta(0))
    async with home.running():
        await home.reads(home.ann.id, card.id, "✅ Approve: ann")
        assert len(home.bot.toasts) == 1
    assert [event for event, _, _ in await home.trail(ref)] == ["opened", "decided"]


async def test_of_two_processes_one_reads_and_the_other_takes_over(home: Home) -> None:
    updates = _updates(home)
    async with home.running():
        await home.bot.until(lambda: home.bot.pollers)
        first = await updates.leader()
        async with _reader(home, "second") as second:
            for _ in range(3):
                before = len(home.bot.calls)
                await home.bot.say(home.eve, "hello")
                await home.bot.until(lambda before=before: len(home.bot.calls) >= before + 2)
            assert (await updates.leader(), second.leads) == (first, False)
            assert home.bot.most_pollers == 1
    async with _reader(home, "third") as third:
        await home.bot.until(lambda: third.leads)
        assert await updates.leader() == "third"


async def test_reading_goes_on_after_refusals(home: Home) -> None:
    home.bot.fail("getUpdates", BROKEN, flooded(1))
    async with home.running():
        await home.bot.say(home.eve, "hello")
        await home.bot.until(lambda: home.bot.sent_to(home.eve.id))


async def test_messages_keep_the_distance_that_telegram_asks_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    updates = _updates(home)
    most = timedelta(seconds=5)
    private = [await updates.place(home.ann.id, most) for _ in range(8)]
    group = [await updates.place(home.group, most) for _ in range(4)]
    others = await asyncio.gather(*(updates.place(10**12 + n, most) for n in range(30)))
    assert [round(place.wait_s) for place in private if place.taken] == [0, 1, 2, 3, 4, 5][: len(private)]
    assert [place.taken for place in group] == [True, True, False, False]
    # Thirty to different people take a second; nobody waits for another's chat.
    assert all(place.taken for place in others)
    assert max(place.wait_s for place in others) < 3


async def test_the_token_is_in_no_log_line(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await home.bind_quietly(home.ann, "ann")
    home.bot.fail("sendMessage", BROKEN)
    home.bot.fail("getUpdates", BROKEN)
    async with home.running():
        await home.ask()
        await home.bot.card(home.ann.id)
    secret = home.bot.token.split(":")[1]
    ours = [r for r in caplog.records if not r.name.startswith(("aiohttp", "asyncio"))]
    assert [record.name for record in ours if secret in record.getMessage()] == []


def _updates(home: Home) -> PostgresTelegramUpdates:
    return PostgresTelegramUpdates(home.database, int(home.bot.token.split(":")[0]))


@asynccontextmanager
async def _reader(home: Home, holder: str) -> AsyncGenerator[Leader]:
    """Another process that is told to read."""
    access = bot_access(home.settings())
    assert access is not None
    async with opened_surface(access, home.database, home.approvals, outward(home.client)) as surface:
        leader = Leader(surface.bot, surface.updates, surface.inbox, holder, ttl=timedelta(seconds=3))
        async with surface.inbox.working(), leader.leading():
            yield leader


async def _planned(home: Home, count: int) -> None:
    """So many cards are to be shown."""
    async with asyncio.timeout(60):
        while (
            len(await home.rows("select from aither.telegram_cards where tenant_id = $1", home.tenant))
            < count
        ):
            await asyncio.sleep(0.02)


def _edits(home: Home) -> int:
    mine = str(home.ann.id)
    return len([m for m, said in home.bot.calls if m == "editMessageText" and said["chat_id"] == mine])


async def _button(home: Home, card: CardRef) -> str:
    bot_id = int(home.bot.token.split(":")[0])
    known = await PostgresTelegramCards(home.database).card(card, bot_id)
    assert known is not None
    return next(button.id for button in known.buttons if button.option == "approve")


def _id(card: CardRef) -> str:
    return telegram_card_id(card.approval_id, card.chat_id)


async def _shown(home: Home, card: CardRef) -> None:
    """The card's workflow has ended: all there is to show is shown, and noted."""
    handle = home.client.get_workflow_handle(_id(card))
    await handle.result()
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
