"""Flags of an installed vLLM, read from the help that it prints, and what is told where it has none."""

import json
from pathlib import Path

import pytest

from infra.vllm.check import refusals
from infra.vllm.flags import RECORDED, NoFlags, flags_in, installed, recorded
from infra.vllm.profiles import load_profile
from tests.vllm.standin import flags_of, install


def test_the_help_says_what_was_recorded(tmp_path: Path) -> None:
    program = install(tmp_path, flags_of(RECORDED))
    said = installed(str(program))
    assert (said.version, said.source) == ("0.99.1", str(program))
    assert dict(said.choices) == dict(recorded().choices)


def test_another_version_refuses_what_it_does_not_have(tmp_path: Path) -> None:
    flags = flags_of(RECORDED)
    del flags["--linear-backend"]
    flags["--spec-method"] = ["eagle3", "dspark"]
    flags["--tool-call-parser"] = ["hermes", "qwen4"]
    said = installed(str(install(tmp_path, flags)))
    told = [mistake.told("p") for mistake in refusals(load_profile("reasoner-dgx-spark"), said)]
    lines = Path(RECORDED.parent / "reasoner-dgx-spark.toml").read_text().splitlines()
    at = {name: next(n for n, line in enumerate(lines, 1) if line.startswith(name)) for name in NAMES}
    assert told == [
        f"p:{at['linear_backend']}: linear_backend: vLLM 0.99.1 has no --linear-backend;"
        " `vllm serve --help=all` lists what it has",
        f'p:{at["tool_parser"]}: tool_parser: "qwen3_coder" is unknown to --tool-call-parser of vLLM 0.99.1;'
        " allowed: hermes, qwen4",
        f'p:{at["method"]}: draft.method: "dflash" is no way to draft of vLLM 0.99.1;'
        " allowed: dspark, eagle3",
    ]
    assert refusals(load_profile("embeddings-5090"), said) == []


NAMES = ("linear_backend", "tool_parser", "method")


def test_a_newer_version_takes_what_a_flag_names(tmp_path: Path) -> None:
    """What the recorded list does not know can still be written, and is judged by the vLLM that is there."""
    profile = load_profile("swap-gemma", {"kv_cache": "auto", "flags.kv-cache-dtype": "holoquant_1bit"})
    assert len(refusals(profile, recorded())) == 1
    flags = flags_of(RECORDED)
    flags["--kv-cache-dtype"] = [*(flags["--kv-cache-dtype"] or ()), "holoquant_1bit"]
    assert refusals(profile, installed(str(install(tmp_path, flags)))) == []


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo nothing to see", "serve --help=all names no flags"),
        (
            "echo 'ImportError: libcudart.so' >&2; exit 1",
            "serve --help=all ends with 1: ImportError: libcudart.so",
        ),
        ("exit 3", "serve --help=all ends with 3: it says nothing"),
    ],
)
def test_one_that_says_nothing(tmp_path: Path, script: str, told: str) -> None:
    program = tmp_path / "vllm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(NoFlags, match=told):
        installed(str(program))


def test_one_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(NoFlags, match="cannot be run: "):
        installed(str(tmp_path / "none"))


def test_a_help_with_everything_in_it() -> None:
    help_text = """usage: vllm serve [model_tag] [options]

Options such as --this are no flags, nor - that.
options:
  -h, --help            show this help message and exit
  --dtype {auto,half}   As --port says. (default: {"a": 1})
  --tensor-parallel-size TENSOR_PARALLEL_SIZE, -tp TENSOR_PARALLEL_SIZE
                        --how many
  --enable-lora, --no-enable-lora
  --tool-call-parser {hermes,granite-20b-fc} or name registered in --tool-parser-plugin
                        Which.
  --traces {all,None} [{all,None} ...]
"""
    assert flags_in(help_text) == {
        **dict.fromkeys(
            ("-h", "--help", "--tensor-parallel-size", "-tp", "--enable-lora", "--no-enable-lora")
        ),
        "--dtype": frozenset({"auto", "half"}),
        "--tool-call-parser": frozenset({"hermes", "granite-20b-fc"}),
        "--traces": frozenset({"all", "None"}),
    }


def test_the_recorded_list_is_what_it_says() -> None:
    assert json.loads(RECORDED.read_text())["read_from"].startswith("the argument parser of the package")
