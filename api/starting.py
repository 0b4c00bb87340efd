"""What a turn's workflow is told when the API starts it."""

from activities.contracts.topology import Ladder, Topology
from activities.contracts.turn import TurnInput
from infra.postgres.turns import NewTurn, TurnStart
from workflows.policy.plans import plan_for


def turn_input(
    tenant_id: str,
    turn_id: str,
    asked: NewTurn | TurnStart,
    preview: str,
    *,
    ladder: Ladder,
    topology: Topology,
) -> TurnInput:
    """The start of a turn that is new, or whose row says that its time has come."""
    return TurnInput(
        turn_id=turn_id,
        tenant_id=tenant_id,
        plan=plan_for(topology, ladder, asked.effort),
        effort_why=asked.effort_why,
        priority=asked.priority,
        preview=preview,
    )
