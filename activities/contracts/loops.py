"""What runs again and again, by a Temporal Schedule."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A workflow, started `every` so often with `args`, unless it runs still. The schedule has the workflow's name."""

    workflow: str
    queue: str
    every: timedelta
    args: tuple[object, ...] = ()
