"""What a part of the stack is: data that says how to start it, when it is up and how to stop it."""

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Step = Callable[[], Awaitable[None]]
Probe = Callable[[], Awaitable[bool]]


async def nothing() -> None:
    """The step that does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the stack.

    `needs` names the parts that must be up before it starts; names that are not in the stack count as up.
    `before` runs ahead of every start, `after` once the first start has made it ready. `death_signal` is
    what the kernel sends it when the supervisor is gone. Parts stop in the order of `stop_wave`, those of
    one wave together; `grace_s` seconds after `stop_signal` a part is killed.
    """

    name: str
    title: str
    argv: tuple[str, ...]
    ready: Probe
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: Path | None = None
    user_id: int | None = None
    port: int | None = None
    url: str | None = None
    needs: tuple[str, ...] = ()
    before: Step = nothing
    after: Step = nothing
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 10.0
    stop_wave: int = 2

    def environment(self) -> dict[str, str]:
        """The variables that its process gets: ours, with the part's own on top."""
        return dict(os.environ) | dict(self.env)
