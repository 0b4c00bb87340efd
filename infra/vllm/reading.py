"""Reading a profile's TOML: every mistake in it, each with its line."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import cast

from infra.config.document import Document
from infra.config.lines import Path
from infra.config.mistakes import ConfigError, Finding, Mistake, allowed, dotted
from infra.config.table import Table, kind
from infra.vllm.command import flags_of_keys, written
from infra.vllm.flags import recorded
from infra.vllm.profiles import CONTEXT_MIB, CardShare, Draft, Facts, Profile, Runner

MOST_MIB = 16 * 1024 * 1024
MOST_TOKENS = 100_000_000

_FLAG = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
_SECRET_FLAGS = frozenset({"api-key", "hf-token"})
_GONE = {
    "VLLM_NVFP4_GEMM_BACKEND": 'vLLM does not read it any more; say linear_backend = "flashinfer_cutlass"',
    "VLLM_SERVER_DEV_MODE": "say sleep = true",
}
_HINTS = {
    **dict.fromkeys(("max_model_len", "context", "window"), 'did you mean "window_tokens"?'),
    **dict.fromkeys(("max_num_seqs", "slots", "concurrency"), 'did you mean "sequences"?'),
    **dict.fromkeys(("kv_cache_dtype", "cache_dtype"), 'did you mean "kv_cache"?'),
    **dict.fromkeys(
        ("gpu_memory_utilization", "utilisation"), "it belongs to [card]: share_mib or utilisation"
    ),
    **dict.fromkeys(("served_model_name",), 'did you mean "served_name"?'),
    **dict.fromkeys(("sleep_mode", "enable_sleep_mode"), 'did you mean "sleep"?'),
    **dict.fromkeys(("tool_call_parser", "tools"), 'did you mean "tool_parser"?'),
    **dict.fromkeys(
        ("api_key", "hf_token"), "a key does not belong in this file: export VLLM_API_KEY or HF_TOKEN"
    ),
}
_CARD_HINTS = {
    **dict.fromkeys(("mib", "share"), 'did you mean "share_mib"?'),
    **dict.fromkeys(("utilization", "gpu_memory_utilization"), 'did you mean "utilisation"?'),
}


def overridden(document: Document, overrides: Mapping[str, object]) -> Document:
    """The document with some of its values replaced; those have no line in it."""
    if not overrides:
        return document
    values = copy.deepcopy(dict(document.values))
    lines = dict(document.lines)
    for name, value in overrides.items():
        path: Path = tuple(name.split("."))
        table: dict[str, object] = values
        for part in path[:-1]:
            inner = table.setdefault(str(part), {})
            if not isinstance(inner, dict):
                raise ConfigError("--set", [Mistake(text=f"{name}: {part} is no table")])
            table = cast("dict[str, object]", inner)
        table[str(path[-1])] = value
        # No line: a mistake in it is told of the command line, see `_mistakes`.
        lines = {at: line for at, line in lines.items() if at[: len(path)] != path}
        lines[path] = 0
    return replace(document, values=values, lines=lines)


def read_profile(document: Document, path: FilePath) -> Profile:
    """The profile that the document is; `ConfigError` with all its mistakes if there is any."""
    findings: list[Finding] = []
    root = Table(document.values, (), findings)
    profile = _profile(root, document, path)
    root.close(_HINTS)
    if not findings:
        findings += _doubled(profile)
    if findings:
        raise ConfigError(document.file, _mistakes(document, findings))
    return profile


def _profile(root: Table, document: Document, path: FilePath) -> Profile:
    default = Profile.__dataclass_fields__
    return Profile(
        name=path.stem,
        about=root.needed("about"),
        model=root.needed("model"),
        served_name=root.needed("served_name"),
        revision=root.text("revision", None),
        runner=root.choice("runner", Runner.GENERATE),
        host=root.text("host", default["host"].default),
        port=_count(root, "port", 65_535),
        window_tokens=_count(root, "window_tokens", MOST_TOKENS),
        sequences=_count(root, "sequences", 100_000),
        batched_tokens=root.integer("batched_tokens", None, least=1, most=MOST_TOKENS),
        quantization=root.text("quantization", None),
        kv_cache=_known(root, "kv_cache", "--kv-cache-dtype") or "auto",
        kv_offload_gib=root.number("kv_offload_gib", 0.0, least=0, most=100_000),
        prefix_caching=root.flag("prefix_caching", True),
        sleep=root.flag("sleep", False),
        tool_parser=_known(root, "tool_parser", "--tool-call-parser"),
        reasoning_parser=root.text("reasoning_parser", None),
        linear_backend=_known(root, "linear_backend", "--linear-backend"),
        card=_card(root),
        draft=_draft(root),
        flags=_flags(root.section("flags")),
        env=_env(root.section("env")),
        facts=_facts(root.section("plan"), path.parent),
        origin=document,
    )


def _count(table: Table, key: str, most: int) -> int:
    if not table.has(key):
        table.wrong(f"{key} is missing")
    return table.integer(key, 1, least=1, most=most)


def _known(table: Table, key: str, flag: str) -> str | None:
    """A value that the recorded vLLM takes for the flag. A newer vLLM's can be written under `[flags]`."""
    value = table.text(key, None)
    known = recorded().choices[flag] or frozenset()
    if value is not None and value not in known:
        table.wrong(f'"{value}" is unknown to vLLM {recorded().version}; {allowed(known, value)}', key)
    return value


def _card(root: Table) -> CardShare:
    if not root.has("card"):
        root.wrong("[card] is missing: which card it is for, and how much of it the server may take")
    table = root.section("card")
    inside = bool(table.names())
    card = CardShare(
        name=table.needed("name") if inside else "",
        kind=table.needed("kind") if inside else "",
        vram_mib=_count(table, "vram_mib", MOST_MIB) if inside else 1,
        share_mib=_count(table, "share_mib", MOST_MIB) if inside else 1,
        context_mib=table.integer("context_mib", CONTEXT_MIB, least=0, most=MOST_MIB),
        written=table.number("utilisation", None, least=0, most=1, above=True),
    )
    table.close(_CARD_HINTS)
    if inside and table.has("vram_mib") and table.has("share_mib"):
        _check_share(table, card)
    return card


def _check_share(table: Table, card: CardShare) -> None:
    taken = card.utilisation * card.vram_mib + card.context_mib
    if card.share_mib > card.vram_mib:
        table.wrong(f"share_mib ({card.share_mib}) is more than the card has ({card.vram_mib})", "share_mib")
    elif card.written is None and card.utilisation <= 0:
        text = f"share_mib ({card.share_mib}) leaves nothing beside the CUDA context ({card.context_mib})"
        table.wrong(text, "share_mib")
    elif taken >= card.share_mib + 1:
        text = f"{card.utilisation:g} of the card and the CUDA context are {taken:.0f} MiB"
        table.wrong(f"{text}: more than share_mib ({card.share_mib})", "utilisation")


def _draft(root: Table) -> Draft | None:
    table = root.table("draft")
    if table is None:
        return None
    method = table.needed("method")
    known = recorded().choices["--spec-method"] or frozenset()
    if method and method not in known:
        table.wrong(f'"{method}" is unknown to vLLM {recorded().version}; {allowed(known, method)}', "method")
    draft = Draft(method=method, model=table.needed("model"), tokens=_count(table, "tokens", 1000))
    table.close()
    return draft


def _flags(table: Table) -> dict[str, object]:
    flags: dict[str, object] = {}
    for name in table.names():
        value = table.raw(name)
        if not _FLAG.fullmatch(name):
            table.wrong("a flag is written as vLLM spells it, without the dashes before it", name)
        elif name in _SECRET_FLAGS:
            table.wrong("a key does not belong in this file: export VLLM_API_KEY or HF_TOKEN", name)
        elif not isinstance(value, bool | int | float | str | list | dict):
            table.wrong(f"a flag takes no {kind(value)}", name)
        else:
            flags[name] = value
    return flags


def _env(table: Table) -> dict[str, str]:
    env: dict[str, str] = {}
    for name in table.names():
        value = table.text(name, "")
        if not _VARIABLE.fullmatch(name):
            table.wrong("the name of an environment variable is wanted", name)
        elif _SECRET.search(name.upper()):
            table.wrong("a secret does not belong in this file: export it where vLLM is started", name)
        elif name in _GONE:
            table.wrong(_GONE[name], name)
        else:
            env[name] = value
    return env


def _facts(table: Table, folder: FilePath) -> Facts:
    facts = Facts(
        config=_file(table, "config", folder),
        draft_config=_file(table, "draft_config", folder),
        weights_mib=table.integer("weights_mib", None, least=1, most=MOST_MIB),
        draft_mib=table.integer("draft_mib", None, least=1, most=MOST_MIB),
        activations_mib=table.integer("activations_mib", None, least=1, most=MOST_MIB),
    )
    table.close()
    return facts


def _file(table: Table, key: str, folder: FilePath) -> FilePath | None:
    """A path that is relative to the profile's own folder."""
    name = table.text(key, None)
    if name is None:
        return None
    path = folder / FilePath(name).expanduser()
    if not path.is_file():
        table.wrong(f'there is no file "{name}" beside the profile', key)
    return path


def _doubled(profile: Profile) -> Iterable[Finding]:
    """Flags under `[flags]` that a key says already: vLLM would take the last one without a word."""
    of_key = {flag.name: flag.key for flag in flags_of_keys(profile)}
    for name, value in profile.flags.items():
        flag = written(name, value).name
        for same in (flag, f"--no-{name}", f"--{name.removeprefix('no-')}"):
            if same in of_key:
                yield Finding(("flags", name), f"{dotted(of_key[same])} says it already")
                break


def _mistakes(document: Document, findings: Iterable[Finding]) -> list[Mistake]:
    """The findings with their lines; what the command line has replaced is told of it."""
    told: list[Mistake] = []
    for finding in findings:
        given = any(document.lines.get(finding.path[:n]) == 0 for n in range(1, len(finding.path) + 1))
        line = None if given else document.line(finding.path)
        told.append(
            Mistake(text=f"{finding.told} (given on the command line)" if given else finding.told, line=line)
        )
    return told
