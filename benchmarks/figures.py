"""What was measured, what the aim was, and how both are shown."""

import os
from dataclasses import asdict, dataclass, field
from typing import Any

BUSY = 0.5
"""Load average at the start above which times say little: others use the processors, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. The aim is a most, unless `least`."""

    what: str
    measured: float
    unit: str
    aim: float | None = None
    least: bool = False
    digits: int = 1

    @property
    def met(self) -> bool | None:
        """None where there is no aim."""
        if self.aim is None:
            return None
        return self.measured >= self.aim if self.least else self.measured <= self.aim

    def cells(self) -> tuple[str, str, str]:
        aim = "" if self.aim is None else f"{'≥' if self.least else '≤'} {self.aim:g}"
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        return f"{self.measured:.{self.digits}f} {self.unit}", aim, verdict


@dataclass(slots=True)
class Section:
    """One kind of measurement: its figures, and what else its reader should know."""

    title: str
    figures: list[Figure] = field(default_factory=list[Figure])
    note: str = ""

    def add(self, what: str, measured: float, unit: str, aim: float | None = None, **more: Any) -> None:
        self.figures.append(Figure(what=what, measured=measured, unit=unit, aim=aim, **more))

    def lines(self) -> list[str]:
        shown = [(figure.what, *figure.cells()) for figure in self.figures]
        lines = [
            f"{what:<58}{measured:>12}{aim:>9}  {verdict}".rstrip() for what, measured, aim, verdict in shown
        ]
        return [self.title, *(f"  {line}" for line in lines), *([f"  {self.note}"] if self.note else [])]

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "note": self.note,
            "figures": [{**asdict(figure), "met": figure.met} for figure in self.figures],
        }


def percentile(values: list[float], percent: float) -> float:
    """Between the two nearest of the values."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: list[float]) -> float:
    return percentile(values, 50)


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


def warning(load: float) -> str | None:
    """What is to be said of figures that were taken under this load."""
    if load <= BUSY:
        return None
    return f"The load average was {load:.2f} when this began (idle is below {BUSY}): times say little, ratios more."
