"""The stand-in's words in the Anthropic Messages dialect (https://docs.claude.com/en/api/messages)."""

from typing import Any

import orjson

from tests.support.standin_openai import wanted_text
from tests.support.standin_reply import Call, Reply, prompt_tokens, tokens_of

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def stop_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_use" if reply.tool_calls else "end_turn")


def _usage(call: Call, reply: Reply, output: int) -> dict[str, Any]:
    return {
        "input_tokens": prompt_tokens(call.body.get("messages", [])) - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": output,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


class Stream:
    """The events of one streamed message: its start, one event a token, and its end."""

    def __init__(self, call: Call, reply: Reply) -> None:
        self._call = call
        self._reply = reply
        self._count = 0
        self._blocks = 0

    def head(self) -> bytes:
        message: dict[str, Any] = {
            "id": "msg_standin",
            "type": "message",
            "role": "assistant",
            "model": self._reply.model or self._call.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(self._call, self._reply, 1),
        }
        return _event("message_start", message=message) + _event("ping")

    def pieces(self) -> list[bytes]:
        reply = self._reply
        thinking = tokens_of(reply.reasoning)
        text = [] if reply.tool_calls else tokens_of(wanted_text(self._call, reply))
        self._count = len(thinking) + len(text)
        signed = [{"type": "signature_delta", "signature": "signed"}]
        frames = self._block(
            {"type": "thinking", "thinking": "", "signature": ""},
            [{"type": "thinking_delta", "thinking": token} for token in thinking] + signed * bool(thinking),
        )
        frames += self._block(
            {"type": "text", "text": ""}, [{"type": "text_delta", "text": token} for token in text]
        )
        for number, (name, arguments) in enumerate(reply.tool_calls):
            half = len(arguments) // 2
            frames += self._block(
                {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}},
                [
                    {"type": "input_json_delta", "partial_json": part}
                    for part in ("", arguments[:half], arguments[half:])
                ],
            )
        return frames

    def _block(self, block: dict[str, Any], deltas: list[dict[str, Any]]) -> list[bytes]:
        if not deltas:
            return []
        index = self._blocks
        self._blocks += 1
        frames = [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames[0] = _event("content_block_start", index=index, content_block=block) + frames[0]
        frames[-1] += _event("content_block_stop", index=index)
        return frames

    def tail(self) -> bytes:
        return _event(
            "message_delta",
            delta={"stop_reason": stop_reason(self._reply), "stop_sequence": None},
            usage=_usage(self._call, self._reply, self._count),
        )

    def done(self) -> bytes:
        return _event("message_stop")

    def error(self) -> bytes:
        return _event("error", **error_body(self._reply, self._reply.error_status) | {"type": "error"})


def whole(call: Call, reply: Reply) -> bytes:
    """The answer of a call that did not ask for a stream."""
    text = "" if reply.tool_calls else wanted_text(call, reply)
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": orjson.loads(arguments)}
        for number, (name, arguments) in enumerate(reply.tool_calls)
    ]
    body = {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": reply.model or call.model,
        "content": content,
        "stop_reason": stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(call, reply, len(tokens_of(text))),
    }
    return orjson.dumps(body)


def error_body(reply: Reply, status: int) -> dict[str, Any]:
    kind = reply.error_code or ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": reply.error}, "request_id": "req_standin"}


def counted(body: dict[str, Any]) -> bytes:
    """`/v1/messages/count_tokens`."""
    return orjson.dumps({"input_tokens": prompt_tokens(body["messages"])})
