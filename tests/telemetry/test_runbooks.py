"""Every alert has its page and every page its alert; every command that a page names can be typed."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from api.cli.main import app

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
PROMETHEUS = ROOT / "infra" / "deploy" / "prometheus"
PARTS = ("**Who notices**", "## Look", "## Do", "## It is over when")
COMMAND = re.compile(r"`(aither [a-z][^`]*)`")
PAGES = [*sorted(RUNBOOKS.glob("*.md")), ROOT / "docs" / "observability.md"]
FIGURES = {"GIB": "24", "NUMBER": "1"}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    named = [rule["alert"] for rule in alerts()]
    assert len(set(named)) == len(named)
    assert set(named) == {page.stem for page in RUNBOOKS.glob("*.md")}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_all_that_whoever_is_woken_needs(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    said = rule["annotations"]
    assert said["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert said["summary"].endswith(".") and said["description"].endswith(".")
    page = (RUNBOOKS / f"{rule['alert']}.md").read_text()
    assert page.startswith(f"# {rule['alert']}\n")
    places = [page.index(part) for part in PARTS]
    assert places == sorted(places)
    for link in re.findall(r"\]\(([A-Za-z]+\.md)\)", page):
        assert (RUNBOOKS / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    for command in COMMAND.findall(page.read_text()):
        words = [FIGURES.get(word, word) for word in shlex.split(command)[1:]]
        typed(typer.main.get_command(app), words, command)


def typed(here: Any, words: list[str], command: str) -> None:
    """Parses the words as the command line would, without running anything."""
    context = click.Context(here, info_name="aither")
    while hasattr(here, "get_command") and words and not words[0].startswith("-"):
        found = here.get_command(context, words[0])
        assert found is not None, f"{command}: there is no {words[0]}"
        here, words = found, words[1:]
        context = click.Context(here, parent=context, info_name=here.name)
    if "--help" in words:
        return
    try:
        here.make_context("aither", list(words), parent=context.parent)
    except Exception as error:
        pytest.fail(f"{command}: {error}")


@pytest.mark.skipif(
    not (os.environ.get("AITHER_TEST_DEPLOY") and shutil.which("promtool")),
    reason="part of make check-deploy, where promtool (Debian: prometheus) is installed",
)
@pytest.mark.parametrize(
    "what", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")], ids=" ".join
)
def test_prometheus_takes_the_rules_and_each_fires_when_it_should(what: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *what], cwd=PROMETHEUS, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_played_through_firing_and_quiet() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    named = {test["name"] for test in tests}
    assert named == {f"{rule['alert']} {how}" for rule in alerts() for how in ("fires", "stays quiet")}
