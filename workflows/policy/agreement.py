"""What a person is asked before a turn goes on to a rung, and what the turn makes of the answer.

The card shows who asks, whom it would go to, what that may cost and what leaves the building; of the question it
shows the preview that the turn's trace shows, and no more.
"""

from datetime import UTC, datetime, timedelta

from activities.contracts.agreement import Asker
from activities.contracts.approvals import ApprovalAsk, ApprovalKind, ApprovalStatus, Decision, Scope, Urgency
from activities.contracts.backends import Locality
from activities.contracts.turn import TurnInput
from activities.contracts.urgency import Urgency as Priority
from workflows.policy.budget import most, to_usd
from workflows.policy.climb import Agreed, SeekAgreement
from workflows.policy.gate import terms_of
from workflows.policy.plans import BYTES_A_TOKEN

ACTION = "ask-model"
"""What grants of escalations are for."""
LIFETIME_TO_WAIT = 0.8
"""Of a turn's lifetime: the rest is for whoever is asked after the answer, or instead."""
LEAST_WAIT = timedelta(milliseconds=500)
MOST_NAME = 64
MOST_NOTE = 200


def deadline_of(
    now: datetime, patience: timedelta, began: datetime, lifetime: timedelta | None
) -> datetime | None:
    """Until when a person is waited for, so that the turn can still go on; None where no time is left for that."""
    wait = patience
    if lifetime is not None:
        wait = min(patience, began + lifetime * LIFETIME_TO_WAIT - now)
    return now + wait if wait >= LEAST_WAIT else None


def approval_ask(turn: TurnInput, seek: SeekAgreement, asker: Asker, deadline: datetime) -> ApprovalAsk:
    """The approval to ask for. Its id follows from turn and step, so that asking again is asking once."""
    rung = seek.rung
    leaves = rung.locality is not Locality.LOCAL
    model = _short(rung.model)
    tokens, usd = _estimate(turn, seek, asker)
    return ApprovalAsk(
        tenant_id=turn.tenant_id,
        id=f"{turn.turn_id}.{seek.step}",
        kind=ApprovalKind.SPEND if seek.dear else ApprovalKind.ESCALATION,
        title=f"This question would go to {model}, {_about(usd)}",
        summary=_summary(turn, seek, leaves),
        details=_details(turn, seek, tokens, usd, leaves),
        urgency=Urgency.HIGH if turn.priority <= Priority.ESCALATION else Urgency.NORMAL,
        scopes=_scopes(seek, asker),
        deadline=deadline,
        requester=_requester(asker),
        subject=turn.turn_id,
        cost_usd=usd,
        leaves_building=leaves,
        destination=f"{_short(rung.backend)} ({model})" if leaves else "",
        agent=asker.agent or f"key:{asker.key_id}",
        action=ACTION,
        fingerprint=_fingerprint(turn, seek),
        conversation_id=asker.conversation_id or asker.job_id,
        grant_most_usd=_rounded_up(usd) if seek.dear and usd else None,
    )


def agreed(decision: Decision) -> Agreed:
    """What the ladder makes of it; a no says who and when."""
    return Agreed(yes=decision.approved, why=_why(decision))


def money(usd: float) -> str:
    """Dollars as a card shows them: cents, or as much as it takes to show that there is a price."""
    if usd >= 0.01 or usd == 0:
        return f"${usd:.2f}"
    return f"${usd:.6f}".rstrip("0") if usd >= 0.000_001 else "less than $0.000001"


def _estimate(turn: TurnInput, seek: SeekAgreement, asker: Asker) -> tuple[int, float | None]:
    """Tokens that would go there, what was said before included, and the dollars; None without a price."""
    terms = terms_of(turn.plan, seek.rung)
    room = max(turn.prompt_tokens, terms.window_tokens - seek.max_tokens)
    tokens = min(turn.prompt_tokens + asker.history_bytes // BYTES_A_TOKEN, room)
    if terms.price is None:
        return tokens, None
    return tokens, to_usd(max(seek.reserve_nano, most(tokens, seek.max_tokens, terms.price)))


def _about(usd: float | None) -> str:
    return "at a price that is not known" if usd is None else f"about {money(usd)}"


def _summary(turn: TurnInput, seek: SeekAgreement, leaves: bool) -> str:
    question = f"The question begins: “{turn.preview}”\n" if turn.preview else ""
    where = "It would leave the building." if leaves else "It would stay in the building."
    return f"{question}{where} Agreement is needed as {seek.why}."


def _details(turn: TurnInput, seek: SeekAgreement, tokens: int, usd: float | None, leaves: bool) -> str:
    rung = seek.rung
    goes = "the question, what its conversation has said before, and the texts of its agent"
    lines = [
        f"Model: {_short(rung.model)}, at {_short(rung.backend)}",
        f"Rung: {_short(rung.name)} of ladder {_short(turn.plan.ladder.name)}; effort {turn.plan.effort} of 10",
        f"Tokens: about {tokens} go there, up to {seek.max_tokens} come back",
        f"Cost: {_about(usd)}",
        f"Leaves the building: {goes if leaves else 'nothing'}",
        f"Turn: {turn.turn_id}, priority {turn.priority}",
    ]
    if seek.anew:
        lines.append("Each turn is asked about anew, so a yes is for this one alone")
    elif seek.dear and usd:
        lines.append(f"A yes for more than once covers calls of up to {money(_rounded_up(usd))}")
    return "\n".join(lines)


def _scopes(seek: SeekAgreement, asker: Asker) -> tuple[Scope, ...]:
    if seek.anew:
        return (Scope.ONCE,)
    session = asker.conversation_id or asker.job_id
    return (Scope.ONCE, *((Scope.CONVERSATION,) if session else ()), Scope.ALWAYS)


def _requester(asker: Asker) -> str:
    key = f"key {_short(asker.key_name or asker.key_id)}"
    agent = f"agent {_short(asker.agent)}, " if asker.agent else ""
    job = f", {asker.job_id}" if asker.job_id else ""
    return f"{agent}{key}{job}"


def _fingerprint(turn: TurnInput, seek: SeekAgreement) -> str:
    """The shape that asks are alike by. Where each turn is asked about anew, none is like another."""
    shape = f"{seek.rung.backend}/{seek.rung.model}"[:150]
    return f"{shape}#{turn.turn_id}" if seek.anew else shape


def _rounded_up(usd: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … units, of a hundredth of a cent: what a yes for more than once may cost."""
    unit = 0.0001
    while True:
        for step in (1, 2, 5):
            if step * unit >= usd:
                return round(step * unit, 4)
        unit *= 10


def _why(decision: Decision) -> str:
    when = f"{decision.decided_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    note = f": {_short(decision.note, MOST_NOTE)}" if decision.note.strip() else ""
    if decision.status is ApprovalStatus.EXPIRED:
        return f"nobody decided by {when}"
    by = f" by {decision.by}" if decision.by else ""
    if decision.status is ApprovalStatus.CANCELLED:
        return f"the approval was withdrawn{by} at {when}{note}"
    said = "agreed to" if decision.approved else "denied"
    return f"{said}{by} over {decision.surface} at {when}{note}"


def _short(text: str, most: int = MOST_NAME) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
