"""`aither people`: who may be asked to decide, and in which roles."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find

app = typer.Typer(help="Who may be asked to decide: add, list, remove.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Lower-case letters, digits and . _ -")]


@app.command(epilog="Example: aither people add anna --role operator --time-zone Europe/Berlin")
def add(
    name: Name,
    *,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", "-r", help="May be repeated; `operator` decides what is nobody's."),
    ] = None,
    time_zone: Annotated[str, typer.Option("--time-zone", "-z", help="Such as Europe/Berlin.")] = "UTC",
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Make a person known, or change their roles and time zone."""
    with Client(find(api_url, data_dir)) as client:
        body = {"roles": role or [], "time_zone": time_zone}
        person = client.put(f"/v1/people/{quote(name, safe='')}", body)
    if as_json:
        _print_json(person)
    else:
        sys.stdout.write(
            f"{person['name']}: {', '.join(person['roles']) or 'no roles'}, {person['time_zone']}\n"
        )


@app.command(name="list", epilog="Example: aither people list")
def list_people(as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """List the people."""
    with Client(find(api_url, data_dir)) as client:
        people: list[dict[str, Any]] = client.get("/v1/people")["data"]
    if as_json:
        _print_json(people)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("name", "roles", "time zone"):
        table.add_column(title, overflow="fold")
    for each in people:
        table.add_row(each["name"], ", ".join(each["roles"]) or "—", each["time_zone"])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table if people else "nobody is known; `aither people add NAME` makes somebody known")


@app.command(epilog="Example: aither people remove anna")
def remove(name: Name, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """Remove a person. They decide nothing any more, and neither do keys of theirs."""
    with Client(find(api_url, data_dir)) as client:
        client.delete(f"/v1/people/{quote(name, safe='')}")
    sys.stdout.write(f"removed {name}\n")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
