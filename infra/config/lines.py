"""Where things stand in a TOML document: `tomllib` tells what a document says, but not on which line.

The scan leans on `tomllib` having accepted the document, so it tells the tokens apart but checks nothing.
Grammar: toml.io/en/v1.0.0. (TOML 1.1, with line breaks in inline tables, is scanned just as well.)
"""

import re
import tomllib
from collections.abc import Callable
from typing import cast

Path = tuple[str | int, ...]
"""Keys from the root down; an element of an array is named by its index."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY_PART = r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"{_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART})*")
_STRING = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"""(?!")'
    r"|'''[\s\S]*?'''(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")


def locate(source: str) -> dict[Path, int]:
    """The line, from 1, on which each key and each element of an array begins.

    `source` is a document that `tomllib` accepts. A table that has a header is where its header is, one that
    is only implied where it is first implied.
    """
    return _Scan(source).document()


class _Scan:
    """One pass over a document."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._counted = 0
        self._lines: dict[Path, int] = {}
        self._last: dict[Path, int] = {}
        """Index of the latest element of each array of tables."""

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._skip()
        while self._at < len(self._source):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip()
        return self._lines

    def _header(self) -> Path:
        """`[table]` or `[[array.of.tables]]`: the path that the pairs below it belong to."""
        line = self._here()
        repeated = self._source.startswith("[[", self._at)
        self._at += 2 if repeated else 1
        self._skip()
        parts = self._key()
        path: Path = ()
        for part in parts[:-1]:
            path = self._latest((*path, part))
            self._lines.setdefault(path, line)
        path = (*path, parts[-1])
        if repeated:
            self._lines.setdefault(path, line)
            self._last[path] = self._last.get(path, -1) + 1
            path = (*path, self._last[path])
        self._lines[path] = line
        self._skip()
        self._at += 2 if repeated else 1
        return path

    def _latest(self, path: Path) -> Path:
        """A path through an array of tables goes through its latest element."""
        self._lines.setdefault(path, self._here())
        return (*path, self._last[path]) if path in self._last else path

    def _pair(self, table: Path) -> None:
        """`key = value`, its key perhaps dotted."""
        line = self._here()
        path = table
        for part in self._key():
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._skip()
        self._at += len("=")
        self._skip()
        self._value(path)

    def _key(self) -> tuple[str, ...]:
        raw = self._take(_KEY)
        if raw.isascii() and raw.replace("_", "").replace("-", "").isalnum():
            return (raw,)
        parts: list[str] = []
        rest: object = tomllib.loads(f"{raw} = 0")
        while isinstance(rest, dict):
            part, rest = next(iter(cast("dict[str, object]", rest).items()))
            parts.append(part)
        return tuple(parts)

    def _value(self, path: Path) -> None:
        if self._peek("{"):
            self._members("}", lambda _: self._pair(path))
        elif self._peek("["):
            self._members("]", lambda index: self._element((*path, index)))
        elif self._source[self._at] in "\"'":
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _element(self, path: Path) -> None:
        self._lines[path] = self._here()
        self._value(path)

    def _members(self, closing: str, member: Callable[[int], None]) -> None:
        """What stands between brackets, comma by comma."""
        self._at += 1
        self._skip()
        index = 0
        while not self._peek(closing):
            member(index)
            index += 1
            self._skip()
            if self._peek(","):
                self._at += 1
                self._skip()
        self._at += 1

    def _peek(self, text: str) -> bool:
        return self._source.startswith(text, self._at)

    def _skip(self) -> None:
        self._take(_BLANK)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._source, self._at)
        if match is None:
            raise ValueError(f"line {self._here()} is not TOML")
        self._at = match.end()
        return match.group()

    def _here(self) -> int:
        """The line that the scan is on. Lines are counted once, so asking often costs nothing."""
        self._line += self._source.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line
