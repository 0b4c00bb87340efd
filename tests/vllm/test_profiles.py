"""Profiles: what comes with Aither is right, and a wrong one is told line by line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.config.document import Document, parsed
from infra.config.mistakes import ConfigError
from infra.vllm.command import serve_command
from infra.vllm.profiles import PROFILES, Profile, Runner, load_profile, profile_names
from infra.vllm.reading import overridden, read_profile

CARD = '[card]\nname = "desk/0"\nkind = "a card"\nvram_mib = 1000\nshare_mib = 900\ncontext_mib = 100\n'
TOP = 'about = "a"\nmodel = "m"\nserved_name = "s"\nport = 1\nwindow_tokens = 8\nsequences = 2\n'
HERE = Path("mine.toml")


def read(source: str, **overrides: object) -> Profile:
    return read_profile(overridden(parsed(source, "mine.toml"), overrides), HERE)


def mistakes(source: str, **overrides: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(source, **overrides)
    return [mistake.told("mine.toml") for mistake in caught.value.mistakes]


def test_those_that_come_with_aither() -> None:
    assert profile_names() == (
        *("embeddings-5090", "orchestrator-5090", "reasoner-dgx-spark"),
        *("swap-deepseek-r1-14b", "swap-gemma"),
    )
    ports = {name: load_profile(name).port for name in profile_names()}
    assert list(ports.values()) == [8209, 8199, 8120, 8176, 8176]
    for name in profile_names():
        profile = load_profile(name)
        assert profile.host == "127.0.0.1" and profile.kv_offload_gib == 0
        assert (
            "\nkv_offload_gib = 0" in (PROFILES / f"{name}.toml").read_text()
            or profile.runner is Runner.EMBED
        )


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text(TOP + CARD)
    profile = load_profile(str(tmp_path / "mine.toml"))
    assert (profile.name, profile.model, profile.card.utilisation) == ("mine", "m", 0.8)
    monkeypatch.chdir(tmp_path)
    assert load_profile("mine.toml") == load_profile("./mine.toml") == profile


def test_what_is_not_there() -> None:
    with pytest.raises(
        ConfigError, match=r'there is no such profile; did you mean "swap-gemma"\? allowed: embed'
    ):
        load_profile("swap-gema")
    with pytest.raises(ConfigError, match=r"none\.toml: No such file or directory"):
        load_profile("/tmp/none/none.toml")


def test_overrides_go_before_the_file() -> None:
    profile = load_profile(
        "orchestrator-5090", {"port": 9000, "kv_offload_gib": 16, "flags.enforce-eager": True, "env.A": "b"}
    )
    command = serve_command(profile)
    words = " ".join(command.argv)
    assert "--port 9000" in words and words.endswith("--enable-sleep-mode --enforce-eager")
    assert "--kv-offloading-size 16 --kv-offloading-backend native" in words
    assert command.env == {"VLLM_SERVER_DEV_MODE": "1", "A": "b"}


def test_a_mistake_on_the_command_line_has_no_line_in_the_file() -> None:
    assert mistakes(TOP + CARD, port=0, **{"card.share_mib": 2000}) == [
        "mine.toml: port: an integer from 1 to 65535 is wanted, not 0 (given on the command line)",
        "mine.toml: card.share_mib: share_mib (2000) is more than the card has (1000) (given on the command line)",
    ]
    with pytest.raises(ConfigError, match="port is no table"):
        read(TOP + CARD, **{"port.x": 1})


@pytest.mark.parametrize(
    ("addition", "told"),
    [
        ("prot = 1", '7: prot: "prot" is an unknown key; did you mean "port"? allowed: about'),
        (
            "max_model_len = 1",
            '7: max_model_len: "max_model_len" is an unknown key; did you mean "window_tokens"?',
        ),
        (
            "gpu_memory_utilization = 1",
            '7: gpu_memory_utilization: "gpu_memory_utilization" is an unknown key; it',
        ),
        (
            'api_key = "hunter2"',
            '7: api_key: "api_key" is an unknown key; a key does not belong in this file',
        ),
        (
            'kv_cache = "turboquant"',
            '7: kv_cache: "turboquant" is unknown to vLLM 0.32.0; did you mean "turboquant',
        ),
        (
            'tool_parser = "herms"',
            '7: tool_parser: "herms" is unknown to vLLM 0.32.0; did you mean "hermes"?',
        ),
        ('linear_backend = "x"', '7: linear_backend: "x" is unknown to vLLM 0.32.0; allowed: aiter'),
        ('runner = "pooling"', '7: runner: "pooling" is unknown; allowed: embed, generate'),
        ("sleep = 1", "7: sleep: true or false is wanted, not an integer"),
        (
            "kv_offload_gib = -1",
            "7: kv_offload_gib: a number of at least 0 and at most 100000 is wanted, not -1",
        ),
        ("batched_tokens = 0", "7: batched_tokens: an integer from 1 to 100000000 is wanted, not 0"),
        ('revision = ""', "7: revision: a string is wanted, not an empty one"),
        (
            '[draft]\nmethod = "dflsh"\nmodel = "d"\ntokens = 5',
            '8: draft.method: "dflsh" is unknown to vLLM 0.32.0; did you mean "dflash"?',
        ),
        ('[draft]\nmethod = "mtp"\nmodel = "d"', "7: draft: tokens is missing"),
        ("[flags]\nport = 3", "8: flags.port: port says it already"),
        (
            "[flags]\nno-enable-prefix-caching = true",
            "8: flags.no-enable-prefix-caching: prefix_caching says it",
        ),
        (
            '[flags]\napi-key = "hunter2"',
            "8: flags.api-key: a key does not belong in this file: export VLLM_API_KEY",
        ),
        (
            '[flags]\n"--dtype" = "half"',
            "8: flags.--dtype: a flag is written as vLLM spells it, without the dashes",
        ),
        ("[flags]\nseed = 2026-11-01", "8: flags.seed: a flag takes no a date or time"),
        ('[env]\nHF_TOKEN = "hunter2"', "8: env.HF_TOKEN: a secret does not belong in this file"),
        (
            '[env]\nVLLM_NVFP4_GEMM_BACKEND = "cutlass"',
            '8: env.VLLM_NVFP4_GEMM_BACKEND: vLLM does not read it any more; say linear_backend = "flashinfer',
        ),
        ("[env]\nA = 1", "8: env.A: a string is wanted, not an integer"),
        ('[plan]\nconfig = "no.json"', '8: plan.config: there is no file "no.json" beside the profile'),
    ],
)
def test_a_mistake_and_its_line(addition: str, told: str) -> None:
    source = f"{TOP}{addition}\n{CARD}"
    (mistake,) = mistakes(source)
    assert mistake.removeprefix("mine.toml:").startswith(told), mistake
    assert "hunter2" not in mistake


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("", " [card] is missing: which card it is for"),
        (
            CARD.replace("share_mib = 900", "share_mib = 1900"),
            "11: card.share_mib: share_mib (1900) is more than",
        ),
        (
            CARD.replace("share_mib = 900", "share_mib = 90"),
            "11: card.share_mib: share_mib (90) leaves nothing",
        ),
        (
            f"{CARD}utilisation = 0.9",
            "13: card.utilisation: 0.9 of the card and the CUDA context are 1000 MiB: more",
        ),
        (
            f"{CARD}utilisation = 1.1",
            "13: card.utilisation: a number above 0 and at most 1 is wanted, not 1.1",
        ),
        (
            f"{CARD}utilization = 0.5",
            '13: card.utilization: "utilization" is an unknown key; did you mean "util',
        ),
    ],
)
def test_a_mistake_in_the_card(card: str, told: str) -> None:
    (mistake,) = mistakes(TOP + card)
    assert mistake.removeprefix("mine.toml:").startswith(told), mistake


def test_everything_that_is_missing_is_told_at_once() -> None:
    assert len(mistakes("")) == 7


VALUES = st.one_of(
    st.sampled_from(["", "a", "fp8", "mtp", "embed", "desk/0", True, False, 0, 1, 8, -3, 0.5, float("nan")]),
    st.lists(st.sampled_from(["a", 1]), max_size=2),
)
KEYS = st.sampled_from(
    [
        *Profile.__dataclass_fields__,
        *("name", "kind", "vram_mib", "share_mib", "utilisation", "method", "tokens", "zz"),
    ]
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, st.one_of(VALUES, TABLES), max_size=8))
def test_anything_is_a_profile_or_mistakes(extra: dict[str, Any]) -> None:
    whole = parsed(TOP + CARD).values
    try:
        profile = read_profile(Document(file="x", values={**whole, **extra}), HERE)
    except ConfigError as error:
        assert error.mistakes and all(mistake.text for mistake in error.mistakes)
    else:
        assert all(isinstance(word, str) for word in serve_command(profile).argv)
