"""From a code to a decided card: what people on Telegram see, and what PostgreSQL has of it."""

from datetime import UTC, datetime, timedelta

from activities.contracts.approvals import ApprovalStatus, Deciders, Escalation, Scope, Surface
from tests.telegram.conftest import Home


async def test_from_the_code_to_the_decided_card(home: Home) -> None:
    async with home.running():
        await home.bind(home.ann, "ann")
        await home.bind(home.bob, "bob")
        ref = await home.ask(
            "Rent a card for two hours",
            summary="The queue is an hour long.",
            cost_usd=0.31,
            leaves_building=True,
            destination="Vast.ai",
            requester="burst/lease-1",
            deadline=datetime(2037, 1, 15, 17, 0, tzinfo=UTC),
        )
        of_ann, of_bob = await home.bot.card(home.ann.id), await home.bot.card(home.bob.id)
        for words in (
            "Rent a card for two hours",
            "$0.31",
            "LEAVES THE BUILDING, to Vast.ai",
            "burst/lease-1",
        ):
            assert words in of_ann.text
        assert "18:00 CET" in of_ann.text
        assert "12:00 EST" in of_bob.text
        assert of_ann.labels == ["Approve", "Deny"]

        query = await home.bot.tap(home.ann, of_ann, "Approve")
        assert "✅ Approve: ann on Telegram" in await home.bot.toast(query)
        decision = (await home.view(ref)).decision
        assert decision is not None
        assert (decision.by, decision.approved, decision.surface) == ("ann", True, Surface.TELEGRAM)
        for card in (of_ann, of_bob):
            await home.reads(card.chat_id, card.id, "✅ Approve: ann on Telegram")
            assert card.labels == []
        assert await home.trail(ref) == [("opened", "test", "rest"), ("decided", "ann", "telegram")]


async def test_what_is_decided_elsewhere_or_expires_is_told_to_everyone(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.bind_quietly(home.bob, "bob")
        decided = await home.ask("Decided elsewhere")
        cards = [await home.bot.card(who.id, "Decided elsewhere") for who in (home.ann, home.bob)]
        await home.decide(decided, "bob", "deny")
        for card in cards:
            await home.reads(card.chat_id, card.id, "⛔ Deny: bob by the API")

        expired = await home.ask("Nobody looks")
        cards = [await home.bot.card(who.id, "Nobody looks") for who in (home.ann, home.bob)]
        await home.expire(expired)
        for card in cards:
            await home.reads(card.chat_id, card.id, "⌛ Nobody decided in time, so: Deny")
        assert (await home.view(expired)).status is ApprovalStatus.EXPIRED


async def test_scopes_are_buttons_and_a_reply_is_the_note(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        ref = await home.ask(
            "Run a shell command",
            scopes=(Scope.ONCE, Scope.CONVERSATION, Scope.ALWAYS),
            conversation_id="conv-1",
            agent="coder",
            action="shell",
            fingerprint="f",
            details="\n".join(f"line {n} of what it would run" for n in range(600)),
        )
        card = await home.bot.card(home.ann.id)
        assert card.labels == [
            "Approve once",
            "Approve for this conversation",
            "Approve always",
            "Deny",
            "Details",
        ]
        await home.bot.tap(home.ann, card, "Details")
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if "has the rest" in m.text])
        assert "line 0 of" in home.bot.sent_to(home.ann.id)[1].text

        await home.bot.say(home.ann, "only in the sandbox", reply_to=card)
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if m.text.startswith("Kept.")])
        await home.bot.tap(home.ann, card, "Approve always")
        await home.reads(home.ann.id, card.id, "✅ Approve always: ann", "Note: only in the sandbox")
        decision = (await home.view(ref)).decision
        assert decision is not None
        assert (decision.scope, decision.note) == (Scope.ALWAYS, "only in the sandbox")

        await home.bot.say(home.ann, "and be careful", reply_to=card)
        await home.bot.until(
            lambda: [m for m in home.bot.sent_to(home.ann.id) if "has ended already" in m.text]
        )
        events = [event for event, _, _ in await home.trail(ref)]
        assert events == ["opened", "noted", "decided", "noted"]


async def test_a_reminder_is_a_message_of_its_own_and_the_next_approver_gets_a_card(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.ann, "ann")
        await home.bind_quietly(home.bob, "bob")
        after = timedelta(minutes=30)
        ref = await home.ask(
            deciders=Deciders(people=("ann",), then=(Escalation(after=after, people=("bob",)),)),
            reminders=(after,),
        )
        of_ann = await home.bot.card(home.ann.id)
        assert not home.bot.sent_to(home.bob.id)
        await home.strike(ref, "reminders")
        await home.bot.until(
            lambda: [m for m in home.bot.sent_to(home.ann.id) if m.text.startswith("Still open")]
        )
        assert [m.reply_to for m in home.bot.sent_to(home.ann.id)] == [None, of_ann.id]
        await home.strike(ref, "escalations")
        of_bob = await home.bot.card(home.bob.id)
        await home.bot.say(home.ann, "see the ticket", reply_to=home.bot.sent_to(home.ann.id)[1])
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if m.text.startswith("Kept")])
        await home.bot.tap(home.bob, of_bob, "Deny")
        await home.reads(home.ann.id, of_ann.id, "⛔ Deny: bob")
        assert len([m for m in home.bot.sent_to(home.ann.id) if m.text.startswith("Still open")]) == 1
