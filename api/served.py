"""What a reply's headers say of a turn that has been answered: who served it, and for how much."""

from collections.abc import Mapping
from typing import Any

from activities.contracts.turn import HopOutcome

RUNG_HEADER = "x-aither-rung"
MODEL_HEADER = "x-aither-model"
COST_HEADER = "x-aither-cost-usd"
DESCRIPTIONS = {
    RUNG_HEADER: "The rung of the ladder that answered.",
    MODEL_HEADER: "The model that answered.",
    COST_HEADER: "Dollars that the whole turn has cost, all its calls together.",
}


def served_headers(view: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a completed turn; none for one that gave no answer."""
    answer = view["answer"]
    if answer is None:
        return {}
    rung = next((hop["rung"] for hop in reversed(view["route"]) if _answered(hop, answer)), "")
    headers = {
        RUNG_HEADER: rung,
        MODEL_HEADER: answer["model"],
        COST_HEADER: f"{view.get('cost_usd') or 0:.9f}",
    }
    return {name: value for name, value in headers.items() if value and _sayable(value)}


def _answered(hop: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether the hop gave the answer: an answer that was escalated at first may have stood in the end."""
    kept = hop["outcome"] in {HopOutcome.ANSWERED, HopOutcome.ESCALATED}
    return kept and hop["backend"] == answer["backend"] and hop["model_served"] == answer["model"]


def _sayable(value: str) -> bool:
    return value.isascii() and value.isprintable()
