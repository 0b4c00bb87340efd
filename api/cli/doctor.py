"""`aither doctor`: whether the backends can do what is configured, and what happens when they misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.client import AsJson, DataDir, ExitCode, data_dir, fail

EPILOG = """Example: aither doctor --backend orchestrator

Exit codes: 0 all well, 1 something is not, 2 bad input."""

MARKS = {
    "ok": "[green]yes[/green]",
    "failed": "[red]no[/red]",
    "unknown": "[yellow]?[/yellow]",
    "untried": "[dim]·[/dim]",
    "undeclared": "[dim]—[/dim]",
}
CHECKS = ("reachable", "served", "chat", "streaming", "tools", "json_schema")


def doctor(
    *,
    faults: Annotated[
        bool, typer.Option("--faults", help="Drill faults through a local backend that misbehaves.")
    ] = False,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", "-b", metavar="NAME", help="Only this one; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    folder: DataDir = None,
) -> None:
    """Check each configured backend with small real calls (some tokens are paid for); or drill faults.

    The drills cost nothing and touch no real backend: copies of a configured one, with the configured rules,
    meet a server that refuses, resets, stalls and lies.
    """
    words = ["--faults"] if faults else []
    words += [word for name in backend or () for word in ("--backend", name)]
    found = _run(words, data_dir(folder))
    results = [each for each in found if each["event"] in {"backend", "drill"}]
    refused = next((each for each in found if each["event"] == "refused"), None)
    if refused is not None:
        fail(ExitCode.USAGE, refused["message"])
    results.sort(key=lambda each: each.get("number", 0))
    passed = [each["passed"] if faults else each["well"] for each in results]
    if as_json:
        told = {"well": all(passed), "drills" if faults else "backends": results}
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        like = next((each for each in found if each["event"] == "drilling"), None)
        _scorecard(results, like) if like else _table(results)
    raise typer.Exit(int(ExitCode.DONE if results and all(passed) else ExitCode.FAILED))


def _run(words: list[str], folder: Path) -> list[dict[str, Any]]:
    """What the doctor's process says, line by line. What it logs goes to our stderr."""
    process = subprocess.run(
        [sys.executable, "-m", "workers.doctor", *words],
        env=os.environ | _ports(folder),
        stdout=subprocess.PIPE,
        check=False,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    if process.returncode and not any(line["event"] == "refused" for line in lines):
        fail(ExitCode.FAILED, f"the doctor broke off with exit code {process.returncode}")
    return lines


def _ports(folder: Path) -> dict[str, str]:
    """Where the embedded model of a running stack is, which may not be where the settings say."""
    from infra.embedded import state
    from infra.embedded.layout import Layout

    seen = state.read(Layout(folder))
    ports = seen.ports if seen and seen.running else {}
    return {"AITHER_ORCHESTRATOR_PORT": str(ports["orchestrator"])} if "orchestrator" in ports else {}


def _table(results: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("backend", "model", "where", *CHECKS, "first token"):
        table.add_column(title, justify="right" if title == "first token" else "left")
    for seen in sorted(results, key=lambda each: each["backend"]):
        first = seen["first_token_ms"]
        where = "inside" if seen["locality"] == "local" else "outside"
        marks = [MARKS[seen[check]] for check in CHECKS]
        shown = (escape(seen["backend"]), escape(seen["model"]), where)
        table.add_row(*shown, *marks, "—" if first is None else f"{first} ms")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for seen in results:
        for fault in seen["faults"]:
            console.print(f"[red]{escape(seen['backend'])}[/red]: {escape(fault)}", soft_wrap=True)
    console.print("[dim]? the server does not say; — not declared; · not tried[/dim]")


def _scorecard(results: list[dict[str, Any]], like: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("fault", "score", "took", "expected", "happened"):
        table.add_column(title, justify="right" if title == "took" else "left")
    for drill in results:
        score = "[green]pass[/green]" if drill["passed"] else "[red]FAIL[/red]"
        took = f"{drill['seconds']:.1f} s"
        table.add_row(
            escape(drill["name"]), score, took, escape(drill["expected"]), escape(drill["happened"])
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 220)
    console.print(
        f"Copies of [bold]{escape(like['backend'])}[/bold] ({like['kind']}, {like['dialect']}) with the configured"
        " breaker and repeats; silence is noticed after 0.6 s here.\n"
    )
    console.print(table)
    passed = sum(drill["passed"] for drill in results)
    console.print(f"\n{passed} of {len(results)} passed")
