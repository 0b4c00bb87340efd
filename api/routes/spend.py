"""`/v1/spend`: what was spent, on what, and what it would have cost elsewhere."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.auth import CallerDep
from api.openapi import problems
from api.problems import invalid
from api.shapes import Given
from api.state import state_of
from infra.postgres.ledger import SpendBy, SpendLine

router = APIRouter(prefix="/v1/spend", tags=["Spend"])

MOST_DAYS = 3660


class SpendLineView(Given):
    """One group's sums over calls that were answered; calls that failed cost nothing."""

    group: str = Field(description="The day, model, tenant or key; `total` over all.")
    usd: float
    reference_usd: float = Field(description="What the same tokens would have cost on the reference model.")
    turns: int
    local_turns: int = Field(description="Turns of which no call left the building.")
    local_turns_share: float | None = Field(description="0 to 1; null without turns.")
    calls: int
    local_calls: int
    local_calls_share: float | None
    prompt_tokens: int
    completion_tokens: int


class SpendView(Given):
    """A report on the tenant's spend."""

    by: SpendBy
    since: date
    until: date
    reference_model: str | None = Field(description="The configured model that costs are compared with.")
    data: list[SpendLineView]
    total: SpendLineView


@router.get(
    "",
    operation_id="getSpend",
    summary="What was spent",
    response_class=Response,
    responses={
        200: {"model": SpendView, "description": "The sums, by group and in all."},
        **problems("unauthenticated", "invalid_request", "internal", "store_unavailable"),
    },
)
async def get_spend(
    request: Request,
    caller: CallerDep,
    *,
    by: Annotated[SpendBy, Query(description="What to sum by.")] = SpendBy.DAY,
    since: Annotated[
        str | None, Query(description="The first day (UTC), such as 2026-11-01; else the month's first.")
    ] = None,
    until: Annotated[str | None, Query(description="The last day (UTC), included; else today.")] = None,
) -> Response:
    """The caller's tenant's spend over some days, both ends included."""
    unknown = set(request.query_params) - {"by", "since", "until"}
    if unknown:
        raise invalid(min(unknown), "is not a parameter of this report")
    today = datetime.now(UTC).date()
    last = _day("until", until) if until is not None else today
    first = _day("since", since) if since is not None else last.replace(day=1)
    if first > last:
        raise invalid("since", f"{first} is after {last}, where the report ends")
    if (last - first).days > MOST_DAYS:
        raise invalid("since", f"the report spans more than {MOST_DAYS} days")
    state = state_of(request)
    lines = await state.ledger.report(caller.tenant_id, by, first, last)
    total = await state.ledger.total(caller.tenant_id, first, last)
    reference = state.topology.reference
    view = {
        "by": by,
        "since": first,
        "until": last,
        "reference_model": reference.model if reference else None,
        "data": [_line(line) for line in lines],
        "total": _line(total),
    }
    return Response(orjson.dumps(view), media_type="application/json")


def _day(field: str, said: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise invalid(field, "is not a day such as 2026-11-01") from None


def _line(line: SpendLine) -> dict[str, Any]:
    return {
        **asdict(line),
        "local_turns_share": line.local_turns / line.turns if line.turns else None,
        "local_calls_share": line.local_calls / line.calls if line.calls else None,
    }
