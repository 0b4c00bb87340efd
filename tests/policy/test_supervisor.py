import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.chat import FinishReason, Sampling, ToolCall
from activities.contracts.records import Answer
from workflows.policy.shape import misfit
from workflows.policy.supervisor import Flaw, judge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "mood": {"enum": ["good", "bad", None]},
        "friends": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
        "pet": {"anyOf": [{"$ref": "#/$defs/pet"}, {"type": "null"}]},
    },
    "$defs": {"pet": {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "cat"}}}},
}


def answer(text: str, finish: FinishReason = FinishReason.STOP, calls: tuple[ToolCall, ...] = ()) -> Answer:
    return Answer(step=1, text=text, finish_reason=finish, backend="b", model="m", tool_calls=calls)


def schema_format(schema: Any) -> Sampling:
    return Sampling(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


def test_a_whole_answer_stands() -> None:
    assert judge(answer("Yes."), Sampling()).flaw is None


@pytest.mark.parametrize("finish", list(FinishReason))
def test_an_answer_of_nothing_must_not_go_out(finish: FinishReason) -> None:
    verdict = judge(answer(" \n", finish), Sampling(max_tokens=10))
    assert (verdict.flaw, verdict.usable) == (Flaw.EMPTY, False)
    assert verdict.why


def test_a_tool_call_is_no_empty_answer() -> None:
    call = ToolCall(id="1", name="f", arguments="{}")
    asked = Sampling(response_format={"type": "json_object"})
    assert judge(answer("", FinishReason.TOOL_CALLS, (call,)), asked).flaw is None


def test_a_cut_is_a_flaw_unless_it_was_asked_for() -> None:
    verdict = judge(answer("Once upon", FinishReason.LENGTH), Sampling())
    assert (verdict.flaw, verdict.usable) == (Flaw.CUT, True)
    assert judge(answer("Once upon", FinishReason.LENGTH), Sampling(max_tokens=2)).flaw is None
    asked = Sampling(max_tokens=2, response_format={"type": "json_object"})
    assert judge(answer('{"a":', FinishReason.LENGTH), asked).flaw is None


def test_two_failed_tool_calls_in_a_row_show_that_a_model_is_stuck() -> None:
    assert judge(answer("Hm."), Sampling(), failed_tools=1).flaw is None
    assert judge(answer("Hm."), Sampling(), failed_tools=2).flaw is Flaw.STUCK


@pytest.mark.parametrize(
    "text", ["not json", '{"a": NaN}', "[1, 2]", '{"a": 1', "```json\n{}\n```", "[" * 100_000]
)
def test_what_is_not_a_json_object_is_malformed(text: str) -> None:
    verdict = judge(answer(text), Sampling(response_format={"type": "json_object"}))
    assert (verdict.flaw, verdict.usable) == (Flaw.MALFORMED, False)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"name": "Ada", "age": 36}, True),
        ({"name": "Ada", "age": 36.0}, True),
        ({"name": "Ada", "age": True}, False),
        ({"name": "Ada", "age": "36"}, False),
        ({"name": "Ada", "age": -1}, False),
        ({"name": "Ada"}, False),
        ({"name": "Ada", "age": 1, "height": 2}, False),
        ({"name": "Ada", "age": 1, "mood": None}, True),
        ({"name": "Ada", "age": 1, "mood": "so-so"}, False),
        ({"name": "Ada", "age": 1, "friends": [{"name": "Bo", "age": 2}]}, True),
        ({"name": "Ada", "age": 1, "friends": [{"name": "Bo"}]}, False),
        ({"name": "Ada", "age": 1, "friends": [{"name": "B", "age": 2}] * 3}, False),
        ({"name": "Ada", "age": 1, "pet": {"kind": "cat"}}, True),
        ({"name": "Ada", "age": 1, "pet": {"kind": "dog"}}, False),
        ([], False),
    ],
)
def test_an_answer_is_held_to_its_schema(value: Any, fits: bool) -> None:
    verdict = judge(answer(json.dumps(value)), schema_format(PERSON))
    assert (verdict.flaw is None) == fits


def test_what_a_schema_says_that_is_not_understood_counts_as_kept() -> None:
    for schema in (
        {"format": "email", "pattern": "^a$"},
        {"type": "fancy"},
        {"$ref": "https://x"},
        None,
        7,
        "x",
        [],
    ):
        assert judge(answer('"b"'), schema_format(schema)).flaw is None
    assert judge(answer("b"), Sampling(response_format={"type": "grammar"})).flaw is None


def test_true_is_not_one() -> None:
    assert misfit(True, {"enum": [1]})
    assert misfit(1, {"const": True})
    assert misfit(1.0, {"const": 1}) is None
    assert misfit(True, {"type": ["integer", "number"]})


def test_a_schema_cannot_make_judging_take_long() -> None:
    bomb: dict[str, Any] = {"$ref": "#", "anyOf": [{"$ref": "#"}] * 20}
    assert misfit({"a": 1}, bomb) is None
    wide = {"type": "array", "items": {"anyOf": [{"type": "string"}] * 50}}
    misfit(list(range(100_000)), wide)


def test_a_verdict_quotes_nothing_of_the_answer() -> None:
    verdict = judge(answer('{"name": "Ada", "age": 1, "secret": "swordfish"}'), schema_format(PERSON))
    assert "secret" not in verdict.why
    assert "swordfish" not in verdict.why


@settings(max_examples=150)
@given(value=JSON, schema=JSON)
def test_judging_never_raises(value: Any, schema: Any) -> None:
    misfit(value, schema)
    judge(answer(json.dumps(value)), schema_format(schema))


@settings(max_examples=100)
@given(value=JSON)
def test_a_value_fits_the_schema_made_from_it(value: Any) -> None:
    assert misfit(value, schema_of(value)) is None


def schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        parts = {key: schema_of(each) for key, each in value.items()}
        return {"type": "object", "required": list(value), "properties": parts, "additionalProperties": False}
    if isinstance(value, list):
        return {"type": "array", "prefixItems": [schema_of(each) for each in value], "items": False}
    return {"const": value}
