"""`aither approvals`: what people are asked; decide it, withdraw it, take back what reaches further."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, fail, find

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="What people are asked: list, show, approve, deny, cancel.", no_args_is_help=True)
grants = typer.Typer(help="List yeses that reach further than one ask; revoke them.")
app.add_typer(grants, name="grants", invoke_without_command=True)

COLOURS = {"open": "cyan", "decided": "green", "expired": "yellow", "cancelled": "dim"}
ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, such as apr_01k…")]
Note = Annotated[str, typer.Option("--note", "-m", help="A word on why.")]


@app.command(name="list", epilog="Example: aither approvals list --status open")
def list_approvals(
    *,
    status: Annotated[
        Literal["open", "decided", "expired", "cancelled"] | None,
        typer.Option("--status", "-s", help="Only these."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on where an earlier list ended.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List approvals, newest first."""
    with Client(find(api_url, data_dir)) as client:
        page = client.get("/v1/approvals", status=status, limit=limit, cursor=cursor)
    if as_json:
        _print_json(page)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("approval", "status", "kind", "until", "cost", "who asks", "what"):
        table.add_column(name, no_wrap=name not in {"who asks", "what"}, overflow="fold")
    for each in page["data"]:
        colour = COLOURS[each["status"]]
        said = each["decision"]
        table.add_row(
            escape(each["id"]),
            f"[{colour}]{escape(said['option'] or each['status']) if said else each['status']}[/{colour}]",
            each["kind"],
            _moment(each["deadline"]),
            _usd(each["cost_usd"]),
            escape(each["requester"]),
            escape(each["title"]),
        )
    _console().print(table if page["data"] else "nothing is asked")
    if page["next_cursor"]:
        _console().print(f"[dim]more: --cursor {page['next_cursor']}[/dim]")


@app.command(epilog="Example: aither approvals show apr_01k5h6v9c2m8r4t0x3z7q5w1ne")
def show(
    approval_id: ApprovalId, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None
) -> None:
    """Show an approval: what is asked, by whom, who may say, who has said what."""
    with Client(find(api_url, data_dir)) as client:
        found = client.get(_place(approval_id))
    if as_json:
        _print_json(found)
    else:
        _story(found)


@app.command(epilog="Example: aither approvals approve apr_01k5h6v9c2m8r4t0x3z7q5w1ne --scope conversation")
def approve(
    approval_id: ApprovalId,
    *,
    option: Annotated[
        str | None, typer.Option("--option", "-o", help="Which.", show_default="the first that approves")
    ] = None,
    scope: Annotated[
        Literal["once", "conversation", "always"], typer.Option("--scope", help="How far the yes reaches.")
    ] = "once",
    note: Note = "",
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Say yes. The first valid decision wins; whoever is late is told who decided, and when."""
    with Client(find(api_url, data_dir)) as client:
        answer = _decide(client, approval_id, option, approves=True, scope=scope, note=note)
    _told(answer, as_json)


@app.command(epilog='Example: aither approvals deny apr_01k5h6v9c2m8r4t0x3z7q5w1ne -m "not before Monday"')
def deny(
    approval_id: ApprovalId,
    *,
    option: Annotated[
        str | None, typer.Option("--option", "-o", help="Which.", show_default="the first that denies")
    ] = None,
    note: Note = "",
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Say no."""
    with Client(find(api_url, data_dir)) as client:
        answer = _decide(client, approval_id, option, approves=False, scope="once", note=note)
    _told(answer, as_json)


@app.command(epilog="Example: aither approvals cancel apr_01k5h6v9c2m8r4t0x3z7q5w1ne")
def cancel(
    approval_id: ApprovalId,
    note: Note = "",
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Withdraw an approval, so that nobody decides it."""
    with Client(find(api_url, data_dir)) as client:
        ended = client.post(f"{_place(approval_id)}/cancel", {"note": note})
    if as_json:
        _print_json(ended)
    else:
        _console().print(f"[yellow]cancelled[/yellow] {approval_id}")


@grants.callback(epilog="Example: aither approvals grants --all")
def list_grants(
    context: typer.Context,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that were revoked, or have ended.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many.")] = 20,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List the yeses that answer later asks without asking anybody."""
    if context.invoked_subcommand is not None:
        return
    with Client(find(api_url, data_dir)) as client:
        page = client.get("/v1/grants", all=str(every).lower(), limit=limit)
    if as_json:
        _print_json(page)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("grant", "agent", "action", "where", "by", "used", "until"):
        table.add_column(name, overflow="fold")
    for each in page["data"]:
        where = f"conversation {each['conversation_id']}" if each["conversation_id"] else "everywhere"
        until = "[red]revoked[/red]" if each["revoked_at"] else _moment(each["expires_at"])
        words = (each["id"], each["agent"], each["action"], where, each["by"])
        table.add_row(*map(escape, words), str(each["used"]), until)
    _console().print(table if page["data"] else "there are no grants")


@grants.command(epilog="Example: aither approvals grants revoke grant_0f3c…")
def revoke(
    grant_id: Annotated[str, typer.Argument(metavar="ID", help="The grant's id.")],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Take a grant back, for good: the next ask of its kind reaches a person again."""
    with Client(find(api_url, data_dir)) as client:
        grant = client.delete(f"/v1/grants/{quote(grant_id, safe='')}")
    if as_json:
        _print_json(grant)
    else:
        _console().print(f"[yellow]revoked[/yellow] {grant_id}")


def _decide(
    client: Client, approval_id: str, option: str | None, *, approves: bool, scope: str, note: str
) -> dict[str, Any]:
    if option is None:
        options: list[dict[str, Any]] = client.get(_place(approval_id))["options"]
        option = next((each["key"] for each in options if each["approves"] == approves), None)
    if option is None:
        fail(
            ExitCode.USAGE,
            "it has no such option",
            f"`aither approvals show {approval_id}` shows what it has",
        )
    body = {"option": option, "scope": scope, "note": note, "surface": "cli"}
    return client.post(f"{_place(approval_id)}/decision", body)


def _told(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(answer)
    elif answer["decision"]:
        _console().print(f"[green]{answer['decision']['option']}[/green], by {answer['decision']['by']}")
    else:
        _console().print(f"it counts; {answer['wanted']} more must say the same")


def _story(found: dict[str, Any]) -> None:
    from rich.markup import escape

    console = _console()
    said = found["decision"]
    colour = COLOURS[found["status"]]
    console.print(f"[bold]{escape(found['title'])}[/bold]  [{colour}]{found['status']}[/{colour}]")
    for text in (found["summary"], found["details"]):
        if text:
            console.print(escape(text))
    rows = {
        "id": found["id"],
        "asked by": found["requester"],
        "about": found["subject"],
        "kind": f"{found['kind']}, urgency {found['urgency']}",
        "cost": _usd(found["cost_usd"]),
        "data": f"leaves the building: {found['destination']}" if found["leaves_building"] else "stays",
        "until": f"{_moment(found['deadline'])}, then {found['default_option']}",
        "options": ", ".join(f"{each['key']} ({each['label']})" for each in found["options"]),
        "reaches": ", ".join(found["scopes"]),
        "needs": f"{found['quorum']} who agree; {len(found['votes'])} have" if found["quorum"] > 1 else "",
        "decided": _decided(said) if said else "",
    }
    for name, text in rows.items():
        if text:
            console.print(f"[dim]{name:>8}[/dim]  {escape(text)}")
    for line in found["audit"]:
        words = " ".join(filter(None, (line["event"], line["option"], line["by"], line["note"])))
        console.print(f"[dim]{_moment(line['at'], seconds=True)} {line['surface']:>8}[/dim]  {escape(words)}")


def _decided(said: dict[str, Any]) -> str:
    by = f" by {said['by']}" if said["by"] else ""
    note = f": {said['note']}" if said["note"] else ""
    return (
        f"{said['option'] or said['status']}{by} over {said['surface']}, {_moment(said['decided_at'])}{note}"
    )


def _place(approval_id: str) -> str:
    return f"/v1/approvals/{quote(approval_id, safe='')}"


def _moment(text: str, *, seconds: bool = False) -> str:
    return datetime.fromisoformat(text).astimezone().strftime(f"%Y-%m-%d %H:%M{':%S' if seconds else ''}")


def _usd(usd: float | None) -> str:
    return "" if usd is None else f"${usd:,.2f}" if usd >= 0.01 or not usd else f"${usd:.4f}"


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
