"""The stand-in's words in the OpenAI chat-completions dialect."""

from typing import Any

import orjson

from tests.support.standin_reply import Call, Reply, content_text, fitting, prompt_tokens, tokens_of, words

DONE = b"data: [DONE]\n\n"


def wanted_text(call: Call, reply: Reply) -> str:
    """The text to answer with: scripted, counted, fitting the schema, or the last user message."""
    if reply.tokens is not None:
        text = words(reply.tokens)
    elif reply.text is not None:
        text = reply.text
    elif call.body.get("response_format", {}).get("type") == "json_schema":
        text = orjson.dumps(fitting(call.body["response_format"]["json_schema"]["schema"])).decode()
    else:
        text = call.text
    last: dict[str, Any] = call.body["messages"][-1] if call.body.get("messages") else {}
    if last.get("role") == "assistant":
        text = text.removeprefix(content_text(last.get("content")))
    return text


def usage(call: Call, reply: Reply, completion: int) -> dict[str, Any]:
    prompt = prompt_tokens(call.body.get("messages", []))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": len(tokens_of(reply.reasoning))},
    }


def finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _logprobs(token: str) -> dict[str, Any]:
    entry = {"token": token, "logprob": -0.1, "bytes": list(token.encode())}
    return {"content": [{**entry, "top_logprobs": [entry]}]}


def _choice(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish, **extra}]


class Stream:
    """The frames of one streamed answer: a head, one frame a token, and the end."""

    def __init__(self, call: Call, reply: Reply) -> None:
        self._call = call
        self._reply = reply
        self._frame = {
            "id": "chatcmpl-standin",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": reply.model or call.model,
        }
        self._count = 0

    def _event(self, choices: list[dict[str, Any]], **extra: Any) -> bytes:
        return b"data: " + orjson.dumps({**self._frame, "choices": choices, **extra}) + b"\n\n"

    def head(self) -> bytes:
        return self._event(_choice({"role": "assistant", "content": ""}))

    def pieces(self) -> list[bytes]:
        reasoning = [self._event(_choice({"reasoning_content": t})) for t in tokens_of(self._reply.reasoning)]
        logprobs = bool(self._call.body.get("logprobs"))
        tokens = tokens_of(wanted_text(self._call, self._reply)) if not self._reply.tool_calls else []
        self._count = len(reasoning) + len(tokens)
        texts = [
            self._event(_choice({"content": t}, logprobs=_logprobs(t) if logprobs else None)) for t in tokens
        ]
        return [*reasoning, *texts, *self._tool_calls()]

    def _tool_calls(self) -> list[bytes]:
        deltas: list[dict[str, Any]] = []
        for index, (name, arguments) in enumerate(self._reply.tool_calls):
            half = len(arguments) // 2
            opened = {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
            parts = [{"function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
            deltas += [{"index": index, **fields} for fields in (opened, *parts)]
        return [self._event(_choice({"tool_calls": [delta]})) for delta in deltas]

    def tail(self) -> bytes:
        """The finish, and the usage where it was asked for; without the [DONE]."""
        end = self._event(_choice({}, finish_reason(self._reply)))
        options: dict[str, Any] = self._call.body.get("stream_options") or {}
        if options.get("include_usage"):
            end += self._event([], usage=usage(self._call, self._reply, self._count))
        return end

    def done(self) -> bytes:
        return DONE

    def error(self) -> bytes:
        return b"data: " + orjson.dumps(error_body(self._reply, self._reply.error_status)) + b"\n\n"


def whole(call: Call, reply: Reply) -> bytes:
    """The answer of a call that did not ask for a stream."""
    text = "" if reply.tool_calls else wanted_text(call, reply)
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(reply.tool_calls)
        ]
    body = {
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "created": 1,
        "model": reply.model or call.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(reply)}],
        "usage": usage(call, reply, len(tokens_of(reply.reasoning)) + len(tokens_of(text))),
    }
    return orjson.dumps(body)


def error_body(reply: Reply, status: int) -> dict[str, Any]:
    code: Any = reply.error_code or status
    return {"error": {"message": reply.error, "type": "standin_error", "param": None, "code": code}}


def counted(body: dict[str, Any]) -> bytes:
    """vLLM's `/tokenize`, which takes messages."""
    count = prompt_tokens(body["messages"])
    return orjson.dumps({"count": count, "max_model_len": 8192, "tokens": list(range(count))})


def tokenized(body: dict[str, Any]) -> bytes:
    """llama.cpp's `/apply-template` (messages in, a prompt out) and `/tokenize` (a text in, its tokens out).

    The template frames a message with three tokens, as `prompt_tokens` counts them.
    """
    if "messages" in body and "model" not in body:
        frames = (f"<| {m['role']} |> {content_text(m.get('content'))}".rstrip() for m in body["messages"])
        return orjson.dumps({"prompt": " ".join(frames)})
    return orjson.dumps({"tokens": list(range(len(tokens_of(body.get("content", "")))))})
