"""What a turn's climb goes by, drawn from what is configured when the turn starts."""

from collections.abc import Sequence

from activities.contracts.backends import Capability, Ladder, Locality, Rung
from activities.contracts.chat import Message, Role
from activities.contracts.policy import Barred, Bounds, ClimbPlan, Estimate, Intent, TurnPolicy
from activities.contracts.records import TurnStart
from activities.contracts.topology import RouterKind, Topology
from activities.contracts.turn import RouteAsk, TurnInput
from workflows.policy.combine import combine
from workflows.policy.gate import forbidden
from workflows.policy.models import ladder_terms

ESTIMATED = "estimated: "
"""How the reason of an effort begins that nobody gave."""
BYTES_A_TOKEN = 4
TOKENS_A_MESSAGE = 8
"""What a chat template adds to a message, more or less."""
USUAL_ANSWER_TOKENS = 1024
"""What an answer may take unless the turn says."""


def plan_for(topology: Topology, ladder: Ladder, effort: int, policy: TurnPolicy | None = None) -> ClimbPlan:
    """The plan of a turn on this ladder. It is the turn's own: a changed configuration leaves it as it is."""
    return ClimbPlan(
        ladder=ladder,
        effort=effort,
        terms=ladder_terms(topology, ladder),
        bands=topology.bands,
        policy=policy or topology.turn_policy,
        repeats=topology.repeats,
        aging=topology.aging,
        approval_patience=topology.approval_patience,
    )


def turn_input(
    topology: Topology,
    ladder: Ladder,
    start: TurnStart,
    *,
    tenant_id: str,
    turn_id: str,
    barred: Sequence[Barred] = (),
) -> TurnInput:
    """What the turn's workflow is started with: its row, on this ladder."""
    plan = plan_for(topology, ladder, start.effort, policy_of(start.policy))
    rung = _router(topology, plan, start)
    rules = Estimate(
        intent=Intent(start.intent),
        intent_why=start.intent_why,
        effort=start.effort,
        effort_why=start.effort_why,
    )
    router = RouteAsk(turn_id=turn_id, tenant_id=tenant_id, rung=rung, rules=rules) if rung else None
    return TurnInput(
        turn_id=turn_id,
        tenant_id=tenant_id,
        plan=plan,
        router=router,
        effort_why=start.effort_why,
        priority=start.priority,
        fairness_weight=start.fairness_weight,
        preview=start.preview,
        prompt_tokens=start.prompt_tokens,
        answer_tokens=start.answer_tokens,
        barred=tuple(barred),
    )


def _router(topology: Topology, plan: ClimbPlan, start: TurnStart) -> Rung | None:
    """Whom to ask how much effort the turn deserves; None where nobody is to be asked, or nothing hangs on it.

    Only what is free, in the building, and open to the turn is asked: an estimate is worth no money.
    """
    if topology.router is not RouterKind.MODEL or not start.effort_why.startswith(ESTIMATED):
        return None
    rung = plan.ladder.answer[0]
    backend = topology.backend(rung.backend)
    free = backend.price is None and backend.locality is Locality.LOCAL
    able = free and backend.can(Capability.JSON_SCHEMA) and forbidden(plan, rung) is None
    return rung if able and plan.ladder.reason else None


def policy_of(stored: Bounds) -> TurnPolicy:
    """The policy that was stored with a turn: the whole of it, nothing is added."""
    return combine(TurnPolicy(), stored)


def prompt_estimate(messages: Sequence[Message], system_text: str = "") -> int:
    """Tokens that cannot be trimmed away: the system part and the newest exchange, by their bytes."""
    newest = max((i for i, m in enumerate(messages) if m.role is Role.USER), default=0)
    kept = [m for i, m in enumerate(messages) if i >= newest or m.role is Role.SYSTEM]
    size = len(system_text.encode("utf-8", "replace")) + sum(map(_bytes, kept))
    return size // BYTES_A_TOKEN + TOKENS_A_MESSAGE * (len(kept) + bool(system_text))


def _bytes(message: Message) -> int:
    calls = sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
    return len(message.content.encode("utf-8", "replace")) + calls
