"""How the stack looks on a terminal, and, without colours or movement, in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from api.cli.client import coloured
from infra.embedded import credentials, logs
from infra.embedded.inspection import SILENT
from infra.embedded.state import PartPhase, PartState, Phase, StackState

if TYPE_CHECKING:
    from infra.embedded.inspection import StackSeen
    from infra.embedded.layout import Layout

QUESTION = "Explain in two sentences why the sky is blue."
LINES_OF_A_FAILURE = 15
WIDTH_OF_A_FILE = 160

MARKS = {
    PartPhase.WAITING: ("·", "dim"),
    PartPhase.UP: ("✓", "green"),
    PartPhase.RESTARTING: ("↻", "yellow"),
    PartPhase.STOPPED: ("·", "dim"),
    PartPhase.FAILED: ("✗", "red"),
}
STATE_STYLES = {
    PartPhase.UP.value: "green",
    PartPhase.FAILED.value: "red",
    SILENT: "red",
}
PART_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


def console() -> Console:
    """Standard output; plain where it is no terminal or colours are not welcome."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(no_color=not coloured(True), highlight=False, width=width)


class StartView:
    """Shows a stack coming up, then where it is, then what happens to it.

    A table that changes in place on a terminal, a line an event elsewhere.
    """

    def __init__(self, layout: Layout, *, detached: bool) -> None:
        self._layout = layout
        self._detached = detached
        self._console = console()
        self._live: Live | None = None
        self._said: dict[str, tuple[Any, ...]] = {}
        self._phase: Phase | None = None
        self._state: StackState | None = None
        self._began = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")

    def __enter__(self) -> StartView:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._table, refresh_per_second=12, transient=False
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_live()

    def watch(self, state: StackState) -> None:
        """Takes in what the supervisor says now."""
        self._state = state
        for part in state.parts:
            self._note_change(part, state.phase)
        if state.phase is not self._phase:
            self._phase = state.phase
            self._say_phase(state)

    def banner(self, state: StackState, *, found: bool = False) -> None:
        """Where everything is, and what to do next."""
        known = credentials.read(self._layout)
        rows = Table.grid(padding=(0, 2))
        rows.add_row("API", Text(state.urls["api"], "bold"))
        if known:
            rows.add_row("API key", Text(known.api_key, "bold"))
        rows.add_row("API docs", state.urls["docs"])
        rows.add_row("Temporal UI", state.urls["temporal_ui"])
        rows.add_row("Data and logs", str(self._layout.root))
        took = f"in {time.monotonic() - self._began:.1f} s"
        title = Text.assemble(("Aither is up", "bold green"), " already" if found else f" {took}")
        out = self._console
        out.print()
        out.print(title)
        out.print()
        out.print(rows)
        out.print()
        out.print("Ask it something:")
        out.print(Text(f"  {self._ask_line()}", "bold cyan"), soft_wrap=True)
        if known:
            out.print(Text(f"  {_curl_line(known)}", "dim"), soft_wrap=True)
        out.print()
        if self._detached or found:
            out.print(
                "`aither down` stops it; `aither status` and `aither logs -f` show how it does.", style="dim"
            )
        else:
            out.print("Ctrl-C stops everything.", style="dim")

    def _ask_line(self) -> str:
        from pathlib import Path

        usual = self._layout.root == Path(".aither").resolve()
        return f'./aither ask "{QUESTION}"' + ("" if usual else f" --data-dir {self._layout.root}")

    def _say_phase(self, state: StackState) -> None:
        match state.phase:
            case Phase.STARTING:
                pass
            case Phase.UP:
                self._end_live()
                self.banner(state)
            case Phase.STOPPING:
                self._end_live()
                if not state.error:
                    self._console.print("Stopping …")
            case Phase.STOPPED:
                self._console.print("Stopped.")
            case Phase.FAILED:
                self._end_live()
                self._console.print(f"Could not start: {state.error}", style="red")
                self._show_failure(state)

    def _show_failure(self, state: StackState) -> None:
        for part in state.parts:
            if part.phase is PartPhase.FAILED:
                path = self._layout.log_file(part.name)
                self._console.print(f"\nThe last that {part.name} said ({path}):", style="bold")
                for line in logs.tail(path, LINES_OF_A_FAILURE):
                    self._console.print(Text(f"  {line}", "dim"), soft_wrap=True)

    def _note_change(self, part: PartState, phase: Phase) -> None:
        """Says what has become of the part, unless the table shows it."""
        now = (part.phase, part.restarts)
        before = self._said.get(part.name)
        self._said[part.name] = now
        if now == before or self._live is not None:
            return
        if part.phase is PartPhase.UP:
            self._console.print(f"{part.name} up in {part.took_s:.2f} s")
        elif part.phase is PartPhase.RESTARTING and phase is not Phase.STOPPING:
            self._console.print(f"{part.name} {part.last_end}; starting it again")

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> RenderableType:
        state = self._state
        if state is None:
            return Text("")
        rows = Table.grid(padding=(0, 2))
        for part in state.parts:
            rows.add_row(self._mark(part), part.title, _address(part), self._time(part))
        return Group(Text("Starting Aither", "bold"), rows)

    def _mark(self, part: PartState) -> RenderableType:
        mark = MARKS.get(part.phase)
        return Text(*mark) if mark else self._spinner

    def _time(self, part: PartState) -> Text:
        if part.phase is PartPhase.UP and part.took_s is not None:
            return Text(f"{part.took_s:.2f} s", "green")
        if part.phase is PartPhase.STARTING and part.began_at:
            return Text(f"{time.time() - part.began_at:.1f} s", "dim")
        if part.last_end and part.phase in {PartPhase.RESTARTING, PartPhase.FAILED}:
            return Text(part.last_end, "yellow")
        return Text(part.phase.value, "dim")


def print_status(seen: StackSeen) -> None:
    """The table of `aither status`."""
    out = console()
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("PART", "STATE", "PID", "ADDRESS", "UP FOR", "RESTARTS", "MEMORY"):
        table.add_column(heading, justify="right" if heading in {"PID", "RESTARTS", "MEMORY"} else "left")
    for part in seen.parts:
        word = part.state if not part.last_end else f"{part.state} ({part.last_end})"
        table.add_row(
            part.name,
            Text(word if part.state != PartPhase.UP else part.state, STATE_STYLES.get(part.state, "yellow")),
            str(part.pid or ""),
            part.url or (f"port {part.port}" if part.port else ""),
            _duration(part.uptime_s),
            str(part.restarts),
            f"{part.memory_mib:.0f} MiB" if part.memory_mib else "",
        )
    table.add_row("total", "", "", "", "", "", f"{seen.memory_mib:.0f} MiB", style="bold")
    out.print(table)


def log_printer(prefixed: list[str], colours: bool) -> Callable[[str, str], None]:
    """Prints log lines; those of several parts with the part's name before them."""
    width = max(map(len, prefixed), default=0)
    out = Console(no_color=not colours, highlight=False, soft_wrap=True)
    style = {part: PART_STYLES[index % len(PART_STYLES)] for index, part in enumerate(prefixed)}

    def show(part: str, line: str) -> None:
        before = Text(f"{part:<{width}} │ ", style[part]) if prefixed else Text("")
        out.print(before + Text(line), soft_wrap=True)

    return show


def _curl_line(known: credentials.Credentials) -> str:
    body = f'{{"input": "{QUESTION}"}}'
    return (
        f"curl -s {known.api_url}/v1/turns -H 'Authorization: Bearer {known.api_key}'"
        f" -H 'Prefer: wait=60' -H 'Content-Type: application/json' -d '{body}'"
    )


def _address(part: PartState) -> Text:
    return Text(part.url or (f"port {part.port}" if part.port else ""), "dim")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit, below in ((86400, "d", 3600), (3600, "h", 60), (60, "min", 1)):
        if seconds >= size:
            rest = int(seconds % size // below)
            small = {"d": "h", "h": "min", "min": "s"}[unit]
            return f"{int(seconds // size)} {unit} {rest} {small}"
    return f"{seconds:.0f} s"
