"""Durations as they are written: `250ms`, `20s`, `5m`, `1h`."""

import re
from datetime import timedelta

FORM = 'a duration such as "250ms", "20s", "5m" or "1h"'

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?(ms|s|m|h)", re.ASCII)


def duration(text: str) -> timedelta | None:
    """What the text says; None where it says nothing of the kind."""
    match = _WRITTEN.fullmatch(text.strip())
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]]) if match else None


def written(length: timedelta) -> str:
    """The length in its largest unit that needs no fraction; below a millisecond it is rounded."""
    thousandths = round(length / timedelta(milliseconds=1))
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if thousandths and thousandths % size == 0:
            return f"{thousandths // size}{unit}"
    return f"{thousandths}ms"
