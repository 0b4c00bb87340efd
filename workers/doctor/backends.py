"""What each configured backend can really do: asked with small calls, by the same adapters that turns use."""

import json
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import httpx2

from activities.answering import Gathering
from activities.contracts.backends import Backend, BackendKind, Capability
from activities.contracts.chat import ChatCall, JsonObject, Message, Role, Sampling
from activities.contracts.records import Answer
from activities.errors import BackendError
from activities.ports import ChatBackend
from activities.rulings import check_served

CALL_S = 60.0
LIST_S = 5.0
ANSWER_TOKENS = 256
"""Enough for a model that thinks before it says a word."""
TOOL: JsonObject = {
    "type": "function",
    "function": {
        "name": "note_weather",
        "description": "Notes what the weather is like.",
        "parameters": {
            "type": "object",
            "properties": {"sky": {"type": "string"}},
            "required": ["sky"],
        },
    },
}
SCHEMA: JsonObject = {
    "type": "json_schema",
    "json_schema": {
        "name": "colour",
        "schema": {
            "type": "object",
            "properties": {"colour": {"type": "string"}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}


class Mark(StrEnum):
    """How a check went. `UNTRIED`: an earlier one failed; `UNDECLARED`: the configuration does not claim it."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNTRIED = "untried"
    UNDECLARED = "undeclared"


@dataclass(slots=True, kw_only=True)
class Examined:
    """One backend's marks. `faults` say what is wrong, `first_token_ms` is of the plain call."""

    backend: str
    model: str
    locality: str
    reachable: Mark = Mark.UNTRIED
    served: Mark = Mark.UNTRIED
    chat: Mark = Mark.UNTRIED
    streaming: Mark = Mark.UNTRIED
    tools: Mark = Mark.UNTRIED
    json_schema: Mark = Mark.UNTRIED
    first_token_ms: int | None = None
    faults: list[str] = field(default_factory=list[str])

    @property
    def well(self) -> bool:
        """Whether turns may rely on it."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class _Patient:
    seen: Examined
    backend: Backend
    client: ChatBackend


async def examine(backend: Backend, client: ChatBackend, env: Mapping[str, str]) -> Examined:
    """Tries the backend. What it is declared unable to do is not tried."""
    seen = Examined(backend=backend.name, model=backend.model, locality=backend.locality.value)
    await _listing(seen, backend, env)
    if seen.reachable is Mark.FAILED:
        return seen
    patient = _Patient(seen, backend, client)
    await _chat(patient)
    if seen.chat is Mark.OK:
        await _tools(patient)
        await _json_schema(patient)
    return seen


async def _listing(seen: Examined, backend: Backend, env: Mapping[str, str]) -> None:
    """Whether anybody is there, and lists the model."""
    key = env.get(backend.api_key_env, "").strip() if backend.api_key_env else "none"
    if not key:
        seen.reachable = Mark.FAILED
        seen.faults.append(f"its key is missing: set {backend.api_key_env}")
        return
    path = "/v1/models" if backend.kind is BackendKind.ANTHROPIC else "/models"
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2026-10-21"}
    if backend.kind is not BackendKind.ANTHROPIC:
        headers = {"Authorization": headers["Authorization"]}
    try:
        async with httpx2.AsyncClient(timeout=LIST_S, trust_env=backend.locality == "cloud") as http:
            reply = await http.get(backend.base_url.rstrip("/") + path, headers=headers)
    except httpx2.HTTPError as error:
        seen.reachable = Mark.FAILED
        seen.faults.append(f"nothing answers at {backend.base_url} ({type(error).__name__})")
        return
    seen.reachable = Mark.OK
    try:
        names = {str(each["id"]) for each in reply.json()["data"]}
    except (ValueError, KeyError, TypeError):
        # Not every server lists its models; the call itself will show.
        seen.served = Mark.UNKNOWN
        return
    seen.served = Mark.OK if any(backend.model in name for name in names) else Mark.UNKNOWN


async def _chat(patient: _Patient) -> None:
    seen, backend = patient.seen, patient.backend
    began = time.monotonic()
    pieces = 0
    gathering = Gathering()
    try:
        async with aclosing(
            patient.client.stream(_call(backend, "Count from one to five in words."))
        ) as chunks:
            async for chunk in chunks:
                if chunk.model:
                    check_served(backend, chunk.model)
                gathering.take(chunk)
                if chunk.text or chunk.reasoning:
                    pieces += 1
                    if seen.first_token_ms is None:
                        seen.first_token_ms = round((time.monotonic() - began) * 1000)
        answer = gathering.answer(1, backend.name, backend.model)
    except BackendError as error:
        seen.chat = Mark.FAILED
        seen.served = Mark.FAILED if error.code in {"model_missing", "model_replaced"} else seen.served
        seen.faults.append(f"chat: {error.message} [{error.code}]")
        return
    if not answer.text.strip():
        seen.chat = Mark.FAILED
        seen.faults.append("chat: it said that it was done, and gave nothing [answer_empty]")
        return
    seen.chat = seen.served = Mark.OK
    seen.streaming = Mark.OK if pieces > 1 else Mark.FAILED
    if pieces <= 1:
        seen.faults.append("streaming: the answer came in one piece")


async def _tools(patient: _Patient) -> None:
    seen, backend = patient.seen, patient.backend
    if not backend.can(Capability.TOOLS):
        seen.tools = Mark.UNDECLARED
        return
    choice = {"type": "function", "function": {"name": "note_weather"}}
    sampling = Sampling(max_tokens=ANSWER_TOKENS, tools=(TOOL,), tool_choice=choice)
    answer = await _asked(patient, "tools", sampling, "The sky is grey. Note the weather.")
    calls = answer.tool_calls if answer else ()
    called = bool(calls) and calls[0].name == "note_weather" and _object(calls[0].arguments) is not None
    seen.tools = Mark.OK if called else Mark.FAILED
    if answer is not None and seen.tools is Mark.FAILED:
        seen.faults.append("tools: it was made to call one, and called none that can be read")


async def _json_schema(patient: _Patient) -> None:
    seen, backend = patient.seen, patient.backend
    if not backend.can(Capability.JSON_SCHEMA):
        seen.json_schema = Mark.UNDECLARED
        return
    sampling = Sampling(max_tokens=ANSWER_TOKENS, response_format=SCHEMA)
    answer = await _asked(patient, "json_schema", sampling, "What colour is grass? As JSON.")
    found = _object(answer.text) if answer else None
    seen.json_schema = Mark.OK if found and isinstance(found.get("colour"), str) else Mark.FAILED
    if answer is not None and seen.json_schema is Mark.FAILED:
        seen.faults.append("json_schema: what came does not fit the schema")


async def _asked(patient: _Patient, check: str, sampling: Sampling, text: str) -> Answer | None:
    """The whole answer; None, and a fault, where there is none."""
    seen, backend = patient.seen, patient.backend
    gathering = Gathering()
    try:
        async with aclosing(patient.client.stream(_call(backend, text, sampling))) as chunks:
            async for chunk in chunks:
                gathering.take(chunk)
        return gathering.answer(1, backend.name, backend.model)
    except BackendError as error:
        seen.faults.append(f"{check}: {error.message} [{error.code}]")
        return None


def _call(backend: Backend, text: str, sampling: Sampling | None = None) -> ChatCall:
    return ChatCall(
        model=backend.model,
        messages=(Message(role=Role.USER, content=text),),
        sampling=sampling or Sampling(max_tokens=ANSWER_TOKENS),
    )


def _object(text: str) -> dict[str, object] | None:
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None
