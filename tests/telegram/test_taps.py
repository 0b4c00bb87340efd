"""Taps of every kind: once is once, and nobody decides who may not."""

import asyncpg

from activities.contracts.approvals import ApprovalStatus, Deciders
from tests.telegram.conftest import Home


async def test_the_second_of_two_taps_is_told_who_was_first(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.bind_quietly(home.bob, "bob")
        ref = await home.ask()
        of_ann, of_bob = await home.bot.card(home.ann.id), await home.bot.card(home.bob.id)
        approve, deny = of_ann.data("Approve"), of_bob.data("Deny")
        first = await home.bot.tap_data(home.ann, home.ann.id, of_ann.id, approve)
        assert "✅" in await home.bot.toast(first)
        again = await home.bot.tap_data(home.ann, home.ann.id, of_ann.id, approve)
        late = await home.bot.tap_data(home.bob, home.bob.id, of_bob.id, deny)
        for query in (again, late):
            assert (await home.bot.toast(query)).startswith("Too late. ✅ Approve: ann on Telegram")
        trail = await home.trail(ref)
        assert sorted(trail) == [
            ("closed", "ann", "telegram"),
            ("closed", "bob", "telegram"),
            ("decided", "ann", "telegram"),
            ("opened", "test", "rest"),
        ]


async def test_an_update_that_comes_again_is_dealt_with_once(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        query = await home.bot.tap(home.ann, card, "Approve")
        await home.bot.toast(query)
        await home.reads(home.ann.id, card.id, "✅")
        (tap,) = [row["update_id"] for row in await _updates(home)]
        # Telegram repeats what it believes to be unconfirmed, for instance after its own restart.
        update = {
            "callback_query": {"id": query, "from": home.ann.wire, "chat_instance": "x", "data": "whatever"}
        }
        home.bot.offset = 0
        await home.bot.inject(update, update_id=tap)
        await home.bot.say(home.ann, "hello")
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if "You decide as" in m.text])
        assert [event for event, _, _ in await home.trail(ref)] == ["opened", "decided"]
        assert len(home.bot.toasts) == 1


async def test_a_tap_after_the_deadline_decides_nothing_and_is_told(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        await home.rows(
            "update aither.approvals set deadline = clock_timestamp() where id = $1", ref.approval_id
        )
        query = await home.bot.tap(home.ann, card, "Approve")
        assert (await home.bot.toast(query)).startswith("Too late. ⌛ Nobody decided in time, so: Deny")
        await home.reads(home.ann.id, card.id, "⌛")
        view = await home.view(ref)
        assert (view.status, view.decision and view.decision.approved) == (ApprovalStatus.EXPIRED, False)
        assert await home.trail(ref) == [
            ("opened", "test", "rest"),
            ("expired", "", "clock"),
            ("closed", "ann", "telegram"),
        ]


async def test_strangers_and_unasked_people_decide_nothing_and_stand_in_the_trail(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.bind_quietly(home.bob, "bob")
        await home.bindings.add_group(home.tenant, home.group, "Asia/Tokyo")
        ref = await home.ask(deciders=Deciders(people=("ann",)))
        of_group, of_ann = await home.bot.card(home.group), await home.bot.card(home.ann.id)
        assert "JST" in of_group.text
        assert not home.bot.sent_to(home.bob.id)

        stranger = await home.bot.tap(home.eve, of_group, "Approve")
        assert "not bound" in await home.bot.toast(stranger)
        unasked = await home.bot.tap(home.bob, of_group, "Approve")
        assert "not yours" in await home.bot.toast(unasked)
        # Eve knows what a button of Ann's card holds: it means nothing in another chat, nor does a guess.
        for data in (of_ann.data("Approve"), "0" * 32, "approve", "'; drop table aither.approvals; --"):
            forged = await home.bot.tap_data(home.eve, home.eve.id, 1, data)
            assert "not known" in await home.bot.toast(forged)
        view = await home.view(ref)
        assert (view.status, view.votes) == (ApprovalStatus.OPEN, ())
        assert await home.trail(ref) == [
            ("opened", "test", "rest"),
            ("stranger", f"telegram:{home.eve.id}", "telegram"),
            ("stranger", "bob", "telegram"),
        ]
        mine = await home.bot.tap(home.ann, of_group, "Approve")
        assert "✅" in await home.bot.toast(mine)
        await home.reads(home.ann.id, of_ann.id, "✅ Approve: ann")
        await home.reads(home.group, of_group.id, "✅ Approve: ann")


async def test_nothing_is_decided_in_a_group_that_is_not_allowed(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.bindings.add_group(home.tenant, home.other_group, "UTC")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        assert not home.bot.sent_to(home.other_group)
        query = await home.bot.tap_data(home.ann, home.other_group, card.id, card.data("Approve"))
        assert "not decided in this chat" in await home.bot.toast(query)
        code = await home.bindings.offer(home.tenant, "bob")
        await home.bot.say(home.bob, f"/start {code}", chat_id=home.other_group)
        await home.bot.say(home.bob, f"/start {code}", chat_id=home.group)
        await home.bind(home.eve, "bob")
        assert (await home.view(ref)).status is ApprovalStatus.OPEN
        assert not home.bot.sent_to(home.other_group)


async def test_a_note_that_comes_after_its_tap_is_not_lost(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        await home.bot.tap(home.ann, card, "Deny")
        await home.reads(home.ann.id, card.id, "⛔")
        # Sent before, delivered after: its message's number is the smaller one.
        note = {
            "message_id": 1,
            "date": 0,
            "chat": {"id": home.ann.id, "type": "private", "first_name": "Ann"},
            "from": home.ann.wire,
            "text": "too dear",
            "reply_to_message": {
                "message_id": card.id,
                "date": 0,
                "chat": {"id": home.ann.id, "type": "private", "first_name": "Ann"},
            },
        }
        await home.bot.inject({"message": note})
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if m.text.startswith("Kept")])
        story = await home.approvals.story(ref)
        assert story is not None
        assert [(line["event"], line["note"]) for line in story["audit"]] == [
            ("opened", ""),
            ("decided", ""),
            ("noted", "too dear"),
        ]


async def test_a_quorum_is_counted_on_every_card(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.bind_quietly(home.bob, "bob")
        ref = await home.ask(deciders=Deciders(people=("ann", "bob"), quorum=2))
        of_ann, of_bob = await home.bot.card(home.ann.id), await home.bot.card(home.bob.id)
        query = await home.bot.tap(home.ann, of_ann, "Approve")
        assert await home.bot.toast(query) == "Counted. 1 more must say the same."
        await home.reads(home.bob.id, of_bob.id, "So far: ann says Approve")
        query = await home.bot.tap(home.bob, of_bob, "Approve")
        assert "✅" in await home.bot.toast(query)
        await home.reads(home.ann.id, of_ann.id, "✅ Approve: bob")
        assert (await home.view(ref)).status is ApprovalStatus.DECIDED


async def test_a_card_so_old_that_its_message_is_not_accessible_still_decides(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.ask()
        card = await home.bot.card(home.ann.id)
        query = await home.bot.tap(home.ann, card, "Approve", inaccessible=True)
        assert "✅" in await home.bot.toast(query)


async def _updates(home: Home) -> list[asyncpg.Record]:
    return await home.rows(
        "select update_id from aither.telegram_updates where bot_id = $1 and body is null",
        int(home.bot.token.split(":")[0]),
    )
