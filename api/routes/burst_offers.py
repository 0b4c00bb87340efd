"""`/v1/burst/offers`: what the market has to rent, judged for a purpose. Nothing is rented by looking."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from activities.contracts.leases import Drop, DroppedOffer, Offer, Purpose, RankedOffer
from api.auth import OperatorDep
from api.openapi import problems
from api.problems import Problem, invalid
from api.shapes import Given
from api.state import state_of

router = APIRouter(prefix="/v1/burst", tags=["Burst"])


class OfferView(Given):
    """An offer, as the market has it."""

    id: str
    machine: str
    gpu: str
    gpus: int
    vram_mib: int = Field(description="Of one GPU.")
    region: str
    inet_down_mbps: float
    reliability: float = Field(description="0 to 1, by the market's own count.")
    cuda: float
    usd_per_hour: float = Field(description="The GPU alone.")


class RankedView(OfferView):
    """An offer that will do, and what it comes to."""

    storage_usd_per_hour: float
    download_usd: float = Field(description="For the image and the model, once.")
    real_usd_per_hour: float = Field(description="GPU, storage, and the download's share of an hour.")
    useful_in_s: float = Field(description="From the rental to the first answer, estimated.")
    usd_per_useful_hour: float = Field(description="All that it costs, for each hour that it serves.")


class DroppedView(OfferView):
    """An offer that will not do."""

    drop: Drop
    why: str


class OfferList(Given):
    """A search, judged."""

    purpose: Purpose
    most_usd_per_hour: float = Field(description="What the real price may be at most.")
    hours: float = Field(description="For how long a lease is expected to be of use.")
    data: list[RankedView] = Field(description="The best first.")
    dropped: list[DroppedView] = Field(description="By the reason.")


@router.get(
    "/offers",
    operation_id="listOffers",
    summary="What could be rented",
    response_class=Response,
    responses={
        200: {"model": OfferList, "description": "The offers that will do, the best first, and the others."},
        **problems(
            "unauthenticated",
            "forbidden",
            "invalid_request",
            "burst_not_configured",
            "internal",
            "market_refused",
            "market_unavailable",
            "scheduler_unavailable",
        ),
    },
)
async def list_offers(
    request: Request,
    caller: OperatorDep,
    *,
    purpose: Annotated[Purpose, Query(alias="for", description="What a box would be rented for.")],
) -> Response:
    """What the market offers right now, in the order in which a lease would try it."""
    unknown = set(request.query_params) - {"for"}
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this search")
    state = state_of(request)
    plan = state.topology.burst.plan(purpose)
    if plan is None:
        detail = f"[burst.{purpose}] is not configured: it says what a box for {purpose} needs and may cost"
        raise Problem("burst_not_configured", detail)
    ranking = await state.offers.look(plan.need)
    view = OfferList(
        purpose=purpose,
        most_usd_per_hour=plan.need.usd_per_hour,
        hours=plan.need.hours,
        data=[_ranked(each) for each in ranking.ranked],
        dropped=[_dropped(each) for each in ranking.dropped],
    )
    return Response(view.model_dump_json(), media_type="application/json")


def _fields(offer: Offer) -> dict[str, object]:
    return {
        "id": offer.id,
        "machine": offer.machine,
        "gpu": offer.gpu,
        "gpus": offer.gpus,
        "vram_mib": offer.vram_mib,
        "region": offer.region,
        "inet_down_mbps": offer.inet_down_mbps,
        "reliability": offer.reliability,
        "cuda": offer.cuda,
        "usd_per_hour": offer.usd_per_hour,
    }


def _ranked(each: RankedOffer) -> RankedView:
    figures = {
        **_fields(each.offer),
        "storage_usd_per_hour": each.storage_usd_per_hour,
        "download_usd": each.download_usd,
        "real_usd_per_hour": each.real_usd_per_hour,
        "useful_in_s": each.useful_in.total_seconds(),
        "usd_per_useful_hour": each.usd_per_useful_hour,
    }
    return RankedView.model_validate(figures)


def _dropped(each: DroppedOffer) -> DroppedView:
    return DroppedView.model_validate({**_fields(each.offer), "drop": each.drop, "why": each.why})
