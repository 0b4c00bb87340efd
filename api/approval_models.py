"""Approvals in types: what is taken is checked by these models, what is given is described by them."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from activities.approval_checks import (
    MOST_DECIDERS,
    MOST_DETAILS_CHARS,
    MOST_ESCALATIONS,
    MOST_NOTE_CHARS,
    MOST_OPTIONS,
    MOST_QUORUM,
    MOST_REMINDERS,
    MOST_SUMMARY_CHARS,
    MOST_TITLE_CHARS,
    MOST_WORDS_CHARS,
)
from activities.contracts.approvals import ApprovalKind, ApprovalStatus, Scope, Surface, Urgency, Verdict
from api.models import PageLinks
from api.shapes import Given, JsonObject, Taken

EXAMPLE_APPROVAL = "apr_01k5h6v9c2m8r4t0x3z7q5w1ne"
YEAR_S = 366 * 24 * 3600

Words = Annotated[str, Field(max_length=MOST_WORDS_CHARS)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[int, Field(ge=1, le=YEAR_S)]
Usd = Annotated[float, Field(ge=0, le=1e9)]


class OptionBody(Taken):
    """Something to choose. `approves` says whether whoever asks may go on with it."""

    key: str = Field(min_length=1, max_length=32, examples=["approve"])
    label: str = Field(min_length=1, max_length=64, examples=["Deploy it"])
    approves: bool


class EscalationBody(Taken):
    """Who may decide as well, once it has been open for so many seconds."""

    after_s: Seconds
    people: tuple[Name, ...] = Field(default=(), max_length=MOST_DECIDERS)
    roles: tuple[Name, ...] = Field(default=(), max_length=MOST_DECIDERS)
    quorum: int = Field(default=1, ge=1, le=MOST_QUORUM)


class DecidersBody(Taken):
    """Who may decide: people by name, or roles; operators where neither is given."""

    people: tuple[Name, ...] = Field(default=(), max_length=MOST_DECIDERS)
    roles: tuple[Name, ...] = Field(default=(), max_length=MOST_DECIDERS)
    quorum: int = Field(default=1, ge=1, le=MOST_QUORUM, description="How many must choose the same yes.")
    then: tuple[EscalationBody, ...] = Field(default=(), max_length=MOST_ESCALATIONS)


class ApprovalBody(Taken):
    """What is to be decided. Everything but `title` may be left out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Deploy build 118", "kind": "deploy", "cost_usd": 2.5}]}
    )

    title: str = Field(min_length=1, max_length=MOST_TITLE_CHARS)
    summary: str = Field(default="", max_length=MOST_SUMMARY_CHARS)
    details: str = Field(default="", max_length=MOST_DETAILS_CHARS)
    kind: Annotated[ApprovalKind, Field(strict=False)] = ApprovalKind.DECISION
    urgency: Annotated[Urgency, Field(strict=False)] = Urgency.NORMAL
    options: tuple[OptionBody, ...] | None = Field(
        default=None, min_length=1, max_length=MOST_OPTIONS, description="`approve` and `deny` unless given."
    )
    default_option: str | None = Field(
        default=None, max_length=32, description="What the deadline decides; the first that does not approve."
    )
    deadline: Annotated[datetime, Field(strict=False)] | None = Field(
        default=None, description="A day from now unless this or `expires_in_s` is given."
    )
    expires_in_s: Seconds | None = None
    reminders_s: Annotated[tuple[Seconds, ...], Field(max_length=MOST_REMINDERS)] | None = Field(
        default=None, description="Seconds before the deadline; by the urgency unless given."
    )
    deciders: DecidersBody = Field(default_factory=DecidersBody)
    subject: Words = ""
    cost_usd: Usd | None = None
    leaves_building: bool = Field(default=False, description="Whether data would leave the building.")
    destination: Words = Field(default="", description="Where data would go.")
    dedupe_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="An open approval that the same caller asked for with this key is found instead.",
    )
    scopes: tuple[Annotated[Scope, Field(strict=False)], ...] = Field(
        default=(Scope.ONCE,),
        max_length=3,
        description="More than `once` needs an operator's or service's key.",
    )
    agent: Words = ""
    action: Words = ""
    arguments: JsonObject | None = Field(
        default=None, description="Of the action; their shape, not what they say, is what grants go by."
    )
    conversation_id: Words | None = None
    grant_days: int = Field(default=30, ge=1, le=366)
    grant_most_usd: Usd | None = None


class DecisionBody(Taken):
    """A choice."""

    option: str = Field(min_length=1, max_length=64, examples=["approve"])
    scope: Annotated[Scope, Field(strict=False)] = Scope.ONCE
    note: str = Field(default="", max_length=MOST_NOTE_CHARS)
    surface: Annotated[Surface, Field(strict=False)] = Field(
        default=Surface.REST, description="`rest` or `cli`, for the audit trail."
    )


class CancelBody(Taken):
    """Why it is withdrawn."""

    note: str = Field(default="", max_length=MOST_NOTE_CHARS)


class SignedDecisionBody(Taken):
    """A choice that comes as a signed message. `by` may be left out where the endpoint speaks for one person."""

    approval_id: str = Field(min_length=1, max_length=128)
    option: str = Field(min_length=1, max_length=64)
    scope: Annotated[Scope, Field(strict=False)] = Scope.ONCE
    note: str = Field(default="", max_length=MOST_NOTE_CHARS)
    by: str | None = Field(default=None, min_length=1, max_length=63)


class DecisionView(Given):
    """How an approval ended: who decided, when, through what. `by` is empty where nobody did."""

    approval_id: str
    status: ApprovalStatus
    option: str
    approved: bool
    scope: Scope
    by: str
    surface: Surface
    note: str
    decided_at: datetime
    grant_id: str


class AnswerView(Given):
    """What came of a choice. `wanted` more must choose the same."""

    verdict: Verdict
    decision: DecisionView | None
    wanted: int


class VoteView(Given):
    """A choice that counts toward a quorum."""

    by: str
    option: str
    scope: Scope
    surface: Surface
    note: str
    at: datetime


class AuditView(Given):
    """A line of the audit trail."""

    number: int
    at: datetime
    event: str
    by: str
    surface: Surface
    option: str
    scope: str
    note: str


class ApprovalLine(Given):
    """An approval in a list."""

    id: str = Field(examples=[EXAMPLE_APPROVAL])
    title: str
    summary: str
    kind: ApprovalKind
    urgency: Urgency
    status: ApprovalStatus
    options: list[OptionBody]
    scopes: list[Scope]
    default_option: str
    deadline: datetime
    opened_at: datetime
    opened_by: str
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
    decision: DecisionView | None
    links: dict[str, str]


class ApprovalStory(ApprovalLine):
    """An approval with all that is known of it."""

    details: str
    deciders: JsonObject
    votes: list[VoteView]
    audit: list[AuditView]


class ApprovalPage(Given):
    """A page of approvals, newest first. `next_cursor` asks for the page after it."""

    data: list[ApprovalLine]
    next_cursor: str | None
    links: PageLinks


class GrantView(Given):
    """A yes that reaches further than the ask it was given to."""

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
    used: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class GrantPage(Given):
    """A page of grants, newest first."""

    data: list[GrantView]
    next_cursor: str | None


class EndpointBody(Taken):
    """Where approvals are to be told, and as whom whoever is there may answer."""

    url: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        default=None, description="None for one that only sends decisions to us."
    )
    speaks_for: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(
        default=(), max_length=MOST_DECIDERS, description="People by name; `*` is everyone."
    )


class EndpointView(Given):
    """An endpoint. `waiting` webhooks are still to be sent; `problem` is what was wrong last."""

    id: str
    url: str | None
    speaks_for: list[str]
    created_at: datetime
    waiting: int
    problem: str
    incoming: str


class NewEndpointView(EndpointView):
    """An endpoint with its secret, which is shown this once."""

    secret: str


class EndpointList(Given):
    """A tenant's endpoints."""

    data: list[EndpointView]


class PersonBody(Taken):
    """What a person may decide by, and their clock."""

    roles: tuple[Name, ...] = Field(default=(), max_length=20)
    time_zone: str = Field(default="UTC", min_length=1, max_length=64, examples=["Europe/Berlin"])


class PersonView(Given):
    """Somebody who may be asked."""

    name: str
    roles: list[str]
    time_zone: str


class PersonList(Given):
    """A tenant's people."""

    data: list[PersonView]
