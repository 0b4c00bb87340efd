"""`/v1/jobs`: goals for swarms; ask, look, list, follow, widen, cancel."""

import re
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from activities.contracts.swarm import JobStatus
from api.auth import CallerDep
from api.job_models import JobAccepted, JobBody, JobPage, JobView, JobWithBoard, JobWorkersBody
from api.links import from_cursor, to_cursor
from api.openapi import body_of, header, problems
from api.problems import invalid
from api.reading import IDEMPOTENCY_KEY, read_body, wait_seconds
from api.sse import event_stream
from api.state import State, state_of
from infra.postgres.keys import Caller
from workflows.names import swarm_workflow_id

router = APIRouter(prefix="/v1/jobs", tags=["Jobs"])

WAIT_SLICE_S = 10.0

_EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
_WRITES = problems("bad_json", "body_too_large", "body_too_deep", "unsupported_media_type", "invalid_request")
_EXAMPLES = {
    "research": {
        "summary": "Ten workers on a goal",
        "value": {"goal": "Compare three ways to store energy", "tasks": 12, "workers": 10},
    }
}
_MORE = {"two": {"summary": "Two more workers", "value": {"workers": 2}}}
_EVENTS = """id: 1795427070036-0
event: task.claimed
data: {"task": "task_…", "title": "Batteries", "place": 0, "owner": "w1"}

id: 1795427075310-0
event: task.done
data: {"task": "task_…", "owner": "w1", "findings": 3}
"""


@router.post(
    "",
    operation_id="createJob",
    summary="Begin a swarm",
    status_code=202,
    response_class=Response,
    responses={
        200: {"model": JobView, "description": "The job has ended, in the time of `Prefer: wait=N`."},
        202: {
            "model": JobAccepted,
            "description": "The job is safe and will come to an end.",
            "headers": {"Location": header("The job's address.")},
        },
        **_ALWAYS,
        **_WRITES,
        **problems("idempotency_conflict"),
    },
    openapi_extra=body_of("JobBody", _EXAMPLES),
)
async def create_job(
    request: Request,
    caller: CallerDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key", description="The same key and body find the job of the first request."
        ),
    ] = None,
    prefer: Annotated[
        str | None, Header(alias="Prefer", description="`wait=N` waits up to N seconds for the job's end.")
    ] = None,
) -> Response:
    """Stores the goal, starts its swarm, and says where to follow it; or waits for its end."""
    state = state_of(request)
    if idempotency_key is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    body = await read_body(request, JobBody)
    job_id, replayed = await state.jobs.accept(caller, body, idempotency_key)
    headers = {"Location": f"/v1/jobs/{job_id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    wait = wait_seconds(prefer)
    if wait is not None:
        wait = min(wait, state.settings.max_wait_seconds)
        headers["Preference-Applied"] = f"wait={wait}"
        view = await _end_of(job_id, caller, request, wait)
        if view is not None:
            return _json(_shown(state, view), 200, headers)
    links = _links(state, job_id)
    return _json({"id": job_id, "status": JobStatus.RUNNING, "links": links}, 202, headers)


@router.get(
    "",
    operation_id="listJobs",
    summary="List jobs, newest first",
    response_class=Response,
    responses={200: {"model": JobPage, "description": "A page."}, **_ALWAYS, **problems("invalid_request")},
)
async def list_jobs(
    request: Request,
    caller: CallerDep,
    *,
    status: Annotated[JobStatus | None, Query(description="Only jobs that stand so.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Jobs on a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """The tenant's jobs without their boards, a page at a time."""
    state = state_of(request)
    unknown = set(request.query_params) - {"status", "limit", "cursor"}
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this list")
    before = from_cursor(cursor, "job") if cursor is not None else None
    if cursor is not None and before is None:
        raise invalid("cursor", "is not one that this list has given")
    found = await state.jobs.page(caller, before=before, limit=limit + 1, status=status)
    page = [_shown(state, view) for view in found[:limit]]
    next_cursor = to_cursor(page[-1]["id"]) if len(found) > limit else None
    following = urlencode({**request.query_params, "cursor": next_cursor})
    next_link = f"{state.settings.api_url}/v1/jobs?{following}" if next_cursor else None
    return _json({"data": page, "next_cursor": next_cursor, "links": {"next": next_link}})


@router.get(
    "/{job_id}",
    operation_id="getJob",
    summary="Look at a job",
    response_class=Response,
    responses={
        200: {"model": JobWithBoard, "description": "The job as it stands."},
        **_ALWAYS,
        **problems("job_not_found"),
    },
)
async def get_job(
    request: Request,
    job_id: str,
    caller: CallerDep,
    prefer: Annotated[
        str | None, Header(alias="Prefer", description="`wait=N` waits up to N seconds for the job's end.")
    ] = None,
) -> Response:
    """The job with its tasks, who has them, what was found, and what came of it."""
    state = state_of(request)
    view = await state.jobs.get(caller, job_id)
    wait = wait_seconds(prefer)
    if wait is not None:
        view = await _end_of(job_id, caller, request, min(wait, state.settings.max_wait_seconds)) or view
    return _json(_with_links(state, view))


@router.get(
    "/{job_id}/events",
    operation_id="followJob",
    summary="Follow a job",
    response_class=Response,
    responses={
        200: {
            "description": "Events (SSE) up to the job's end: `job.started`, `job.phase`, `job.planned`, "
            "`task.claimed`, `task.done`, `task.failed`, `task.reopened`, `finding.recorded`, `job.spend`, and one "
            "of `job.completed`, `job.failed`, `job.cancelled`, which carries the whole job.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
        },
        204: {"description": "The event that was resumed after was the last one."},
        **_ALWAYS,
        **problems("job_not_found", "invalid_request"),
    },
)
async def follow_job(
    request: Request,
    job_id: str,
    caller: CallerDep,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Resumes after this event.")
    ] = None,
    after: Annotated[str | None, Query(description="The same, for clients that cannot set headers.")] = None,
) -> Response:
    """The job's events, from the start or after one that is known; also when the job has ended."""
    resumed = last_event_id or after
    if resumed and not _EVENT_ID.fullmatch(resumed):
        raise invalid("Last-Event-ID" if last_event_id else "after", "is not the id of an event")
    batches = await state_of(request).jobs.batches(caller, job_id, resumed or None)
    return event_stream(batches) if batches is not None else Response(status_code=204)


@router.post(
    "/{job_id}/workers",
    operation_id="addJobWorkers",
    summary="Have more workers join",
    response_class=Response,
    responses={
        202: {"model": JobWithBoard, "description": "They join as there is room."},
        **_ALWAYS,
        **_WRITES,
        **problems("job_not_found", "job_ended", "scheduler_unavailable"),
    },
    openapi_extra=body_of("JobWorkersBody", _MORE),
)
async def add_workers(request: Request, job_id: str, caller: CallerDep) -> Response:
    """More workers for a swarm that runs, on whichever machines run workers."""
    state = state_of(request)
    body = await read_body(request, JobWorkersBody)
    view = await state.jobs.add_workers(caller, job_id, body.workers)
    return _json(_with_links(state, view), 202)


@router.post(
    "/{job_id}/cancel",
    operation_id="cancelJob",
    summary="Cancel a job",
    response_class=Response,
    responses={
        200: {"model": JobWithBoard, "description": "The job has ended, by this or before it."},
        202: {"model": JobWithBoard, "description": "The job is being stopped."},
        **_ALWAYS,
        **problems("job_not_found"),
    },
)
async def cancel_job(request: Request, job_id: str, caller: CallerDep) -> Response:
    """Stops the job, its workers and their calls. Cancelling one that has ended changes nothing."""
    state = state_of(request)
    view = await state.jobs.cancel(caller, job_id)
    return _json(_with_links(state, view), 200 if JobStatus(view["status"]).ended else 202)


async def _end_of(job_id: str, caller: Caller, request: Request, seconds: float) -> dict[str, Any] | None:
    """The job once it has ended; None when the time is over, the client is gone, or the process stops."""
    state = state_of(request)
    while seconds > 0 and not state.closing.is_set():
        view = await state.jobs.wait(caller, job_id, min(seconds, WAIT_SLICE_S))
        seconds -= WAIT_SLICE_S
        if view is not None or await request.is_disconnected():
            return view
    return None


def _shown(state: State, view: dict[str, Any]) -> dict[str, Any]:
    """The job without its context and board."""
    return _with_links(state, {key: value for key, value in view.items() if key not in {"board", "context"}})


def _with_links(state: State, view: dict[str, Any]) -> dict[str, Any]:
    return {**view, "links": _links(state, view["id"])}


def _links(state: State, job_id: str) -> dict[str, str]:
    place = f"{state.settings.api_url}/v1/jobs/{job_id}"
    workflow = quote(swarm_workflow_id(job_id), safe="")
    trace = (
        f"{state.settings.temporal_ui}/namespaces/{state.settings.temporal_namespace}/workflows/{workflow}"
    )
    return {"self": place, "events": f"{place}/events", "cancel": f"{place}/cancel", "trace": trace}


def _json(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
