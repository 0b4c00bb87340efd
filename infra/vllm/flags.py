"""Which flags `vllm serve` takes, and which values: as recorded here, or as an installed vLLM says."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from infra.config.mistakes import allowed

RECORDED = Path(__file__).parents[1] / "deploy" / "profiles" / "vllm_flags.json"
HELP_S = 180.0
"""How long an installed vLLM may take to say its flags: it imports all of torch first."""

_OPTION = re.compile(r"(?<![\w-])-{1,2}[A-Za-z][\w-]*")
_CHOICES = re.compile(r"\{([^{}\s]+)\}")


class NoFlags(Exception):
    """An installed vLLM that does not say its flags; the text is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagList:
    """The flags of one version. A flag without choices takes any value, or none: the list does not tell which."""

    version: str
    source: str
    choices: Mapping[str, frozenset[str] | None]

    def objection(self, flag: str, value: str | None) -> str | None:
        """Why this version would refuse the flag or its value; None if it would not, as far as the list tells."""
        if flag not in self.choices:
            return f"vLLM {self.version} has no {flag}; {_nearest(self.choices, flag)}"
        known = self.choices[flag]
        if value is None or known is None or value in known:
            return None
        return f'"{value}" is unknown to {flag} of vLLM {self.version}; {allowed(known, value)}'


@lru_cache(maxsize=1)
def recorded() -> FlagList:
    """The list that comes with Aither."""
    kept = json.loads(RECORDED.read_text())
    flags = cast("dict[str, list[str] | None]", kept["flags"])
    choices = {flag: None if known is None else frozenset(known) for flag, known in flags.items()}
    return FlagList(version=kept["vllm"], source="the recorded list", choices=choices)


def installed(program: str) -> FlagList:
    """What the vLLM at this path says of itself; `NoFlags` where it says nothing that can be read."""
    choices = flags_in(_said(program, "serve", "--help=all"))
    if "--port" not in choices:
        raise NoFlags(f"{program} serve --help=all names no flags")
    words = _said(program, "--version").split()
    return FlagList(version=words[-1] if words else "?", source=program, choices=choices)


def flags_in(text: str) -> dict[str, frozenset[str] | None]:
    """The flags that a help of argparse tells: `  --dtype {auto,half}  what it is for`, perhaps `--x, -y, --no-x`."""
    found: dict[str, frozenset[str] | None] = {}
    for line in text.splitlines():
        # What a flag is for begins beyond; flags named there are not this one.
        if not re.match(r" {1,6}-", line):
            continue
        # "{hermes,xlam} or name registered in --tool-parser-plugin" is one flag, not two.
        told = re.split(r" {2,}| or ", line.strip(), maxsplit=1)[0]
        listed = _CHOICES.search(told)
        known = frozenset(listed[1].split(",")) if listed else None
        for option in _OPTION.findall(_CHOICES.sub("", told)):
            found[option] = known
    return found


def _said(program: str, *arguments: str) -> str:
    try:
        ended = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HELP_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise NoFlags(f"{program} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise NoFlags(f"{program} {' '.join(arguments)} says nothing for {HELP_S:g} s") from None
    if ended.returncode != 0:
        last = (ended.stderr.strip() or "it says nothing").splitlines()[-1]
        raise NoFlags(f"{program} {' '.join(arguments)} ends with {ended.returncode}: {last[:200]}")
    return ended.stdout


def _nearest(known: Mapping[str, object], flag: str) -> str:
    """The nearest name, if it is near: all four hundred help nobody."""
    near = difflib.get_close_matches(flag, known, n=1, cutoff=0.8)
    return f'did you mean "{near[0]}"?' if near else "`vllm serve --help=all` lists what it has"
