"""A turn's story says who was asked and why, what left the building, and the bill."""

from typing import Any

from api.cli.story import left_the_building, story

POLICY = dict.fromkeys(("max_usd", "max_usd_day", "max_usd_month", "allowed_models", "allowed_backends"))


def hop(rung: str, outcome: str, why: str, **changes: Any) -> dict[str, Any]:
    return {
        "step": 1,
        "rung": rung,
        "backend": rung,
        "model": f"{rung}-model",
        "model_served": f"{rung}-model" if outcome in {"answered", "escalated"} else None,
        "outcome": outcome,
        "why": why,
        "locality": "local",
        "waited_ms": 3,
        "ran_ms": 1200,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": 0.0,
    } | changes


def turn(*route: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "status": "completed",
        "model": "auto",
        "agent": None,
        "agent_version": None,
        "effort": 8,
        "effort_why": "asked for",
        "intent": "analysis",
        "intent_why": "analysis 3.2 for why",
        "policy": POLICY,
        "answer": {"model": "claude-model", "backend": "claude"},
        "route": list(route),
        "cost_usd": 0.0123,
        "reference_cost_usd": 0.5,
    } | changes


def test_an_escalated_turn_is_told_from_question_to_bill() -> None:
    told = story(
        turn(
            hop("orchestrator", "escalated", "it handed the question on"),
            hop("reasoner", "skipped", "breaker_open: 3 failures in a row"),
            hop("claude", "answered", "it answered", locality="cloud", model_served="claude-model-0901"),
        )
    )
    assert [line for line in told if line] == [
        "It was asked of ladder auto.",
        "Effort 8 of 10: asked for.",
        "Intent analysis: analysis 3.2 for why.",
        "Nothing bounded what it might do.",
        "First orchestrator was asked (orchestrator-model at orchestrator): it did not settle it"
        " (it handed the question on), after 1200 ms.",
        "Then reasoner was passed over: breaker_open: 3 failures in a row.",
        "Then claude was asked (claude-model at claude, which answered as claude-model-0901): it answered,"
        " after 1200 ms. It left the building.",
        "The answer is claude-model's, from claude.",
        "In all: 2 calls, 20 → 10 tokens, $0.012300; the reference model would have cost $0.500000.",
        "It left the building for claude.",
    ]


def test_a_cloud_that_was_passed_over_has_seen_nothing() -> None:
    assert not left_the_building(hop("claude", "skipped", "local_only", locality="cloud"))
    assert left_the_building(hop("claude", "failed", "backend_error", locality="cloud"))
    told = story(turn(hop("claude", "skipped", "local_only: no", locality="cloud"), reference_cost_usd=0.0))
    assert told[-1] == "Nothing left the building."
    assert "reference" not in told[-2]


def test_a_pinned_model_that_failed_is_named() -> None:
    error = {"code": "backend_unavailable", "message": "nobody is there"}
    failed = hop("claude", "failed", "backend_unavailable: nobody is there")
    told = story(turn(failed, status="failed", model="claude-model", answer=None, error=error))
    assert told[0] == "It was asked of model claude-model, and no other."
    assert "It failed: nobody is there [backend_unavailable]." in told


def test_the_best_that_came_is_called_that() -> None:
    told = story(turn(hop("claude", "escalated", "cut: cut by a limit that nobody asked for")))
    assert "The answer is claude-model's, from claude: nothing better came." in told


def test_bounds_and_agent_are_told() -> None:
    policy = {**POLICY, "local_only": True, "max_usd": 0.5}
    told = story(turn(policy=policy, agent="poet", agent_version=3))
    assert told[0] == "It was asked of ladder auto, as agent poet version 3."
    assert "It was bounded: local only; at most $0.5 a turn." in told
