"""What providers refuse, written down from their side: a request's body in, the text of their 400 out.

Written without a look at the adapters' normalisation, which these rules judge.
"""

import re
from typing import Any

Body = dict[str, Any]


def deepseek_refusal(body: Body) -> str | None:
    """Why DeepSeek's chat template would refuse these messages, or None."""
    messages: list[Body] = body.get("messages") or []
    if not messages:
        return "messages: at least one message is required"
    waiting: list[str] = []
    before: str | None = None
    for index, message in enumerate(messages):
        role = message["role"]
        if waiting and role != "tool":
            return "an assistant message with tool_calls must be followed by tool messages"
        if role == "system" and index > 0:
            return "a system message must come first"
        if role == before and role != "tool":
            return f"successive {role} messages"
        if role == "tool":
            if not waiting or waiting.pop(0) != message.get("tool_call_id"):
                return "a tool message must answer the next tool call"
        elif message.get("tool_calls"):
            if "reasoning_content" not in message:
                return "reasoning_content must be passed back"
            waiting = [call["id"] for call in message["tool_calls"]]
        elif not isinstance(message.get("content"), str):
            return "content must be a string"
        before = role
    if waiting:
        return "tool calls without results"
    if before == "system":
        return "there is nothing but a system message"
    if before == "assistant" and messages[-1].get("prefix") is not True:
        return "the last message must not be the assistant's"
    return None


def anthropic_refusal(body: Body) -> str | None:
    """Why the Messages API would refuse this request, or None."""
    messages: list[Body] = body.get("messages") or []
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return "max_tokens: field required"
    if body.get("system") is not None and not str(body["system"]).strip():
        return "system: text content blocks must be non-empty"
    if not messages:
        return "messages: at least one message is required"
    if messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    seen: set[str] = set()
    called: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] not in {"user", "assistant"}:
            return f"messages.{index}: unexpected role"
        if index and messages[index - 1]["role"] == message["role"]:
            return f"messages.{index}: roles must alternate"
        refusal = _refused_content(message, called, seen, last=index == len(messages) - 1)
        if refusal:
            return f"messages.{index}: {refusal}"
        called = [block["id"] for block in _of(message, "tool_use")]
    if called:
        return "tool_use ids were found without tool_result blocks"
    if seen and not body.get("tools"):
        return "requests which include tool_use or tool_result blocks must define tools"
    return None


def _of(message: Body, kind: str) -> list[Body]:
    content: str | list[Body] = message["content"]
    return [] if isinstance(content, str) else [block for block in content if block["type"] == kind]


def _refused_content(message: Body, called: list[str], seen: set[str], *, last: bool) -> str | None:
    content = message["content"]
    blocks: list[Body] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not blocks:
        return "content must be non-empty"
    if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
        return "text content blocks must contain non-whitespace text"
    if message["role"] == "assistant":
        if last and blocks[-1]["type"] == "text" and blocks[-1]["text"] != blocks[-1]["text"].rstrip():
            return "final assistant content cannot end with trailing whitespace"
        return _refused_calls(blocks, seen)
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    if sorted(results) != sorted(called):
        return "each tool_use block must have one tool_result block in the next message"
    if any(block["type"] == "tool_result" for block in blocks[len(results) :]):
        return "tool_result blocks must come first"
    return None


def _refused_calls(blocks: list[Body], seen: set[str]) -> str | None:
    for block in blocks:
        if block["type"] != "tool_use":
            continue
        if not re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]):
            return "tool_use.id: string should match the pattern"
        if block["id"] in seen:
            return "tool_use ids must be unique"
        if not isinstance(block["input"], dict):
            return "tool_use.input: input should be an object"
        seen.add(block["id"])
    return None
