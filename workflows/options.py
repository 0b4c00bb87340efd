"""Time-outs and retries of activities, by what they do."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy

from activities.contracts.backends import Rung

PERSISTENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=5),
)
"""Our own stores and workers come back; a turn waits for them. The turn's lifetime is the bound."""

HEARTBEAT_TIMEOUT = timedelta(seconds=10)
ROUTER_PATIENCE = timedelta(seconds=1)
ROUTER_LIMIT = timedelta(seconds=4)
"""More than the activity takes by itself, for a worker that hangs."""
CALL_GRACE = timedelta(seconds=30)


class ActivityOptions(TypedDict):
    """What `workflow.execute_activity` takes."""

    task_queue: str | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy


def chat_options(rung: Rung) -> ActivityOptions:
    """On the pool's queue, for as long as the rung is patient.

    The activity bounds the call itself and says so in its result; start-to-close is the net below it, for
    a worker that hangs.
    """
    return ActivityOptions(
        task_queue=rung.pool,
        schedule_to_start_timeout=rung.patience,
        start_to_close_timeout=rung.call_timeout + CALL_GRACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=PERSISTENT,
    )


def route_options(rung: Rung) -> ActivityOptions:
    """On the pool's queue, for a moment: the turn goes on by the rules when there is no room, or no word."""
    return ActivityOptions(
        task_queue=rung.pool,
        schedule_to_start_timeout=ROUTER_PATIENCE,
        start_to_close_timeout=ROUTER_LIMIT,
        heartbeat_timeout=None,
        retry_policy=RetryPolicy(maximum_attempts=1),
    )


def store_options() -> ActivityOptions:
    """A short call to our own stores, on the workflow's queue."""
    return ActivityOptions(
        task_queue=None,
        schedule_to_start_timeout=None,
        start_to_close_timeout=timedelta(seconds=10),
        heartbeat_timeout=None,
        retry_policy=PERSISTENT,
    )
