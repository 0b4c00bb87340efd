"""A swarm on the terminal: a board that changes in place, or a line an event where nobody watches."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from api.cli.client import coloured
from api.cli.story import money

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKS = {"open": ("·", "dim"), "claimed": ("▸", "cyan"), "done": ("✓", "green"), "failed": ("✗", "red")}
MOST_LINES = 30
WIDTH_OF_A_FILE = 160
PHASES = {
    "planning": "planning",
    "working": "working",
    "synthesizing": "putting it together",
    "ended": "ended",
}


class Board:
    """The tasks of a swarm and who has them, by its events and, now and then, by the job itself."""

    def __init__(self, *, live: bool) -> None:
        self._console = Console(
            no_color=not coloured(True),
            highlight=False,
            width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE,
        )
        self._tasks: dict[str, dict[str, Any]] = {}
        self._phase = "planning"
        self._findings = 0
        self._cost = 0.0
        self._began = time.monotonic()
        self._live: Live | None = None
        if live and self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._shown, refresh_per_second=4)

    def __enter__(self) -> Board:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def begin(self, job: dict[str, Any]) -> None:
        """Takes in the job as it stands."""
        self._phase, self._cost = job["phase"], job["cost_usd"]
        self._findings = job["tasks"]["findings"]
        self._tasks = {task["id"]: dict(task) for task in job.get("board", ())}

    def hear(self, kind: str, data: dict[str, Any]) -> None:
        """Takes an event in; without a board in place it is told as a line."""
        task = self._tasks.setdefault(data["task"], {"title": "", "place": 0}) if "task" in data else {}
        if kind == "job.phase":
            self._phase = data["phase"]
        elif kind == "job.spend":
            self._cost = data["cost_usd"]
        elif kind == "task.claimed":
            task.update(data, status="claimed", why="")
        elif kind == "task.done":
            task.update(status="done", findings=data["findings"])
            self._findings += data["findings"]
        elif kind == "task.failed":
            task.update(status="failed", why=data["why"])
        elif kind == "task.reopened":
            task.update(status="open", owner="", why=data["why"])
        if self._live is None and (line := self._line(kind, data, task)):
            self._console.print(Text(f"{self._clock()}  {line}"), soft_wrap=True)

    def _line(self, kind: str, data: dict[str, Any], task: dict[str, Any]) -> str:
        title = str(task.get("title") or data.get("task", ""))
        match kind:
            case "job.planned":
                return f"planned {data['tasks']} task{'' if data['tasks'] == 1 else 's'}"
            case "job.phase":
                return PHASES.get(data["phase"], str(data["phase"]))
            case "task.claimed":
                return f"{data['owner']} takes: {title}"
            case "task.done":
                return f"{data['owner']} is done: {title} ({data['findings']} found)"
            case "task.failed" | "task.reopened":
                return f"{data['owner']} gives {'up' if kind == 'task.failed' else 'back'}: {title} ({data['why']})"
            case _:
                return ""

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"

    def _shown(self) -> RenderableType:
        counts = dict.fromkeys(MARKS, 0)
        for task in self._tasks.values():
            counts[task.get("status", "open")] += 1
        head = Text.assemble(
            (PHASES.get(self._phase, self._phase), "bold"),
            f"   {counts['done']} of {len(self._tasks)} tasks done, {counts['claimed']} in hand",
            f"   {self._findings} found   {money(self._cost)}   {self._clock().strip()}",
        )
        table = Table(box=None, show_header=False, pad_edge=False)
        for row in self._rows():
            table.add_row(*row)
        return Group(head, table)

    def _rows(self) -> Iterator[tuple[Text, str, str, str]]:
        ordered = sorted(self._tasks.values(), key=lambda task: task.get("place", 0))
        if len(ordered) > MOST_LINES:
            ordered = [task for task in ordered if task.get("status") == "claimed"][:MOST_LINES]
        for task in ordered:
            mark, style = MARKS[task.get("status", "open")]
            beside = task.get("why") or (f"{task['findings']} found" if task.get("findings") else "")
            yield Text(mark, style), task.get("owner", ""), task.get("title", "")[:70], beside[:50]
