"""What fits: weights, draft, activations, and in what is left the tokens, by each way to keep keys and values.

KV bytes a token are 2 × layers × KV heads × head size × bytes a value, summed over the layers that keep all
tokens. A sliding layer keeps its window and one step; linear attention keeps a state of one size a sequence, and
one more for each token of a draft. vLLM measures activations at its start: here they are an estimate, with a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra.config.mistakes import ConfigError, Mistake
from infra.vllm.model_config import Attention, ModelShape, read_shape
from infra.vllm.presets import BOUNDARY, FULL, PRESETS, SHOWN, Preset
from infra.vllm.profiles import Profile

MIB = 1024 * 1024
BLOCK = 16
"""Tokens of a cache block: what is kept is a whole number of these."""
STEP_TOKENS = 2048
"""What vLLM reads in one step, where the profile does not say it."""
GRAPHS_MIB = 512
"""CUDA graphs and workspaces, about."""
MARGIN = 1.25
LONGEST = 1 << 31
SKIPPED = "kv-cache-dtype-skip-layers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Where the memory goes, in MiB. `kv_mib` is below zero where not even the weights fit."""

    share_mib: int
    context_mib: int
    weights_mib: int
    draft_mib: int
    activations_mib: int

    @property
    def kv_mib(self) -> int:
        """What is left for keys, values and states."""
        return self.share_mib - self.context_mib - self.weights_mib - self.draft_mib - self.activations_mib


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What one preset makes of the same memory."""

    preset: Preset
    token_bytes: int
    """Bytes that one more token of a long sequence takes."""
    ratio: float
    """How many times as many tokens of a full window as in FP16: with the layers that are not compressed."""
    longest: int
    """Tokens of one sequence that is alone."""
    windows: int
    """Sequences of the whole window at once."""
    each: int
    """Tokens of each, when as many run as the profile allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What fits, and which of the figures are estimates."""

    profile: Profile
    shape: ModelShape
    budget: Budget
    fits: tuple[Fit, ...]
    estimates: tuple[str, ...]

    @property
    def chosen(self) -> Fit | None:
        """What the profile's own preset makes of it; None for a model that keeps nothing."""
        return next((fit for fit in self.fits if fit.preset.name == self.profile.kv_cache), None)

    @property
    def offloaded(self) -> int:
        """Tokens that main memory keeps beside the card's, about."""
        fit = self.chosen
        return int(self.profile.kv_offload_gib * 1024 * MIB / fit.token_bytes) if fit else 0

    @property
    def starts(self) -> bool:
        """Whether vLLM would start: the weights fit, and with them one sequence of the whole window."""
        return self.budget.kv_mib >= 0 and (self.chosen is None or self.chosen.windows > 0)

    @property
    def verdict(self) -> str:
        """What it comes to, in one line."""
        profile, fit, kv = self.profile, self.chosen, self.budget.kv_mib
        if kv < 0:
            return f"It does not fit: {-kv:,} MiB are missing before the first token."
        if fit is None:
            return "The weights fit; how many tokens, is not known here." if self.shape.layers else "It fits."
        if not fit.windows:
            return f"vLLM would not start: not one window of {profile.window_tokens:,} fits, {fit.longest:,} tokens do."
        most = f"{fit.windows} of the whole window at once" if fit.windows > 1 else "one of the whole window"
        return (
            f"It fits, with {fit.preset.name}: {most}, or {profile.sequences} of {fit.each:,} tokens each;"
            f" more at once wait, or begin anew later."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What sequences keep: the model's layers, those of its draft, and states."""

    layers: tuple[Attention, ...]
    draft: tuple[Attention, ...] = ()
    state_bytes: int = 0
    step: int = STEP_TOKENS
    ends: int = 0
    """Layers at either end that TurboQuant would not compress."""

    def sequence_bytes(self, tokens: int, preset: Preset) -> int:
        """What one sequence of so many tokens keeps."""
        kept = sum(self._layer_bytes(place, layer, tokens, preset) for place, layer in enumerate(self.layers))
        drafted = sum(_pairs(layer, tokens, self.step) * _size(layer, preset) for layer in self.draft)
        return kept + drafted + self.state_bytes

    def token_bytes(self, preset: Preset) -> int:
        """What one more token takes, where every sliding window is full."""
        far = LONGEST
        return self.sequence_bytes(far, preset) - self.sequence_bytes(far - 1, preset)

    def tokens_in(self, room: int, preset: Preset, sequences: int = 1) -> int:
        """Tokens of each of so many sequences that fit into so many bytes, in whole blocks."""
        return BLOCK * _most(lambda n: sequences * self.sequence_bytes(BLOCK * n, preset) <= room)

    def _layer_bytes(self, place: int, layer: Attention, tokens: int, preset: Preset) -> int:
        end = place < self.ends or place >= len(self.layers) - self.ends
        used = FULL if end and preset.keeps_ends else preset
        return _pairs(layer, tokens, self.step) * _size(layer, used)


def plan(profile: Profile, *, share_mib: int | None = None, config: Path | None = None) -> Plan:
    """What fits into the profile's share of its card, or into another; `ConfigError` where nobody knows the model.

    Another `config` is another model: what the profile says of its own model's size is not gone by then.
    """
    facts = profile.facts if config is None else replace(profile.facts, config=config, weights_mib=None)
    if facts.config is None:
        text = "[plan] config is missing: the model's config.json, which `--config FILE` names as well"
        raise ConfigError(profile.name, [Mistake(text=text)])
    profile = replace(profile, facts=facts)
    shape = read_shape(facts.config)
    draft = read_shape(facts.draft_config) if facts.draft_config and profile.draft else None
    budget = Budget(
        share_mib=profile.card.share_mib if share_mib is None else share_mib,
        context_mib=profile.card.context_mib,
        weights_mib=facts.weights_mib or _mib(shape.weight_bytes),
        draft_mib=_draft_mib(profile, draft),
        activations_mib=facts.activations_mib or _activations_mib(profile, shape),
    )
    keeping = keeping_of(profile, shape, draft)
    names = dict.fromkeys((*SHOWN, profile.kv_cache)) if shape.layers else ()
    fits = tuple(_fit(PRESETS[name], keeping, budget, profile) for name in names if name in PRESETS)
    return Plan(
        profile=profile,
        shape=shape,
        budget=budget,
        fits=fits,
        estimates=tuple(_estimates(profile, shape, draft, fits)),
    )


def keeping_of(profile: Profile, shape: ModelShape, draft: ModelShape | None = None) -> Keeping:
    """What the profile's sequences keep."""
    states = 1 + (profile.draft.tokens if profile.draft else 0)
    return Keeping(
        layers=shape.layers,
        draft=draft.layers if draft else (),
        state_bytes=shape.state_bytes * states,
        step=profile.batched_tokens or STEP_TOKENS,
        ends=min(BOUNDARY, len(shape.layers) // 2) if shape.dense else 0,
    )


def _fit(preset: Preset, keeping: Keeping, budget: Budget, profile: Profile) -> Fit:
    room = budget.kv_mib * MIB
    whole = keeping.sequence_bytes(profile.window_tokens, preset)
    full = keeping.sequence_bytes(profile.window_tokens, FULL)
    return Fit(
        preset=preset,
        token_bytes=keeping.token_bytes(preset),
        ratio=full / whole,
        longest=keeping.tokens_in(room, preset),
        windows=max(0, room // whole),
        each=keeping.tokens_in(room, preset, profile.sequences),
    )


def _pairs(layer: Attention, tokens: int, step: int) -> int:
    """Keys (and as many values) that a layer keeps of one sequence, of each of its heads."""
    return tokens if layer.window is None else min(tokens, layer.window + step)


def _size(layer: Attention, preset: Preset) -> int:
    return layer.kv_heads * preset.pair_bytes(layer.head_dim)


def _most(fits: Callable[[int], bool]) -> int:
    """The most for which it holds, of what holds for all that is less; 0 where it holds for none."""
    low, high = 0, LONGEST // BLOCK
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _mib(size: int) -> int:
    return -(-size // MIB)


def _draft_mib(profile: Profile, draft: ModelShape | None) -> int:
    if profile.draft is None:
        return 0
    return profile.facts.draft_mib or (_mib(draft.weight_bytes) if draft else 0)


def _activations_mib(profile: Profile, shape: ModelShape) -> int:
    """One step through the widest layer, the logits of all who run, and the graphs; with a margin."""
    step = profile.batched_tokens or STEP_TOKENS
    through = step * (8 * shape.hidden + 3 * shape.intermediate) * 2
    rows = profile.sequences * (1 + (profile.draft.tokens if profile.draft else 0)) if shape.layers else 0
    graphs = GRAPHS_MIB if shape.layers else 0
    return graphs + _mib(round(MARGIN * (through + rows * shape.vocab * 6)))


def _estimates(
    profile: Profile, shape: ModelShape, draft: ModelShape | None, fits: Sequence[Fit]
) -> Iterator[str]:
    facts = profile.facts
    if facts.weights_mib is None:
        yield f"weights: {shape.parameters / 1e9:.2f} billion parameters, counted from the config"
    if profile.draft and facts.draft_mib is None:
        yield f"draft: {'its size, from its config' if draft else 'nobody told its size; it counts for nothing'}"
    if profile.draft and draft is not None:
        yield "draft: its layers are taken to keep all tokens, in the preset of the model's"
    if facts.activations_mib is None:
        yield "activations: reckoned with a margin of a quarter; vLLM measures them when it starts"
    yield f"CUDA context: {profile.card.context_mib} MiB, which vLLM does not count as its own"
    if shape.linear_layers:
        states = f", and one for each of {profile.draft.tokens} drafted tokens" if profile.draft else ""
        yield f"linear attention: a state a sequence{states}; shared prefixes may keep more"
    if any(layer.window for layer in shape.layers):
        yield "sliding layers: their window and one step; vLLM may pad them to the pages of the others"
    if unsure := [fit.preset.name for fit in fits if not fit.preset.exact]:
        yield f"{', '.join(unsure)}: the layout is taken from its name"
    if SKIPPED in profile.flags:
        yield f"{SKIPPED}: not counted, those layers take more"
    if shape.layers and profile.kv_cache not in PRESETS:
        yield f"{profile.kv_cache}: its layout is not known here"
