"""`/v1/turns`: ask, look, list, follow, cancel."""

from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from activities.contracts.turn import TurnStatus
from api.auth import CallerDep
from api.links import from_cursor, links_of, to_cursor
from api.models import TurnAccepted, TurnPage, TurnView, TurnWithInput
from api.openapi import body_of, header, problems
from api.problems import invalid
from api.reading import read_turn, wait_seconds
from api.served import DESCRIPTIONS, served_headers
from api.state import state_of
from infra.ids import is_id
from infra.postgres.keys import Caller

router = APIRouter(prefix="/v1/turns", tags=["Turns"])

WAIT_SLICE_S = 10.0
"""How often a client that waits is looked after: one that has gone is not waited for any longer."""

_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
_EXAMPLES = {
    "question": {"summary": "A question", "value": {"input": "Why is the sky blue?"}},
    "messages": {
        "summary": "Messages, harder",
        "value": {
            "input": [
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": "Why is the sky blue?"},
            ],
            "effort": 7,
            "metadata": {"ticket": "4711"},
        },
    },
}
_ACCEPTED_HEADERS = {
    "Location": header("The turn's address."),
    "Idempotency-Replayed": header("`true` when the idempotency key had been seen: nothing new was begun."),
    "Preference-Applied": header("The wait that was granted, such as `wait=30`."),
}
_SERVED_HEADERS = {name: header(f"{words} Only with an answer.") for name, words in DESCRIPTIONS.items()}


@router.post(
    "",
    operation_id="createTurn",
    summary="Ask",
    status_code=202,
    response_class=Response,
    responses={
        200: {
            "model": TurnView,
            "description": "The turn has ended (see `status`): it came in the time of `Prefer: wait=N`.",
            "headers": _ACCEPTED_HEADERS | _SERVED_HEADERS,
        },
        202: {
            "model": TurnAccepted,
            "description": "The turn is safe and will come to an end.",
            "headers": _ACCEPTED_HEADERS,
        },
        **_ALWAYS,
        **problems(
            "bad_json",
            "conversation_not_found",
            "model_not_found",
            "agent_not_found",
            "idempotency_conflict",
            "body_too_large",
            "body_too_deep",
            "unsupported_media_type",
            "invalid_request",
        ),
    },
    openapi_extra=body_of("TurnBody", _EXAMPLES),
)
async def create_turn(
    request: Request,
    caller: CallerDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Repeating a request with the same key and body finds the turn of the first one.",
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        Header(alias="Prefer", description="`wait=N` waits up to N seconds for the turn's end."),
    ] = None,
) -> Response:
    """Stores the turn, starts it, and says where to follow it; or waits for its end.

    A turn that was accepted comes to an end whatever crashes. Waiting changes nothing about the turn: when
    its time is over, the turn goes on.
    """
    state = state_of(request)
    turn = await read_turn(request, idempotency_key)
    accepted = await state.turns.accept(caller, turn)
    turn_id = accepted.turn_id
    headers = {"Location": f"/v1/turns/{turn_id}"}
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    view = accepted.view if accepted.status.ended else None
    wait = wait_seconds(prefer)
    if wait is not None:
        wait = min(wait, state.settings.max_wait_seconds)
        headers["Preference-Applied"] = f"wait={wait}"
        view = view or await _end_of(turn_id, caller, request, wait)
    links = links_of(state.settings, turn_id)
    if view is not None:
        view.pop("input", None)
        return _json({**view, "links": links}, 200, headers | served_headers(view))
    body = {
        "id": turn_id,
        "status": accepted.status,
        "conversation_id": accepted.conversation_id,
        "links": links,
    }
    return _json(body, 202, headers)


@router.get(
    "",
    operation_id="listTurns",
    summary="List turns, newest first",
    response_class=Response,
    responses={200: {"model": TurnPage, "description": "A page."}, **_ALWAYS, **problems("invalid_request")},
)
async def list_turns(
    request: Request,
    caller: CallerDep,
    *,
    status: Annotated[TurnStatus | None, Query(description="Only turns that stand so.")] = None,
    conversation_id: Annotated[str | None, Query(description="Only turns of this conversation.")] = None,
    job_id: Annotated[
        str | None, Query(description="The turns of this job; those of jobs are not listed otherwise.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Turns on a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """The tenant's turns without their inputs, a page at a time."""
    state = state_of(request)
    unknown = set(request.query_params) - {"status", "conversation_id", "job_id", "limit", "cursor"}
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this list")
    if conversation_id is not None and not is_id("conv", conversation_id):
        raise invalid("conversation_id", "is not a conversation's id")
    if job_id is not None and not is_id("job", job_id):
        raise invalid("job_id", "is not a job's id")
    before = from_cursor(cursor) if cursor is not None else None
    if cursor is not None and before is None:
        raise invalid("cursor", "is not one that this list has given")
    found = await state.turns.page(
        caller,
        before=before,
        limit=limit + 1,
        status=status,
        conversation_id=conversation_id,
        job_id=job_id,
    )
    page: list[dict[str, Any]] = [
        {**view, "links": links_of(state.settings, view["id"])} for view in found[:limit]
    ]
    next_cursor = to_cursor(page[-1]["id"]) if len(found) > limit else None
    following = {**request.query_params, "cursor": next_cursor}
    next_link = f"{state.settings.api_url}/v1/turns?{urlencode(following)}" if next_cursor else None
    return _json({"data": page, "next_cursor": next_cursor, "links": {"next": next_link}})


@router.get(
    "/{turn_id}",
    operation_id="getTurn",
    summary="Look at a turn",
    response_class=Response,
    responses={
        200: {"model": TurnWithInput, "description": "The turn as it stands."},
        **_ALWAYS,
        **problems("turn_not_found"),
    },
)
async def get_turn(request: Request, turn_id: str, caller: CallerDep) -> Response:
    """The turn with its input, its answer or error, and the route that it took."""
    state = state_of(request)
    view = await state.turns.get(caller, turn_id)
    return _json({**view, "links": links_of(state.settings, turn_id)})


@router.post(
    "/{turn_id}/cancel",
    operation_id="cancelTurn",
    summary="Cancel a turn",
    response_class=Response,
    responses={
        200: {"model": TurnWithInput, "description": "The turn has ended, by this or before it."},
        202: {"model": TurnWithInput, "description": "The turn is being stopped."},
        **_ALWAYS,
        **problems("turn_not_found"),
    },
)
async def cancel_turn(request: Request, turn_id: str, caller: CallerDep) -> Response:
    """Stops the turn and its model call. Cancelling one that has ended changes nothing."""
    state = state_of(request)
    view = await state.turns.cancel(caller, turn_id)
    ended = TurnStatus(view["status"]).ended
    return _json({**view, "links": links_of(state.settings, turn_id)}, 200 if ended else 202)


async def _end_of(turn_id: str, caller: Caller, request: Request, seconds: float) -> dict[str, Any] | None:
    """The turn once it has ended; None when the time is over, the client is gone, or the process stops."""
    state = state_of(request)
    while seconds > 0 and not state.closing.is_set():
        view = await state.turns.wait(caller, turn_id, min(seconds, WAIT_SLICE_S))
        seconds -= WAIT_SLICE_S
        if view is not None or await request.is_disconnected():
            return view
    return None


def _json(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
