"""Whether an answer may stand: the supervisor's judgement, which can make a turn climb without being asked.

A small model does not notice that it is stuck, so this looks from outside. It judges form, never content.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, cast

from activities.contracts.chat import FinishReason, JsonObject, Sampling
from activities.contracts.records import Answer
from workflows.policy.shape import misfit

FAILED_TOOLS = 2
"""So many failed tool calls in a row show that a model is stuck."""


class Flaw(StrEnum):
    """What is wrong with an answer, in the order of judgement."""

    EMPTY = "empty"
    STUCK = "stuck"
    CUT = "cut"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement. `usable`: the answer may go out, flawed as it is, if nothing better can be had.

    `why` names form only, so that it may stand in a workflow's history.
    """

    flaw: Flaw | None = None
    usable: bool = True
    why: str = ""


def judge(answer: Answer, asked: Sampling, failed_tools: int = 0) -> Verdict:
    """Judges an answer by how it was asked for. `failed_tools` counts those in a row up to the answer.

    An answer cut by a limit that the client set itself is what the client asked for, also where that leaves
    half a JSON document.
    """
    if not answer.text.strip() and not answer.tool_calls:
        return Verdict(flaw=Flaw.EMPTY, usable=False, why=_empty_why(answer))
    if failed_tools >= FAILED_TOOLS:
        return Verdict(flaw=Flaw.STUCK, why=f"{failed_tools} tool calls in a row failed")
    if answer.finish_reason is FinishReason.LENGTH:
        if asked.max_tokens is not None:
            return Verdict()
        return Verdict(flaw=Flaw.CUT, why="cut by a limit that nobody asked for")
    wrong = None if answer.tool_calls else _format_wrong(answer.text, asked.response_format)
    if wrong:
        return Verdict(flaw=Flaw.MALFORMED, usable=False, why=wrong)
    return Verdict()


def _empty_why(answer: Answer) -> str:
    if answer.finish_reason is FinishReason.CONTENT_FILTER:
        return "withheld by the backend's content filter"
    if answer.finish_reason is FinishReason.LENGTH:
        return "every token went into reasoning"
    return "the backend said that it was done and gave nothing"


def _format_wrong(text: str, wanted: JsonObject | None) -> str | None:
    """What keeps a text from being of the requested format; an unknown format is taken for kept."""
    kind = wanted.get("type") if wanted else None
    if kind not in ("json_object", "json_schema") or wanted is None:
        return None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return "not JSON"
    if kind == "json_object":
        return None if isinstance(value, dict) else "JSON, but not an object"
    holder: Any = wanted.get("json_schema")
    schema: Any = cast("dict[str, Any]", holder).get("schema") if isinstance(holder, dict) else None
    return misfit(value, schema)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
