"""What the OpenAPI document says of these routes; requests are described by the structs that decode them."""

from typing import Any, cast

import msgspec

from api.openai_compat.errors import TURN_ID_HEADER
from api.served import DESCRIPTIONS

Document = dict[str, Any]

_TURN_ID: Document = {
    TURN_ID_HEADER: {
        "description": "The turn's id, for `GET /v1/turns/{id}`; present once the turn has been accepted.",
        "schema": {"type": "string"},
    }
}
_ERROR: Document = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": ["invalid_request_error", "rate_limit_error", "server_error"]},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        },
        "aither_route": {"type": "array", "items": {"type": "object"}, "description": "The turn's hops."},
    },
}
_SERVED: Document = {
    name: {
        "description": f"{words} Not on streams, which begin before that is known.",
        "schema": {"type": "string"},
    }
    for name, words in DESCRIPTIONS.items()
}
ERRORS: dict[int | str, Document] = {
    status: {
        "description": f"{what}, as OpenAI's error object.",
        "headers": _TURN_ID,
        "content": {"application/json": {"schema": _ERROR}},
    }
    for status, what in (("4XX", "What is wrong with the request"), ("5XX", "What went wrong"))
}


def body_of(struct: type[msgspec.Struct]) -> Document:
    """The request body that the struct decodes."""
    schema = msgspec.json.schema(struct)
    inlined = _inline(schema, schema.get("$defs", {}))
    inlined.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined}}}}


def reply(
    description: str, schema: Document, *, streams: bool = False, turn: bool = False
) -> dict[int | str, Document]:
    """A 200 and the errors. `streams`: the same may come as server-sent events."""
    content: Document = {"application/json": {"schema": schema}}
    if streams:
        events = {"type": "string", "description": "`data: …` lines of chunks, then `data: [DONE]`"}
        content["text/event-stream"] = {"schema": events}
    return {
        200: {"description": description, "content": content, "headers": _TURN_ID | _SERVED if turn else {}},
        **ERRORS,
    }


def listed(of: str) -> Document:
    """The schema of one of OpenAI's lists."""
    return {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": {"type": "object", "properties": {"object": {"const": of}}},
            },
        },
    }


COMPLETION: Document = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage", "aither_route"],
    "properties": {
        "id": {"type": "string", "description": "`chatcmpl-` and the turn's id"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string", "description": "the model that served"},
        "choices": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 1},
        "usage": {"type": "object"},
        "aither_route": {"type": "array", "items": {"type": "object"}, "description": "The turn's hops."},
    },
}


def _inline(schema: Any, definitions: Document) -> Any:
    """The schema with its definitions in their places: a reference would point outside of an operation."""
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    branch = cast("Document", schema)
    if reference := branch.get("$ref"):
        return _inline(definitions[reference.rpartition("/")[2]], definitions)
    # A discriminator's mapping points at definitions, and says no more than the constants in the branches.
    return {key: _inline(value, definitions) for key, value in branch.items() if key != "discriminator"}
