"""The logs of the parts: bounded in size, read singly or together."""

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIMIT_BYTES = 20 * 1024 * 1024
CHECK_EVERY_S = 60.0
FOLLOW_EVERY_S = 0.2
LINE_BYTES = 400
"""How long a line is expected to be, when looking for the last lines of a file."""

STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:[.,]\d+)?)")

Show = Callable[[str, str], None]
"""Takes the part's name and a line."""


def bound(log: Path) -> None:
    """Moves what a log holds aside once it is too long; what was aside before is dropped.

    The file itself stays, because its part goes on appending to it.
    """
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LIMIT_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            with log.open("r+") as file:
                file.truncate(0)


def of(data_dir: Path) -> dict[str, Path]:
    """The logs of a data directory by part."""
    return {path.stem: path for path in sorted((data_dir / "logs").glob("*.log"))}


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log; none where there is no log."""
    return _read_tail(log, lines)[0]


def show(files: dict[str, Path], lines: int, to: Show, *, follow: bool) -> None:
    """Shows the last lines of the logs in order of time, and then, if asked to, what is added, for good."""
    offsets: dict[str, int] = {}
    past: list[tuple[str, str, str]] = []
    for part, path in files.items():
        found, offsets[part] = _read_tail(path, lines)
        past.extend((stamp, part, line) for stamp, line in _stamped(found))
    # Sorting keeps the order of lines with one stamp, so a part's own lines stay as they were.
    for _, part, line in sorted(past, key=lambda entry: entry[0])[-lines:] if lines else []:
        to(part, line)
    while follow:
        for part, path in files.items():
            offsets[part] = added(part, path, offsets[part], to)
        time.sleep(FOLLOW_EVERY_S)


def _stamped(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each line with its time; a line without one belongs to the line before it."""
    stamp = ""
    for line in lines:
        if match := STAMP.search(line, 0, 60):
            stamp = f"{match[1]} {match[2].replace(',', '.')}"
        yield stamp, line


def _read_tail(log: Path, lines: int) -> tuple[list[str], int]:
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            size = (lines + 1) * LINE_BYTES
            while True:
                start = max(0, end - size)
                file.seek(start)
                raw = file.read(end - start)
                if start == 0 or raw.count(b"\n") > lines:
                    break
                size *= 4
    except FileNotFoundError:
        return [], 0
    return raw.decode(errors="replace").splitlines()[-lines:] if lines else [], end


def added(part: str, log: Path, offset: int, to: Show) -> int:
    """Shows the whole lines that were added after `offset`; returns where to go on."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(offset if offset <= end else 0)
            start = file.tell()
            raw = file.read()
    except FileNotFoundError:
        return 0
    whole = raw[: raw.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        to(part, line)
    return start + len(whole)
