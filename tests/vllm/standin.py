"""A `vllm` that says its flags as the real one does, by argparse, and serves nothing: it tells what it was given."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

PYTHON = sys.executable
SCRIPT = """#!{python}
import argparse, json, os, sys
flags, version, kept = {flags!r}, {version!r}, {kept!r}
if sys.argv[1:] == ["--version"]:
    print(version)
elif sys.argv[1:] == ["serve", "--help=all"]:
    parser = argparse.ArgumentParser(
        prog="vllm serve", usage="vllm serve [model_tag] [options]", description="  --not-a-flag in a text"
    )
    parser.add_argument("model_tag", nargs="?", help="The model.")
    for group in range(2):
        part = parser.add_argument_group(f"Group{{group}}", description="What --neither of these is.")
        for name, choices in list(flags.items())[group::2]:
            if name in ("--help", "-h"):
                continue
            if choices is None and name.startswith("--") and f"--no-{{name[2:]}}" in flags:
                part.add_argument(name, action=argparse.BooleanOptionalAction, help="Yes, or no (as --dtype says)")
            elif name == "--tool-call-parser":
                metavar = "{{" + ",".join(choices) + "}} or name registered in --tool-parser-plugin"
                part.add_argument(name, metavar=metavar, help="Which.")
            elif not name.startswith("--no-"):
                part.add_argument(name, choices=choices, help="A value, such as {{x}}; see --other-flag.")
    parser.print_help()
else:
    told = {{"pid": os.getpid(), "argv": sys.argv[1:], "env": {{name: os.environ.get(name) for name in kept}}}}
    print(json.dumps(told))
    sys.exit(7)
"""


def install(
    folder: Path,
    flags: dict[str, list[str] | None],
    *,
    version: str = "0.99.1",
    kept: Iterable[str] = ("VLLM_SERVER_DEV_MODE", "HF_TOKEN"),
) -> Path:
    """Puts a program named vllm there; it ends with 7 where it would serve."""
    program = folder / "vllm"
    program.write_text(SCRIPT.format(python=PYTHON, flags=flags, version=version, kept=tuple(kept)))
    program.chmod(0o755)
    return program


def flags_of(path: Path) -> dict[str, list[str] | None]:
    """The recorded flags, to be changed."""
    return json.loads(path.read_text())["flags"]
