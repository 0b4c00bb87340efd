"""The sign of life that `workers.health` looks for."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from workers.health import BEAT_S, READY_FILE


@asynccontextmanager
async def beating() -> AsyncGenerator[None]:
    """Says that this process is ready, and goes on saying so; where nobody has asked for a file, does nothing."""
    named = os.environ.get(READY_FILE)
    if not named:
        yield
        return
    path = Path(named)
    _begin(path)
    heart = asyncio.create_task(_beat(path))
    try:
        yield
    finally:
        heart.cancel()


def _begin(path: Path) -> None:
    path.write_text(f"{os.getpid()}\n")


async def _beat(path: Path) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        # A full disk, or somebody who cleans up, ends no worker.
        with suppress(OSError):
            os.utime(path)
