"""`/metrics`: the scheduler's figures for Prometheus.

It takes a key, as everything else does: any that is valid, for no figure tells of a tenant or of a turn. Prometheus
sends it by `authorization`:

    scrape_configs:
      - job_name: aither
        authorization:
          credentials: ak_…            # or credentials_file; `aither key create prometheus` makes one
        static_configs:
          - targets: ["127.0.0.1:8001"]
"""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.auth import CallerDep
from api.exposition import exposition
from api.openapi import problems
from api.state import state_of

router = APIRouter(tags=["Scheduler"])


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus's text format. What is not known has no sample.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems("unauthenticated", "internal", "store_unavailable"),
    },
)
async def get_metrics(request: Request, caller: CallerDep) -> Response:
    """Pools, their members, waits, and GPU cards: the figures of `/v1/scheduler` and `/v1/gpu/cards`.

    Waits and the figures of calls come from the worker processes. Beside them: services, leases and what they cost,
    what runs in Temporal, and this process's requests. A sample is left out while its source is away. Turns, tokens
    and dollars are counted by the workers, who serve them at `AITHER_METRICS_PORT`.
    """
    state = state_of(request)
    pools, deck, house = await asyncio.gather(state.scheduling.look(), state.cards.all(), state.house.look())
    body = exposition(pools, deck, house, request.app.state.requests.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)
