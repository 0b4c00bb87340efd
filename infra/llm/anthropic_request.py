"""A chat call as the body of an Anthropic Messages request (https://platform.claude.com/docs/en/api/messages).

Not carried over, because the API has nothing like them: temperature and top_p (gone from it), seed, the
penalties, logprobs, and a `response_format` without a schema.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from activities.contracts.backends import Backend, Thinking
from activities.contracts.chat import ChatCall, JsonObject, Message, Role, Sampling, ToolCall
from infra.llm.normalise import JOINT, user_first

DEFAULT_MAX_TOKENS = 8192
"""The API demands a limit. Half of the window, where that is less."""

_THINKING: Mapping[Thinking, JsonObject] = {
    Thinking.OFF: {"thinking": {"type": "disabled"}},
    **{
        thinking: {"thinking": {"type": "adaptive"}, "output_config": {"effort": thinking.value}}
        for thinking in (Thinking.LOW, Thinking.HIGH, Thinking.MAX)
    },
}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def request_body(call: ChatCall, backend: Backend) -> dict[str, Any]:
    """The JSON body of a streamed call."""
    sampling = call.sampling
    thinking = dict(_thinking(call, backend.thinking))
    output = {**thinking.pop("output_config", {}), **_format(sampling)}
    return {
        "model": call.model,
        "max_tokens": sampling.max_tokens or min(DEFAULT_MAX_TOKENS, backend.window_tokens // 2),
        "stream": True,
        **conversation(call.messages, continues=call.continue_final),
        **({"stop_sequences": list(sampling.stop)} if sampling.stop else {}),
        **({"output_config": output} if output else {}),
        **thinking,
        **_tools(sampling, call.messages),
    }


def conversation(messages: Sequence[Message], *, continues: bool = False) -> dict[str, Any]:
    """`system` and `messages`: system lifted, results inside user messages, every tool id its own."""
    spoken = user_first(messages, continues=continues)
    system = JOINT.join(m.content for m in spoken if m.role is Role.SYSTEM)
    ids = _Ids()
    said: list[dict[str, Any]] = []
    for message in spoken:
        if message.role is Role.SYSTEM:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        blocks = _blocks(message, ids)
        if said and said[-1]["role"] == role:
            said[-1]["content"] += blocks
        else:
            said.append({"role": role, "content": blocks})
    if continues and said and said[-1]["role"] == "assistant":
        # "final assistant content cannot end with trailing whitespace"
        said[-1]["content"][-1]["text"] = said[-1]["content"][-1]["text"].rstrip()
    return {"system": system, "messages": said} if system else {"messages": said}


def _blocks(message: Message, ids: "_Ids") -> list[dict[str, Any]]:
    if message.role is Role.TOOL:
        result: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": ids.answered(message.tool_call_id or ""),
        }
        return [result | {"content": message.content} if message.content.strip() else result]
    text = f"{message.name}: {message.content}" if message.name else message.content
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if message.content.strip() else []
    return blocks + [
        {"type": "tool_use", "id": ids.called(call), "name": call.name, "input": _object(call.arguments)}
        for call in message.tool_calls
    ]


class _Ids:
    """Tool ids as the API wants them: of few characters, and never twice in a conversation."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._latest: dict[str, str] = {}

    def called(self, call: ToolCall) -> str:
        base = given = _NOT_IN_IDS.sub("_", call.id) or "call"
        number = 1
        while given in self._given:
            number += 1
            given = f"{base}_{number}"
        self._given.add(given)
        self._latest[call.id] = given
        return given

    def answered(self, id_: str) -> str:
        return self._latest[id_]


def _object(arguments: str) -> dict[str, Any]:
    """Arguments as the object that the API demands, whatever a model wrote."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"arguments": arguments} if arguments.strip() else {}


def _thinking(call: ChatCall, wanted: Thinking) -> JsonObject:
    # Between a tool's call and its result the API wants the signed thinking back, which is not kept.
    if wanted is not Thinking.DEFAULT and call.messages and call.messages[-1].role is Role.TOOL:
        wanted = Thinking.OFF
    return _THINKING.get(wanted, {})


def _format(sampling: Sampling) -> dict[str, Any]:
    wanted = sampling.response_format or {}
    if wanted.get("type") != "json_schema":
        return {}
    return {"format": {"type": "json_schema", "schema": wanted.get("json_schema", {}).get("schema", {})}}


def _tools(sampling: Sampling, said: Sequence[Message]) -> dict[str, Any]:
    if not sampling.tools:
        # A conversation that holds calls must define their tools, even when none may be called any more.
        called = sorted({call.name for message in said for call in message.tool_calls})
        return (
            {"tools": [_tool({"name": n}) for n in called], "tool_choice": {"type": "none"}} if called else {}
        )
    choice = _choice(sampling.tool_choice)
    if sampling.parallel_tool_calls is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool["function"]) for tool in sampling.tools], "tool_choice": choice}


def _choice(wanted: str | JsonObject | None) -> dict[str, Any]:
    if wanted is None or isinstance(wanted, str):
        return {"type": _CHOICES.get(wanted or "auto", "auto")}
    return {"type": "tool", "name": wanted.get("function", {}).get("name", "")}


def _tool(function: JsonObject) -> dict[str, Any]:
    schema = cast("JsonObject", function.get("parameters") or {"type": "object", "properties": {}})
    kept = {name: function[name] for name in ("description", "strict") if function.get(name) is not None}
    return {"name": function["name"], "input_schema": schema, **kept}
