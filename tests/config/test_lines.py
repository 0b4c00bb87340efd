"""Whatever a document looks like, each of its keys and elements is found, on the line where it stands."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.config.lines import Path, locate


@dataclass(frozen=True)
class Raw:
    """A value that is written as it is."""

    written: str


KEYS = st.text(
    st.one_of(
        st.sampled_from("ab1-_ .\"'#=[]{}\\\n\tö€"),
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]),
    ),
    max_size=5,
)
TEXTS = st.text(st.sampled_from("ab \"'#=[]{},\\\n\t.ö"), max_size=12)
SCALARS = st.one_of(
    st.integers(-(2**31), 2**31).map(lambda n: Raw(str(n))),
    st.sampled_from(
        [
            "true",
            "1_000.5e-3",
            "inf",
            "0xff",
            "1979-05-27",
            "1979-05-27 07:32:00.5",
            "07:32:00",
            "1979-05-27T00:32:00-07:00",
        ]
    ).map(Raw),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=5,
)


class Writer:
    """Writes a document as `draw` pleases, and notes where it puts what."""

    def __init__(self, data: st.DataObject) -> None:
        self.text = ""
        self.lines: dict[Path, int] = {}
        self._data = data

    def document(self) -> None:
        self._pairs(())
        for name in self._names():
            self._table((name,), (name,))

    def _draw(self, *ways: str) -> str:
        return self._data.draw(st.sampled_from(ways))

    def _names(self) -> list[str]:
        return self._data.draw(st.lists(KEYS.map(lambda key: f"table:{key}"), unique=True, max_size=2))

    def _put(self, text: str) -> None:
        self.text += text

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def _blank(self, *, breaks: bool = True) -> None:
        self._put(self._draw("", " ", "\t", *(("\n", "\r\n", " # [a] = '\n", "\n\n#\n") if breaks else ())))

    def _end(self) -> None:
        self._put(self._draw("\n", "\r\n", ' # ] } """\n', "\n\n \n"))

    def _table(self, path: Path, keys: tuple[str, ...]) -> None:
        """`[table]` with pairs and tables below it, or `[[table]]` a few times."""
        if self._data.draw(st.booleans()):
            self._header(path, keys, "[", "]")
            self._below(path, keys)
            return
        for index in range(self._data.draw(st.integers(1, 2))):
            self._note(path)
            self._header((*path, index), keys, "[[", "]]")
            self._below((*path, index), keys)

    def _below(self, path: Path, keys: tuple[str, ...]) -> None:
        self._pairs(path)
        if len(keys) < 3:
            for name in self._names():
                self._table((*path, name), (*keys, name))

    def _header(self, path: Path, keys: tuple[str, ...], opening: str, closing: str) -> None:
        self._put(self._draw("", "  "))
        self._note(path)
        self._put(opening)
        self._blank(breaks=False)
        self._dotted(keys)
        self._blank(breaks=False)
        self._put(closing)
        self._end()

    def _pairs(self, path: Path) -> None:
        for key, value in self._data.draw(st.dictionaries(KEYS, VALUES, max_size=3)).items():
            self._put(self._draw("", " \t"))
            self._pair(path, key, value)
            self._end()

    def _pair(self, path: Path, key: str, value: Any) -> None:
        # "shared" and "table:" are longer than any key that is drawn, so no table is defined twice.
        keys = self._data.draw(st.sampled_from([(key,), ("shared", key), ("shared", "shared", key)]))
        for length in range(1, len(keys) + 1):
            self._note((*path, *keys[:length]))
        self._dotted(keys)
        self._blank(breaks=False)
        self._put("=")
        self._blank(breaks=False)
        self._value((*path, *keys), value)

    def _dotted(self, keys: tuple[str, ...]) -> None:
        dot = self._draw(".", " . ", "\t.")
        self._put(dot.join(self._key(key) for key in keys))

    def _key(self, key: str) -> str:
        forms = [_basic(key)]
        if not set(key) & {"'", "\n", "\t"}:
            forms.append(f"'{key}'")
        if key and key.isascii() and all(c.isalnum() or c in "-_" for c in key):
            forms.append(key)
        return self._draw(*forms)

    def _value(self, path: Path, value: Any) -> None:
        match value:
            case Raw(written):
                self._put(written)
            case str():
                self._put(self._string(value))
            case dict():
                self._inline(path, cast("dict[str, Any]", value))
            case _:
                self._array(path, value)

    def _string(self, text: str) -> str:
        forms = [_basic(text), f'"""\n{_basic(text)[1:-1]}"""', f'"""{_basic(text)[1:-1]}\\\n  """']
        if "'" not in text:
            forms.append(f"'''\n{text}'''")
            if "\n" not in text:
                forms.append(f"'{text}'")
        if not set(text) & {'"', "\\"}:
            forms += [f'"""\n{text}"""', f'"""\n{text}""""', f'"""\n{text}"""""']
        return self._draw(*forms)

    def _array(self, path: Path, elements: list[Any]) -> None:
        self._put("[")
        for index, element in enumerate(elements):
            self._put("," if index else "")
            self._blank()
            self._note((*path, index))
            self._value((*path, index), element)
            self._blank()
        self._put(self._draw("", ",") if elements else "")
        self._blank()
        self._put("]")

    def _inline(self, path: Path, members: Mapping[str, Any]) -> None:
        self._put("{")
        for index, (key, value) in enumerate(members.items()):
            self._put("," if index else "")
            self._blank(breaks=False)
            self._pair(path, key, value)
            self._blank(breaks=False)
        self._put("}")


def _basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """All paths of what `tomllib` made of the document."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, member in cast("dict[str, Any]", value).items():
            yield from _paths(member, (*path, key))
    elif isinstance(value, list):
        for index, member in enumerate(cast("list[Any]", value)):
            yield from _paths(member, (*path, index))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(st.data())
def test_every_key_and_element_is_found_where_it_stands(data: st.DataObject) -> None:
    writer = Writer(data)
    writer.document()
    read = tomllib.loads(writer.text)
    found = locate(writer.text)
    assert set(found) == set(_paths(read))
    assert found == writer.lines


@pytest.mark.parametrize(
    ("source", "path", "line"),
    [
        ("[a.b]\nx = 1\n[a]\ny = 2\n", ("a",), 3),
        ("[a.b]\nx = 1\n", ("a",), 1),
        ("a.x = 1\na.y = 2\n", ("a",), 1),
        ("a.x = 1\na.y = 2\n", ("a", "y"), 2),
        ("[[a]]\n[[a]]\n[a.b]\nx = 1", ("a", 1, "b", "x"), 4),
        ("[[a]]\n[[a.c]]\n[[a]]\n[[a.c]]\n[[a.c]]", ("a", 1, "c", 1), 5),
        ("a = [\n  1, # one\n  {b = 2},\n  [\n3]]", ("a", 2, 0), 5),
        ("a = [\n  1, # one\n  {b = 2},\n]", ("a", 1, "b"), 3),
        ('a = """\n[b]\n""""\n"c.d" = 1', ("c.d",), 4),
        ("a = '''\n'''\nb = 1", ("b",), 3),
        ("\r\n\r\na = 1", ("a",), 3),
    ],
)
def test_corners(source: str, path: Path, line: int) -> None:
    tomllib.loads(source)
    assert locate(source)[path] == line
