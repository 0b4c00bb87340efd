"""`/v1/approvals`: what people are asked, and what they say."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from activities.contracts.approvals import Answer, ApprovalStatus, Verdict
from api.approval_models import (
    AnswerView,
    ApprovalBody,
    ApprovalPage,
    ApprovalStory,
    CancelBody,
    DecisionBody,
)
from api.auth import CallerDep
from api.links import cursor_after, named_by
from api.openapi import body_of, header, problems
from api.problems import Problem, invalid
from api.reading import read_body, wait_seconds
from api.state import State, state_of
from infra.postgres.keys import Caller
from workflows.names import approval_workflow_id

router = APIRouter(prefix="/v1/approvals", tags=["Approvals"])

WAIT_SLICE_S = 10.0

ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
WRITES = problems("bad_json", "body_too_large", "body_too_deep", "unsupported_media_type", "invalid_request")
_EXAMPLES = {
    "deploy": {
        "summary": "A deployment, by two operators",
        "value": {
            "title": "Deploy build 118",
            "kind": "deploy",
            "deciders": {"quorum": 2, "roles": ["operator"]},
        },
    }
}
_CHOICES = {"yes": {"summary": "A yes with a word", "value": {"option": "approve", "note": "after lunch"}}}
_WHY = {"why": {"summary": "No need any more", "value": {"note": "done by hand"}}}
_Prefer = Annotated[
    str | None, Header(alias="Prefer", description="`wait=N` waits up to N seconds for the decision.")
]


@router.post(
    "",
    operation_id="createApproval",
    summary="Ask for an approval",
    status_code=201,
    response_class=Response,
    responses={
        200: {
            "model": ApprovalStory,
            "description": "An open one of the same `dedupe_key`, or one that an earlier yes has answered.",
        },
        201: {
            "model": ApprovalStory,
            "description": "It is open.",
            "headers": {"Location": header("The approval's address.")},
        },
        **ALWAYS,
        **WRITES,
    },
    openapi_extra=body_of("ApprovalBody", _EXAMPLES),
)
async def create_approval(request: Request, caller: CallerDep, prefer: _Prefer = None) -> Response:
    """Stores what is to be decided, and tells those who may. What nobody decides is decided by its deadline."""
    state = state_of(request)
    body = await read_body(request, ApprovalBody)
    approval_id, new = await state.approvals.open(caller, body)
    headers = {"Location": f"/v1/approvals/{approval_id}"}
    story = await _waited(request, caller, approval_id, prefer, headers)
    fresh = new and story["status"] == ApprovalStatus.OPEN
    return _json(_with_links(state, story), 201 if fresh else 200, headers)


@router.get(
    "",
    operation_id="listApprovals",
    summary="List approvals, newest first",
    response_class=Response,
    responses={
        200: {"model": ApprovalPage, "description": "A page."},
        **ALWAYS,
        **problems("invalid_request"),
    },
)
async def list_approvals(
    request: Request,
    caller: CallerDep,
    *,
    status: Annotated[ApprovalStatus | None, Query(description="Only approvals that stand so.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Approvals on a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """The tenant's approvals without their longer parts, a page at a time."""
    state = state_of(request)
    before = page_before(request, cursor, {"status", "limit", "cursor"})
    found = await state.approvals.page(caller, status=status, before=before, limit=limit + 1)
    if found is None:
        raise strange_cursor()
    next_cursor = cursor_after(found[limit - 1]["id"]) if len(found) > limit else None
    following = urlencode({**request.query_params, "cursor": next_cursor})
    next_link = f"{state.settings.api_url}/v1/approvals?{following}" if next_cursor else None
    data = [_with_links(state, shown) for shown in found[:limit]]
    return _json({"data": data, "next_cursor": next_cursor, "links": {"next": next_link}})


@router.get(
    "/{approval_id}",
    operation_id="getApproval",
    summary="Look at an approval",
    response_class=Response,
    responses={
        200: {"model": ApprovalStory, "description": "The approval as it stands."},
        **ALWAYS,
        **problems("approval_not_found"),
    },
)
async def get_approval(
    request: Request, approval_id: str, caller: CallerDep, prefer: _Prefer = None
) -> Response:
    """The approval with its votes and its audit trail; at once, or when it is decided."""
    headers = dict[str, str]()
    story = await _waited(request, caller, approval_id, prefer, headers)
    return _json(_with_links(state_of(request), story), 200, headers)


@router.post(
    "/{approval_id}/decision",
    operation_id="decideApproval",
    summary="Decide",
    response_class=Response,
    responses={
        200: {"model": AnswerView, "description": "This decided it."},
        202: {"model": AnswerView, "description": "It counts; `wanted` more must choose the same."},
        **ALWAYS,
        **WRITES,
        **problems("approval_not_found", "not_a_decider", "approval_closed"),
    },
    openapi_extra=body_of("DecisionBody", _CHOICES),
)
async def decide_approval(request: Request, approval_id: str, caller: CallerDep) -> Response:
    """Takes the caller's choice. The first valid one wins: every other is told who decided and when, and recorded."""
    body = await read_body(request, DecisionBody)
    return answered(await state_of(request).approvals.decide(caller, approval_id, body))


@router.post(
    "/{approval_id}/cancel",
    operation_id="cancelApproval",
    summary="Withdraw an approval",
    response_class=Response,
    responses={
        200: {"model": ApprovalStory, "description": "It is cancelled."},
        **ALWAYS,
        **WRITES,
        **problems("approval_not_found", "not_a_decider", "approval_closed"),
    },
    openapi_extra={**body_of("CancelBody", _WHY), "requestBody": {"required": False}},
)
async def cancel_approval(request: Request, approval_id: str, caller: CallerDep) -> Response:
    """Whoever asked may withdraw it, and whoever may decide it. Nobody is to decide it then."""
    state = state_of(request)
    note = (await read_body(request, CancelBody)).note if await request.body() else ""
    await state.approvals.cancel(caller, approval_id, note)
    return _json(_with_links(state, await state.approvals.get(caller, approval_id)))


def answered(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    """A choice that counted."""
    said = {"verdict": answer.verdict, "decision": answer.decision, "wanted": answer.wanted}
    return _json(said, 200 if answer.verdict is Verdict.DECIDED else 202, headers)


def page_before(request: Request, cursor: str | None, known: set[str]) -> str | None:
    """What a page begins after. Raises a 422 `Problem` for a strange cursor or parameter."""
    unknown = set(request.query_params) - known
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this list")
    before = named_by(cursor) if cursor is not None else None
    if cursor is not None and before is None:
        raise strange_cursor()
    return before


def strange_cursor() -> Problem:
    """For a cursor that names nothing in this list."""
    return invalid("cursor", "is not one that this list has given")


async def _waited(
    request: Request, caller: Caller, approval_id: str, prefer: str | None, headers: dict[str, str]
) -> dict[str, Any]:
    """The approval: as it stands, or when it is closed in the time that the client prefers to wait."""
    state = state_of(request)
    story = await state.approvals.get(caller, approval_id)
    wait = wait_seconds(prefer)
    if wait is None:
        return story
    left = float(min(wait, state.settings.max_wait_seconds))
    headers["Preference-Applied"] = f"wait={left:.0f}"
    if story["status"] != ApprovalStatus.OPEN:
        return story
    while left > 0 and not state.closing.is_set():
        if await state.approvals.closed(caller, approval_id, min(left, WAIT_SLICE_S)):
            return await state.approvals.get(caller, approval_id)
        left -= WAIT_SLICE_S
        if await request.is_disconnected():
            break
    return story


def _with_links(state: State, shown: dict[str, Any]) -> dict[str, Any]:
    place = f"{state.settings.api_url}/v1/approvals/{quote(shown['id'], safe='')}"
    workflow = quote(approval_workflow_id(shown["id"]), safe="")
    trace = (
        f"{state.settings.temporal_ui}/namespaces/{state.settings.temporal_namespace}/workflows/{workflow}"
    )
    links = {"self": place, "decision": f"{place}/decision", "cancel": f"{place}/cancel", "trace": trace}
    return {**shown, "links": links}


def _json(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
