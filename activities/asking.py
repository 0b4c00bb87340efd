"""What is said to a rung: the conversation, as the step wants it put."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from activities.answering import REASON
from activities.contracts.backends import Backend, Capability
from activities.contracts.chat import ChatCall, JsonObject, Message, Role, Sampling
from activities.contracts.records import Answer, TurnContext
from activities.contracts.turn import ChatStep
from activities.ports import ChatBackend
from activities.window import answer_reserve, fit

LEAST_REST_TOKENS = 64
"""Room that an answer which is gone on from must have left."""
CHARS_A_TOKEN = 6
"""More characters than a token has on average: how much of an answer there is must not be overrated."""

REASON_TOOL: JsonObject = {
    "type": "function",
    "function": {
        "name": REASON,
        "description": (
            "Hand this on to a much stronger reasoner. Use it when the question needs careful multi-step"
            " reasoning, proof, planning or code that you are not certain to get right by yourself."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "question": {"type": "string", "description": "The whole question, self-contained."},
                "context": {"type": "string", "description": "Facts and constraints that matter."},
            },
            "required": ["question"],
        },
    },
}


async def call_for(
    step: ChatStep, backend: Backend, client: ChatBackend, context: TurnContext, prefix: str
) -> ChatCall:
    """The call that asks this step of this backend, trimmed to its window.

    `prefix` is text of the answer that the client has already; a backend that can goes on from it.
    Raises `ContextTooLong`.
    """
    messages = (*_system(step, context), *context.history, *context.input)
    if prefix:
        messages = (*messages, Message(role=Role.ASSISTANT, content=prefix))
    reserve = answer_reserve(backend.window_tokens, context.sampling.max_tokens)
    if prefix:
        # A part of the answer is there already, and needs no room kept for it a second time.
        reserve = max(LEAST_REST_TOKENS, reserve - len(prefix) // CHARS_A_TOKEN)
    fitted = await fit(messages, backend.window_tokens - reserve, client.count_tokens)
    return ChatCall(
        model=backend.model,
        messages=fitted,
        sampling=_sampling(step, backend, context),
        continue_final=bool(prefix),
    )


def goes_on(backend: Backend, context: TurnContext) -> bool:
    """Whether the backend can go on from a text so far. What is not text alone has to be made in one piece."""
    wanted = context.sampling
    return backend.can(Capability.PREFILL) and not (wanted.response_format or wanted.tools or wanted.logprobs)


def has_own_reason(context: TurnContext) -> bool:
    """Whether the client has a tool of its own by the name of ours: then ours is not offered."""
    return any(_tool_name(tool) == REASON for tool in context.sampling.tools)


def offers_reason(step: ChatStep, backend: Backend, context: TurnContext) -> bool:
    """Whether the model is given the tool that hands the question on."""
    return step.offer_reason and backend.can(Capability.TOOLS) and not has_own_reason(context)


def failed_tools(messages: Sequence[Message]) -> int:
    """How many tool results at the end of the conversation, in a row, report a failure."""
    count = 0
    for message in reversed(messages):
        if message.role is Role.TOOL:
            if not _reports_failure(message.content):
                break
            count += 1
        elif not (message.role is Role.ASSISTANT and message.tool_calls):
            break
    return count


def _system(step: ChatStep, context: TurnContext) -> tuple[Message, ...]:
    """Who the model speaks as, and what this step wants of it besides answering."""
    texts = [context.agent.system_text()] if context.agent else []
    if step.consult_step is not None and (handed := context.earlier.get(step.consult_step)):
        texts.append(_handed_on(handed))
    if step.compose_step is not None and (expert := context.earlier.get(step.compose_step)):
        texts.append(
            "An expert has worked out the answer to the user's last message. Give it to the user in your own"
            f" words, complete and without adding anything:\n\n{expert.text}"
        )
    return tuple(Message(role=Role.SYSTEM, content=text) for text in texts if text)


def _handed_on(handed: Answer) -> str:
    call = next((call for call in handed.tool_calls if call.name == REASON), None)
    question, notes = "", ""
    if call is not None:
        arguments: Any = _loads(call.arguments)
        if isinstance(arguments, dict):
            found = cast("dict[str, Any]", arguments)
            question, notes = str(found.get("question") or ""), str(found.get("context") or "")
    if not question:
        return "This was handed to you because it needs careful reasoning. Answer the user's last message."
    lines = ["This was handed to you because it needs careful reasoning. Answer the user's last message."]
    lines.append(f"The question, as it was handed on: {question}")
    if notes:
        lines.append(f"What was noted with it: {notes}")
    return "\n".join(lines)


def _sampling(step: ChatStep, backend: Backend, context: TurnContext) -> Sampling:
    sampling = context.sampling
    if context.agent and context.agent.tools is not None:
        allowed = set(context.agent.tools)
        sampling = replace(
            sampling, tools=tuple(tool for tool in sampling.tools if _tool_name(tool) in allowed)
        )
    if backend.price is not None and sampling.max_tokens is None:
        # What is set aside for the call bounds what it may cost, so the call itself must be bounded too.
        sampling = replace(sampling, max_tokens=step.max_tokens)
    if offers_reason(step, backend, context):
        sampling = replace(sampling, tools=(*sampling.tools, REASON_TOOL))
        if step.must_reason:
            choice = {"type": "function", "function": {"name": REASON}}
            sampling = replace(sampling, tool_choice=choice, response_format=None)
    return sampling


def _tool_name(tool: JsonObject) -> str:
    function: Any = tool.get("function")
    return str(cast("dict[str, Any]", function).get("name")) if isinstance(function, dict) else ""


def _reports_failure(content: str) -> bool:
    text = content.strip()
    if text[:5].lower() == "error" or text.startswith("Traceback"):
        return True
    value: Any = _loads(text) if text.startswith("{") else None
    if not isinstance(value, dict):
        return False
    found = cast("dict[str, Any]", value)
    return bool(found.get("error") or found.get("is_error") or found.get("isError"))


def _loads(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
