"""`/v1/turns/{id}/events`: a turn as it happens, or as it happened."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.auth import CallerDep
from api.openapi import problems
from api.problems import invalid
from api.sse import event_stream
from api.state import state_of

router = APIRouter(prefix="/v1/turns", tags=["Turns"])

_EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_EXAMPLE = """id: 0-1
event: turn.started
data: {"id": "turn_01k5h6v9c2m8r4t0x3z7q5w1ne", "status": "running", "effort": 3}

id: 1795427070036-1
event: hop.started
data: {"step": 0, "rung": "orchestrator", "pool": "llm-orchestrator", "attempt": 1}

id: 1795427070036-2
event: token
data: {"text": "Because", "offset": 0}
"""


@router.get(
    "/{turn_id}/events",
    operation_id="followTurn",
    summary="Follow a turn",
    response_class=Response,
    responses={
        200: {
            "description": "Events (SSE) up to the turn's end: `turn.started`, `hop.started`, "
            "`hop.restarted`, `token`, `hop.ended`, `turn.waiting_for_approval` while a person is asked, and one of "
            "`turn.completed`, `turn.failed`, `turn.cancelled`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        204: {"description": "The event that was resumed after was the last one."},
        **problems("unauthenticated", "turn_not_found", "invalid_request", "internal", "store_unavailable"),
    },
)
async def follow_turn(
    request: Request,
    turn_id: str,
    caller: CallerDep,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Resumes after this event.")
    ] = None,
    after: Annotated[str | None, Query(description="The same, for clients that cannot set headers.")] = None,
) -> Response:
    """The turn's events, from the start or after one that is known; also when the turn has ended.

    A reader appends the tokens' `text`, and drops what it has at `hop.restarted`: then it holds exactly the
    answer when `turn.completed` comes, whatever crashed in between. The end carries the whole turn. A
    stream that ceases without an end is to be resumed.
    """
    state = state_of(request)
    resumed = last_event_id or after
    if resumed and not _EVENT_ID.fullmatch(resumed):
        raise invalid("Last-Event-ID" if last_event_id else "after", "is not the id of an event")
    batches = await state.turns.batches(caller, turn_id, resumed or None)
    return event_stream(batches) if batches is not None else Response(status_code=204)
