"""A turn's story in plain sentences, from the turn as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.cli.bounds import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTCOMES: dict[str, str] = {
    "answered": "it answered",
    "escalated": "it did not settle it",
    "failed": "it failed",
    "skipped": "it was not asked",
    "cancelled": "it was stopped",
}


def story(turn: dict[str, Any]) -> list[str]:
    """The sentences, from the question's judgement to the bill."""
    return [*_beginning(turn), "", *_climb(turn["route"]), "", *_ending(turn), *_bill(turn)]


def left_the_building(hop: dict[str, Any]) -> bool:
    """Whether the turn's text went, or may have gone, to somebody else's machine."""
    return hop["locality"] != "local" and hop["outcome"] != "skipped"


def money(usd: float) -> str:
    """Dollars, small ones too."""
    return f"${usd:.2f}" if usd >= 1 or usd == 0 else f"${usd:.6f}"


def duration(milliseconds: int) -> str:
    """A time as people read it."""
    return f"{milliseconds} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"


def _beginning(turn: dict[str, Any]) -> Iterator[str]:
    model = turn["model"]
    asked = f"model {model}, and no other" if model.split(":")[0] != "auto" else f"ladder {model}"
    whom = f", as agent {turn['agent']} version {turn['agent_version']}" if turn["agent"] else ""
    yield f"It was asked of {asked}{whom}."
    yield f"Effort {turn['effort']} of 10: {turn['effort_why']}."
    if turn["intent"]:
        yield f"Intent {turn['intent']}: {turn['intent_why']}."
    bounds = in_words(turn["policy"])
    yield "Nothing bounded what it might do." if bounds == "—" else f"It was bounded: {bounds}."


def _climb(route: list[dict[str, Any]]) -> Iterator[str]:
    if not route:
        yield "Nobody has been asked."
    for number, hop in enumerate(route):
        begin = "First" if number == 0 else "Then"
        where = " It left the building." if left_the_building(hop) else ""
        if hop["outcome"] == "skipped":
            yield f"{begin} {hop['rung']} was passed over: {hop['why']}."
            continue
        served = hop["model_served"]
        other = f", which answered as {served}" if served and served != hop["model"] else ""
        yield (
            f"{begin} {hop['rung']} was asked ({hop['model']} at {hop['backend']}{other}): "
            f"{_outcome(hop)}, after {duration(hop['ran_ms'])}.{where}"
        )


def _outcome(hop: dict[str, Any]) -> str:
    said = OUTCOMES[hop["outcome"]]
    return said if hop["why"] == said else f"{said} ({hop['why']})"


def _ending(turn: dict[str, Any]) -> Iterator[str]:
    if turn["status"] == "completed" and turn["answer"]:
        settled = any(hop["outcome"] == "answered" for hop in turn["route"])
        rest = "" if settled else ": nothing better came"
        yield f"The answer is {turn['answer']['model']}'s, from {turn['answer']['backend']}{rest}."
    elif turn["status"] == "failed":
        yield f"It failed: {turn['error']['message']} [{turn['error']['code']}]."
    elif waiting := turn.get("waiting_for"):
        yield f"It waits for a person, until {waiting['deadline']}: {waiting['title']}."
        yield f"Say it with: aither approvals approve {waiting['approval_id']}, or deny."
    else:
        yield f"It is {turn['status']}."


def _bill(turn: dict[str, Any]) -> Iterator[str]:
    route = turn["route"]
    calls = [hop for hop in route if hop["outcome"] != "skipped"]
    prompt, completion = (sum(hop[key] for hop in calls) for key in ("prompt_tokens", "completion_tokens"))
    elsewhere = turn["reference_cost_usd"]
    compared = f"; the reference model would have cost {money(elsewhere)}" if elsewhere else ""
    number = f"{len(calls)} call{'' if len(calls) == 1 else 's'}"
    yield f"In all: {number}, {prompt} → {completion} tokens, {money(turn['cost_usd'])}{compared}."
    outside = sorted({hop["backend"] for hop in route if left_the_building(hop)})
    yield f"It left the building for {', '.join(outside)}." if outside else "Nothing left the building."
