"""`/v1/gpu/cards`: what is on each GPU card, who holds it, and what an operator wants of it."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from activities.contracts.cards import Posture
from api.auth import CallerDep, OperatorDep
from api.cards import CardSeen, card_state
from api.openapi import problems
from api.scheduler_views import CardList, CardState, MissingPart
from api.state import state_of
from infra.postgres.keys import Caller

router = APIRouter(prefix="/v1/gpu/cards", tags=["GPU cards"])

NO_LAST_WORDS = MissingPart(part="postgres", missing="what cards that do not answer have last said")

_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
_ONE = problems("card_not_found", "invalid_request")
_STEERED = {
    202: {"model": CardState, "description": "The wish is recorded; look again to see how far it has got."},
    **_ALWAYS,
    **_ONE,
    **problems("forbidden", "card_refused", "card_unavailable"),
}
Host = Annotated[str, Path(description="The host's name.", examples=["gpu-box"])]
Index = Annotated[int, Path(ge=0, le=4096, description="The card's number on its host.")]


@router.get(
    "",
    operation_id="listCards",
    summary="All GPU cards",
    response_class=Response,
    responses={200: {"model": CardList, "description": "The cards, by name."}, **_ALWAYS},
)
async def list_cards(request: Request, caller: CallerDep) -> Response:
    """Every card with its residents, holds and what waits for it. At most a second old, unless `stale`.

    Whose the holds are is told of the caller's own tenant, and to operators.
    """
    deck = await state_of(request).cards.all()
    view = CardList(
        data=[card_state(seen, caller) for seen in deck.cards],
        degraded=[] if deck.stored else [NO_LAST_WORDS],
    )
    return Response(view.model_dump_json(), media_type="application/json")


@router.get(
    "/{host}/{index}",
    operation_id="getCard",
    summary="One GPU card",
    response_class=Response,
    responses={200: {"model": CardState, "description": "The card as it is now."}, **_ALWAYS, **_ONE},
)
async def get_card(request: Request, host: Host, index: Index, caller: CallerDep) -> Response:
    """The card, asked just now."""
    return _one(await state_of(request).cards.one(f"{host}/{index}"), caller)


@router.post(
    "/{host}/{index}/sleep",
    operation_id="putCardToSleep",
    summary="Park a card",
    status_code=202,
    response_class=Response,
    responses=_STEERED,
)
async def sleep_card(request: Request, host: Host, index: Index, caller: OperatorDep) -> Response:
    """Every resident leaves or sleeps, nobody gets a hold, and calls go elsewhere until it is woken."""
    seen = await state_of(request).cards.want(f"{host}/{index}", Posture.ASLEEP)
    return _one(seen, caller, 202)


@router.post(
    "/{host}/{index}/wake",
    operation_id="wakeCard",
    summary="Wake a parked card",
    status_code=202,
    response_class=Response,
    responses=_STEERED,
)
async def wake_card(request: Request, host: Host, index: Index, caller: OperatorDep) -> Response:
    """The residents that come with their card come back, one after the other, each once it is well."""
    seen = await state_of(request).cards.want(f"{host}/{index}", Posture.AWAKE)
    return _one(seen, caller, 202)


@router.post(
    "/{host}/{index}/repair",
    operation_id="repairCard",
    summary="Find out what is true of a card, and put it right",
    status_code=202,
    response_class=Response,
    responses=_STEERED,
)
async def repair_card(request: Request, host: Host, index: Index, caller: OperatorDep) -> Response:
    """The card's host looks at what runs; what does not fit together is moved to where it should be."""
    seen = await state_of(request).cards.repair(f"{host}/{index}")
    return _one(seen, caller, 202)


def _one(seen: CardSeen, caller: Caller, status: int = 200) -> Response:
    return Response(card_state(seen, caller).model_dump_json(), status, media_type="application/json")
