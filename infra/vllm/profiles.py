"""Model profiles: what a model server is to be, for which card, with how much of it.

A profile is a TOML file of `infra/deploy/profiles`, or one of the user's own. How it is written is read in
`infra.vllm.reading`; what it comes to is said by `infra.vllm.command` and reckoned by `infra.vllm.plan`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from infra.config.document import Document
from infra.config.mistakes import ConfigError, Mistake, allowed

PROFILES = Path(__file__).parents[1] / "deploy" / "profiles"
CONTEXT_MIB = 500
"""What the CUDA context of a server takes beside vLLM's own account. Assumed: drivers differ by a hundred or so."""


class Runner(StrEnum):
    """What a server is for."""

    GENERATE = "generate"
    EMBED = "embed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardShare:
    """The card that a profile is made for, and how much of it the server may take, all told."""

    name: str
    """As `aither.toml` names it: HOST/INDEX."""
    kind: str
    vram_mib: int
    share_mib: int
    context_mib: int = CONTEXT_MIB
    written: float | None = None
    """The utilisation where the profile says one; else it follows from the share."""

    @property
    def utilisation(self) -> float:
        """The part of the card that vLLM accounts for itself, rounded down to a thousandth."""
        if self.written is not None:
            return self.written
        return math.floor(1000 * (self.share_mib - self.context_mib) / self.vram_mib) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Speculative decoding: who guesses, and how many tokens at once."""

    method: str
    model: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the plan goes by. Sizes that nobody has measured are None: they are estimated from the config."""

    config: Path | None = None
    """The model's `config.json`, or the part of it that counts."""
    draft_config: Path | None = None
    weights_mib: int | None = None
    draft_mib: int | None = None
    activations_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model server. `origin` is where it was read, for mistakes that are found later."""

    name: str
    about: str
    model: str
    served_name: str
    card: CardShare
    port: int
    window_tokens: int
    sequences: int
    host: str = "127.0.0.1"
    runner: Runner = Runner.GENERATE
    revision: str | None = None
    quantization: str | None = None
    kv_cache: str = "auto"
    kv_offload_gib: float = 0.0
    prefix_caching: bool = True
    sleep: bool = False
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    linear_backend: str | None = None
    batched_tokens: int | None = None
    draft: Draft | None = None
    flags: Mapping[str, object] = field(default_factory=dict[str, object])
    """Flags that have no key of their own, without their dashes."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    facts: Facts = Facts()
    origin: Document | None = field(default=None, compare=False, repr=False)


def profile_names() -> tuple[str, ...]:
    """The profiles that come with Aither."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def load_profile(name_or_path: str, overrides: Mapping[str, object] | None = None) -> Profile:
    """The profile of that name, or in that file, with some keys replaced; `ConfigError` with all its mistakes.

    A path ends with `.toml` or has a slash. Overrides are named as they are written in the file, tables with a
    dot: `port`, `draft.tokens`, `flags.max-num-batched-tokens`.
    """
    from infra.config.document import opened
    from infra.vllm.reading import overridden, read_profile

    document = opened(_path(name_or_path))
    return read_profile(overridden(document, overrides or {}), Path(_path(name_or_path)))


def _path(name_or_path: str) -> Path:
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        return Path(name_or_path).expanduser()
    if name_or_path not in profile_names():
        text = f"there is no such profile; {allowed(profile_names(), name_or_path)}"
        raise ConfigError(name_or_path, [Mistake(text=text)])
    return PROFILES / f"{name_or_path}.toml"
