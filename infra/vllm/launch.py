"""Starting a profile's server: this process becomes vLLM's."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from infra.vllm.command import ServeCommand
from infra.vllm.profiles import Profile

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
KEY = "VLLM_API_KEY"


class NoVllm(Exception):
    """There is no vLLM on this machine."""


def find_vllm() -> str:
    """The `vllm` of the path, or the one beside this Python; `NoVllm` where there is none."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("vllm") or shutil.which("vllm", path=beside)
    if found is None:
        raise NoVllm("vllm is not installed here")
    return found


def become(command: ServeCommand, program: str) -> NoReturn:
    """Replaces this process, so that its signals, its output and its end are vLLM's own. `OSError` where it cannot."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, [program, *command.argv[1:]], {**os.environ, **command.env})  # noqa: S606


def cautions(profile: Profile, env: Mapping[str, str]) -> Iterator[str]:
    """What is worth a second look before it is started."""
    if profile.host in LOOPBACK:
        return
    if profile.sleep:
        yield f"sleep mode opens vLLM's development endpoints to whoever reaches {profile.host}:{profile.port}"
    if not env.get(KEY):
        yield f"whoever reaches {profile.host}:{profile.port} may ask it: export {KEY}, and give it to the backend"
