"""`/v1/boxes/{lease}`: rented boxes join and tell of themselves. No API key opens it: they prove themselves.

Not in the OpenAPI document: only our own agent speaks this, see `infra/box/proof.py`.
"""

from fastapi import APIRouter, Request, Response

from activities.errors import AitherError
from api.problems import Problem, invalid
from api.state import state_of
from infra.box.reception import BoxMisspoke, BoxRefused, Said, Told

router = APIRouter(prefix="/v1/boxes", include_in_schema=False)


@router.post("/{lease}/challenge")
async def challenge_box(request: Request, lease: str) -> Response:
    """A nonce, for whoever asks: it is worth nothing without the lease's key."""
    return await _received(request, lease, "challenge")


@router.post("/{lease}/join")
async def join_box(request: Request, lease: str) -> Response:
    """Joins, once, or again after a reboot; answers what the box is to do."""
    return await _received(request, lease, "join")


@router.post("/{lease}/heartbeat")
async def hear_box(request: Request, lease: str) -> Response:
    """Tells how the box does; answers what is wanted of it."""
    return await _received(request, lease, "heartbeat")


@router.post("/{lease}/models")
async def hand_out_models(request: Request, lease: str) -> Response:
    """Answers where the box's model files are to be had at this moment."""
    return await _received(request, lease, "models")


async def _received(request: Request, lease: str, verb: str) -> Response:
    said = Said(
        lease=lease,
        verb=verb,
        method=request.method,
        path=request.url.path,
        host=request.headers.get("host", ""),
        headers=dict(request.headers),
        body=await request.body(),
    )
    try:
        told: Told = await state_of(request).reception.take(said)
    except BoxRefused as error:
        raise _problem(error) from None
    except BoxMisspoke as error:
        raise invalid("body", error.message) from None
    return Response(told.body, told.status, dict(told.headers), "application/json")


def _problem(error: AitherError) -> Problem:
    return Problem(error.code, error.message)
