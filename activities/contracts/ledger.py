"""What is asked of the task ledger and of graph memory, and what they answer.

Through a workflow's history go ids, numbers and short lines only: claims and listed tasks come without their text
unless it is asked for, and findings as references. Texts are read by whoever needs them (`read-task`,
`read-findings`), outside of any workflow.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.contracts.swarm import CLAIM_TTL, Claim, Edge, Finding, Remembered, Task

PAGE = 500
"""Tasks or references of findings in one page, at most."""
MOST_HITS = 50
"""Findings that one search may bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How a goal's tasks stand. One whose claim has run out counts as open."""

    open: int = 0
    claimed: int = 0
    done: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.open + self.claimed + self.done + self.failed

    @property
    def left(self) -> int:
        """Those that may still change."""
        return self.open + self.claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class PutTasks:
    """Tasks to write, of one goal."""

    tenant_id: str
    goal_id: str
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksPut:
    """`added` of them are new; one that was there is left as it was, however far it has come."""

    added: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAsk:
    """`owner` wants any task of the goal. Asking again under the same `request` brings the claim that it made.

    An activity that leaves `request` empty goes by its own workflow and activity id, so that a retry is no
    second claim.
    """

    tenant_id: str
    goal_id: str
    owner: str
    ttl: timedelta = CLAIM_TTL
    request: str = ""
    with_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReply:
    """A claim; or none, and then why: `counts`, and when the next claim runs out unless it is renewed."""

    claim: Claim | None = None
    counts: Counts = Counts()
    next_expiry: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRef:
    """Whose claim on which task; the token fences off everybody before and after."""

    tenant_id: str
    goal_id: str
    task_id: str
    owner: str
    token: int

    @classmethod
    def of(cls, claim: Claim) -> "ClaimRef":
        """The reference to that claim."""
        task = claim.task
        return cls(
            tenant_id=task.tenant_id,
            goal_id=task.goal_id,
            task_id=task.id,
            owner=claim.owner,
            token=claim.token,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewAsk:
    """The claim is to stand for `ttl` from now."""

    claim: ClaimRef
    ttl: timedelta = CLAIM_TTL


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The claim stands until then."""

    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFinding:
    """What a worker found; its id, task, goal and tenant follow from the claim, its place from its order."""

    text: str
    confidence: float
    sources: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteAsk:
    """The task is done, and this was found."""

    claim: ClaimRef
    findings: tuple[NewFinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The ids of the task's findings, in order. `again`: the task was done by this very claim already."""

    finding_ids: tuple[str, ...]
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailAsk:
    """The task cannot be done; it is not claimed again."""

    claim: ClaimRef
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAsk:
    """The task is given back, for anybody to claim now."""

    claim: ClaimRef
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalPage:
    """A page of something of a goal; `cursor` is the last page's `next_cursor`, empty for the first."""

    tenant_id: str
    goal_id: str
    cursor: str = ""
    limit: int = PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Tasks without their texts, in no order; sort them by `place`. An empty `next_cursor` ends the list."""

    tasks: tuple[Task, ...]
    counts: Counts
    next_cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRef:
    """One task of a tenant."""

    tenant_id: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRef:
    """A finding by its id; `chars` of text and sources together, for fitting it into a window."""

    id: str
    task_id: str
    confidence: float
    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsPage:
    """References of findings, in no order. `total`: how many the goal has in all, to be counted against."""

    refs: tuple[FindingRef, ...]
    total: int
    next_cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingIds:
    """Findings of a tenant, by id."""

    tenant_id: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The findings that there are of those asked for, in the order of asking."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAsk:
    """What a tenant has found on this; of one goal where `goal_id` is given. A least score of 0 leaves nothing out."""

    tenant_id: str
    query: str
    goal_id: str = ""
    limit: int = 10
    min_score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReply:
    """The nearest first."""

    hits: tuple[Remembered, ...]
