"""Searches graph memory by asking the worker that has it: the API opens no Qdrant itself."""

import uuid
from datetime import timedelta

from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType
from temporalio.service import RPCError

from activities.contracts.ledger import SearchAsk, SearchReply
from api.problems import CATALOGUE, Problem
from workflows.names import SEARCH_MEMORY, Queue

PICKED_UP_WITHIN = timedelta(seconds=3)
ANSWERED_WITHIN = timedelta(seconds=10)


class Recollection:
    """One activity for each search, without a workflow around it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def search(self, ask: SearchAsk) -> SearchReply:
        """The findings nearest to the query. Raises a 503 `Problem` where nobody answers in time."""
        try:
            return await self._client.execute_activity(
                SEARCH_MEMORY,
                ask,
                id=f"{SEARCH_MEMORY}/{uuid.uuid4()}",
                task_queue=Queue.MEMORY,
                result_type=SearchReply,
                schedule_to_start_timeout=PICKED_UP_WITHIN,
                start_to_close_timeout=ANSWERED_WITHIN,
                schedule_to_close_timeout=PICKED_UP_WITHIN + ANSWERED_WITHIN,
                retry_policy=RetryPolicy(maximum_attempts=1),
                rpc_timeout=PICKED_UP_WITHIN + ANSWERED_WITHIN + timedelta(seconds=2),
            )
        except ActivityFailureError as error:
            raise _problem(error) from error
        except (RPCError, RuntimeError, OSError) as error:
            detail = "memory is reached through Temporal, which does not answer; try again in a moment"
            raise Problem("scheduler_unavailable", detail, headers={"Retry-After": "2"}) from error


def _problem(error: ActivityFailureError) -> Problem:
    cause = error.cause
    retry = {"Retry-After": "2"}
    if isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
        detail = "no worker that has memory is up, or it is overloaded: `aither services` shows the workers"
        return Problem("memory_unavailable", detail, headers=retry)
    if isinstance(cause, TimeoutError):
        detail = f"memory did not answer within {ANSWERED_WITHIN.total_seconds():.0f} s; try again"
        return Problem("memory_unavailable", detail, headers=retry)
    if isinstance(cause, ApplicationError) and cause.type == "embedder_mismatch":
        return Problem("embedder_mismatch", cause.message)
    words = cause.message if isinstance(cause, ApplicationError) and cause.type in CATALOGUE else "it failed"
    return Problem("memory_unavailable", f"memory could not be searched: {words}", headers=retry)
