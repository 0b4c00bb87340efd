"""`aither up|down|status|logs`: the embedded stack from the outside."""

from __future__ import annotations

import asyncio
import json
import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from api.cli.client import AsJson, coloured, data_dir


class ExitCode(IntEnum):
    """What a script can tell from the end of one of these commands."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    DEGRADED = 4
    INTERRUPTED = 130


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where the stack keeps its data and logs. [default: .aither]",
        show_default=False,
        envvar="AITHER_DATA_DIR",
        file_okay=False,
    ),
]


def up(
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once all is up; `aither down` stops it.")
    ] = False,
    directory: DataDir = None,
    port_base: Annotated[
        int | None,
        typer.Option(
            "--port-base",
            metavar="N",
            min=1,
            max=65000,
            help="Put the ports in a row: API N, Temporal UI N+1, Temporal N+2, chat model N+3, "
            "embeddings N+4, PostgreSQL N+5, Redis N+6.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without", metavar="PART", help="Leave this part out: you run it yourself. Repeatable."
        ),
    ] = None,
) -> None:
    """Start everything, and keep it running until Ctrl-C.

    A part that dies is started again. When it runs already, this shows where.

    Exit codes: 0 stopped as asked, or up with --detach; 1 a part did not come up; 2 a port is taken, or bad
    input.
    """
    from api.cli.starting import start

    raise typer.Exit(start(directory, port_base, frozenset(without or ()), detach=detach))


def down(directory: DataDir = None) -> None:
    """Stop everything that `up` started, and wait for it.

    Exit codes: 0 nothing runs any more (or nothing did), 1 something could not be stopped.
    """
    from infra.embedded.stopping import stop

    stopped = stop(data_dir(directory).expanduser().resolve())
    sys.stdout.write("Stopped.\n" if stopped else "Nothing is running.\n")


def status(as_json: AsJson = False, directory: DataDir = None) -> None:
    """Show the parts: which are up, where, since when, with how much memory.

    Exit codes: 0 all are up, 3 nothing is running, 4 a part is not up.
    """
    from infra.embedded.inspection import inspect

    seen = asyncio.run(inspect(data_dir(directory).expanduser().resolve()))
    if as_json:
        sys.stdout.write(json.dumps(seen.as_dict(), indent=2) + "\n")
    elif not seen.running:
        sys.stdout.write("Nothing is running. Start it with `aither up`.\n")
    else:
        from api.cli.stack_view import print_status

        print_status(seen)
    if not seen.running:
        raise typer.Exit(ExitCode.NOT_RUNNING)
    if not seen.sound:
        raise typer.Exit(ExitCode.DEGRADED)


def logs(
    part: Annotated[str | None, typer.Argument(help="Which part; all when left out.")] = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many lines of the past to show.")
    ] = 100,
    directory: DataDir = None,
) -> None:
    """Show what the parts say, one or all; with all, each line begins with its part.

    Exit codes: 0 shown, 2 there is no such part, 3 nothing has ever run here.
    """
    from infra.embedded import logs as log_files

    found = log_files.of(data_dir(directory).expanduser().resolve())
    if not found:
        _fail(ExitCode.NOT_RUNNING, "there are no logs here yet: `aither up` writes them")
    if part is not None and part not in found:
        _fail(ExitCode.USAGE, f"there is no part {part!r}; there are {', '.join(found)}")
    chosen = found if part is None else {part: found[part]}
    from api.cli.stack_view import log_printer

    show = log_printer(list(chosen) if part is None else [], coloured(sys.stdout.isatty()))
    try:
        log_files.show(chosen, lines, show, follow=follow)
    except KeyboardInterrupt:
        return


def _fail(code: ExitCode, message: str) -> NoReturn:
    sys.stderr.write(f"aither: {message}\n")
    raise typer.Exit(code)
