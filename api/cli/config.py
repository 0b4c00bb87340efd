"""`aither config`: whether the configuration is right, and what is in force. Keys are never shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import AsJson, ExitCode, coloured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activities.contracts.topology import Topology
    from infra.config.mistakes import ConfigError, Mistake

app = typer.Typer(help="Check aither.toml, show what is in force.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Another file than the one that the processes would read.",
        show_default="aither.toml",
    ),
]
EMBEDDED = "embedded default"


@app.command(epilog="Exit codes: 0 all right, perhaps with warnings; 2 there are mistakes.")
def check(file: File = None, as_json: AsJson = False) -> None:
    """Find every mistake, each with its line; warn of keys that are not set and of old prices."""
    from infra.config.mistakes import ConfigError

    try:
        name, topology, warnings = _read(file)
    except ConfigError as error:
        _tell_mistakes(error, as_json)
        raise typer.Exit(int(ExitCode.USAGE)) from None
    counts = {
        "backends": len(topology.backends),
        "ladders": len(topology.ladders),
        "pools": len(topology.pools()),
    }
    if as_json:
        told = {"ok": True, "file": name, **counts, "mistakes": [], "warnings": _dicts(warnings)}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    yellow, green, off = _colours("33", "32")
    for warning in warnings:
        where, _, text = warning.told(name or EMBEDDED).partition(": ")
        sys.stdout.write(f"{where}: {yellow}warning:{off} {text}\n")
    counted = ", ".join(f"{n} {kind if n > 1 else kind[:-1]}" for kind, n in counts.items())
    sys.stdout.write(f"{name or EMBEDDED}: {counted} … {green}OK{off}\n")


@app.command(epilog="Example: aither config show --json | jq '.backends[].name'")
def show(file: File = None, as_json: AsJson = False) -> None:
    """Show what is in force: backends, ladders with their rungs, effort, money and the other rules."""
    from infra.config.mistakes import ConfigError

    try:
        name, topology, _ = _read(file)
    except ConfigError as error:
        _tell_mistakes(error, as_json)
        raise typer.Exit(int(ExitCode.USAGE)) from None
    if as_json:
        from infra.config.effective import effective

        shown = {"file": name, **effective(topology, os.environ)}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    from api.cli.config_view import view

    view(name or EMBEDDED, topology, os.environ)


def _read(file: Path | None) -> tuple[str | None, Topology, list[Mistake]]:
    """The file's name as it is told, what it comes to, and what is worth a second look."""
    from datetime import date

    from infra.config.assembly import assembled
    from infra.config.cautions import cautions
    from infra.config.document import opened, parsed
    from infra.settings import Settings
    from infra.topology import embedded_topology

    settings = Settings()
    path = file or settings.configuration
    document = opened(path) if path else parsed("", EMBEDDED)
    topology = assembled(document, embedded_topology(settings))
    warnings = document.placed(cautions(topology, os.environ, date.today()))
    warnings.sort(key=lambda warning: warning.line or 0)
    return (document.file if path else None), topology, warnings


def _tell_mistakes(error: ConfigError, as_json: bool) -> None:
    if as_json:
        told = {"ok": False, "file": error.file, "mistakes": _dicts(error.mistakes), "warnings": []}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    red, off = _colours("31")
    sys.stdout.write(f"{error}\n")
    count = len(error.mistakes)
    sys.stdout.write(f"{red}{count} mistake{'s' if count > 1 else ''}{off}\n")


def _dicts(mistakes: Sequence[Mistake]) -> list[dict[str, Any]]:
    return [{"line": found.line, "column": found.column, "message": found.text} for found in mistakes]


def _colours(*codes: str) -> tuple[str, ...]:
    """The escapes of these colours, and what ends them; nothing where colours are unwelcome."""
    if coloured(sys.stdout.isatty()):
        return (*(f"\033[{code}m" for code in codes), "\033[0m")
    return ("",) * (len(codes) + 1)
