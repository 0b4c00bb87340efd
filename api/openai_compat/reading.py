"""Reads a request's body into its struct, or says in OpenAI's words why it does not fit."""

import json
import re
from typing import Any, TypeVar, cast

import msgspec

from api.openai_compat.errors import CompatError

T = TypeVar("T")

_AT = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"field `(?P<name>.*)`$", re.DOTALL)
_NUL_ESCAPE = rb"\u0000"


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The request. Raises `CompatError` naming the field; text that PostgreSQL cannot hold is refused too."""
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unreadable(body) from None
    # An escape in the body is the only way for a NUL to get into a string.
    if _NUL_ESCAPE in body and (path := _unstorable(json.loads(body))):
        raise _bad_text(path)
    return value


def invalid(param: str, message: str, code: str = "invalid_value") -> CompatError:
    """A 400 that names its parameter."""
    return CompatError(400, message, code=code, param=param)


def _misfit(text: str) -> CompatError:
    found = _AT.match(text)
    assert found
    what = found["what"]
    path = (found["path"] or "").removeprefix(".")
    if field := _FIELD.search(what):
        param = f"{path}.{field['name']}".removeprefix(".")
        if what.startswith("Object contains unknown"):
            return invalid(param, f"Unrecognized request argument supplied: {param}", "unknown_parameter")
        return invalid(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")
    if not path:
        return CompatError(
            400, f"The body of the request must be a JSON object: {what}.", code="invalid_type"
        )
    subject = f"a key of '{path}'" if found["key"] else f"'{path}'"
    kind = "type" if ", got " in what else "value"
    return invalid(path, f"Invalid {kind} for {subject}: {what.replace('`', '')}.", f"invalid_{kind}")


def _unreadable(body: bytes) -> CompatError:
    """Python's reader is more lenient than ours, so what it reads shows where the trouble sits."""
    try:
        path = _unstorable(json.loads(body))
    except (ValueError, RecursionError):
        path = None
    if path:
        return _bad_text(path)
    return CompatError(
        400,
        "We could not parse the JSON body of your request: it must be valid JSON in UTF-8.",
        code="invalid_json",
    )


def _unstorable(value: Any) -> str | None:
    """Where in the value a string holds a NUL or half of a surrogate pair, as a path such as `a.b[0]`."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if not _is_text(value):
                return path or "body"
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            waiting += [(f"{path}[{index}]", item) for index, item in enumerate(items)][::-1]
        elif isinstance(value, dict):
            for key, item in reversed(cast("dict[str, Any]", value).items()):
                waiting += [(f"{path}.{key}".removeprefix("."), item), (path, key)]
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value


def _bad_text(path: str) -> CompatError:
    shown = path.replace("\x00", "?").encode("utf-8", "replace").decode()
    return invalid(shown, f"'{shown}' holds a character that is no text: a NUL, or half of a surrogate pair.")
