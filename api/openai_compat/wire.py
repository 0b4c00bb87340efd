"""What goes out: chunks of a stream and whole completions, from turns as the API shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Builds the chunks of one stream; what they share is rendered once, since every token pays for it."""

    def __init__(self, turn_id: str, created: int, model: str, *, include_usage: bool) -> None:
        self._turn_id = turn_id
        self._created = created
        self._include_usage = include_usage
        self.served_by(model)

    def served_by(self, model: str) -> None:
        """Names the model in the chunks from here on."""
        head = orjson.dumps(
            {
                "id": completion_id(self._turn_id),
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": model,
                "system_fingerprint": None,
            }
        )[:-1]
        # OpenAI's chunks carry a null usage where usage was asked for, until the one that has it.
        usage = b',"usage":null' if self._include_usage else b""
        self._head = b"data: " + head
        self._delta = self._head + usage + b',"choices":[{"index":0,"delta":'
        self._text = self._delta + b'{"content":'

    def text(self, text: str) -> bytes:
        """A chunk of plain text: the one that has to be cheap."""
        return self._text + orjson.dumps(text) + b'},"logprobs":null,"finish_reason":null}]}\n\n'

    def delta(self, delta: Mapping[str, Any], logprobs: Sequence[Any] | None = None) -> bytes:
        """A chunk of anything."""
        probabilities = orjson.dumps(content_logprobs(logprobs))
        return (
            self._delta
            + orjson.dumps(delta)
            + b',"logprobs":'
            + probabilities
            + b',"finish_reason":null}]}\n\n'
        )

    def end(self, view: Mapping[str, Any]) -> bytes:
        """The chunks that end the stream of a completed turn.

        The route stands in the chunk with the finish reason, which every client reads, and in the one with
        the usage where there is one, since it is the last.
        """
        finish = orjson.dumps(view["answer"]["finish_reason"])
        route = b',"aither_route":' + orjson.dumps(view["route"]) + b"}\n\n"
        last = self._delta + b'{},"logprobs":null,"finish_reason":' + finish + b"}]" + route
        if self._include_usage:
            last += self._head + b',"choices":[],"usage":' + orjson.dumps(usage_of(view["usage"])) + route
        return last + DONE


def completion(view: Mapping[str, Any], created: int) -> bytes:
    """The whole reply of a completed turn."""
    answer = view["answer"]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer["text"] or (None if answer["tool_calls"] else ""),
        "refusal": None,
    }
    if answer["tool_calls"]:
        message["tool_calls"] = [tool_call(call) for call in answer["tool_calls"]]
    if answer["reasoning"]:
        message["reasoning_content"] = answer["reasoning"]
    return orjson.dumps(
        {
            "id": completion_id(view["id"]),
            "object": "chat.completion",
            "created": created,
            "model": answer["model"],
            "system_fingerprint": None,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": content_logprobs(answer["logprobs"]),
                    "finish_reason": answer["finish_reason"],
                }
            ],
            "usage": usage_of(view["usage"]),
            "aither_route": view["route"],
        }
    )


def completion_id(turn_id: str) -> str:
    """A completion's id is its turn's, in the form that clients of OpenAI know."""
    return f"chatcmpl-{turn_id}"


def tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A whole tool call, from one as the answer holds it."""
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


def content_logprobs(logprobs: Sequence[Any] | None) -> dict[str, Any] | None:
    """Token probabilities in OpenAI's envelope; null where there are none."""
    return {"content": logprobs, "refusal": None} if logprobs else None


def usage_of(usage: Mapping[str, int]) -> dict[str, Any]:
    """Token counts in OpenAI's terms, from the turn's."""
    prompt, answered = usage["prompt_tokens"], usage["completion_tokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": prompt + answered,
        "prompt_tokens_details": {"cached_tokens": usage["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": usage["reasoning_tokens"]},
    }
