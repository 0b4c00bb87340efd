"""The webhook: Telegram alone is heard, and what it says is kept before it is told so."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from activities.contracts.approvals import ApprovalStatus
from activities.errors import StoreUnavailable
from api.app import create_app
from api.routes.telegram import SECRET_HEADER
from infra.config.mistakes import ConfigError
from tests.api.conftest import serving
from tests.api.playing import PlayedJobRuns, PlayedRuns
from tests.api.stores import free_port
from tests.telegram.conftest import Home

SECRET = "only-telegram-knows_this"
PATH = "/v1/telegram/webhook"


class Hooked:
    """A home with an API that Telegram calls."""

    def __init__(self, home: Home, port: int) -> None:
        self.home = home
        self.port = port
        self.how: dict[str, Any] = {
            "telegram_mode": "webhook",
            "telegram_webhook_secret": SECRET,
            "public_url": f"http://127.0.0.1:{port}",
            "api_port": port,
        }
        self.app: FastAPI = create_app(home.settings(**self.how), runs=PlayedRuns(), job_runs=PlayedJobRuns())

    async def post(self, body: Any, **headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            if isinstance(body, bytes):
                return await client.post(PATH, content=body, headers=headers)
            return await client.post(PATH, json=body, headers=headers)


@pytest.fixture
async def hooked(home: Home) -> AsyncIterator[Hooked]:
    hooked = Hooked(home, free_port())
    async with serving(hooked.app, hooked.port):
        yield hooked


async def test_the_whole_journey_by_webhook(hooked: Hooked) -> None:
    home = hooked.home
    async with home.running(**hooked.how):
        await home.bot.until(lambda: home.bot.webhook)
        assert (home.bot.webhook, home.bot.secret) == (f"http://127.0.0.1:{hooked.port}{PATH}", SECRET)
        await home.bind(home.ann, "ann")
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        query = await home.bot.tap(home.ann, card, "Approve")
        assert "✅" in await home.bot.toast(query)
        await home.reads(home.ann.id, card.id, "✅ Approve: ann on Telegram")
        assert [event for event, _, _ in await home.trail(ref)] == ["opened", "decided"]
        assert not home.bot.updates


async def test_forged_calls_are_refused_and_leave_nothing(hooked: Hooked) -> None:
    home = hooked.home
    tap = {"update_id": 9, "message": {"text": "hello"}}
    for word in ("", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper()):
        reply = await hooked.post(tap, **{SECRET_HEADER: word})
        assert reply.status_code == 401
        assert SECRET not in reply.text
    assert (await hooked.post(tap)).status_code == 401
    for body in (
        b"",
        b"{",
        b"[]",
        b'{"update_id": "9"}',
        b'{"update_id": -1}',
        b"\xff\xfe",
        b'{"message": {}}',
    ):
        reply = await hooked.post(body, **{SECRET_HEADER: SECRET})
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["field"] == "update_id"
    kept = await home.rows(
        "select from aither.telegram_updates where bot_id = $1", int(home.bot.token.split(":")[0])
    )
    assert kept == []


async def test_what_could_not_be_kept_comes_again(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    home = hooked.home
    await home.bind_quietly(home.ann, "ann")
    async with home.running(**hooked.how):
        await home.bot.until(lambda: home.bot.webhook)
        ref = await home.ask()
        card = await home.bot.card(home.ann.id)
        with monkeypatch.context() as away:

            async def refuse(*_: object) -> int:
                raise StoreUnavailable("PostgreSQL does not answer")

            away.setattr(hooked.app.state.aither.telegram.inbox, "keep", refuse)
            await home.bot.tap(home.ann, card, "Approve")
            assert len(home.bot.updates) == 1
        assert (await home.view(ref)).status is ApprovalStatus.OPEN
        # Twice, as if Telegram had not heard our word the first time.
        assert await home.bot.deliver(keep=True) == [200]
        assert await home.bot.deliver() == [200]
        await home.reads(home.ann.id, card.id, "✅ Approve: ann")
        assert [event for event, _, _ in await home.trail(ref)] == ["opened", "decided"]
        assert len(home.bot.toasts) == 1


async def test_without_a_webhook_there_is_no_such_address(home: Home) -> None:
    port = free_port()
    app = create_app(home.settings(api_port=port), runs=PlayedRuns(), job_runs=PlayedJobRuns())
    async with serving(app, port), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        reply = await client.post(PATH, json={"update_id": 1}, headers={SECRET_HEADER: SECRET})
        assert reply.status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"telegram_token": "my-secret-but-no-token"},
        {"telegram_mode": "webhook"},
        {"telegram_mode": "webhook", "telegram_webhook_secret": "with blanks in it"},
    ],
)
async def test_settings_that_do_not_fit_are_named_without_their_values(
    home: Home, wrong: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="AITHER_TELEGRAM_") as refused:
        create_app(home.settings(**wrong))
    assert not any(value in str(refused.value) for value in wrong.values() if value != "webhook")
