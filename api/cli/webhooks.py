"""`aither webhooks`: where approvals are told, and from where they may be decided."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find

app = typer.Typer(help="Where approvals are told: add, list, remove.", no_args_is_help=True)


@app.command(epilog="Example: aither webhooks add https://chat.example/hooks/approvals --speaks-for anna")
def add(
    url: Annotated[
        str | None,
        typer.Argument(help="Where to; may be left out where it only sends decisions.", show_default=False),
    ] = None,
    *,
    speaks_for: Annotated[
        list[str] | None,
        typer.Option(
            "--speaks-for", metavar="NAME", help="As whom it may decide; may be repeated; * is everyone."
        ),
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Have approvals told somewhere. The secret that messages are signed with is shown this once."""
    with Client(find(api_url, data_dir)) as client:
        made = client.post("/v1/webhooks", {"url": url, "speaks_for": speaks_for or []})
    if as_json:
        _print_json(made)
        return
    sys.stdout.write(made["secret"] + "\n")
    sys.stderr.write(
        f"{made['id']}; keep the secret, it is not shown again; decisions go to {made['incoming']}\n"
    )


@app.command(name="list", epilog="Example: aither webhooks list")
def list_webhooks(as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """List the webhooks, with what waits to be sent and what was wrong last."""
    with Client(find(api_url, data_dir)) as client:
        found: list[dict[str, Any]] = client.get("/v1/webhooks")["data"]
    if as_json:
        _print_json(found)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("id", "waiting", "speaks for", "problem", "url"):
        table.add_column(title, no_wrap=title == "id", overflow="fold")
    for each in found:
        speaks_for = ", ".join(each["speaks_for"]) or "—"
        url = each["url"] or "— (decisions only)"
        table.add_row(each["id"], str(each["waiting"]), *map(escape, (speaks_for, each["problem"], url)))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table if found else "there are no webhooks; `aither webhooks add URL` makes one")


@app.command(epilog="Example: aither webhooks remove hook_01k5h6v9c2m8r4t0x3z7q5w1ne")
def remove(
    endpoint_id: Annotated[str, typer.Argument(metavar="ID", help="The webhook's id.")],
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Remove a webhook: nothing is sent there any more, and nothing taken from there."""
    with Client(find(api_url, data_dir)) as client:
        client.delete(f"/v1/webhooks/{quote(endpoint_id, safe='')}")
    sys.stdout.write(f"removed {endpoint_id}\n")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
