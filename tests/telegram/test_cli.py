"""`aither telegram`: codes, who is bound, and groups, from the command line."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.telegram import app
from infra import settings as configured
from tests.telegram.conftest import Home


@pytest.fixture
def aither(home: Home, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command of the group on this home's database, with its bot."""
    settings = home.settings()
    monkeypatch.setattr(configured, "settings", lambda: settings)

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), catch_exceptions=False)

    return run


async def test_bind_status_unbind(home: Home, aither: Any) -> None:
    told = await aither("bind", "ann", "--tenant", home.tenant, "--json")
    offered = json.loads(told.stdout)
    assert offered["link"] == f"https://t.me/aither_bot?start={offered['code']}"
    assert await home.bindings.bind(offered["code"], home.ann.id, "@ann")
    plain = await aither("bind", "bob", "--tenant", home.tenant)
    assert plain.exit_code == 0
    assert plain.stdout.strip() in plain.stderr
    told = await aither(
        "bind", "--group", str(home.group), "--tenant", home.tenant, "--time-zone", "Asia/Tokyo"
    )
    assert told.exit_code == 0

    seen = json.loads((await aither("status", "--tenant", home.tenant, "--json")).stdout)
    assert (seen["bot"], seen["mode"], seen["leader"], seen["waiting"]) == ("aither_bot", "polling", None, 0)
    assert [(each["person"], each["user_id"]) for each in seen["people"]] == [("ann", home.ann.id)]
    assert seen["groups"] == [{"chat_id": home.group, "time_zone": "Asia/Tokyo", "allowed": True}]
    lines = (await aither("status", "--tenant", home.tenant)).stdout
    assert "@aither_bot, by polling" in lines
    assert f"ann: @ann ({home.ann.id})" in lines

    assert (await aither("unbind", "ann", "--tenant", home.tenant)).exit_code == 0
    assert (await aither("unbind", "--group", str(home.group), "--tenant", home.tenant)).exit_code == 0
    assert await home.bindings.bindings(home.tenant) == []


async def test_telegram_need_not_be_there(home: Home, aither: Any) -> None:
    await home.bot.refuse()
    told = await aither("bind", "ann", "--tenant", home.tenant)
    assert told.exit_code == 0
    assert "does not answer" in (await aither("status", "--tenant", home.tenant)).stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bind", "nobody"], "there is no person nobody"),
        (["bind"], "name a person, or a group"),
        (["bind", "ann", "--group", "-1"], "name a person, or a group"),
        (["bind", "--group", "-5"], "the group -5 is not allowed"),
        (["bind", "--group", "5"], "is negative"),
        (["unbind", "ann"], "is not bound"),
        (["unbind", "--group", "-5"], "gets no cards"),
        (["bind", "--group", "GROUP", "--time-zone", "Mars/Base"], "there is no 'Mars/Base'"),
    ],
)
async def test_a_mistake_is_one_line_and_an_exit_code(
    home: Home, aither: Any, words: list[str], says: str
) -> None:
    words = [str(home.group) if word == "GROUP" else word for word in words]
    told = await aither(*words, "--tenant", home.tenant)
    assert told.exit_code == 2
    assert says in told.stderr
    assert "Traceback" not in told.stderr
