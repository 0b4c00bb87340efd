"""`aither config`: what it prints, how it exits, and that no secret is ever in it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.config import app

PRODUCTION = Path(__file__).parents[2] / "infra" / "deploy" / "aither.production.toml"
WRONG = '[backends.b]\nmodel = "m"\nbase_url = "http://me:hunter2@x/v1"\nslots = 0\n'
KEYS = ("DEEPSEEK_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-hunter2")
    for key in KEYS[1:]:
        monkeypatch.delenv(key, raising=False)


def aither_config(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_check_without_a_file() -> None:
    ran = aither_config("check")
    assert (ran.exit_code, ran.output) == (0, "embedded default: 1 backend, 1 ladder, 1 pool … OK\n")


def test_check_of_the_production_example_warns_of_keys() -> None:
    ran = aither_config("check", "--file", str(PRODUCTION))
    lines = ran.output.splitlines()
    assert ran.exit_code == 0
    assert lines[-1].endswith("aither.production.toml: 9 backends, 3 ladders, 9 pools … OK")
    text = PRODUCTION.read_text().splitlines()
    told = [line for line in lines if "is not set here" in line]
    assert len(told) == 3
    for line in told:
        place, _, warning = line.partition(": warning: ")
        variable = warning.split()[-5]
        assert variable in text[int(place.rpartition(":")[2]) - 1]


def test_check_tells_every_mistake_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "aither.toml").write_text(WRONG)
    ran = aither_config("check")
    assert ran.exit_code == 2
    lines = ran.output.splitlines()
    assert lines[0].startswith("aither.toml:3: backends.b.base_url: a URL must not hold a user name")
    assert lines[1].startswith("aither.toml:4: backends.b.slots: ")
    assert lines[2] == "2 mistakes"
    assert "hunter2" not in ran.output


def test_check_for_programs(tmp_path: Path) -> None:
    (tmp_path / "aither.toml").write_text(WRONG)
    ran = aither_config("check", "--json")
    told = json.loads(ran.output)
    assert (ran.exit_code, told["ok"], told["file"]) == (2, False, "aither.toml")
    assert [mistake["line"] for mistake in told["mistakes"]] == [3, 4]
    good = json.loads(aither_config("check", "--json", "--file", str(PRODUCTION)).output)
    assert (good["ok"], good["backends"], good["ladders"], good["mistakes"]) == (True, 9, 3, [])
    assert [warning["line"] for warning in good["warnings"]] == sorted(w["line"] for w in good["warnings"])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for command in ("check", "show"):
        ran = aither_config(command, "-f", str(tmp_path / "none.toml"))
        assert (ran.exit_code, ran.output.splitlines()[0]) == (2, "none.toml: No such file or directory")


def test_show_tells_what_is_in_force_and_no_secret() -> None:
    ran = aither_config("show", "--file", str(PRODUCTION))
    assert ran.exit_code == 0
    for told in (
        "DEEPSEEK_API_KEY (set)",
        "ANTHROPIC_API_KEY (not set)",
        "Nemotron-Orchestrator-8B-AWQ",
        'Ladder private (model "auto:private")',
        "reason is offered from 7, required from 9; router rules",
        "compared with claude-opus-5-5",
        "turn $0.5, tenant's day $20, month $300",
        "32,607 MiB",
        "on demand, idle 5m",
    ):
        assert told in ran.output
    assert "hunter2" not in ran.output


def test_show_for_programs() -> None:
    ran = aither_config("show", "--json", "--file", str(PRODUCTION))
    assert "hunter2" not in ran.output
    shown = json.loads(ran.output)
    keys = {backend["name"]: backend["api_key_set"] for backend in shown["backends"]}
    assert keys["deepseek-pro"] is True and keys["claude"] is False and keys["reasoner"] is False
    rung = shown["ladders"][0]["answer"][0]
    assert (rung["patience"], rung["call_timeout"]) == ("20s", "2m")
    desk = shown["cards"][0]
    assert (desk["card"], desk["hog"], desk["residents"][3]["name"]) == ("desk/0", "30s", "gemma-4-12b")
    assert shown["ladders"][0]["reason"][1]["resident"] == "deepseek-r1-14b"
    assert {"name": "llm-reasoner", "slots": 10, "backends": ["reasoner"]} in shown["pools"]


def test_names_are_not_taken_for_markup(tmp_path: Path) -> None:
    (tmp_path / "aither.toml").write_text('[backends.b]\nmodel = "[red]m[/red]"\nbase_url = "http://x/v1"\n')
    assert "[red]m[/red]" in aither_config("show").output
