"""What the policies decide on: intents and effort, what a turn may do, what it may cost, when to try again.

All of it may stand in a configuration file, a row, or a workflow history: numbers and names, never text of a
conversation. Limits on money are given in US dollars; `workflows.policy.budget` counts whole nano-dollars.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from activities.contracts.backends import Ladder, Price

APPROVAL_PATIENCE = timedelta(minutes=5)
"""How long a turn waits for a person, unless the configuration says: clients of chat completions give up after ten."""


class Intent(StrEnum):
    """What a prompt wants done, seen from the one who has to do it.

    CONVERSATION: talk without a task. QUESTION: a fact, a concept, a how-to. ANALYSIS: judge, compare or
    diagnose what is given. CREATION: art and invention in words. DOCUMENT: make or rework a working text.
    GENERATION: code, data, images, sound. COMMAND: act on a machine or service. RESEARCH: find out from
    sources. PLANNING: put steps in order. BUSINESS: commercial judgement. CALENDAR and EMAIL: act on the
    user's own agenda and mail.
    """

    CONVERSATION = "conversation"
    QUESTION = "question"
    ANALYSIS = "analysis"
    CREATION = "creation"
    DOCUMENT = "document"
    GENERATION = "generation"
    COMMAND = "command"
    RESEARCH = "research"
    PLANNING = "planning"
    BUSINESS = "business"
    CALENDAR = "calendar"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the router made of a prompt. The reasons quote words of the router's own vocabulary only."""

    intent: Intent
    intent_why: str
    effort: int
    effort_why: str


class ReasonAccess(StrEnum):
    """Whether a turn may ask for the reason chain: not at all, if it likes, or without choice."""

    NONE = "none"
    OFFERED = "offered"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffortBands:
    """From which effort (1 to 10) `reason` is offered, and from which the consult is mandatory.

    11 switches a band off.
    """

    offer_from: int = 7
    require_from: int = 9

    def __post_init__(self) -> None:
        if not 1 <= self.offer_from <= self.require_from <= 11:
            raise ValueError(
                f"1 <= offer_from <= require_from <= 11 is wanted, not {self.offer_from}, {self.require_from}"
            )

    def access(self, effort: int) -> ReasonAccess:
        """What a turn of this effort may do with the reason chain."""
        if effort >= self.require_from:
            return ReasonAccess.REQUIRED
        return ReasonAccess.OFFERED if effort >= self.offer_from else ReasonAccess.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Most US dollars that may be spent, `None` where nothing is capped; 0 allows only what is free."""

    turn_usd: float | None = None
    tenant_day_usd: float | None = None
    tenant_month_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Nano-dollars spent, and reserved by calls in flight, within each of the spans that a cap bounds."""

    turn_spent: int = 0
    turn_reserved: int = 0
    day_spent: int = 0
    day_reserved: int = 0
    month_spent: int = 0
    month_reserved: int = 0


class ApproveCloud(StrEnum):
    """Whether a person must agree before a turn leaves the building, the stricter later.

    NEVER: nobody is asked. ASK: somebody is, unless an earlier yes reaches so far. ALWAYS: every turn anew.
    """

    NEVER = "never"
    ASK = "ask"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPolicy:
    """What one turn may do, as its request, its key and its tenant say together.

    The allow-lists bound whom it may ask; `None` allows all, an empty one none. Whether somebody must agree before
    a cloud rung is asked says `approve_cloud` (true and false, as it was written once, are read as ASK and NEVER);
    before a call that could cost more than `approve_above_usd` somebody must as well.
    `compose` has the orchestrator put the reasoner's answer into its own words.
    """

    local_only: bool = False
    allowed_models: tuple[str, ...] | None = None
    allowed_backends: tuple[str, ...] | None = None
    caps: Caps = field(default_factory=Caps)
    approve_cloud: ApproveCloud | bool = ApproveCloud.NEVER
    approve_above_usd: float | None = None
    compose: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "approve_cloud", approval_said(self.approve_cloud))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one party (tenant, key, agent, request) says of a turn's policy; `None` where it says nothing.

    This is the form in which policies are written, stored and shown. Money is in US dollars: `max_usd` for the
    turn, `max_usd_day` and `max_usd_month` for all that the tenant spends in that span (UTC).
    """

    local_only: bool | None = None
    max_usd: float | None = None
    max_usd_day: float | None = None
    max_usd_month: float | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_backends: tuple[str, ...] | None = None
    approve_cloud: ApproveCloud | bool | None = None
    approve_above_usd: float | None = None
    compose: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "approve_cloud", approval_said(self.approve_cloud))


def approval_said(said: ApproveCloud | bool | None) -> ApproveCloud | None:
    """What is said of approving the cloud, in today's words; None where nothing is."""
    if isinstance(said, bool):
        return ApproveCloud.ASK if said else ApproveCloud.NEVER
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatRules:
    """How often, in a whole turn, the last rung that is left may be tried again, and after what wait.

    The nth wait is `first * 2**n`, or what the backend asked for if that is longer. A backend that asks for
    more than `longest` is not waited for. By default 15 s together: a model server that was killed is back by
    then.
    """

    times: int = 5
    first: timedelta = timedelta(milliseconds=500)
    longest: timedelta = timedelta(seconds=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTerms:
    """What the ladder must know of a backend besides its rung. No price means free."""

    backend: str
    window_tokens: int
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When a backend's breaker opens, for how long, and how it comes back. Times are seconds.

    It opens on `failures_in_row`, or on a share of failures of `rate` among the last `rate_calls` once
    there were `rate_least`. It stays open for `first_open_s`, doubled with each opening up to `max_open_s`;
    `calm_s` closed without opening forgets earlier ones. A probe that has not reported within `probe_s` is
    taken for lost. A backend's own Retry-After counts up to `max_retry_after_s`.
    """

    failures_in_row: int = 3
    rate: float = 0.5
    rate_calls: int = 20
    rate_least: int = 10
    first_open_s: float = 1.0
    max_open_s: float = 30.0
    calm_s: float = 60.0
    probe_s: float = 30.0
    max_retry_after_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.failures_in_row < 1 or not 1 <= self.rate_least <= self.rate_calls <= 60:
            raise ValueError("failures_in_row >= 1 and 1 <= rate_least <= rate_calls <= 60 are wanted")
        if not 0.0 < self.rate <= 1.0:
            raise ValueError("0 < rate <= 1 is wanted")
        if not 0.0 < self.first_open_s <= self.max_open_s or self.probe_s <= 0 or self.calm_s < 0:
            raise ValueError("0 < first_open_s <= max_open_s, probe_s > 0 and calm_s >= 0 are wanted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Barred:
    """A backend that may not be called now: its breaker is open, or nobody of its pool is there to answer.

    `retry_in_s` may be 0 while a probe is under way. `code` is the failure that a call would come to.
    """

    backend: str
    why: str
    retry_in_s: float
    code: str = "breaker_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClimbPlan:
    """All that one turn's climb goes by, fixed when the turn starts.

    `terms` names every backend of the ladder. A rung is too small if its window cannot hold the prompt and
    `least_answer_tokens`. A call that has waited for `aging` in a pool's queue becomes one step more urgent;
    None keeps its priority. A person who has to agree to a rung is waited for `approval_patience` at most.
    """

    ladder: Ladder
    effort: int
    terms: tuple[BackendTerms, ...]
    bands: EffortBands = field(default_factory=EffortBands)
    policy: TurnPolicy = field(default_factory=TurnPolicy)
    repeats: RepeatRules = field(default_factory=RepeatRules)
    least_answer_tokens: int = 64
    aging: timedelta | None = None
    approval_patience: timedelta = APPROVAL_PATIENCE
