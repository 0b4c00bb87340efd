"""Asks what the market offers, through the worker that has the market's key: the API has none."""

import uuid
from datetime import timedelta

from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType
from temporalio.service import RPCError

from activities.contracts.burst import OffersAsk
from activities.contracts.leases import Need, Ranking
from api.problems import Problem
from workflows.names import LIST_OFFERS, Queue

PICKED_UP_WITHIN = timedelta(seconds=5)
ANSWERED_WITHIN = timedelta(seconds=45)
"""More than the market's own patience, so that its word is heard."""


class OfferBook:
    """One activity for each look, without a workflow around it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def look(self, need: Need) -> Ranking:
        """The market's offers, judged for the need. Raises a `Problem`: 502 or 503 where it cannot be had."""
        whole = PICKED_UP_WITHIN + ANSWERED_WITHIN
        try:
            return await self._client.execute_activity(
                LIST_OFFERS,
                OffersAsk(need=need),
                id=f"{LIST_OFFERS}/{uuid.uuid4()}",
                task_queue=Queue.BURST,
                result_type=Ranking,
                schedule_to_start_timeout=PICKED_UP_WITHIN,
                start_to_close_timeout=ANSWERED_WITHIN,
                schedule_to_close_timeout=whole,
                retry_policy=RetryPolicy(maximum_attempts=1),
                rpc_timeout=whole + timedelta(seconds=2),
            )
        except ActivityFailureError as error:
            raise _problem(error) from error
        except (RPCError, RuntimeError, OSError) as error:
            detail = "the market is asked through Temporal, which does not answer; try again in a moment"
            raise Problem("scheduler_unavailable", detail, headers={"Retry-After": "2"}) from error


def _problem(error: ActivityFailureError) -> Problem:
    cause = error.cause
    if isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
        detail = "no worker that rents boxes is up: `aither services` shows the workers"
        return Problem("market_unavailable", detail, headers={"Retry-After": "5"})
    if isinstance(cause, TimeoutError):
        detail = f"the market did not answer within {ANSWERED_WITHIN.total_seconds():.0f} s; try again"
        return Problem("market_unavailable", detail, headers={"Retry-After": "5"})
    code = cause.type if isinstance(cause, ApplicationError) else None
    words = cause.message if isinstance(cause, ApplicationError) and code else "it failed"
    if code == "market_refused":
        return Problem("market_refused", f"{words}; VAST_API_KEY and the account's credit are worth a look")
    if code == "market_busy":
        return Problem("market_unavailable", f"{words}; try again later", headers={"Retry-After": "30"})
    if code not in {"market_unknown", "offer_gone"}:
        words = "it failed"
    return Problem("market_unavailable", f"{words}; try again", headers={"Retry-After": "5"})
