"""`aither approvals`, `people`, `webhooks` and `key create --person`: what they print, and how they end."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from infra.settings import settings
from tests.approvals.desk import Api, Desk
from tests.approvals.gate import Gate


@dataclass(frozen=True)
class Terminal:
    """Somebody's, with a key of theirs."""

    api: Api
    key: str

    async def run(self, *words: str, code: int = 0) -> str:
        """The command, run in a thread of this process while the API serves it from this one; what it printed."""
        env = {
            "AITHER_API_URL": self.api.url,
            "AITHER_API_KEY": self.key,
            "AITHER_DATABASE_URL": self.api.ground.stores.app,
            "AITHER_DATA_DIR": "/nonexistent",
        }
        settings.cache_clear()
        try:
            done = await asyncio.to_thread(CliRunner().invoke, app, words, env=env, prog_name="aither")
        finally:
            settings.cache_clear()
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def terminal(api: Api, operator: Desk) -> Terminal:
    return Terminal(api, operator.http.headers["authorization"].removeprefix("Bearer "))


async def test_an_approval_from_list_to_trail(terminal: Terminal, operator: Desk, gate: Gate) -> None:
    asked = (await operator.ask(title="Rent a box", cost_usd=3, kind="spend", leaves_building=True))["id"]
    assert "Rent a box" in await terminal.run("approvals", "list", "--status", "open")
    shown = await terminal.run("approvals", "show", asked)
    assert "$3.00" in shown
    assert "leaves the building" in shown
    assert "approve, by key:" in await terminal.run("approvals", "approve", asked, "--note", "but only one")
    late = await terminal.run("approvals", "deny", asked, code=2)
    assert "decided approve over cli at" in late
    shown = await terminal.run("approvals", "show", asked)
    assert "but only one" in shown
    assert "closed deny" in shown
    assert (
        json.loads(await terminal.run("approvals", "show", asked, "--json"))["decision"]["surface"] == "cli"
    )
    assert "nothing is asked" in await terminal.run("approvals", "list", "-s", "open")
    assert "no approval" in await terminal.run("approvals", "show", "apr_none", code=2)
    other = await gate.opened()
    assert "cancelled" in await terminal.run("approvals", "cancel", other.approval_id)
    assert await gate.status(other) == "cancelled"


async def test_a_yes_that_reaches_further_is_listed_and_taken_back(
    terminal: Terminal, operator: Desk
) -> None:
    alike = {"agent": "bot", "action": "deploy", "arguments": {}, "scopes": ["once", "always"]}
    asked = (await operator.ask(**alike))["id"]
    assert "there are no grants" in await terminal.run("approvals", "grants")
    made = json.loads(await terminal.run("approvals", "approve", asked, "--scope", "always", "--json"))
    grant = made["decision"]["grant_id"]
    assert "everywhere" in await terminal.run("approvals", "grants")
    assert "revoked" in await terminal.run("approvals", "grants", "revoke", grant)
    assert "there are no grants" in await terminal.run("approvals", "grants")
    assert "revoked" in await terminal.run("approvals", "grants", "--all")


async def test_people_and_their_keys(terminal: Terminal, api: Api, gate: Gate, operator: Desk) -> None:
    added = await terminal.run("people", "add", "eve", "--role", "operator", "-z", "Europe/Paris")
    assert added == "eve: operator, Europe/Paris\n"
    assert "Europe/Paris" in await terminal.run("people", "list")
    made = await terminal.run("key", "create", "eve's", "-t", gate.tenant_id, "--person", "eve", "--json")
    assert json.loads(made)["person"] == "eve"
    asked = (await operator.ask())["id"]
    assert "approve, by eve" in await Terminal(api, json.loads(made)["key"]).run(
        "approvals", "approve", asked
    )
    refused = await terminal.run("key", "create", "x", "-t", gate.tenant_id, "--person", "zoe", code=2)
    assert "there is nobody called zoe" in refused
    assert "time_zone" in await terminal.run("people", "add", "eve", "-z", "Mars", code=2)
    assert await terminal.run("people", "remove", "eve") == "removed eve\n"
    await terminal.run("people", "remove", "eve", code=2)


async def test_webhooks(terminal: Terminal) -> None:
    added = await terminal.run("webhooks", "add", "http://127.0.0.1:9/", "--speaks-for", "anna")
    secret, rest = added.split("\n", 1)
    assert secret.startswith("whsec_")
    endpoint = rest.split(";")[0]
    listed = await terminal.run("webhooks", "list")
    assert endpoint in listed
    assert secret not in listed
    assert await terminal.run("webhooks", "remove", endpoint) == f"removed {endpoint}\n"
    assert "url" in await terminal.run("webhooks", "add", "nowhere", code=2)
