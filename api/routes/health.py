"""`/health`, open to all: load balancers and people have no key."""

import orjson
from fastapi import APIRouter, Request, Response

from api.models import HealthView
from api.openapi import problems
from api.state import state_of

router = APIRouter(tags=["Health"])


@router.get(
    "/health",
    operation_id="getHealth",
    summary="Is it well?",
    response_class=Response,
    responses={
        200: {"model": HealthView, "description": "Turns are accepted."},
        503: {
            "model": HealthView,
            "description": "Turns cannot be accepted: the database is away, or this process stops.",
        },
        **problems("internal"),
    },
)
async def get_health(request: Request) -> Response:
    """`ok`, `degraded` or `unavailable`, with each part's state and how quickly it answered.

    A process that was told to stop is `stopping`, whatever its parts say: balancers send nobody there any more.
    """
    state = state_of(request)
    view = await state.health.look()
    if state.closing.is_set():
        view = view | {"status": "stopping"}
    status = 503 if view["status"] in {"unavailable", "stopping"} else 200
    return Response(orjson.dumps(view), status, media_type="application/json")
