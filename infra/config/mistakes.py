"""What is wrong with a configuration: all of it at once, each mistake with its line."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from infra.config.lines import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to put right. Its text never quotes what may be a secret: a URL, or a key in a wrong place."""

    text: str
    line: int | None = None
    column: int | None = None

    def told(self, file: str) -> str:
        """As compilers tell it, so that editors can jump there."""
        where = [file, *(str(place) for place in (self.line, self.column) if place)]
        return f"{':'.join(where)}: {self.text}"


class ConfigError(Exception):
    """A configuration that cannot be gone by."""

    def __init__(self, file: str, mistakes: Iterable[Mistake]) -> None:
        self.file = file
        self.mistakes = tuple(sorted(mistakes, key=lambda found: (found.line or 0, found.column or 0)))
        super().__init__("\n".join(mistake.told(file) for mistake in self.mistakes))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say of the value at a path."""

    path: Path
    text: str

    @property
    def told(self) -> str:
        """The text, with the path that it is about."""
        return f"{dotted(self.path)}: {self.text}" if self.path else self.text


def dotted(path: Path) -> str:
    """A path as one would write it: `ladders.auto.reason[1].patience`."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part) is not None
            written += ("." if written else "") + (part if bare else f'"{part}"')
    return written


def allowed(known: Iterable[str], wrong: str = "") -> str:
    """The values that are allowed, the nearest to what was written first."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong.lower(), names, n=1) if wrong else []
    listed = ", ".join(names) or "none"
    return f'did you mean "{near[0]}"? allowed: {listed}' if near else f"allowed: {listed}"
