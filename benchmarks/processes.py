"""Processes: bound to ours when they are started, and asked what CPU they have used (Linux)."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from infra.embedded.spawn import launch_argv

TICKS = os.sysconf("SC_CLK_TCK")


async def start(
    *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, talks: bool = False
) -> asyncio.subprocess.Process:
    """Starts a process that does not outlive this one. `talks` joins its standard input and output to us."""
    pipe = asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        *launch_argv(command, signal.SIGKILL, None),
        stdin=pipe,
        stdout=pipe,
        env=env,
        cwd=cwd,
        limit=64 * 1024 * 1024,
        start_new_session=True,
    )


async def stop(process: asyncio.subprocess.Process, grace_s: float = 30) -> None:
    """Ends a process, by force where asking does not do."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        process.kill()
        await process.wait()


def cpu_s(pid: int) -> float:
    """User and system time of a process, of those below it, and of those below it that have ended."""
    try:
        top = psutil.Process(pid)
        family = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_own_cpu_s(process.pid) for process in family)


def _own_cpu_s(pid: int) -> float:
    try:
        # The name of the program stands in parentheses and may hold anything, so read from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def cpu_of(parts: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far, by part."""
    return {name: cpu_s(pid) for name, pid in parts.items()}
