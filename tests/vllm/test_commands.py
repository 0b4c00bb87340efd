"""The exact commands, that vLLM knows every flag in them, and that the production example agrees with them."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from activities.contracts.backends import Capability
from activities.contracts.topology import Topology
from infra.settings import Settings
from infra.topology import load_topology
from infra.vllm.check import refusals
from infra.vllm.command import ServeCommand, flags_of, serve_command
from infra.vllm.flags import RECORDED, recorded
from infra.vllm.profiles import Profile, load_profile, profile_names

PRODUCTION = Path(__file__).parents[2] / "infra" / "deploy" / "aither.production.toml"
SERVED = {
    "orchestrator-8b": "orchestrator-5090",
    "reasoner": "reasoner-dgx-spark",
    "swap": "swap-deepseek-r1-14b",
    "swap-gemma": "swap-gemma",
}
RESIDENT = {
    "orchestrator-8b": "orchestrator-5090",
    "embeddings": "embeddings-5090",
    "reasoner": "reasoner-dgx-spark",
    "deepseek-r1-14b": "swap-deepseek-r1-14b",
    "gemma-4-12b": "swap-gemma",
}


@pytest.fixture(scope="module")
def production() -> Topology:
    return load_topology(Settings(config_file=PRODUCTION))


def words(name: str) -> str:
    command = serve_command(load_profile(name))
    return shlex.join(command.argv)


def test_the_orchestrator() -> None:
    assert words("orchestrator-5090") == (
        "vllm serve cyankiwi/Nemotron-Orchestrator-8B-AWQ-4bit"
        " --served-model-name Nemotron-Orchestrator-8B-AWQ --host 127.0.0.1 --port 8199"
        " --gpu-memory-utilization 0.322 --max-model-len 32768 --max-num-seqs 16 --max-num-batched-tokens 2048"
        " --kv-cache-dtype turboquant_4bit_nc --quantization compressed-tensors --enable-prefix-caching"
        " --enable-auto-tool-choice --tool-call-parser hermes --reasoning-parser qwen3 --enable-sleep-mode"
    )
    assert serve_command(load_profile("orchestrator-5090")).env == {"VLLM_SERVER_DEV_MODE": "1"}


def test_the_reasoner() -> None:
    assert words("reasoner-dgx-spark") == (
        "vllm serve nvidia/Qwen3.6-27B-NVFP4 --served-model-name Qwen3.6-27B-NVFP4 --host 127.0.0.1 --port 8120"
        " --gpu-memory-utilization 0.55 --max-model-len 131072 --max-num-seqs 10 --max-num-batched-tokens 8192"
        " --kv-cache-dtype fp8 --linear-backend flashinfer_cutlass --enable-prefix-caching"
        " --enable-auto-tool-choice --tool-call-parser qwen3_coder --reasoning-parser qwen3 --speculative-config"
        """ '{"method":"dflash","model":"z-lab/Qwen3.6-27B-DFlash","num_speculative_tokens":15}'"""
    )
    assert serve_command(load_profile("reasoner-dgx-spark")).env == {}


def test_embeddings_are_pooled() -> None:
    told = words("embeddings-5090")
    assert "--runner pooling --convert embed" in told and "prefix-caching" not in told


@pytest.mark.parametrize("name", ["swap-deepseek-r1-14b", "swap-gemma"])
def test_the_swap_slot_sleeps(name: str) -> None:
    command = serve_command(load_profile(name))
    assert "--enable-sleep-mode" in command.argv and command.env["VLLM_SERVER_DEV_MODE"] == "1"


@pytest.mark.parametrize("name", profile_names())
def test_vllm_knows_every_flag_and_choice(name: str) -> None:
    profile = load_profile(name)
    assert refusals(profile, recorded()) == []
    assert len({flag.name for flag in flags_of(profile)}) == len(flags_of(profile))


def test_the_list_is_one_of_a_version() -> None:
    kept = json.loads(RECORDED.read_text())
    assert kept["vllm"] == recorded().version == "0.32.0" and len(kept["flags"]) == 430
    assert list(kept["flags"]) == sorted(kept["flags"])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"flags.enforce-eagr": True}, 'vLLM 0.32.0 has no --enforce-eagr; did you mean "--enforce-eager"?'),
        (
            {"flags.wholly-else": 1},
            "vLLM 0.32.0 has no --wholly-else; `vllm serve --help=all` lists what it has",
        ),
        (
            {"flags.dtype": "flaot16"},
            '"flaot16" is unknown to --dtype of vLLM 0.32.0; did you mean "float16"?',
        ),
        (
            {"flags.all2all-backend": ["pplx", "x"]},
            '"x" is unknown to --all2all-backend of vLLM 0.32.0; allowed: all',
        ),
    ],
)
def test_what_it_does_not_know(overrides: dict[str, object], told: str) -> None:
    (mistake,) = refusals(load_profile("swap-gemma", overrides), recorded())
    assert told in mistake.text


def pasted(shell: str) -> str:
    ran = subprocess.run(
        ["bash", "-c", f"{shell}\n"], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    return ran.stdout


def test_what_is_printed_can_be_pasted() -> None:
    words = ("x y", "--json", '{"a":"b"}', "--on", "--words", "1", "$2")
    command = ServeCommand(argv=("printf", "%s\\n", *words), env={"A": "it's $HOME", "B": "1"})
    assert pasted(command.shell()).splitlines() == list(words)
    assert pasted(ServeCommand(argv=("printenv", "A"), env=command.env).shell()) == "it's $HOME\n"


def test_the_production_example_asks_for_what_is_served(production: Topology) -> None:
    for backend_name, name in SERVED.items():
        backend, profile = production.backend(backend_name), load_profile(name)
        assert (backend.model, backend.slots, backend.window_tokens) == (
            *(profile.served_name, profile.sequences),
            profile.window_tokens,
        )
        assert (Capability.TOOLS in backend.capabilities) is (profile.tool_parser is not None)
        port = 8177 if backend_name == "swap-gemma" else profile.port
        assert backend.base_url.endswith(f":{port}/v1")


def test_the_production_example_has_the_profiles_shares(production: Topology) -> None:
    cards = {card.card: card for card in production.cards}
    for resident_name, name in RESIDENT.items():
        resident, card = production.resident(resident_name), load_profile(name).card
        assert resident is not None
        assert (resident.mib, resident.card) == (card.share_mib, card.name)
        assert cards[card.name].vram_mib == card.vram_mib


def test_the_process_that_production_starts_is_the_profile(production: Topology) -> None:
    gemma = production.resident("gemma-4-12b")
    assert gemma is not None
    python, *module = gemma.command
    assert (python, module[:5]) == ("{python}", ["-m", "api.cli.main", "model", "serve", "swap-gemma"])
    assert module[5:] == ["--port", "8177", "--set", "sleep=false"]
    assert gemma.base_url.endswith(":8177")


def neighbours() -> list[Profile]:
    return [load_profile(name) for name in profile_names() if load_profile(name).card.name == "desk/0"]


@pytest.mark.parametrize("swap", ["swap-deepseek-r1-14b", "swap-gemma"])
def test_the_card_holds_one_swap_model_beside_the_rest(production: Topology, swap: str) -> None:
    desk = next(card for card in production.cards if card.card == "desk/0")
    shares = {profile.name: profile.card.share_mib for profile in neighbours()}
    swaps = {name for name in shares if name.startswith("swap-")}
    awake = sum(mib for name, mib in shares.items() if name not in swaps) + shares[swap]
    asleep = sum(each.asleep_mib for each in desk.residents if each.on_demand and each.name not in RESIDENT)
    asleep += sum(each.asleep_mib for each in desk.residents if RESIDENT.get(each.name) in swaps - {swap})
    assert desk.vram_mib == 32607 and awake + asleep + desk.reserve_mib <= desk.vram_mib


@pytest.mark.parametrize("name", profile_names())
def test_what_vllm_takes_and_its_context_stay_within_the_share(name: str) -> None:
    card = load_profile(name).card
    assert card.utilisation * card.vram_mib + card.context_mib <= card.share_mib + 1
    assert card.share_mib - card.utilisation * card.vram_mib - card.context_mib <= card.vram_mib / 1000 + 1


@pytest.mark.parametrize("name", profile_names())
def test_the_page_on_models_says_the_same(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    profile = load_profile(name)
    assert [cell.strip() for cell in row.strip("| ").split("|")][-4:] == [
        *(str(profile.port), f"{profile.card.share_mib:,} MiB"),
        *(f"{profile.window_tokens:,}", str(profile.sequences)),
    ]
