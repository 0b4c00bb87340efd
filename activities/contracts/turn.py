"""A turn: what starts it, what one step of it asks and yields, and how it ends.

Everything here may stand in a workflow history, so it carries ids, numbers and short reasons, never text
of the conversation.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from activities.contracts.backends import Locality, Rung
from activities.contracts.cards import Lease
from activities.contracts.policy import Barred, Caps, ClimbPlan, Estimate


class TurnStatus(StrEnum):
    """Where a turn is. `QUEUED` waits for an earlier turn of its conversation; the last three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self in {TurnStatus.COMPLETED, TurnStatus.FAILED, TurnStatus.CANCELLED}


class HopOutcome(StrEnum):
    """How one hop of the route ended."""

    ANSWERED = "answered"
    ESCALATED = "escalated"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One entry of the route: who was asked, what came of it, why, how long it took and what it cost."""

    step: int
    rung: str
    pool: str
    backend: str
    model: str
    outcome: HopOutcome
    why: str
    model_served: str | None = None
    locality: Locality = Locality.LOCAL
    waited_ms: int = 0
    ran_ms: int = 0
    first_token_ms: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAsk:
    """Asks a model how much effort a turn deserves. `rules` is what stands unless it knows better."""

    turn_id: str
    tenant_id: str
    rung: Rung
    rules: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnInput:
    """Starts a turn's workflow. The text is in PostgreSQL under `turn_id`.

    `preview` is a short, optional excerpt for the trace; `priority` is 1 (most urgent) to 5. Among tenants that
    wait at the same priority each gets a share by its `fairness_weight`.
    `prompt_tokens` estimates what cannot be trimmed away, `answer_tokens` what the answer may take; `barred`
    are the backends whose breakers were open when the turn was accepted. With a `router` its estimate of the
    effort replaces the plan's.
    """

    turn_id: str
    tenant_id: str
    plan: ClimbPlan
    effort_why: str
    priority: int
    preview: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 1024
    barred: tuple[Barred, ...] = ()
    router: RouteAsk | None = None
    fairness_weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatStep:
    """Asks one rung for an answer. `step` keys the answer: the same step never calls a model twice.

    `route` are the hops before this one, so that the activity that records a final answer records the
    whole route with it. `offer_reason` lets the model hand the question on, `must_reason` makes it; `final`
    says that a good answer ends the turn, `climb_if_flawed` that a flawed one does not. `consult_step` is the
    step whose model handed the question on, `compose_step` the one whose answer is to be put into the
    orchestrator's words, `continue_step` the one whose text broke off and is gone on from. `avoid` are the
    members of the rung's pool that have failed it already; `waited_ms` is how long it has waited in the pool's
    queue before this was scheduled. `most_nano` nano-dollars may be set aside for the call, and no more before
    somebody has agreed to it; None where nobody need.
    """

    turn_id: str
    tenant_id: str
    step: int
    rung: Rung
    route: tuple[Hop, ...] = ()
    offer_reason: bool = False
    must_reason: bool = False
    final: bool = True
    climb_if_flawed: bool = False
    consult_step: int | None = None
    compose_step: int | None = None
    continue_step: int | None = None
    local_only: bool = False
    max_tokens: int = 1024
    caps: Caps = field(default_factory=Caps)
    most_nano: int | None = None
    avoid: tuple[str, ...] = ()
    waited_ms: int = 0
    lease: Lease | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnError:
    """Why a turn failed, as its client reads it. `code` is stable, `message` says what to do next."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResult:
    """What came of a chat step: its hop, and the next turn of the conversation if one was waiting.

    `ended` says that the turn's end is recorded and its client told, so nothing remains but to close. A
    backend's failure is a result, not an exception: what follows from it is the ladder's decision. `pulled`:
    the model handed the question on. `flaw` is the supervisor's judgement of an answer, which may not go out
    unless `usable`. `needs_nano` is what a call could have cost that was not made, as somebody must agree to that
    first. `broke_off` says that a failed call's text so far is kept under its step, `elsewhere` that
    another member of the pool may do what the hop's backend did not.
    """

    hop: Hop
    ended: bool
    pulled: bool = False
    flaw: str | None = None
    usable: bool = True
    error: TurnError | None = None
    needs_nano: int | None = None
    retry_after: timedelta | None = None
    broke_off: bool = False
    elsewhere: bool = False
    barred: tuple[Barred, ...] = ()
    next_turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnding:
    """Asks for a turn's end to be recorded. An end that is already there wins.

    `answer_step` names the recorded answer that a completed turn ends with.
    """

    turn_id: str
    tenant_id: str
    status: TurnStatus
    route: tuple[Hop, ...] = ()
    error: TurnError | None = None
    answer_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded:
    """The end that stands, and the turn that was waiting for it."""

    status: TurnStatus
    next_turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTurn:
    """Asks for the start of a turn that waited for an earlier one of its conversation."""

    turn_id: str
    tenant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOutcome:
    """What the workflow returns: the end, and who served it."""

    status: TurnStatus
    rung: str | None = None
    model: str | None = None
    hops: int = 0
