"""What a turn's climb goes by, drawn from what is configured when the turn starts."""

from activities.contracts.policy import BackendTerms, ClimbPlan, TurnPolicy
from activities.contracts.topology import Ladder, Topology


def plan_for(topology: Topology, ladder: Ladder, effort: int, policy: TurnPolicy | None = None) -> ClimbPlan:
    """The plan of a turn on this ladder. It is the turn's own: a changed configuration leaves it as it is."""
    names = dict.fromkeys(rung.backend for rung in (*ladder.answer, *ladder.reason))
    backends = [topology.backend(name) for name in names]
    return ClimbPlan(
        ladder=ladder,
        effort=effort,
        terms=tuple(
            BackendTerms(backend=b.name, window_tokens=b.window_tokens, price=b.price) for b in backends
        ),
        bands=topology.bands,
        policy=policy or topology.turn_policy,
        repeats=topology.repeats,
    )
