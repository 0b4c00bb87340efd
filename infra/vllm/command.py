"""From a profile to the command: the exact arguments of `vllm serve`, and its environment."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from infra.config.lines import Path
from infra.vllm.profiles import Profile, Runner

DEV_MODE = "VLLM_SERVER_DEV_MODE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag, its values, and the key of the profile that it comes from."""

    name: str
    values: tuple[str, ...] = ()
    key: Path = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """What to run: a program with its arguments, and what it needs in its environment beside what is there."""

    argv: tuple[str, ...]
    env: Mapping[str, str]

    def shell(self) -> str:
        """As a person would type it, a flag a line; it can be pasted into a shell."""
        head = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        lines = [" ".join([*head, *(shlex.quote(word) for word in self.argv[:3])])]
        for word in self.argv[3:]:
            if word.startswith("--"):
                lines.append(f"  {word}")
            else:
                lines[-1] += f" {shlex.quote(word)}"
        return " \\\n".join(lines)


def serve_command(profile: Profile) -> ServeCommand:
    """The command that starts the profile's server."""
    argv = ["vllm", "serve", profile.model]
    for flag in flags_of(profile):
        argv += [flag.name, *flag.values]
    env = {DEV_MODE: "1"} if profile.sleep else {}
    return ServeCommand(argv=tuple(argv), env=env | dict(profile.env))


def flags_of(profile: Profile) -> tuple[Flag, ...]:
    """All flags: those of the profile's keys, then those that it names itself."""
    return (*flags_of_keys(profile), *(written(name, value) for name, value in profile.flags.items()))


def flags_of_keys(profile: Profile) -> tuple[Flag, ...]:
    """The flags that the profile's own keys come to."""
    return (*_place(profile), *_size(profile), *_manner(profile))


def written(name: str, value: object) -> Flag:
    """A flag of `[flags]`: true and false are `--name` and `--no-name`, a table is JSON, an array several values."""
    key: Path = ("flags", name)
    if isinstance(value, bool):
        return Flag(name=f"--{'' if value else 'no-'}{name}", key=key)
    if isinstance(value, dict):
        return Flag(name=f"--{name}", values=(_json(cast("dict[str, object]", value)),), key=key)
    if isinstance(value, list):
        return Flag(name=f"--{name}", values=tuple(str(one) for one in cast("list[object]", value)), key=key)
    return Flag(name=f"--{name}", values=(str(value),), key=key)


def _place(profile: Profile) -> Iterator[Flag]:
    yield Flag(name="--served-model-name", values=(profile.served_name,), key=("served_name",))
    if profile.revision:
        yield Flag(name="--revision", values=(profile.revision,), key=("revision",))
    yield Flag(name="--host", values=(profile.host,), key=("host",))
    yield Flag(name="--port", values=(str(profile.port),), key=("port",))
    if profile.runner is Runner.EMBED:
        yield Flag(name="--runner", values=("pooling",), key=("runner",))
        yield Flag(name="--convert", values=("embed",), key=("runner",))


def _size(profile: Profile) -> Iterator[Flag]:
    share = f"{profile.card.utilisation:g}"
    yield Flag(name="--gpu-memory-utilization", values=(share,), key=("card",))
    yield Flag(name="--max-model-len", values=(str(profile.window_tokens),), key=("window_tokens",))
    yield Flag(name="--max-num-seqs", values=(str(profile.sequences),), key=("sequences",))
    if profile.batched_tokens:
        batched = (str(profile.batched_tokens),)
        yield Flag(name="--max-num-batched-tokens", values=batched, key=("batched_tokens",))
    if profile.kv_cache != "auto":
        yield Flag(name="--kv-cache-dtype", values=(profile.kv_cache,), key=("kv_cache",))
    if profile.kv_offload_gib:
        gib = (f"{profile.kv_offload_gib:g}",)
        yield Flag(name="--kv-offloading-size", values=gib, key=("kv_offload_gib",))
        yield Flag(name="--kv-offloading-backend", values=("native",), key=("kv_offload_gib",))


def _manner(profile: Profile) -> Iterator[Flag]:
    if profile.quantization:
        yield Flag(name="--quantization", values=(profile.quantization,), key=("quantization",))
    if profile.linear_backend:
        yield Flag(name="--linear-backend", values=(profile.linear_backend,), key=("linear_backend",))
    if profile.runner is Runner.GENERATE:
        caching = "--enable-prefix-caching" if profile.prefix_caching else "--no-enable-prefix-caching"
        yield Flag(name=caching, key=("prefix_caching",))
    if profile.tool_parser:
        yield Flag(name="--enable-auto-tool-choice", key=("tool_parser",))
        yield Flag(name="--tool-call-parser", values=(profile.tool_parser,), key=("tool_parser",))
    if profile.reasoning_parser:
        yield Flag(name="--reasoning-parser", values=(profile.reasoning_parser,), key=("reasoning_parser",))
    if profile.draft:
        draft = {
            "method": profile.draft.method,
            "model": profile.draft.model,
            "num_speculative_tokens": profile.draft.tokens,
        }
        yield Flag(name="--speculative-config", values=(_json(draft),), key=("draft",))
    if profile.sleep:
        yield Flag(name="--enable-sleep-mode", key=("sleep",))


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
