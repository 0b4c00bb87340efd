"""Ending real processes without a word of warning, and waiting until they are back."""

import asyncio
import contextlib
import inspect
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import psutil

from infra.embedded.processes import ProcessId, identify
from infra.embedded.state import PartPhase
from tests.support.stack import Stack

POLL_S = 0.02
PATIENCE_S = 60.0


async def until(
    condition: Callable[[], object | Awaitable[object]], what: str, within_s: float = PATIENCE_S
) -> None:
    """Waits for a condition that nobody announces; the error says what did not come."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(POLL_S)


def kill(stack: Stack, *names: str) -> dict[str, int]:
    """Kills these parts with SIGKILL; how often each had been started again before, for `back`."""
    restarts = {name: stack.part(name).restarts for name in names}
    for name in names:
        stack.kill(name)
    return restarts


async def back(stack: Stack, killed: dict[str, int]) -> None:
    """Waits until the supervisor has started again what was killed."""
    for name, restarts in killed.items():

        def up(name: str = name, restarts: int = restarts) -> bool:
            part = stack.part(name)
            return part.phase is PartPhase.UP and part.restarts > restarts

        await until(up, f"{name} is up again")


@contextmanager
def frozen(stack: Stack, name: str) -> Generator[None]:
    """The part (or `supervisor`) stands still within the block, in which it may be killed."""
    pid = stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def away(stack: Stack, *names: str) -> AsyncGenerator[None]:
    """These parts are killed, and stay so within the block: their supervisor looks on. Then all are up again."""
    with frozen(stack, "supervisor"):
        # A killed PostgreSQL leaves backends that finish what they are at.
        processes = [process for name in names for process in _with_children(stack.pid(name))]
        killed = kill(stack, *names)
        await until(lambda: not any(process.alive for process in processes), f"{names} are gone")
        yield
    await back(stack, killed)


async def kill_all(stack: Stack) -> None:
    """Kills the whole lot at once, the supervisor first so that it can bring nothing back."""
    processes = _with_children(stack.state.pid)
    assert len(processes) > len(stack.state.parts)
    for process in processes:
        process.send(signal.SIGKILL)
    await until(lambda: not any(process.alive for process in processes), "every process is gone")


def _with_children(pid: int) -> list[ProcessId]:
    """The process and all that it has started."""
    process = psutil.Process(pid)
    pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
    return [found for found in map(identify, pids) if found]
