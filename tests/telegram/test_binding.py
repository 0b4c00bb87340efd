"""A code binds the account that sends it, once, and nobody else."""

from datetime import timedelta

import pytest

from activities.contracts.approvals import ApprovalStatus
from infra.postgres.people import PersonNotFound
from infra.postgres.telegram import NotBound
from tests.telegram.conftest import Home


async def test_a_code_is_good_once_and_for_a_while(home: Home) -> None:
    async with home.running():
        code = await home.bindings.offer(home.tenant, "ann")
        stale = await home.bindings.offer(home.tenant, "bob", timedelta(0))
        await home.bot.say(home.ann, code.upper().replace("-", ""))
        await home.bot.until(lambda: [m for m in home.bot.sent_to(home.ann.id) if "as ann of" in m.text])
        for word in (code, stale, "2222-2222-2222-2222"):
            await home.bot.say(home.eve, f"/start {word}")
        await home.bot.until(
            lambda: len([m for m in home.bot.sent_to(home.eve.id) if "not good" in m.text]) == 3
        )
        assert [(each.person, each.user_id) for each in await home.bindings.bindings(home.tenant)] == [
            ("ann", home.ann.id)
        ]
        stored = await home.rows("select sha256::text from aither.telegram_codes")
        assert not any(code in row["sha256"] for row in stored)
        with pytest.raises(PersonNotFound):
            await home.bindings.offer(home.tenant, "nobody")


async def test_a_new_account_takes_the_place_of_the_old_one(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.eve, "ann")
        ref = await home.ask()
        lost = await home.bot.card(home.eve.id)
        await home.bind(home.ann, "ann")
        # What is open already comes with the binding.
        card = await home.bot.card(home.ann.id)
        query = await home.bot.tap(home.eve, lost, "Approve")
        assert "not bound" in await home.bot.toast(query)
        assert (await home.view(ref)).status is ApprovalStatus.OPEN
        await home.bot.tap(home.ann, card, "Deny")
        await home.reads(home.ann.id, card.id, "⛔ Deny: ann")
        assert "⛔" not in lost.text


async def test_who_is_released_decides_nothing_any_more(home: Home) -> None:
    async with home.running():
        await home.bind_quietly(home.bob, "bob")
        ref = await home.ask()
        card = await home.bot.card(home.bob.id)
        await home.bindings.unbind(home.tenant, "bob")
        query = await home.bot.tap(home.bob, card, "Approve")
        assert "not bound" in await home.bot.toast(query)
        assert (await home.view(ref)).status is ApprovalStatus.OPEN
        with pytest.raises(NotBound):
            await home.bindings.unbind(home.tenant, "bob")


async def test_the_same_code_read_twice_after_a_crash_binds_as_before(home: Home) -> None:
    code = await home.bindings.offer(home.tenant, "ann")
    first = await home.bindings.bind(code, home.ann.id, "Ann")
    assert first == await home.bindings.bind(code, home.ann.id, "Ann")
    assert await home.bindings.bind(code, home.eve.id, "Eve") is None


async def test_a_tenant_does_not_see_another_ones_accounts(home: Home) -> None:
    await home.bind_quietly(home.ann, "ann")
    seen = await home.database.in_tenant(
        "somebody-else", lambda c: c.fetch("select * from aither.telegram_bindings")
    )
    assert seen == []
