"""Looks at a running stack: what the supervisor says, what the parts themselves say, what they weigh."""

import asyncio
import contextlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.embedded import state
from infra.embedded.layout import Layout
from infra.embedded.state import PartPhase, PartState, Phase, StackState

SILENT = "not answering"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSeen:
    """One part now. `state` is the supervisor's word for it, or that it does not answer."""

    name: str
    title: str
    state: str
    pid: int | None
    port: int | None
    url: str | None
    uptime_s: float | None
    restarts: int
    memory_mib: float | None
    last_end: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSeen:
    """The stack now."""

    running: bool
    phase: str
    data_dir: str
    urls: dict[str, str]
    uptime_s: float | None
    parts: tuple[PartSeen, ...]

    @property
    def sound(self) -> bool:
        """Whether every part is up and answers."""
        return self.phase == Phase.UP and all(part.state == PartPhase.UP for part in self.parts)

    @property
    def memory_mib(self) -> float:
        """What all parts weigh together."""
        return round(sum(part.memory_mib or 0 for part in self.parts), 1)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"memory_mib": self.memory_mib}


async def inspect(data_dir: Path) -> StackSeen:
    """The stack of a data directory as it is now."""
    layout = Layout(data_dir)
    seen = state.read(layout)
    if seen is None or not seen.running:
        return StackSeen(
            running=False, phase=Phase.STOPPED, data_dir=str(data_dir), urls={}, uptime_s=None, parts=()
        )
    answering = await _answering(layout, seen)
    now = time.time()
    supervisor = PartSeen(
        name="supervisor",
        title="Supervisor",
        state=PartPhase.UP,
        pid=seen.pid,
        port=None,
        url=None,
        uptime_s=round(now - seen.since, 1),
        restarts=0,
        memory_mib=memory_mib(seen.pid, below=False),
        last_end=None,
    )
    return StackSeen(
        running=True,
        phase=seen.phase,
        data_dir=str(data_dir),
        urls=seen.urls,
        uptime_s=round(now - seen.since, 1),
        parts=(*(_look(part, answering.get(part.name, True), now) for part in seen.parts), supervisor),
    )


def _look(part: PartState, answers: bool, now: float) -> PartSeen:
    word = SILENT if part.phase is PartPhase.UP and not answers else part.phase.value
    return PartSeen(
        name=part.name,
        title=part.title,
        state=word,
        pid=part.pid,
        port=part.port,
        url=part.url,
        uptime_s=round(now - part.up_at, 1) if part.up_at else None,
        restarts=part.restarts,
        memory_mib=memory_mib(part.pid) if part.pid else None,
        last_end=part.last_end,
    )


async def _answering(layout: Layout, seen: StackState) -> dict[str, bool]:
    """Asks every part that is said to be up the question by which its start was judged."""
    from infra.embedded import passwords, stack
    from infra.settings import Settings

    ports: dict[str, Any] = {f"{use}_port": port for use, port in seen.ports.items()}
    settings = Settings(data_dir=layout.root, host=seen.host, **ports)
    drawn = stack.draw(settings, layout, passwords.load_or_make(layout), frozenset())
    up = {part.name for part in seen.parts if part.phase is PartPhase.UP}
    asked = [part for part in drawn.parts if part.name in up]
    answers = await asyncio.gather(*(part.ready() for part in asked))
    return {part.name: answer for part, answer in zip(asked, answers, strict=True)}


def memory_mib(pid: int, *, below: bool = True) -> float | None:
    """What a process and those below it hold, each shared page split among those who share it (PSS).

    Where another user's processes may not be read that closely, their resident size. None when it is gone.
    """
    import psutil

    total = 0
    try:
        top = psutil.Process(pid)
        for process in [top, *(top.children(recursive=True) if below else [])]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += _pss_bytes(process.pid) or process.memory_info().rss
    except psutil.Error:
        return None
    return round(total / 2**20, 1)


def _pss_bytes(pid: int) -> int | None:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None
