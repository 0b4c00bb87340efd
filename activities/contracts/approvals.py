"""Approvals: what is asked of a person, who may say it, what was said, and what a card shows of it.

An approval is asked in texts that its asker has bounded (`activities.approval_checks`), for the ask and the decision
may stand in a workflow's history. Money in US dollars, times with a time zone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

DEADLINE_AFTER = timedelta(days=1)
"""When an approval is closed that says nothing of it."""
GRANT_TTL = timedelta(days=30)
DEFAULT_ROLE = "operator"
"""Who decides where nobody is named."""


class ApprovalKind(StrEnum):
    """What an approval is about. ESCALATION leaves the building or climbs to a dearer model."""

    DECISION = "decision"
    SPEND = "spend"
    ESCALATION = "escalation"
    TOOL = "tool"
    DEPLOY = "deploy"


class Urgency(StrEnum):
    """How loudly people are told, and how often they are reminded."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class ApprovalStatus(StrEnum):
    """OPEN until one of the others, which are for good. EXPIRED took its default option."""

    OPEN = "open"
    DECIDED = "decided"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Scope(StrEnum):
    """How far a yes reaches: this ask, those of its conversation that are like it, or all that are like it."""

    ONCE = "once"
    CONVERSATION = "conversation"
    ALWAYS = "always"


class Surface(StrEnum):
    """Through what an approval was opened, decided or closed.

    GRANT: an earlier yes that reaches so far. CLOCK: the deadline. WORKFLOW: the workflow that asked.
    """

    REST = "rest"
    CLI = "cli"
    TELEGRAM = "telegram"
    WEBHOOK = "webhook"
    GRANT = "grant"
    CLOCK = "clock"
    WORKFLOW = "workflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Something to choose. `approves` says whether the asker may go on with it."""

    key: str
    label: str
    approves: bool


APPROVE = Option(key="approve", label="Approve", approves=True)
DENY = Option(key="deny", label="Deny", approves=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Who may decide as well, once the approval has been open for `after`."""

    after: timedelta
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    quorum: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciders:
    """Who may decide: those named, and whoever has one of the roles; operators where neither is given.

    `quorum` distinct persons must choose the same approving option; one who denies is enough for a denial. Whoever
    may decide stays so as `then` adds others; the quorum is the one of the newest step.
    """

    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    quorum: int = 1
    then: tuple[Escalation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRef:
    """One approval of a tenant."""

    tenant_id: str
    approval_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsk:
    """Asks for a decision. The `id` is the asker's and follows from what it asks: asking twice is asking once.

    An open approval with the same `dedupe_key` is joined instead. `waiter` is the workflow that is told by the
    signal `approval-decided`; `ask_approval` fills it in. `destination` says where data would go, in words.

    Asks are alike, for grants, when `kind`, `agent`, `action` and `fingerprint` are the same (CONVERSATION: and
    `conversation_id`). A grant from this ask ends after `grant_ttl`, answers nothing dearer than `grant_most_usd`
    (None: whatever it costs), and nothing that leaves the building where this does not.
    `reminders` are times before the deadline; None leaves them to the urgency.
    """

    tenant_id: str
    id: str
    title: str
    summary: str = ""
    details: str = ""
    kind: ApprovalKind = ApprovalKind.DECISION
    urgency: Urgency = Urgency.NORMAL
    options: tuple[Option, ...] = (APPROVE, DENY)
    scopes: tuple[Scope, ...] = (Scope.ONCE,)
    default_option: str = DENY.key
    deadline: datetime | None = None
    reminders: tuple[timedelta, ...] | None = None
    deciders: Deciders = Deciders()
    requester: str = ""
    subject: str = ""
    cost_usd: float | None = None
    leaves_building: bool = False
    destination: str = ""
    dedupe_key: str | None = None
    agent: str = ""
    action: str = ""
    fingerprint: str = ""
    conversation_id: str | None = None
    grant_ttl: timedelta = GRANT_TTL
    grant_most_usd: float | None = None
    waiter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How an approval ended. `approved` is all that most askers need; it is false where it was CANCELLED.

    `by` is a person's name, `key:<id>`, `webhook:<id>`, or empty where nobody decided (EXPIRED, CANCELLED). With a
    quorum it is the one whose choice completed it. `grant_id` is the grant that answered.
    """

    approval_id: str
    status: ApprovalStatus
    option: str
    approved: bool
    scope: Scope = Scope.ONCE
    by: str = ""
    surface: Surface = Surface.CLOCK
    note: str = ""
    decided_at: datetime
    grant_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What came of asking: the approval that answers it, its deadline, and its decision where it has one."""

    approval_id: str
    deadline: datetime
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an approval stands: None while it is open."""

    decision: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A choice that counts toward a quorum; the newest of a person is the one that does."""

    by: str
    option: str
    scope: Scope
    surface: Surface
    note: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may be asked. `time_zone` is a name of the IANA database."""

    name: str
    roles: tuple[str, ...] = ()
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """An approval with everything that its readers see: a card, a list, a webhook.

    `stage` counts the escalations that have happened, `reminded` the reminders. `decision` is None while it is open.
    `revision` grows with every change: of two views the one with the greater is newer.
    """

    ref: ApprovalRef
    title: str
    summary: str
    details: str
    kind: ApprovalKind
    urgency: Urgency
    status: ApprovalStatus
    options: tuple[Option, ...]
    scopes: tuple[Scope, ...]
    default_option: str
    deadline: datetime
    opened_at: datetime
    deciders: Deciders
    quorum: int
    requester: str
    subject: str
    cost_usd: float | None
    leaves_building: bool
    destination: str
    agent: str
    action: str
    conversation_id: str | None
    stage: int
    reminded: int
    revision: int
    votes: tuple[Vote, ...] = ()
    decision: Decision | None = None

    def option(self, key: str) -> Option | None:
        """The option of that key."""
        return next((each for each in self.options if each.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody says to an approval. `roles` matter only where `by` is no person but a key or a webhook.

    A person's own roles are looked up as the decision is taken.
    """

    by: str
    option: str
    surface: Surface
    scope: Scope = Scope.ONCE
    note: str = ""
    roles: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What became of a choice. Only DECIDED and COUNTED changed anything; each is in the audit trail.

    CLOSED: somebody was quicker, the deadline is over, or it was cancelled; `Answer.decision` says which.
    """

    DECIDED = "decided"
    COUNTED = "counted"
    CLOSED = "closed"
    STRANGER = "stranger"
    UNKNOWN_OPTION = "unknown_option"
    BAD_SCOPE = "bad_scope"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What whoever chose is told. `decision` is who decided and when, where that is known.

    `wanted` counts the persons who must still choose the same.
    """

    verdict: Verdict
    decision: Decision | None = None
    wanted: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A line of an approval's audit trail, which is only added to. `event` is a verdict, or what else happened."""

    number: int
    at: datetime
    event: str
    by: str
    surface: Surface
    option: str = ""
    scope: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A yes that reaches further than the ask it was given to. `conversation_id` None: everywhere."""

    id: str
    agent: str
    action: str
    fingerprint: str
    kind: ApprovalKind
    conversation_id: str | None
    approval_id: str
    by: str
    option: str
    most_usd: float | None
    leaves_building: bool
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    used: int = 0


class News(StrEnum):
    """What there is to announce of an approval."""

    OPENED = "opened"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceAsk:
    """Has one surface tell people of an approval."""

    ref: ApprovalRef
    surface: Surface
    news: News


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalClock:
    """What the workflow of an approval goes by: no text. `deliveries` are webhooks that are still to be sent.

    `escalations` and `reminders` are moments, in order; `stage` and `reminded` say how many of them have been.
    """

    status: ApprovalStatus
    deadline: datetime
    escalations: tuple[datetime, ...]
    reminders: tuple[datetime, ...]
    stage: int
    reminded: int
    surfaces: tuple[Surface, ...] = ()
    deliveries: tuple[str, ...] = ()
    waiters: tuple[str, ...] = ()
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """So many escalations and reminders have come by now."""

    ref: ApprovalRef
    stage: int
    reminded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """These workflows have been told of the end, and nobody else waits to be."""

    ref: ApprovalRef
    waiters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A workflow waits for the decision no more."""

    ref: ApprovalRef
    waiter: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRef:
    """A webhook that is to be sent."""

    tenant_id: str
    delivery_id: str
