"""A task as a point of Qdrant's collection `tasks`.

A field `free_at` (seconds since 1970) says from when on a task may be claimed: 0 when it is open, the end of its
claim when it is claimed, `NEVER` at its end.
"""

from datetime import UTC, datetime

from activities.contracts.swarm import Task, TaskStatus
from infra.qdrant.bounds import TEXT_BYTES, TITLE_BYTES, fit
from infra.qdrant.points import Index, Payload, Schema, Where, point_id

SCHEMA = Schema(
    name="tasks",
    indexes={
        "tenant_id": Index.KEYWORD,
        "goal_id": Index.KEYWORD,
        "status": Index.KEYWORD,
        "request": Index.KEYWORD,
        "free_at": Index.FLOAT,
        "token": Index.INTEGER,
    },
)
NEVER = 1e12


def of_goal(
    tenant_id: str,
    goal_id: str,
    *,
    status: TaskStatus | None = None,
    request: str | None = None,
    free_at: float | None = None,
) -> Where:
    """The goal's tasks: of that status, claimed under that request, free at that time."""
    equal: dict[str, str | int] = {"tenant_id": tenant_id, "goal_id": goal_id}
    if status is not None:
        equal["status"] = status.value
    if request is not None:
        equal["request"] = request
    return Where(equal=equal, at_most={} if free_at is None else {"free_at": free_at})


def row_id(tenant_id: str, task_id: str) -> str:
    """The point of a task."""
    return point_id(f"{tenant_id}/{task_id}")


def seconds(at: datetime) -> float:
    """Since 1970."""
    return at.timestamp()


def new_row(tenant_id: str, goal_id: str, task: Task) -> Payload:
    """What is stored of a task that is new."""
    return {
        "id": task.id,
        "goal_id": goal_id,
        "tenant_id": tenant_id,
        "place": task.place,
        "title": fit(task.title, TITLE_BYTES),
        "text": fit(task.text, TEXT_BYTES),
        "status": TaskStatus.OPEN.value,
        "owner": "",
        "token": 0,
        "free_at": 0.0,
        "attempts": 0,
        "findings": 0,
        "why": "",
        "request": "",
        "batch": "",
    }


def state_of(task: Task) -> Payload:
    """What changes about a task."""
    free_at = NEVER
    if task.status is TaskStatus.OPEN:
        free_at = 0.0
    elif task.status is TaskStatus.CLAIMED and task.expires_at is not None:
        free_at = seconds(task.expires_at)
    return {
        "status": task.status.value,
        "owner": task.owner,
        "token": task.token,
        "free_at": free_at,
        "attempts": task.attempts,
        "findings": task.findings,
        "why": task.why,
    }


def task_of(payload: Payload) -> Task:
    """The task that is stored."""
    status = TaskStatus(payload["status"])
    claimed = status is TaskStatus.CLAIMED
    return Task(
        id=payload["id"],
        goal_id=payload["goal_id"],
        tenant_id=payload["tenant_id"],
        place=payload["place"],
        title=payload["title"],
        text=payload["text"],
        status=status,
        owner=payload["owner"],
        token=payload["token"],
        expires_at=datetime.fromtimestamp(payload["free_at"], UTC) if claimed else None,
        attempts=payload["attempts"],
        findings=payload["findings"],
        why=payload["why"],
    )
