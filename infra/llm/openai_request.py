"""A chat call as the body of an OpenAI chat-completions request."""

from typing import Any

from activities.contracts.backends import Backend
from activities.contracts.chat import ChatCall, Message, Role, Sampling
from infra.llm.dialects import Manner, Prefill


def request_body(call: ChatCall, backend: Backend, manner: Manner) -> dict[str, Any]:
    """The JSON body; what the call leaves open is left to the backend."""
    messages = manner.normalise(call.messages, continues=call.continue_final)
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [as_json(message, replays_reasoning=manner.replays_reasoning) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(call.sampling, manner.max_tokens),
        **manner.thinking.get(backend.thinking, {}),
    }
    if call.continue_final and messages and messages[-1].role is Role.ASSISTANT:
        match manner.prefill:
            case Prefill.VLLM:
                body |= {"continue_final_message": True, "add_generation_prompt": False}
            case Prefill.MARKED:
                body["messages"][-1]["prefix"] = True
            case Prefill.IMPLIED:
                pass
    return body


def as_json(message: Message, *, replays_reasoning: bool = False) -> dict[str, Any]:
    """One message in OpenAI's shape."""
    said: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.name:
        said["name"] = message.name
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["content"] = message.content or None
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
        if replays_reasoning:
            said["reasoning_content"] = message.reasoning
    return said


def _sampling(sampling: Sampling, max_tokens: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        max_tokens: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logprobs": True if sampling.logprobs else None,
        "top_logprobs": sampling.top_logprobs if sampling.logprobs else None,
        "response_format": sampling.response_format,
        "tools": list(sampling.tools) or None,
        "tool_choice": sampling.tool_choice if sampling.tools else None,
        "parallel_tool_calls": sampling.parallel_tool_calls if sampling.tools else None,
    }
    return {name: value for name, value in wanted.items() if value is not None}
