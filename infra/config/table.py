"""Reading one table of a document: what is asked for is checked, what nobody asks for is a mistake."""

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar, cast

from infra.config.durations import FORM, duration
from infra.config.lines import Path
from infra.config.mistakes import Finding, allowed

D = TypeVar("D")
E = TypeVar("E", bound=StrEnum)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
NAME_FORM = "a name is made of up to 64 letters, digits, dots, dashes and underscores"

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a float"),
    (str, "a string"),
    (list, "an array"),
    (dict, "a table"),
)


def kind(value: object) -> str:
    """TOML's name for the type of a value."""
    return next((name for of, name in _KINDS if isinstance(value, of)), "a date or time")


class Table:
    """A table, its path, and the findings that it adds to.

    Whoever reads it asks for each key once, and calls `close` when it has asked for all. A value that is
    missing or wrong reads as the default, so that one mistake does not hide the next.
    """

    def __init__(self, values: Mapping[str, object], path: Path, findings: list[Finding]) -> None:
        self.path = path
        self.findings = findings
        self._values = values
        self._known: list[str] = []

    def wrong(self, text: str, *keys: str | int) -> None:
        """Notes a mistake in the value under these keys."""
        self.findings.append(Finding((*self.path, *keys), text))

    def has(self, key: str) -> bool:
        """Whether anything is written there."""
        return key in self._values

    def text(self, key: str, default: D) -> str | D:
        """A string that is not empty."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, str) and value.strip():
            return value.strip()
        got = "an empty one" if isinstance(value, str) else kind(value)
        self.wrong(f"a string is wanted, not {got}", key)
        return default

    def needed(self, key: str) -> str:
        """A string that must be there; empty where it is not."""
        if key not in self._values:
            self.wrong(f"{key} is missing")
        return self.text(key, "")

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.wrong(f"true or false is wanted, not {kind(value)}", key)
        return default

    def integer(self, key: str, default: D, *, least: int, most: int | None = None) -> int | D:
        """A whole number within bounds."""
        value = self.raw(key)
        if value is None:
            return default
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(f"an integer {bounds} is wanted, not {kind(value)}", key)
        elif value < least or (most is not None and value > most):
            self.wrong(f"an integer {bounds} is wanted, not {value}", key)
        else:
            return value
        return default

    def number(
        self, key: str, default: D, *, least: float, most: float = math.inf, above: bool = False
    ) -> float | D:
        """A finite number within bounds, the lower one excluded if `above`."""
        value = self.raw(key)
        if value is None:
            return default
        bounds = f"{'above' if above else 'of at least'} {least:g}"
        bounds += f" and at most {most:g}" if most < math.inf else ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(f"a number {bounds} is wanted, not {kind(value)}", key)
        elif not math.isfinite(value) or not least <= value <= most or (above and value == least):
            self.wrong(f"a number {bounds} is wanted, not {value}", key)
        else:
            return float(value)
        return default

    def length(self, key: str, default: timedelta, *, zero: bool = False) -> timedelta:
        """A duration, longer than nothing unless `zero` may be said."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.wrong(f"{FORM} is wanted, not {kind(value)}", key)
        elif (length := duration(value)) is None:
            self.wrong(f'{FORM} is wanted, not "{value}"', key)
        elif not length and not zero:
            self.wrong("a duration longer than nothing is wanted", key)
        else:
            return length
        return default

    def day(self, key: str) -> str:
        """A date, as ISO text; empty where there is none."""
        value = self.raw(key)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, str):
            try:
                return date.fromisoformat(value).isoformat()
            except ValueError:
                pass
        if value is not None:
            self.wrong("a date such as 2026-11-23 is wanted", key)
        return ""

    def choice(self, key: str, default: E) -> E:
        """One of an enumeration's values."""
        value = self.text(key, None)
        if value is None:
            return default
        known = type(default)
        if value in set(known):
            return known(value)
        self.wrong(f'"{value}" is unknown; {allowed(known, value)}', key)
        return default

    def texts(self, key: str) -> tuple[tuple[int, str], ...]:
        """The strings of an array, each with its index, without repetitions."""
        found: dict[str, int] = {}
        for index, value in enumerate(self.array(key) or ()):
            if not isinstance(value, str) or not value.strip():
                self.wrong(f"a string is wanted, not {kind(value)}", key, index)
            elif value.strip() in found:
                self.wrong(f'"{value.strip()}" stands here twice', key, index)
            else:
                found[value.strip()] = index
        return tuple((index, text) for text, index in found.items())

    def array(self, key: str) -> list[object] | None:
        """The array under a key; None where there is none."""
        value = self.raw(key)
        if value is None or isinstance(value, list):
            return cast("list[object] | None", value)
        self.wrong(f"an array is wanted, not {kind(value)}", key)
        return None

    def table(self, key: str) -> "Table | None":
        """The table under a key; None where there is none."""
        value = self.raw(key)
        if value is None or isinstance(value, dict):
            return None if value is None else self.inner(cast("dict[str, object]", value), key)
        self.wrong(f"a table is wanted, not {kind(value)}", key)
        return None

    def section(self, key: str) -> "Table":
        """The table under a key, an empty one where there is none."""
        return self.table(key) or self.inner({}, key)

    def named(
        self, key: str, form: re.Pattern[str] = NAME, told: str = NAME_FORM
    ) -> "dict[str, Table | None]":
        """The tables of a table by their names, `None` for what is no table.

        The names must be fit for queues, headers and model names, or have the given form, which `told` describes.
        """
        section = self.section(key)
        for name in section._values:
            if not form.fullmatch(name):
                section.wrong(told, name)
        return {name: section.table(name) for name in section._values}

    def inner(self, values: Mapping[str, object], *keys: str | int) -> "Table":
        """A table below this one, whose findings go where this one's go."""
        return Table(values, (*self.path, *keys), self.findings)

    def raw(self, key: str) -> object:
        """Whatever is written there, which the caller checks; None where nothing is."""
        self._known.append(key)
        return self._values.get(key)

    def names(self) -> tuple[str, ...]:
        """The keys that are written there, whatever they are."""
        return tuple(self._values)

    def close(self, hints: Mapping[str, str] | None = None) -> None:
        """Notes every key that nobody asked for, with a hint where there is one for it."""
        for key in self._values:
            if key not in self._known:
                hint = (hints or {}).get(key) or allowed(self._known, key)
                self.wrong(f'"{key}" is an unknown key; {hint}', key)
