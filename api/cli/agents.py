"""`aither agent`: who turns may speak as, version by version."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import quote

import typer

from api.cli.bounds import in_words
from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, fail, find

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Make agents, show them, go back to an earlier version.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name, such as `poet`.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A version of its history.")]
Text = Annotated[str | None, typer.Option(metavar="TEXT", help="As it says; @FILE reads it from a file.")]
TEXTS = ("will", "spirit", "persona")


@app.command(name="list", epilog="Example: aither agent list --json")
def list_agents(as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """List the agents, each in its newest version."""
    with Client(find(api_url, data_dir)) as client:
        _rows(client.get("/v1/agents")["data"], as_json, "no agents yet")


@app.command(epilog="Example: aither agent show poet")
def show(name: Name, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """Show an agent as the next turn will speak."""
    with Client(find(api_url, data_dir)) as client:
        _tell(client.get(_path(name)), as_json)


@app.command(epilog='Example: aither agent put poet --will "Answer in verse." --effort 4')
def put(
    name: Name,
    *,
    will: Text = None,
    spirit: Text = None,
    persona: Text = None,
    effort: Annotated[
        int | None, typer.Option("--effort", "-e", min=1, max=10, help="The effort of turns that name none.")
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option(metavar="TOOL", help="A tool that it may be offered; may be repeated.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="The whole agent as JSON, as `agent show --json` has it."),
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Make an agent, or a new version of it; what is not said stays as it was. The next turn uses it."""
    given = {"will": _text(will), "spirit": _text(spirit), "persona": _text(persona)}
    given |= {"effort": effort, "tools": tool or None}
    with Client(find(api_url, data_dir)) as client:
        body = _from_file(file) if file else _newest(client, name)
        body |= {key: value for key, value in given.items() if value is not None}
        _tell(client.put(_path(name), body), as_json)


@app.command(epilog="Example: aither agent history poet")
def history(name: Name, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """List all versions of an agent, newest first."""
    with Client(find(api_url, data_dir)) as client:
        _rows(client.get(f"{_path(name)}/versions")["data"], as_json, "no versions")


@app.command(epilog="Example: aither agent rollback poet 1")
def rollback(
    name: Name, version: Version, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None
) -> None:
    """Make an earlier version the newest again; nothing is taken out of the history."""
    with Client(find(api_url, data_dir)) as client:
        _tell(client.post(f"{_path(name)}/rollback", {"version": version}), as_json)


def _path(name: str) -> str:
    return f"/v1/agents/{quote(name, safe='')}"


def _newest(client: Client, name: str) -> dict[str, Any]:
    """The agent as it is, to be changed; empty where it is new."""
    agents = {agent["name"]: agent for agent in client.get("/v1/agents")["data"]}
    return _taken(agents.get(name, {}))


def _from_file(file: Path) -> dict[str, Any]:
    try:
        said: Any = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        fail(ExitCode.USAGE, f"{file} cannot be read: {error}")
    if not isinstance(said, dict):
        fail(ExitCode.USAGE, f"{file} must hold a JSON object")
    return _taken(cast("dict[str, Any]", said))


def _taken(shown: dict[str, Any]) -> dict[str, Any]:
    """What of an agent that was shown can be said of it."""
    given = {"name", "version", "created_at", "restored_from"}
    return {key: value for key, value in shown.items() if key not in given}


def _text(said: str | None) -> str | None:
    if said is None or not said.startswith("@"):
        return said
    try:
        return Path(said[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        fail(ExitCode.USAGE, f"{said[1:]} cannot be read: {error}")


def _tell(agent: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(agent)
        return
    from rich.markup import escape

    console = _console()
    back = f", restored from version {agent['restored_from']}" if agent["restored_from"] else ""
    console.print(f"[bold]{agent['name']}[/bold] version {agent['version']}{back}")
    for name in TEXTS:
        if agent[name]:
            console.print(f"[cyan]{name}[/cyan] {escape(agent[name])}")
    console.print(f"[dim]effort {agent['effort'] or 'as estimated'} · tools {_tools(agent)}[/dim]")
    console.print(f"[dim]bounds {escape(in_words(agent['policy']))}[/dim]")


def _rows(agents: list[dict[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        _print_json(agents)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("agent", "version", "made", "effort", "tools", "bounds", "will"):
        table.add_column(title)
    for agent in agents:
        table.add_row(
            agent["name"],
            str(agent["version"]),
            agent["created_at"][:16].replace("T", " "),
            str(agent["effort"] or "—"),
            escape(_tools(agent)),
            escape(in_words(agent["policy"])),
            escape(agent["will"][:60]),
        )
    _console().print(table if agents else f"{nothing}; `aither agent put NAME` makes one")


def _tools(agent: dict[str, Any]) -> str:
    return "all" if agent["tools"] is None else ", ".join(agent["tools"]) or "none"


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
