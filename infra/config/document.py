"""One configuration file, parsed: its values, and on which lines they stand."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from infra.config.lines import Path, locate
from infra.config.mistakes import ConfigError, Finding, Mistake

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`file` is the name that mistakes are told under."""

    file: str
    values: Mapping[str, object]
    lines: Mapping[Path, int] = field(default_factory=dict[Path, int])

    def line(self, path: Path) -> int | None:
        """The line of the value at the path, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if line := self.lines.get(path[:length]):
                return line
        return None

    def placed(self, findings: Iterable[Finding]) -> list[Mistake]:
        """The findings with their lines."""
        return [Mistake(text=found.told, line=self.line(found.path)) for found in findings]


def opened(path: FilePath) -> Document:
    """The file at the path; `ConfigError` where it cannot be read or is not TOML."""
    file = os.path.relpath(path) if path.is_relative_to(FilePath.cwd()) else str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(file, [Mistake(text=error.strerror or "it cannot be read")]) from None
    try:
        source = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(file, [Mistake(text="this is not UTF-8", line=line)]) from None
    return parsed(source, file)


def parsed(source: str, file: str = "aither.toml") -> Document:
    """The document that a text is; `ConfigError` where it is not TOML."""
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [_syntax(source, str(error))]) from None
    return Document(file=file, values=values, lines=locate(source))


def _syntax(source: str, told: str) -> Mistake:
    """`tomllib` stops at the first mistake and says in its message where that is."""
    place = _PLACE.search(told)
    text = f"not TOML: {_PLACE.sub('', told)}"
    if place and place[1]:
        return Mistake(text=text, line=int(place[1]), column=int(place[2]))
    last = source.rstrip("\n")
    return Mistake(
        text=f"{text} at the end of the file",
        line=last.count("\n") + 1,
        column=len(last) - (last.rfind("\n") + 1) + 1,
    )
