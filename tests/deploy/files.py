"""The files of an installation, as the tests look at them."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "infra" / "deploy"
MAIN = ROOT / "docker-compose.yml"
SPARK = ROOT / "docker-compose.dgx-spark.yml"
COMPOSE = tuple(sorted(ROOT.glob("docker-compose*.yml")))
EXAMPLE = ROOT / ".env.example"

slow = pytest.mark.skipif(
    os.environ.get("AITHER_TEST_DEPLOY") != "1", reason="AITHER_TEST_DEPLOY=1 (make check-deploy) runs it"
)
"""What takes long, or needs a tool that may not be there."""


class ComposeLoader(yaml.SafeLoader):
    """Knows the tags by which a later compose file replaces what an earlier one said."""


def _plain(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # pyright: ignore[reportArgumentType]


for _tag in ("!reset", "!override"):
    ComposeLoader.add_constructor(_tag, _plain)


@cache
def compose(path: Path) -> dict[str, Any]:
    """A compose file, with nothing filled in."""
    return yaml.load(path.read_text(), ComposeLoader)


def services(path: Path) -> dict[str, dict[str, Any]]:
    return compose(path)["services"]


def ours() -> dict[str, dict[str, Any]]:
    """The services that run our own image."""
    return {name: one for name, one in services(MAIN).items() if "AITHER_IMAGE" in one["image"]}


def interpolated(text: str) -> Iterator[tuple[str, str]]:
    """Every variable that is filled in from `.env`, and what follows its name: a default, or what is said without."""
    for found in re.finditer(r"(?<!\$)\$\{([A-Z][A-Z0-9_]*)((?:[^{}]|\{[^{}]*\})*)\}", text):
        yield found[1], found[2]
        yield from interpolated(found[2])


def filled(text: str) -> str:
    """The text with each variable's default."""
    pattern = r"\$\{[A-Z][A-Z0-9_]*(?::?-([^${}]*))?(?::?\?[^{}]*)?\}"
    while (new := re.sub(pattern, lambda found: found[1] or "", text)) != text:
        text = new
    return text


def of_settings() -> frozenset[str]:
    """The variables that `Settings` reads."""
    names = set[str]()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names |= {str(choice).upper() for choice in getattr(alias, "choices", None) or [f"AITHER_{name}"]}
    return frozenset(names)


@cache
def documents(path: Path) -> tuple[dict[str, Any], ...]:
    """The documents of a YAML file that is not compose's."""
    return tuple(one for one in yaml.safe_load_all(path.read_text()) if one)
