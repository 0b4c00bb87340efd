"""From the bytes of a request to a checked request for a turn; every refusal names its field."""

import hashlib
import json
import re
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ValidationError

from activities.contracts.chat import Message, Role, Sampling, ToolCall
from activities.contracts.policy import Bounds
from api.asking import TurnRequest
from api.models import MessageBody, TurnBody
from api.problems import FieldError, Problem, field_path, invalid, invalid_fields

Body = TypeVar("Body", bound=BaseModel)

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)
RESPONSE_FORMATS = ("text", "json_object", "json_schema")


async def read_turn(request: Request, idempotency_key: str | None) -> TurnRequest:
    """The request's body as a request for a turn. Raises a 4xx `Problem`."""
    if idempotency_key is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    body = await read_body(request, TurnBody)
    return TurnRequest(
        messages=_messages(body),
        sampling=_sampling(body),
        model=body.model,
        conversation_id=body.conversation_id,
        effort=body.effort,
        agent=body.agent,
        bounds=body.policy.bounds() if body.policy else Bounds(),
        priority=body.priority,
        metadata=body.metadata,
        idempotency_key=idempotency_key,
        body_sha256=_digest(body) if idempotency_key is not None else None,
    )


def wait_seconds(prefer: str | None) -> int | None:
    """The seconds of `Prefer: wait=N` (RFC 7240); None where it is not there, or makes no sense."""
    found = _WAIT.search(prefer) if prefer else None
    return int(found[1]) if found else None


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The request's JSON body, checked. Raises a 4xx `Problem`."""
    _check_type(request.headers.get("content-type"))
    return parse(await request.body(), kind)


def parse(raw: bytes, kind: type[Body]) -> Body:
    """The body, checked. Raises a 4xx `Problem`."""
    if b"\\u0000" in raw and (found := _unstorable(raw)):
        raise invalid(*found)
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            raise _not_json(raw, errors[0]["msg"].removeprefix("Invalid JSON: ")) from None
        raise invalid_fields([{"loc": found["loc"], "msg": found["msg"]} for found in errors]) from None


def _not_json(raw: bytes, why: str) -> Problem:
    if "recursion limit" in why:
        return Problem(
            "body_too_deep",
            "the body is nested more than 200 levels deep; flatten it",
            FieldError(field="body", message="nested too deeply"),
        )
    if b"\\u" in raw and (found := _unstorable(raw)):
        return invalid(*found)
    return Problem("bad_json", f"the body is not JSON: {why}", FieldError(field="body", message=why))


def _unstorable(raw: bytes) -> tuple[str, str] | None:
    """Field and fault of a string that JSON can say and no text can hold; None where there is none."""
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, value = waiting.pop()
        inner: dict[str | int, Any] = {}
        if isinstance(value, dict):
            inner = cast("dict[str | int, Any]", value)
        elif isinstance(value, list):
            inner = dict(enumerate(cast("list[Any]", value)))
        texts = [value] if isinstance(value, str) else [key for key in inner if isinstance(key, str)]
        for fault in filter(None, map(_fault, texts)):
            return field_path(path), fault
        waiting.extend(((*path, key), item) for key, item in inner.items())
    return None


def _fault(text: str) -> str | None:
    if "\x00" in text:
        return "holds a NUL character, which cannot be stored"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half a surrogate pair, which is no text"
    return None


def _check_type(content_type: str | None) -> None:
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Problem(
            "unsupported_media_type",
            f"the body came as {kind[:100] or 'no type at all'}; send it with Content-Type: application/json",
            FieldError(field="Content-Type", message="must be application/json"),
        )


def _messages(body: TurnBody) -> tuple[Message, ...]:
    if isinstance(body.input, str):
        if not body.input.strip():
            raise invalid("input", "is empty; ask something")
        return (Message(role=Role.USER, content=body.input),)
    for index, message in enumerate(body.input):
        _check_message(f"input[{index}]", message)
    if body.input[-1].role not in {Role.USER, Role.TOOL}:
        raise invalid(f"input[{len(body.input) - 1}].role", "the last message must be from a user or a tool")
    return tuple(
        Message(
            role=message.role,
            content=message.content,
            name=message.name,
            tool_calls=tuple(
                ToolCall(id=call.id, name=call.name, arguments=call.arguments) for call in message.tool_calls
            ),
            tool_call_id=message.tool_call_id,
        )
        for message in body.input
    )


def _check_message(place: str, message: MessageBody) -> None:
    if message.tool_calls and message.role is not Role.ASSISTANT:
        raise invalid(f"{place}.tool_calls", "only an assistant's message calls tools")
    if (message.tool_call_id is not None) != (message.role is Role.TOOL):
        raise invalid(f"{place}.tool_call_id", "belongs on a tool's result, and is needed there")
    if not message.content.strip() and message.role is not Role.TOOL and not message.tool_calls:
        raise invalid(f"{place}.content", "is empty")


def _sampling(body: TurnBody) -> Sampling:
    form = body.response_format
    if form is not None and form.get("type") not in RESPONSE_FORMATS:
        raise invalid("response_format.type", f"must be one of {', '.join(RESPONSE_FORMATS)}")
    if form is not None and form["type"] == "json_schema" and not isinstance(form.get("json_schema"), dict):
        raise invalid("response_format.json_schema", "must be an object with a name and a schema")
    return Sampling(
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.seed,
        stop=body.stop,
        response_format=form,
    )


def _digest(body: TurnBody) -> bytes:
    """Equal for bodies that say the same, in whatever order or spacing."""
    said = body.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
