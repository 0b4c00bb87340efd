"""`/v1/scheduler`: pools and how full they are, what waits for them, and how that is cancelled."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.auth import CallerDep
from api.openapi import problems
from api.problems import FieldError, Problem, invalid
from api.scheduler_views import CancelledCall, PoolState, PoolView, QueueView, SchedulerView
from api.scheduling import Snapshot
from api.shapes import Given
from api.state import state_of
from infra.postgres.keys import Caller, Role

router = APIRouter(prefix="/v1/scheduler", tags=["Scheduler"])

_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
CallId = Annotated[
    str, Path(max_length=500, description="An `id` of the list: a turn's, or another workflow's.")
]


@router.get(
    "",
    operation_id="getScheduler",
    summary="Pools, and how full they are",
    response_class=Response,
    responses={200: {"model": SchedulerView, "description": "All pools."}, **_ALWAYS},
)
async def get_scheduler(request: Request, caller: CallerDep) -> Response:
    """Slots, members and their health, what waits and for how long. At most a second old.

    A part that is away leaves its figures null, and is named under `degraded`.
    """
    snapshot = await state_of(request).scheduling.look()
    pools = [_shown(pool, snapshot, caller) for pool in snapshot.pools]
    return _json(SchedulerView(pools=pools, degraded=list(snapshot.degraded), at=snapshot.at))


@router.get(
    "/pools/{pool}",
    operation_id="getPool",
    summary="One pool",
    response_class=Response,
    responses={200: {"model": PoolView, "description": "The pool."}, **_ALWAYS, **problems("pool_not_found")},
)
async def get_pool(request: Request, pool: str, caller: CallerDep) -> Response:
    """The same of one pool."""
    snapshot = await state_of(request).scheduling.look()
    found = snapshot.pool(pool)
    if found is None:
        raise Problem(
            "pool_not_found",
            "there is no pool of that name; GET /v1/scheduler lists those there are",
            FieldError(field="pool", message="no such pool"),
        )
    shown = _shown(found, snapshot, caller)
    return _json(PoolView(**dict(shown), degraded=list(snapshot.degraded), at=snapshot.at))


@router.get(
    "/queue",
    operation_id="listWaiting",
    summary="What waits",
    response_class=Response,
    responses={
        200: {"model": QueueView, "description": "What waits, the most urgent first."},
        **_ALWAYS,
        **problems("invalid_request"),
    },
)
async def list_waiting(
    request: Request,
    caller: CallerDep,
    *,
    pool: Annotated[str | None, Query(description="Only what waits for this pool.")] = None,
    kind: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="Only `turn`, `card`, or this type of workflow."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Calls to list.")] = 100,
) -> Response:
    """The tenant's calls that wait for a slot or for a card; an operator sees those of all tenants.

    At most a second old. `more` says that there are, or may be, others than these.
    """
    unknown = set(request.query_params) - {"pool", "kind", "limit"}
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this list")
    state = state_of(request)
    if pool is not None and (await state.scheduling.look()).pool(pool) is None:
        raise invalid("pool", "is not a pool; GET /v1/scheduler lists those there are")
    seen = await state.waiting.look(caller)
    calls = [
        call
        for call in seen.calls
        if (pool is None or call.pool == pool) and (kind is None or call.kind == kind)
    ]
    more = len(calls) > limit or not seen.whole
    return _json(QueueView(data=calls[:limit], more=more, degraded=list(seen.degraded)))


@router.post(
    "/queue/{call_id:path}/cancel",
    operation_id="cancelWaiting",
    summary="Cancel what waits",
    response_class=Response,
    responses={
        200: {"model": CancelledCall, "description": "It has ended."},
        202: {"model": CancelledCall, "description": "It is being stopped."},
        **_ALWAYS,
        **problems("turn_not_found", "call_not_found", "not_waiting", "scheduler_unavailable"),
    },
)
async def cancel_waiting(request: Request, call_id: CallId, caller: CallerDep) -> Response:
    """Stops a turn, or another workflow, that waits; an operator may stop anybody's.

    What does not wait any more is left alone: a turn that is being answered is stopped by its own cancel.
    """
    cancelled = await state_of(request).waiting.cancel(caller, call_id)
    return _json(cancelled, 200 if cancelled.status == "cancelled" else 202)


def _shown(pool: PoolState, snapshot: Snapshot, caller: Caller) -> PoolState:
    """The pool as this caller may see it: where the members are is an operator's business."""
    if caller.role is not Role.OPERATOR:
        return pool
    members = [
        member.model_copy(update={"base_url": snapshot.addresses.get(member.backend)})
        for member in pool.members
    ]
    return pool.model_copy(update={"members": members})


def _json(view: Given, status: int = 200) -> Response:
    return Response(view.model_dump_json(), status, media_type="application/json")
