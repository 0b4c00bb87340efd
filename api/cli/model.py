"""`aither model`: vLLM servers by profile. Print or run their commands, check their flags, plan what fits."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from api.cli.client import AsJson, ExitCode, coloured, fail

if TYPE_CHECKING:
    from infra.config.mistakes import ConfigError
    from infra.vllm.flags import FlagList
    from infra.vllm.profiles import Profile

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Model servers by profile: list, print, run, check, plan. (Model files are `aither models`.)",
    epilog="Example: aither model serve orchestrator-5090 --print",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE", help="One of `aither model list`, or a file of yours (a path, or a name in .toml)."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value than the profile's, as often as needed: kv_offload_gib=16, draft.tokens=7,"
        " flags.enforce-eager=true.",
    ),
]
HOW = "pip install vllm, on a Linux machine with the card; or run it there: aither model serve {} --print shows how"


@app.command("list")
def list_profiles(as_json: AsJson = False) -> None:
    """Show the profiles that come with Aither: their models, cards, ports and shares."""
    from infra.vllm.profiles import load_profile, profile_names

    profiles = [load_profile(name) for name in profile_names()]
    if as_json:
        _write_json([_told(profile) for profile in profiles])
        return
    from api.cli.model_view import listing

    listing(profiles)


@app.command(epilog="Example: aither model serve swap-gemma --port 8177 --set sequences=2 --print")
def serve(
    profile: Name,
    *,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the command, to be copied, and run nothing.")
    ] = False,
    host: Annotated[
        str | None, typer.Option("--host", help="Where it listens.", show_default="the profile's")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Its port.", min=1, max=65_535, show_default="the profile's")
    ] = None,
    sets: Sets = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --print: as JSON, for programs.")] = False,
) -> None:
    """Run the profile's `vllm serve`, exactly as it is printed with --print. This process becomes vLLM's."""
    from infra.vllm.command import serve_command

    place = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    loaded = _load(profile, sets, place)
    command = serve_command(loaded)
    if only_print or as_json:
        told = {"argv": list(command.argv), "env": dict(command.env)}
        sys.stdout.write(json.dumps(told, indent=2) + "\n" if as_json else command.shell() + "\n")
        return
    from infra.vllm.launch import NoVllm, become, cautions, find_vllm

    try:
        program = find_vllm()
    except NoVllm as error:
        fail(ExitCode.USAGE, str(error), HOW.format(profile))
    for caution in cautions(loaded, os.environ):
        sys.stderr.write(f"{_paint(sys.stderr, '33', 'warning:')} {caution}\n")
    sys.stderr.write(f"{command.shell()}\n")
    try:
        become(command, program)
    except OSError as error:
        fail(ExitCode.FAILED, f"{program} cannot be run: {error.strerror}")


@app.command(
    epilog="Exit codes: 0 every flag is known; 2 some are not. Without names, all that come with Aither."
)
def check(
    profiles: Annotated[list[str] | None, typer.Argument(metavar="[PROFILE]...")] = None,
    *,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Against the recorded list, even where a vLLM is installed.")
    ] = False,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Check each flag and choice against the vLLM that is installed here, or against the recorded list."""
    from infra.vllm.check import refusals
    from infra.vllm.profiles import profile_names

    loaded = [_load(name, sets) for name in profiles or profile_names()]
    flags = _flag_list(only_recorded=recorded)
    found = {profile.name: refusals(profile, flags) for profile in loaded}
    wrong = sum(len(mistakes) for mistakes in found.values())
    if as_json:
        mistakes = {
            name: [{"line": each.line, "message": each.text} for each in told] for name, told in found.items()
        }
        _write_json({"ok": not wrong, "vllm": flags.version, "source": flags.source, "mistakes": mistakes})
    else:
        for profile in loaded:
            _tell_checked(profile, flags, [each.told(_file(profile)) for each in found[profile.name]])
    if wrong:
        raise typer.Exit(int(ExitCode.USAGE))


@app.command(
    epilog="Exit codes: 0 it fits; 1 it does not. Example: aither model plan orchestrator-5090 --vram 16"
)
def plan(
    profile: Name,
    *,
    vram: Annotated[
        float | None,
        typer.Option(
            "--vram",
            metavar="GIB",
            help="How much of a card it may take, all told.",
            show_default="the profile's share",
            min=0.01,
            max=100_000,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Another model: its config.json, as Hugging Face has it."
        ),
    ] = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Reckon what fits: weights, draft, activations, and what context and concurrency each KV preset leaves.

    Nothing is downloaded or started. What is an estimate is said.
    """
    from infra.config.mistakes import ConfigError
    from infra.vllm.plan import plan as reckoned

    loaded = _load(profile, sets)
    try:
        result = reckoned(loaded, share_mib=None if vram is None else int(vram * 1024), config=config)
    except ConfigError as error:
        _tell_mistakes(error)
    from api.cli.model_view import as_dict, show

    if as_json:
        _write_json(as_dict(result))
    else:
        show(result)
    if not result.starts:
        raise typer.Exit(int(ExitCode.FAILED))


def _load(name: str, sets: list[str] | None, more: dict[str, Any] | None = None) -> Profile:
    from infra.config.mistakes import ConfigError
    from infra.vllm.profiles import load_profile

    overrides: dict[str, object] = {}
    for word in sets or ():
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            fail(ExitCode.USAGE, f"--set {word}: is written KEY=VALUE")
        overrides[key.strip()] = _value(value.strip())
    try:
        return load_profile(name, {**overrides, **(more or {})})
    except ConfigError as error:
        _tell_mistakes(error)


def _value(text: str) -> object:
    """As TOML would read it; what TOML does not know is a string."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _flag_list(*, only_recorded: bool) -> FlagList:
    from infra.vllm.flags import NoFlags, installed, recorded
    from infra.vllm.launch import NoVllm, find_vllm

    if only_recorded:
        return recorded()
    try:
        return installed(find_vllm())
    except NoVllm:
        told = f"vllm is not installed here: checked against the recorded list of vLLM {recorded().version}"
        sys.stderr.write(f"{told}\n")
        return recorded()
    except NoFlags as error:
        fail(ExitCode.FAILED, str(error), "aither model check --recorded goes by the recorded list")


def _tell_checked(profile: Profile, flags: FlagList, mistakes: list[str]) -> None:
    from infra.vllm.command import flags_of

    for mistake in mistakes:
        sys.stdout.write(f"{mistake}\n")
    if not mistakes:
        told = f"{len(flags_of(profile))} flags, vLLM {flags.version} ({flags.source})"
        sys.stdout.write(f"{profile.name}: {told} … {_paint(sys.stdout, '32', 'OK')}\n")


def _file(profile: Profile) -> str:
    return profile.origin.file if profile.origin else profile.name


def _told(profile: Profile) -> dict[str, Any]:
    card = profile.card
    return {
        "profile": profile.name,
        "about": profile.about,
        "model": profile.model,
        "served_name": profile.served_name,
        "host": profile.host,
        "port": profile.port,
        "card": card.name,
        "card_kind": card.kind,
        "share_mib": card.share_mib,
        "utilisation": card.utilisation,
        "window_tokens": profile.window_tokens,
        "sequences": profile.sequences,
        "kv_cache": profile.kv_cache,
    }


def _tell_mistakes(error: ConfigError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    raise typer.Exit(int(ExitCode.USAGE)) from None


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _paint(stream: TextIO, code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if coloured(stream.isatty()) else text
