"""What fits: answers that are known from elsewhere, and what must hold whatever the card."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.vllm.model_config import Attention, read_shape
from infra.vllm.plan import BLOCK, MIB, Keeping, keeping_of, plan
from infra.vllm.presets import FULL, PRESETS, SHOWN
from infra.vllm.profiles import Profile, load_profile, profile_names

GIB = 1024 * MIB
OF_32 = Keeping(layers=(Attention(8, 128),) * 32)
"""An 8B of 32 layers, such as Llama 3.1: 131,072 bytes a token."""
OF_36 = Keeping(layers=(Attention(8, 128),) * 36)
"""An 8B of 36 layers, such as Qwen3, of which the orchestrator is one: 147,456 bytes a token."""


def keeping(name: str) -> Keeping:
    profile = load_profile(name)
    facts = profile.facts
    assert facts.config is not None
    draft = read_shape(facts.draft_config) if facts.draft_config else None
    return keeping_of(profile, read_shape(facts.config), draft)


@pytest.mark.parametrize(
    ("preset", "pair", "ratio"),
    [
        ("auto", 512, 1.0),
        ("fp8", 256, 2.0),
        ("turboquant_k8v4", 128 + 68, 2.6),
        ("turboquant_4bit_nc", 2 * 68, 3.8),
        ("turboquant_k3v4_nc", 52 + 68, 4.3),
        ("turboquant_3bit_nc", 2 * 52, 4.9),
    ],
)
def test_a_vector_of_128_values(preset: str, pair: int, ratio: float) -> None:
    assert PRESETS[preset].pair_bytes(128) == pair
    assert round(PRESETS[preset].ratio(), 1) == ratio


def test_accuracy_is_told_with_the_ratio() -> None:
    told = {name: PRESETS[name].gsm8k for name in SHOWN if PRESETS[name].gsm8k}
    assert list(told.values()) == [0.900, 0.860, 0.840, 0.780, 0.720]


@pytest.mark.parametrize(
    ("preset", "tokens"),
    [
        ("auto", 66_400),
        ("fp8", 132_800),
        ("turboquant_k8v4", 173_440),
        ("turboquant_4bit_nc", 249_968),
        ("turboquant_k3v4_nc", 283_296),
        ("turboquant_3bit_nc", 326_880),
    ],
)
def test_about_66_thousand_tokens_in_8_3_gb(preset: str, tokens: int) -> None:
    """8,300 MiB, an 8B of 32 layers, every layer compressed: what a headline reckons with."""
    assert OF_32.token_bytes(FULL) == 131_072
    assert OF_32.tokens_in(8300 * MIB, PRESETS[preset]) == tokens
    assert tokens / 66_400 == pytest.approx(PRESETS[preset].ratio(), rel=0.001)


@pytest.mark.parametrize(
    ("preset", "tokens"),
    [
        ("auto", 59_008),
        ("fp8", 118_032),
        ("turboquant_k8v4", 130_752),
        ("turboquant_4bit_nc", 169_984),
        ("turboquant_k3v4_nc", 184_752),
        ("turboquant_3bit_nc", 202_352),
    ],
)
def test_what_the_orchestrator_makes_of_the_same(preset: str, tokens: int) -> None:
    """36 layers, of which TurboQuant leaves four as they are."""
    ours = keeping("orchestrator-5090")
    assert ours.token_bytes(FULL) == 147_456
    assert ours.tokens_in(8300 * MIB, PRESETS[preset]) == tokens


def test_what_a_server_was_seen_to_say() -> None:
    """The orchestrator in 16 bits: 98.6 GiB for keys and values were about 717 thousand tokens."""
    assert OF_36.tokens_in(round(98.6 * GIB), FULL) == pytest.approx(717_000, rel=0.002)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("orchestrator-5090", 8.19),
        ("embeddings-5090", 0.137),
        ("swap-deepseek-r1-14b", 14.77),
        ("swap-gemma", 11.9),
        ("reasoner-dgx-spark", 26.9),
    ],
)
def test_parameters_are_those_that_the_models_are_told_to_have(name: str, billions: float) -> None:
    assert plan(load_profile(name)).shape.parameters / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize("name", ["orchestrator-5090", "swap-deepseek-r1-14b"])
def test_estimated_weights_are_near_to_the_measured_ones(name: str) -> None:
    profile = load_profile(name)
    estimated = plan(replace(profile, facts=replace(profile.facts, weights_mib=None))).budget.weights_mib
    assert estimated == pytest.approx(profile.facts.weights_mib, rel=0.06)


def test_hybrid_models_keep_less_a_token_and_a_state_a_sequence() -> None:
    qwen = keeping("reasoner-dgx-spark")
    bare = replace(qwen, draft=(), state_bytes=0)
    assert bare.token_bytes(FULL) == 16 * 4 * 256 * 4
    assert qwen.token_bytes(FULL) == 16 * 4 * 256 * 4 + 5 * 8 * 128 * 4
    matrices = 48 * (48 * 128 * 128 * 4 + 3 * 10_240 * 2)
    assert qwen.state_bytes == 16 * matrices and qwen.ends == 0
    assert qwen.sequence_bytes(0, FULL) == qwen.state_bytes


def test_sliding_layers_keep_their_window_and_a_step() -> None:
    gemma = keeping("swap-gemma")
    full, sliding = 8 * 1 * 512 * 4, 40 * 8 * 256 * 4
    assert gemma.sequence_bytes(100, FULL) == 100 * (full + sliding)
    assert gemma.sequence_bytes(32_768, FULL) == 32_768 * full + (1024 + 2048) * sliding
    assert gemma.token_bytes(FULL) == full


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_fits_its_own_share(name: str) -> None:
    reckoned = plan(load_profile(name))
    assert reckoned.starts and reckoned.verdict.startswith("It fits")
    assert reckoned.budget.kv_mib > 100
    assert any(line.startswith("activations") for line in reckoned.estimates)


def test_weights_that_nobody_measured_are_told_to_be_an_estimate() -> None:
    assert any(
        line.startswith("weights: 11.92 billion") for line in plan(load_profile("swap-gemma")).estimates
    )
    assert not any(line.startswith("weights") for line in plan(load_profile("orchestrator-5090")).estimates)


def test_what_does_not_fit_is_said_so() -> None:
    small = plan(load_profile("orchestrator-5090"), share_mib=6144)
    assert (
        not small.starts and small.verdict == "It does not fit: 1,370 MiB are missing before the first token."
    )
    tight = plan(load_profile("orchestrator-5090"), share_mib=8000)
    assert not tight.starts and "not one window of 32,768 fits, 9,9" in tight.verdict
    exact = plan(load_profile("orchestrator-5090", {"kv_cache": "auto"}))
    assert not exact.starts and "24,784 tokens do" in exact.verdict


def test_main_memory_keeps_more() -> None:
    more = plan(load_profile("orchestrator-5090", {"kv_offload_gib": 16}))
    assert more.offloaded == 16 * GIB // 51_200
    assert plan(load_profile("orchestrator-5090")).offloaded == 0


def test_a_layout_that_is_not_known_is_not_guessed() -> None:
    reckoned = plan(load_profile("orchestrator-5090", {"kv_cache": "fp8_ds_mla"}))
    assert reckoned.chosen is None and "not known here" in reckoned.verdict
    assert reckoned.estimates[-1] == "fp8_ds_mla: its layout is not known here"


KEEPINGS = {name: keeping(name) for name in profile_names() if name != "embeddings-5090"}
ANY = st.sampled_from(sorted(KEEPINGS))
PRESET = st.sampled_from([PRESETS[name] for name in PRESETS])


@settings(max_examples=60, deadline=None)
@given(ANY, PRESET, st.integers(0, 200 * GIB), st.integers(1, 300))
def test_what_is_kept_is_never_more_than_there_is_room(
    name: str, preset: object, room: int, sequences: int
) -> None:
    one, known = KEEPINGS[name], PRESETS[getattr(preset, "name")]  # noqa: B009
    each = one.tokens_in(room, known, sequences)
    assert each % BLOCK == 0
    assert each == 0 or sequences * one.sequence_bytes(each, known) <= room
    assert sequences * one.sequence_bytes(each + BLOCK, known) > room


@settings(max_examples=25, deadline=None)
@given(ANY, st.integers(1000, 200_000), st.integers(0, 50_000))
def test_more_memory_never_fits_less(name: str, share_mib: int, more_mib: int) -> None:
    profile = load(name)
    less, more = (plan(profile, share_mib=mib).fits for mib in (share_mib, share_mib + more_mib))
    for before, after in zip(less, more, strict=True):
        assert (
            before.longest <= after.longest and before.each <= after.each and before.windows <= after.windows
        )
        assert before.each <= before.longest
        assert before.windows == 0 or before.longest >= profile.window_tokens


@settings(max_examples=40, deadline=None)
@given(ANY, st.integers(1, 1_000_000))
def test_a_ratio_is_what_it_says_and_never_more_than_the_presets(name: str, tokens: int) -> None:
    one = KEEPINGS[name]
    full = one.sequence_bytes(tokens, FULL)
    sizes = [one.sequence_bytes(tokens, PRESETS[shown]) for shown in SHOWN]
    assert sizes[0] == full
    for shown, size in zip(SHOWN, sizes, strict=True):
        widest = max(PRESETS[shown].ratio(layer.head_dim) for layer in one.layers)
        assert 1 <= full / size <= widest + 1e-9


PROFILES_READ: dict[str, Profile] = {}


def load(name: str) -> Profile:
    return PROFILES_READ.setdefault(name, load_profile(name))
