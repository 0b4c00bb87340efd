"""`aither swarm`: give a goal to many agents, watch them, show what came of it."""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.client import ENDS, ApiUrl, AsJson, Client, DataDir, ExitCode, coloured, fail, find
from api.cli.story import money

app = typer.Typer(help="Give a goal to many agents; show, widen, cancel.", no_args_is_help=True)

COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
FOREVER_S = 7 * 24 * 3600.0
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, such as job_01k…")]


@app.command(
    epilog='Example: aither swarm run "Compare three ways to store energy" --workers 10 --tasks 12\n\n'
    "Exit codes: 0 done, 1 it failed or was cancelled, 2 bad input, 3 nothing is running, 130 detached."
)
def run(
    goal: Annotated[str, typer.Argument(help="What is wanted.")],
    *,
    workers: Annotated[int | None, typer.Option("--workers", "-w", help="At once.", show_default="3")] = None,
    tasks: Annotated[
        int | None, typer.Option("--tasks", "-t", help="About so many.", show_default="6")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", "-b", help="`gateway` is the ladder; else a backend's or a model's name."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", help="All calls together.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", metavar="TIME", help="Such as 2026-11-23T18:00:00Z.")
    ] = None,
    context: Annotated[
        Path | None, typer.Option("--context", metavar="FILE", help="What every worker is to know.")
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Give workers what was found earlier.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Begin, and leave it to itself.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Begin a swarm, and watch it to its end."""
    asked: dict[str, Any] = {
        "goal": goal,
        "workers": workers,
        "tasks": tasks,
        "backend": backend,
        "budget_usd": budget,
        "deadline": deadline,
        "context": _read(context) if context else None,
        "tools": ["memory"] if memory else None,
    }
    body = {name: value for name, value in asked.items() if value is not None}
    with Client(find(api_url, data_dir)) as client:
        job = client.post_once("/v1/jobs", body, str(uuid.uuid4()))
        if detach:
            _out(json.dumps(job, indent=2) + "\n" if as_json else f"{job['id']}\n")
            return
        _watch(client, job["id"], as_json=as_json)


@app.command(epilog="Example: aither swarm show job_01k5h6v9c2m8r4t0x3z7q5w1ne")
def show(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Show a swarm: its tasks, who has them, what was found, what came of it."""
    with Client(find(api_url, data_dir)) as client:
        if follow:
            _watch(client, job_id, as_json=as_json)
            return
        job = client.get(_place(job_id))
    if as_json:
        _out(json.dumps(job, indent=2, ensure_ascii=False) + "\n")
    else:
        _story(job)


@app.command(name="list", epilog="Example: aither swarm list --status running")
def list_jobs(
    *,
    status: Annotated[str | None, typer.Option("--status", "-s", help="running, completed, …")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on where an earlier list ended.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List swarms, newest first."""
    with Client(find(api_url, data_dir)) as client:
        page = client.get("/v1/jobs", status=status, limit=limit, cursor=cursor)
    if as_json:
        _out(json.dumps(page, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("job", "status", "phase", "tasks", "found", "spent", "goal"):
        table.add_column(name, no_wrap=name != "goal", overflow="fold")
    for job in page["data"]:
        counts = job["tasks"]
        table.add_row(
            job["id"],
            f"[{COLOURS[job['status']]}]{job['status']}[/]",
            job["phase"],
            f"{counts['done']}/{counts['total']}",
            str(counts["findings"]),
            money(job["cost_usd"]),
            " ".join(job["goal"].split())[:60],
        )
    console = _console()
    console.print(table if page["data"] else "no swarms yet; begin one with `aither swarm run`")
    if page["next_cursor"]:
        console.print(f"more: aither swarm list --cursor {page['next_cursor']}")


@app.command(epilog="Example: aither swarm work job_01k5h6v9c2m8r4t0x3z7q5w1ne --workers 5")
def work(
    job_id: JobId,
    workers: Annotated[int, typer.Option("--workers", "-w", help="How many more.")] = 1,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Have more workers join a swarm that runs; they run wherever worker processes do."""
    with Client(find(api_url, data_dir)) as client:
        client.post(f"{_place(job_id)}/workers", {"workers": workers})
    _out(f"{workers} more may join {job_id}, as there is room\n")


@app.command(epilog="Example: aither swarm cancel job_01k5h6v9c2m8r4t0x3z7q5w1ne")
def cancel(job_id: JobId, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """Cancel a swarm, its workers and their calls. One that has ended already is left as it is."""
    with Client(find(api_url, data_dir)) as client:
        job = client.post(f"{_place(job_id)}/cancel", None)
    _out(
        json.dumps(job, indent=2, ensure_ascii=False) + "\n"
        if as_json
        else f"{job['id']} is {job['status']}\n"
    )


def _watch(client: Client, job_id: str, *, as_json: bool) -> None:
    from api.cli.swarm_board import Board

    board = Board(live=not as_json)
    asked = False
    while True:
        try:
            board.begin(client.get(_place(job_id)))
            with board:
                for kind, data in client.follow_at(f"{_place(job_id)}/events", time.monotonic() + FOREVER_S):
                    if as_json:
                        _out(json.dumps({"event": kind, "data": data}, ensure_ascii=False) + "\n")
                    else:
                        board.hear(kind, data)
                    if kind in ENDS:
                        break
            _end(client.get(_place(job_id)), as_json=as_json)
        except KeyboardInterrupt:
            if asked or not _cancels():
                see = f"aither swarm show {job_id} --follow"
                fail(ExitCode.INTERRUPTED, "detached; the swarm goes on", f"see it with: {see}")
            asked = True
            client.post(f"{_place(job_id)}/cancel", None)
        else:
            return


def _cancels() -> bool:
    """Whether whoever pressed Ctrl-C wants the swarm cancelled; a second one detaches."""
    if not sys.stdin.isatty():
        return False
    try:
        sys.stderr.write("\nCtrl-C again detaches. Cancel the swarm? [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        return False


def _end(job: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:
        _result(job)
    if job["status"] == "failed":
        error = job["error"]
        fail(ExitCode.FAILED, f"the swarm failed: {error['message']} [{error['code']}]", _seen(job))
    if job["status"] == "cancelled":
        fail(ExitCode.FAILED, "the swarm was cancelled", _seen(job))


def _story(job: dict[str, Any]) -> None:
    from api.cli.swarm_board import MARKS

    console = _console()
    console.print(job["goal"], style="bold", markup=False)
    console.print(f"[{COLOURS[job['status']]}]{job['status']}[/], {job['phase']}   {job['id']}")
    console.print()
    for task in job["board"]:
        mark, style = MARKS[task["status"]]
        beside = task["why"] or (f"{task['findings']} found" if task["findings"] else "")
        console.print(f"[{style}]{mark}[/] {task['owner']:4} ", end="")
        console.print(f"{task['title']}  {beside}".rstrip(), markup=False, soft_wrap=True)
    console.print()
    _result(job)
    if job["error"]:
        console.print(
            f"It failed: {job['error']['message']} [{job['error']['code']}]", markup=False, soft_wrap=True
        )


def _result(job: dict[str, Any]) -> None:
    result = job["result"]
    if result:
        _out(f"\n{result['text'].strip()}\n")
        if result["citations"]:
            _out("\n")
        for cited in result["citations"]:
            sources = f"; {', '.join(cited['sources'])}" if cited["sources"] else ""
            text = " ".join(cited["text"].split())[:100]
            _out(f"[{cited['label']}] {text} ({cited['confidence']:g}{sources}) {cited['finding']}\n")
        for missing in result["missing"]:
            _out(f"Missing: {missing['title']} ({missing['why']})\n")
        if result["stripped"]:
            _out(
                f"Citations of findings that there are not were taken out: {', '.join(result['stripped'])}\n"
            )
    counts = job["tasks"]
    turns = f"{job['turns']} turn" + ("" if job["turns"] == 1 else "s")
    read = f", {result['read']} of {result['findings']} findings read" if result else ""
    _out(
        f"\n{counts['done']} of {counts['total']} tasks done{read}; {turns}, {money(job['cost_usd'])}."
        f"\n{job['links']['trace']}\n"
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        fail(ExitCode.USAGE, f"{file} cannot be read: {error.strerror}")


def _place(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _seen(job: dict[str, Any]) -> str:
    return f"its whole story: aither swarm show {job['id']}"


def _console() -> Any:
    from rich.console import Console

    return Console(no_color=not coloured(True), highlight=False, width=None if sys.stdout.isatty() else 160)


def _out(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
