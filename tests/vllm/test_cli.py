"""`aither model`: what it prints, how it ends, and that serving is vLLM itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.model import app
from infra.vllm.command import serve_command
from infra.vllm.flags import RECORDED
from infra.vllm.profiles import load_profile, profile_names
from tests.vllm.standin import PYTHON, flags_of, install


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.delenv("VLLM_API_KEY", raising=False)


def model(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_list() -> None:
    ran = model("list")
    assert ran.exit_code == 0
    assert [line.split()[0] for line in ran.stdout.splitlines()[1:]] == list(profile_names())
    told = {each["profile"]: each for each in json.loads(model("list", "--json").stdout)}
    assert told["reasoner-dgx-spark"]["utilisation"] == 0.55
    assert told["orchestrator-5090"]["share_mib"] == 11000


def test_print_is_what_would_run() -> None:
    ran = model("serve", "orchestrator-5090", "--print", "--port", "9000", "--set", "kv_offload_gib=2")
    profile = load_profile("orchestrator-5090", {"port": 9000, "kv_offload_gib": 2})
    assert (ran.exit_code, ran.stdout) == (0, serve_command(profile).shell() + "\n")
    told = json.loads(model("serve", "swap-gemma", "--print", "--json").stdout)
    command = serve_command(load_profile("swap-gemma"))
    assert (tuple(told["argv"]), told["env"]) == (command.argv, dict(command.env))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["serve", "orchestrator"],
            'orchestrator: there is no such profile; did you mean "orchestrator-5090"?',
        ),
        (["serve", "swap-gemma", "--set", "prot=1"], 'prot: "prot" is an unknown key; did you mean "port"?'),
        (["serve", "swap-gemma", "--set", "port"], "--set port: is written KEY=VALUE"),
        (["serve", "swap-gemma", "--set", "kv_cache=turbo"], 'kv_cache: "turbo" is unknown to vLLM 0.32.0'),
        (["serve", "swap-gemma"], "aither: vllm is not installed here\npip install vllm"),
        (["plan", "swap-gemma", "--config", "none.json"], "none.json: No such file or directory"),
    ],
)
def test_bad_usage_is_a_line_and_2(arguments: list[str], told: str) -> None:
    ran = model(*arguments)
    assert ran.exit_code == 2 and told in ran.stderr and not ran.stdout


def test_check_without_vllm_goes_by_the_recorded_list() -> None:
    ran = model("check")
    assert ran.exit_code == 0
    assert ran.stderr == "vllm is not installed here: checked against the recorded list of vLLM 0.32.0\n"
    assert ran.stdout.count(" … OK\n") == len(profile_names())


def test_check_asks_the_vllm_of_the_path(tmp_path: Path) -> None:
    flags = flags_of(RECORDED)
    del flags["--enable-sleep-mode"]
    install(tmp_path, flags)
    ran = model("check", "swap-gemma", "reasoner-dgx-spark")
    assert ran.exit_code == 2
    gemma, reasoner = ran.stdout.splitlines()
    assert "swap-gemma.toml:" in gemma and "sleep: vLLM 0.99.1 has no --enable-sleep-mode" in gemma
    assert reasoner == f"reasoner-dgx-spark: 14 flags, vLLM 0.99.1 ({tmp_path / 'vllm'}) … OK"
    told = json.loads(model("check", "swap-gemma", "--json").stdout)
    assert not told["ok"] and told["vllm"] == "0.99.1" and told["mistakes"]["swap-gemma"][0]["line"]
    assert model("check", "swap-gemma", "--recorded").exit_code == 0


def test_check_of_a_vllm_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "vllm").write_text("#!/bin/sh\necho 'no driver' >&2; exit 1\n")
    (tmp_path / "vllm").chmod(0o755)
    ran = model("check", "swap-gemma")
    assert ran.exit_code == 1 and "ends with 1: no driver" in ran.stderr and "--recorded" in ran.stderr


def test_plan() -> None:
    ran = model("plan", "orchestrator-5090", "--vram", "16")
    assert ran.exit_code == 0
    assert "16,384" in ran.stdout and "It fits, with turboquant_4bit_nc" in ran.stdout
    assert "activations: reckoned with a margin" in ran.stdout and "vLLM's own figures" in ran.stdout
    told = json.loads(model("plan", "orchestrator-5090", "--vram", "16", "--json").stdout)
    assert told["starts"] and told["mib"]["kv"] == 16384 - 500 - 6144 - told["mib"]["activations"]
    four = next(each for each in told["presets"] if each["kv_cache"] == "turboquant_4bit_nc")
    assert (four["ratio_of_a_vector"], four["ratio"], four["gsm8k"]) == (3.76, 2.88, 0.84)


def test_plan_of_what_does_not_fit() -> None:
    ran = model("plan", "orchestrator-5090", "--vram", "6")
    assert ran.exit_code == 1 and "1,370 MiB are missing" in ran.stdout


def test_plan_of_another_model(tmp_path: Path) -> None:
    config = {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
    }
    more = {"num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True}
    (tmp_path / "small.json").write_text(json.dumps(config | more))
    told = json.loads(model("plan", "swap-gemma", "--config", str(tmp_path / "small.json"), "--json").stdout)
    assert told["model"] == "small" and 2300 < told["mib"]["weights"] < 2400
    assert told["presets"][0]["token_bytes"] == 2 * 16 * 8 * 64 * 2


def test_serving_is_vllm_itself(tmp_path: Path) -> None:
    """The process that was started is vLLM afterwards: its signals and its end are its own."""
    install(tmp_path, {})
    env = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "HF_TOKEN": "kept"}
    words = [*("model", "serve", "swap-gemma", "--host", "0.0.0.0"), *("--set", "flags.seed=7")]
    started = subprocess.Popen(
        [PYTHON, "-m", "api.cli.main", *words],
        cwd=Path(__file__).parents[2],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = started.communicate(timeout=120)
    told = json.loads(out)
    assert (started.returncode, told["pid"]) == (7, started.pid)
    profile = load_profile("swap-gemma", {"host": "0.0.0.0", "flags.seed": 7})
    assert told["argv"] == list(serve_command(profile).argv[1:])
    assert told["env"] == {"VLLM_SERVER_DEV_MODE": "1", "HF_TOKEN": "kept"}
    assert "sleep mode opens vLLM's development endpoints to whoever reaches 0.0.0.0:8176" in err
    assert "export VLLM_API_KEY" in err
