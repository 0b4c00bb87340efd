"""`aither up` runs a card host where cards of this machine are configured, and nowhere else."""

from pathlib import Path

import pytest

from infra.embedded.run import plan

CARD = '[cards."desk/0"]\nvram_mib = 1000\n'


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AITHER_HOST_NAME", "desk")
    return tmp_path


def parts_of(at: Path) -> set[str]:
    return {part.name for part in plan(at / "data", 23000).parts}


def test_none_by_default(at: Path) -> None:
    assert "cards" not in parts_of(at)


def test_one_where_this_machine_has_a_card(at: Path) -> None:
    (at / "aither.toml").write_text(CARD)
    assert "cards" in parts_of(at)
    (part,) = [part for part in plan(at / "data", 23000).parts if part.name == "cards"]
    assert part.argv[-2:] == ("--fleet", "cards")
    assert part.env["AITHER_HOST_NAME"] == "desk"


def test_none_where_only_others_have_cards(at: Path) -> None:
    (at / "aither.toml").write_text(CARD.replace("desk", "spark"))
    assert "cards" not in parts_of(at)
