"""What `aither up` does before and around the supervisor: finds a running stack, checks ports, shows progress."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.client import data_dir
from api.cli.stack import ExitCode
from infra.embedded import ports, state
from infra.embedded.bytecode import cache_environment
from infra.embedded.layout import Layout
from infra.embedded.state import Lock, Phase

if TYPE_CHECKING:
    from api.cli.stack_view import StartView
    from infra.embedded.stack import Blueprint

POLL_S = 0.1
OTHER_START_LIMIT_S = 120.0


def start(given_dir: Path | None, port_base: int | None, without: frozenset[str], *, detach: bool) -> int:
    """Starts the stack unless it runs; returns the exit code of `aither up`."""
    from api.cli.stack_view import StartView

    root = data_dir(given_dir).expanduser().resolve()
    layout = Layout(root)
    view = StartView(layout, detached=detach)
    try:
        layout.make()
    except OSError as error:
        return _refuse(f"the data directory {root} cannot be used: {error.strerror}")
    lock = Lock(layout)
    if not lock.take():
        return _show_running(layout, view)
    from infra.embedded.run import plan

    try:
        blueprint = plan(root, port_base, without)
    except ValueError as error:
        return _refuse(str(error))
    state.stop_leftovers(layout)
    if complaint := _port_complaint(blueprint):
        return _refuse(complaint)
    if detach:
        return _in_background(blueprint, lock, port_base, without, view)
    return _in_foreground(blueprint, view)


def _in_foreground(blueprint: Blueprint, view: StartView) -> int:
    from infra.embedded.run import run

    with view:
        return asyncio.run(run(blueprint, view.watch))


def _in_background(
    blueprint: Blueprint, lock: Lock, port_base: int | None, without: frozenset[str], view: StartView
) -> int:
    layout = blueprint.layout
    # What an earlier run wrote must not be taken for what this one will write.
    layout.state_file.unlink(missing_ok=True)
    log = os.open(layout.log_file("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [sys.executable, "-m", "infra.embedded.run"]
    command += ["--data-dir", str(layout.root), "--lock-fd", str(lock.descriptor)]
    command += ["--port-base", str(port_base)] if port_base is not None else []
    command += [word for name in sorted(without) for word in ("--without", name)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(os.environ) | cache_environment(),
        start_new_session=True,
        pass_fds=(lock.descriptor,),
    )
    os.close(log)
    lock.release()
    try:
        with view:
            return _await_start(process, layout, view)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return ExitCode.INTERRUPTED


def _await_start(process: subprocess.Popen[bytes], layout: Layout, view: StartView) -> int:
    """Shows the start of a stack in the background until it is up or has failed."""
    running = True
    while running:
        # Asked before the state is read, so that the last one is read after the end.
        running = process.poll() is None
        seen = state.read(layout)
        if seen:
            view.watch(seen)
            if seen.phase is Phase.UP:
                return ExitCode.DONE
            if seen.phase is Phase.FAILED:
                return ExitCode.FAILED
        time.sleep(POLL_S)
    return _refuse(f"it stopped while it started; see {layout.log_file('supervisor')}", ExitCode.FAILED)


def _show_running(layout: Layout, view: StartView) -> int:
    """Another `up` has the lock: waits until its stack is up, and shows where that is."""
    deadline = time.monotonic() + OTHER_START_LIMIT_S
    while time.monotonic() < deadline:
        seen = state.read(layout)
        if seen and seen.running:
            if seen.phase is Phase.UP:
                view.banner(seen, found=True)
                return ExitCode.DONE
            if seen.phase is not Phase.STARTING:
                break
        time.sleep(POLL_S)
    return _refuse("another `aither up` or `down` is at work here; try again in a moment", ExitCode.FAILED)


def _port_complaint(blueprint: Blueprint) -> str | None:
    """What is wrong with the ports and what to do about it; None when they can all be had."""
    wanted, host = blueprint.ports, blueprint.settings.host
    if doubled := ports.doubled(wanted):
        return "; ".join(doubled)
    taken = ports.taken(host, wanted)
    if not taken:
        return None
    base = ports.free_base(host)
    advice = f"start on other ports with `aither up --port-base {base}`, " if base else ""
    variables = ", ".join(port.variable for port in taken)
    return "\n  ".join([*map(str, taken), f"Stop what has it, or {advice}or set {variables}."])


def _refuse(message: str, code: ExitCode = ExitCode.USAGE) -> int:
    sys.stderr.write(f"aither: {message}\n")
    return code
