"""Many people at once, on Telegram and elsewhere: one decides, everybody else is told who."""

import asyncio
import os

from activities.contracts.approvals import Deciders, Verdict
from infra.telegram.access import bot_access
from infra.telegram.surface import opened_surface
from tests.support.standin_telegram import Person
from tests.telegram.conftest import Home
from workers.telegram_announcing import outward

ROUNDS = int(os.environ.get("AITHER_TEST_TAPS", "2"))
PEOPLE = int(os.environ.get("AITHER_TEST_TAPPERS", "6"))


async def test_of_many_who_tap_at_once_one_decides(home: Home) -> None:
    crowd = [Person(home.number * 1000 + n, f"P{n}") for n in range(PEOPLE)]
    for who in crowd:
        await home.person(who.name.lower())
        await home.bind_quietly(who, who.name.lower())
    names = tuple(who.name.lower() for who in crowd)
    async with home.running():
        for number in range(ROUNDS):
            title = f"Round {number}"
            ref = await home.ask(title, deciders=Deciders(people=names))
            cards = [await home.bot.card(who.id, title) for who in crowd]
            taps = [
                home.bot.tap(who, card, ("Approve", "Deny")[at % 2])
                for at, (who, card) in enumerate(zip(crowd, cards, strict=True))
            ]
            # Every other round among themselves.
            others = [home.decide(ref, name, "approve") for name in names if number % 2]
            (*queries,) = await asyncio.gather(*taps)
            answers = await asyncio.gather(*others)
            told = [await home.bot.toast(query) for query in queries]
            winners = [answer for answer in answers if answer.verdict is Verdict.DECIDED]
            lucky = [text for text in told if not text.startswith("Too late.")]
            assert len(winners) + len(lucky) == 1
            decision = (await home.view(ref)).decision
            assert decision is not None
            for text in told:
                assert f": {decision.by} " in text
            trail = [event for event, _, _ in await home.trail(ref)]
            assert (trail.count("decided"), trail.count("closed")) == (1, len(taps) + len(others) - 1)
            for card in cards:
                await home.reads(card.chat_id, card.id, f": {decision.by} ")


async def test_two_processes_that_deal_with_updates_share_them(home: Home) -> None:
    access = bot_access(home.settings())
    assert access is not None
    await home.bind_quietly(home.ann, "ann")
    async with (
        opened_surface(access, home.database, home.approvals, outward(home.client)) as other,
        other.inbox.working(),
        home.running(),
    ):
        for number in range(3):
            ref = await home.ask(f"Shared {number}")
            card = await home.bot.card(home.ann.id, f"Shared {number}")
            await home.bot.toast(await home.bot.tap(home.ann, card, "Approve"))
            assert [event for event, _, _ in await home.trail(ref)] == ["opened", "decided"]
    assert len(home.bot.toasts) == 3
