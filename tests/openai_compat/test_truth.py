"""A reply says who served it, and a pinned model is served or refused by name."""

from typing import Any

import openai
import pytest

from activities.contracts.policy import Bounds
from tests.openai_compat.playing import chat, failed, hop, plays
from tests.openai_compat.serving import Served


def ask(sdk: openai.OpenAI, **arguments: Any) -> Any:
    return sdk.chat.completions.with_raw_response.create(**chat(**arguments))


def test_headers_name_who_served_and_the_price(compat: Served, sdk: openai.OpenAI) -> None:
    headers = ask(sdk).headers
    assert headers["x-aither-rung"] == "orchestrator"
    assert headers["x-aither-model"] == "small"
    assert headers["x-aither-cost-usd"] == "0.001250000"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", ["backend_unavailable", "backend_timed_out", "no_room", "breaker_open"])
def test_a_pinned_model_that_fails_is_refused_by_name(
    compat: Served, sdk: openai.OpenAI, code: str, stream: bool
) -> None:
    compat.turns.script = plays(hop(), end=lambda turn_id: failed(turn_id, code, "nobody is there", "small"))
    with pytest.raises(openai.InternalServerError) as caught:
        ask(sdk, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (502, code)
    assert "'small'" in caught.value.message
    assert "nobody is there" in caught.value.message


def test_a_model_that_was_replaced_is_named_with_the_one_that_came(
    compat: Served, sdk: openai.OpenAI
) -> None:
    why = "spark was asked for small and answered with tiny"
    compat.turns.script = plays(hop(), end=lambda turn_id: failed(turn_id, "model_replaced", why, "small"))
    with pytest.raises(openai.InternalServerError) as caught:
        ask(sdk)
    assert (caught.value.status_code, caught.value.code) == (502, "model_replaced")
    assert "small" in caught.value.message
    assert "tiny" in caught.value.message


def test_what_the_policy_forbids_is_no_gateways_fault(compat: Served, sdk: openai.OpenAI) -> None:
    why = "the turn may not leave the building"
    compat.turns.script = plays(hop(), end=lambda turn_id: failed(turn_id, "local_only", why, "claude"))
    with pytest.raises(openai.PermissionDeniedError):
        ask(sdk)


def test_the_extension_carries_policy_and_agent(compat: Served, sdk: openai.OpenAI) -> None:
    policy = {"local_only": True, "max_usd": 0.5, "allowed_models": ["small"], "compose": False}
    ask(sdk, extra_body={"aither": {"agent": "poet", "policy": policy}})
    asked = compat.turns.requests[-1]
    assert asked.agent == "poet"
    assert asked.bounds == Bounds(local_only=True, max_usd=0.5, allowed_models=("small",), compose=False)
