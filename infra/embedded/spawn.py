"""Turns a part into a running process that its supervisor's end takes with it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from infra.embedded.parts import Part

LAUNCH = Path(__file__).with_name("launch.py")


def launch_argv(argv: tuple[str, ...], death_signal: signal.Signals, user_id: int | None) -> tuple[str, ...]:
    """The command that runs `argv` bound to this process, as that user."""
    user = "-" if user_id is None else str(user_id)
    # -I -S: the launcher needs the standard library only, and must not be steered by the environment.
    return (sys.executable, "-I", "-S", str(LAUNCH), str(int(death_signal)), str(os.getpid()), user, *argv)


async def spawn(part: Part, log_file: Path) -> asyncio.subprocess.Process:
    """Starts the part, its output appended to the log file.

    Called from the main thread only: the kernel takes a thread's end for the parent's.
    """
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *launch_argv(part.argv, part.death_signal, part.user_id),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=part.environment(),
            cwd=part.cwd,
            # A Ctrl-C in the terminal is for the supervisor, which stops the parts in order.
            start_new_session=True,
        )
    finally:
        os.close(log)
