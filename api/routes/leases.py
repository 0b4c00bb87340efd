"""`/v1/leases`: boxes that are rented, by whom, for how much; for operators."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from activities.contracts.bursting import Stray
from api.auth import OperatorDep
from api.lease_views import (
    EXAMPLE_LEASE,
    BurstShown,
    LeaseBody,
    LeaseList,
    LeaseShown,
    LeaseWhole,
    StrayShown,
    SweepBody,
    SweepShown,
    lease_shown,
    lease_whole,
)
from api.openapi import body_of, problems
from api.reading import read_body
from api.state import state_of
from infra.postgres.keys import Caller

router = APIRouter(prefix="/v1/leases", tags=["Leases"])

_ALWAYS = problems("unauthenticated", "forbidden", "internal", "store_unavailable")
_WRITES = problems("bad_json", "body_too_large", "body_too_deep", "unsupported_media_type", "invalid_request")
_ONE = problems("lease_not_found", "invalid_request")
_EXAMPLES = {"reasoning": {"summary": "A box for the reasoner", "value": {"purpose": "reasoning"}}}
_SWEEPS = {"dry": {"summary": "Touch nothing", "value": {"dry_run": True}}}
LeaseId = Annotated[str, Path(max_length=100, description="The lease's id.", examples=[EXAMPLE_LEASE])]


@router.post(
    "",
    operation_id="askForLease",
    summary="Rent a box",
    status_code=201,
    response_class=Response,
    responses={
        201: {"model": LeaseShown, "description": "The lease, which goes on by itself."},
        **_ALWAYS,
        **_WRITES,
        **problems("burst_off"),
    },
    openapi_extra=body_of("LeaseBody", _EXAMPLES),
)
async def ask_for_lease(request: Request, caller: OperatorDep) -> Response:
    """Asks for a lease now. It is quoted, agreed to where that is configured, rented, and serves until it idles."""
    body = await read_body(request, LeaseBody)
    lease = await state_of(request).leases.ask(body.purpose, body.why, _who(caller))
    return _json(lease_shown(lease), 201)


@router.get(
    "",
    operation_id="listLeases",
    summary="All leases",
    response_class=Response,
    responses={200: {"model": LeaseList, "description": "The newest first."}, **_ALWAYS},
)
async def list_leases(
    request: Request,
    caller: OperatorDep,
    open: Annotated[bool, Query(description="Only those that have not ended.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Leases, and what burst costs: so far today and this month, and by the hour."""
    del caller
    leases = state_of(request).leases
    found, spending = await leases.list(limit, only_open=open)
    shown = [lease_shown(lease) for lease in found]
    burst = BurstShown(
        enabled=leases.burst.enabled,
        day_usd=round(spending.day_usd, 6),
        month_usd=round(spending.month_usd, 6),
        day_cap_usd=leases.burst.day_usd,
        month_cap_usd=leases.burst.month_usd,
        usd_per_hour=round(sum(lease.usd_per_hour for lease in shown), 6),
    )
    return _json(LeaseList(burst=burst, data=shown))


@router.post(
    "/sweep",
    operation_id="sweepLeases",
    summary="Look for boxes that are nobody's",
    response_class=Response,
    responses={
        200: {"model": SweepShown, "description": "What was found, and what became of it."},
        **_ALWAYS,
        **_WRITES,
        **problems("scheduler_unavailable"),
    },
    openapi_extra=body_of("SweepBody", _SWEEPS),
)
async def sweep_leases(request: Request, caller: OperatorDep) -> Response:
    """Compares the market's list with the leases, as the reaper does by itself, and destroys what is nobody's."""
    del caller
    body = await read_body(request, SweepBody)
    reaped = await state_of(request).leases.sweep(dry_run=body.dry_run)
    view = SweepShown(
        seen=reaped.seen,
        destroyed=[_stray(each) for each in reaped.destroyed],
        left=[_stray(each) for each in reaped.left],
        unknown=reaped.unknown,
    )
    return _json(view)


@router.get(
    "/{lease_id}",
    operation_id="getLease",
    summary="One lease",
    response_class=Response,
    responses={200: {"model": LeaseWhole, "description": "The lease and its audit."}, **_ALWAYS, **_ONE},
)
async def get_lease(request: Request, lease_id: LeaseId, caller: OperatorDep) -> Response:
    """The lease with everything that happened to it."""
    del caller
    lease, events = await state_of(request).leases.one(lease_id)
    return _json(lease_whole(lease, events))


@router.delete(
    "/{lease_id}",
    operation_id="endLease",
    summary="End a lease",
    status_code=202,
    response_class=Response,
    responses={
        202: {"model": LeaseShown, "description": "It drains, and ends when its box is verified gone."},
        **_ALWAYS,
        **_ONE,
    },
)
async def end_lease(
    request: Request,
    lease_id: LeaseId,
    caller: OperatorDep,
    why: Annotated[str, Query(max_length=300, description="Kept with the lease.")] = "",
) -> Response:
    """Ends the lease, whatever it is at. Look again to see how far it has got."""
    lease = await state_of(request).leases.end(lease_id, why, _who(caller))
    return _json(lease_shown(lease), 202)


def _who(caller: Caller) -> str:
    return f"key:{caller.key_id}"


def _stray(stray: Stray) -> StrayShown:
    return StrayShown(instance=stray.instance, label=stray.label, lease=stray.lease_id, why=stray.why)


def _json(view: LeaseShown | LeaseList | SweepShown, status: int = 200) -> Response:
    return Response(view.model_dump_json(), status, media_type="application/json")
