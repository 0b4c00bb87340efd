"""`/v1/memory`: what swarms have found."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from activities.contracts.ledger import MOST_HITS, SearchAsk
from activities.contracts.swarm import EdgeKind, Remembered
from api.auth import CallerDep
from api.openapi import problems
from api.problems import invalid
from api.shapes import Given
from api.state import state_of

router = APIRouter(prefix="/v1/memory", tags=["Memory"])

MOST_CHARS = 2000


class EdgeView(Given):
    """How a finding stands to a task, a goal, or another finding."""

    kind: EdgeKind
    to: str


class HitView(Given):
    """A finding."""

    id: str
    score: float = Field(description="0 to 1, higher is nearer.")
    text: str
    confidence: float = Field(description="0 to 1, by whoever found it.")
    sources: list[str]
    goal: str
    task: str
    agent: str
    edges: list[EdgeView]
    found_at: datetime | None


class SearchView(Given):
    """Findings, the nearest first."""

    data: list[HitView]


@router.get(
    "/search",
    operation_id="searchMemory",
    summary="Search what was found",
    response_class=Response,
    responses={
        200: {"model": SearchView, "description": "The nearest first."},
        **problems(
            "unauthenticated",
            "invalid_request",
            "internal",
            "store_unavailable",
            "memory_unavailable",
            "embedder_mismatch",
            "scheduler_unavailable",
        ),
    },
)
async def search_memory(
    request: Request,
    caller: CallerDep,
    *,
    q: Annotated[str, Query(min_length=1, max_length=MOST_CHARS, description="What to look for.")],
    goal: Annotated[
        str, Query(max_length=200, description="Only findings of this goal, by its id; of all without it.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_HITS, description="Findings at most.")] = 10,
    min_score: Annotated[
        float, Query(ge=0, le=1, description="Leave out what is further away; 0 leaves nothing out.")
    ] = 0.0,
) -> Response:
    """The tenant's findings that are nearest in meaning to the query."""
    unknown = set(request.query_params) - {"q", "goal", "limit", "min_score"}
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this search")
    if not q.strip():
        raise invalid("q", "must say what to look for")
    ask = SearchAsk(
        tenant_id=caller.tenant_id, query=q.strip(), goal_id=goal, limit=limit, min_score=min_score
    )
    reply = await state_of(request).recollection.search(ask)
    view = SearchView(data=[_shown(hit) for hit in reply.hits])
    return Response(view.model_dump_json(), media_type="application/json")


def _shown(hit: Remembered) -> HitView:
    finding = hit.finding
    return HitView(
        id=finding.id,
        score=round(hit.score, 4),
        text=finding.text,
        confidence=finding.confidence,
        sources=list(finding.sources),
        goal=finding.goal_id,
        task=finding.task_id,
        agent=finding.agent,
        edges=[EdgeView(kind=edge.kind, to=edge.to) for edge in finding.edges],
        found_at=finding.found_at,
    )
