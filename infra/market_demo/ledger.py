"""What the stand-in market has billed: its own truth, against which ours is held."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Clock = Callable[[], float]
Life = tuple[float, float | None]
"""From when to when; None for still."""


@dataclass(slots=True)
class Span:
    """A time at one price. Seconds as the clock counts."""

    start: float
    usd_per_hour: float
    end: float | None = None

    def usd(self, now: float) -> float:
        """What it came to."""
        return ((now if self.end is None else self.end) - self.start) * self.usd_per_hour / 3600


@dataclass(slots=True)
class Entry:
    """One instance, from its creation until it was destroyed."""

    instance: int
    label: str
    created: float
    ended: float | None = None
    spans: list[Span] = field(default_factory=list[Span])
    traffic_usd: float = 0.0

    def usd(self, now: float) -> float:
        """What it came to."""
        return self.traffic_usd + sum(span.usd(now) for span in self.spans)

    def seconds(self, now: float) -> float:
        """For how long it was there."""
        return (now if self.ended is None else self.ended) - self.created

    def outside(self, lives: Iterable[Life], now: float) -> float:
        """Of its seconds, those that lie in none of these."""
        end = now if self.ended is None else self.ended
        left, uncovered = self.created, 0.0
        for start, until in sorted((start, now if until is None else until) for start, until in lives):
            if start > left:
                uncovered += max(0.0, min(start, end) - left)
            left = max(left, until)
            if left >= end:
                break
        return uncovered + max(0.0, end - left)


class Ledger:
    """Every instance that there ever was."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.entries: dict[int, Entry] = {}

    def open(self, instance: int, label: str, usd_per_hour: float) -> None:
        """A new instance, at this price."""
        now = self._clock()
        entry = Entry(instance, label, now)
        entry.spans.append(Span(now, usd_per_hour))
        self.entries[instance] = entry

    def price(self, instance: int, usd_per_hour: float) -> None:
        """From now on it costs this."""
        entry, now = self.entries[instance], self._clock()
        if entry.ended is None and entry.spans[-1].usd_per_hour != usd_per_hour:
            entry.spans[-1].end = now
            entry.spans.append(Span(now, usd_per_hour))

    def traffic(self, instance: int, usd: float) -> None:
        """It has moved data for so much."""
        self.entries[instance].traffic_usd += usd

    def close(self, instance: int) -> None:
        """It bills no more."""
        entry, now = self.entries[instance], self._clock()
        if entry.ended is None:
            entry.ended = entry.spans[-1].end = now

    def live(self, prefix: str = "") -> list[Entry]:
        """What is billed now."""
        return [
            each for each in self.entries.values() if each.ended is None and each.label.startswith(prefix)
        ]

    def of(self, label: str) -> list[Entry]:
        """Every instance that had this label."""
        return [each for each in self.entries.values() if each.label == label]

    def usd(self, prefix: str = "") -> float:
        """All that was billed so far."""
        now = self._clock()
        return sum(each.usd(now) for each in self.entries.values() if each.label.startswith(prefix))

    def seconds(self, prefix: str = "") -> float:
        """All instances' seconds together."""
        now = self._clock()
        return sum(each.seconds(now) for each in self.entries.values() if each.label.startswith(prefix))

    def unowned(self, lives: Mapping[str, Sequence[Life]], prefix: str = "") -> dict[int, float]:
        """For each instance its seconds outside of the lives that its label had (by the same clock)."""
        now = self._clock()
        ours = [each for each in self.entries.values() if each.label.startswith(prefix)]
        return {each.instance: each.outside(lives.get(each.label, ()), now) for each in ours}

    def as_json(self) -> list[dict[str, object]]:
        """All of it, for whoever asks over HTTP."""
        now = self._clock()
        return [
            {
                "instance": each.instance,
                "label": each.label,
                "created": each.created,
                "ended": each.ended,
                "seconds": each.seconds(now),
                "usd": each.usd(now),
            }
            for each in self.entries.values()
        ]
