"""Whether a JSON value fits a JSON schema: the keywords that structured output uses.

Judged are type, enum, const, required, properties, additionalProperties, items, prefixItems, minItems,
maxItems, minimum, maximum, anyOf, oneOf (as anyOf), allOf and local `$ref`. Any other keyword, and a schema
that is itself malformed, counts as satisfied: what is not understood cannot make a turn climb. Work is
bounded, whatever the schema: past `MOST_CHECKS` the rest counts as satisfied too. Source: JSON Schema 2020-12.
"""

from dataclasses import dataclass
from typing import Any, cast

MOST_CHECKS = 20_000
MOST_DEPTH = 64

Schema = dict[str, Any]


def misfit(value: Any, schema: Any) -> str | None:
    """The first place where the value does not fit, as a path and a keyword; None if it fits.

    Keys of the value appear in the path only where the schema names them.
    """
    if not isinstance(schema, dict | bool):
        return None
    return _Judge(schema).look(value, schema, "$", 0)


@dataclass(slots=True)
class _Judge:
    root: Any
    checks: int = 0

    def look(self, value: Any, schema: Any, path: str, depth: int) -> str | None:
        self.checks += 1
        if self.checks > MOST_CHECKS or depth > MOST_DEPTH or schema is True:
            return None
        if schema is False:
            return f"{path}: nothing is allowed here"
        if not isinstance(schema, dict):
            return None
        rules = cast("Schema", schema)
        return (
            _type(value, rules, path)
            or _values(value, rules, path)
            or _bounds(value, rules, path)
            or self._object(value, rules, path, depth)
            or self._array(value, rules, path, depth)
            or self._combined(value, rules, path, depth)
        )

    def _object(self, value: Any, rules: Schema, path: str, depth: int) -> str | None:
        if not isinstance(value, dict):
            return None
        found = cast("dict[str, Any]", value)
        missing = next((name for name in _strings(rules.get("required")) if name not in found), None)
        if missing is not None:
            return f"{path}: required {missing!r} is missing"
        properties = _mapping(rules.get("properties"))
        others: Any = True if "patternProperties" in rules else rules.get("additionalProperties", True)
        for name, inner in found.items():
            known = name in properties
            at = f"{path}.{name}" if known else f"{path}.*"
            wrong = self.look(inner, properties[name] if known else others, at, depth + 1)
            if wrong:
                return wrong
        return None

    def _array(self, value: Any, rules: Schema, path: str, depth: int) -> str | None:
        if not isinstance(value, list):
            return None
        found = cast("list[Any]", value)
        prefix = _sequence(rules.get("prefixItems"))
        for place, item in enumerate(found):
            schema = prefix[place] if place < len(prefix) else rules.get("items", True)
            wrong = self.look(item, schema, f"{path}[{place}]", depth + 1)
            if wrong:
                return wrong
        return None

    def _combined(self, value: Any, rules: Schema, path: str, depth: int) -> str | None:
        for keyword in ("anyOf", "oneOf"):
            options = _sequence(rules.get(keyword))
            if options and all(self.look(value, option, path, depth + 1) for option in options):
                return f"{path}: fits nothing of {keyword}"
        for part in _sequence(rules.get("allOf")):
            wrong = self.look(value, part, path, depth + 1)
            if wrong:
                return wrong
        target = self._resolve(rules.get("$ref"))
        return None if target is None else self.look(value, target, path, depth + 1)

    def _resolve(self, ref: Any) -> Any:
        """The part of the schema that a local reference names, or None."""
        if not isinstance(ref, str) or not ref.startswith("#"):
            return None
        target = self.root
        for step in ref[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                return None
            target = cast("Schema", target)[name]
        return target


def _type(value: Any, rules: Schema, path: str) -> str | None:
    wanted = rules.get("type")
    names = [wanted] if isinstance(wanted, str) else _strings(wanted)
    if not names or any(_is(value, name) for name in names):
        return None
    return f"{path}: type is not {' or '.join(names)}"


_TYPES: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "number": (int, float),
    "string": str,
    "array": list,
    "object": dict,
}


def _is(value: Any, name: str) -> bool:
    """Whether a value is of a JSON type; an unknown type fits everything. 1.0 is an integer, true is not."""
    if isinstance(value, bool):
        return name == "boolean" or (name not in _TYPES and name != "integer")
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return name not in _TYPES or isinstance(value, _TYPES[name])


def _values(value: Any, rules: Schema, path: str) -> str | None:
    allowed = rules.get("enum")
    if isinstance(allowed, list) and not any(_same(value, each) for each in cast("list[Any]", allowed)):
        return f"{path}: not in enum"
    if "const" in rules and not _same(value, rules["const"]):
        return f"{path}: not the const"
    return None


def _bounds(value: Any, rules: Schema, path: str) -> str | None:
    if isinstance(value, list):
        size, low, high = len(cast("list[Any]", value)), rules.get("minItems"), rules.get("maxItems")
        names = ("minItems", "maxItems")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        size, low, high = value, rules.get("minimum"), rules.get("maximum")
        names = ("minimum", "maximum")
    else:
        return None
    if isinstance(low, int | float) and size < low:
        return f"{path}: below {names[0]}"
    if isinstance(high, int | float) and size > high:
        return f"{path}: above {names[1]}"
    return None


def _same(one: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _strings(value: Any) -> list[str]:
    return (
        [each for each in cast("list[Any]", value) if isinstance(each, str)]
        if isinstance(value, list)
        else []
    )


def _sequence(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _mapping(value: Any) -> Schema:
    return cast("Schema", value) if isinstance(value, dict) else {}
