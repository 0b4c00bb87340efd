"""Time-outs and retries of activities, by what they do."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

from activities.contracts.backends import Rung
from activities.contracts.cards import CardSpec, MoveAsk
from activities.contracts.turn import TurnInput
from workflows.names import Queue, host_queue
from workflows.policy.urgency import Stage

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
MOVE_GRACE = timedelta(minutes=2)
"""Beside the start of one resident: moves of one host wait for each other."""
MARKET_LIMIT = timedelta(minutes=5)
"""A list of many pages takes its time; each call to the market has its own, shorter limit."""
INSPECT_LIMIT = timedelta(minutes=1)


class ActivityOptions(TypedDict):
    """What `workflow.execute_activity` takes."""

    task_queue: str | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy
    priority: Priority


def share(turn: TurnInput, priority: int) -> Priority:
    """A place in a queue: by priority (1 runs first), then by the share of the turn's tenant."""
    return Priority(priority_key=priority, fairness_key=turn.tenant_id, fairness_weight=turn.fairness_weight)


def chat_options(turn: TurnInput, rung: Rung, stage: Stage) -> ActivityOptions:
    """On the pool's queue, at the stage's priority, for as long as it lasts.

    The activity bounds the call itself and says so in its result; start-to-close is the net below it, for
    a worker that hangs.
    """
    return ActivityOptions(
        task_queue=rung.pool,
        schedule_to_start_timeout=stage.wait,
        start_to_close_timeout=rung.call_timeout + CALL_GRACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=PERSISTENT,
        priority=share(turn, stage.priority),
    )


def route_options(rung: Rung) -> ActivityOptions:
    """On the pool's queue, for a moment: the turn goes on by the rules when there is no room, or no word."""
    return ActivityOptions(
        task_queue=rung.pool,
        schedule_to_start_timeout=ROUTER_PATIENCE,
        start_to_close_timeout=ROUTER_LIMIT,
        heartbeat_timeout=None,
        retry_policy=RetryPolicy(maximum_attempts=1),
        priority=Priority.default,
    )


def store_options() -> ActivityOptions:
    """A short call to our own stores, on the workflow's queue."""
    return ActivityOptions(
        task_queue=None,
        schedule_to_start_timeout=None,
        start_to_close_timeout=timedelta(seconds=10),
        heartbeat_timeout=None,
        retry_policy=PERSISTENT,
        priority=Priority.default,
    )


def approval_options() -> ActivityOptions:
    """A short call to our own stores, for a workflow on whichever queue."""
    return ActivityOptions(
        task_queue=Queue.TURNS,
        schedule_to_start_timeout=None,
        start_to_close_timeout=timedelta(seconds=30),
        heartbeat_timeout=None,
        retry_policy=PERSISTENT,
        priority=Priority.default,
    )


class OutsideOptions(TypedDict):
    """What `workflow.execute_activity` takes for a call to somebody else's machine."""

    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta | None
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


def announce_options() -> OutsideOptions:
    """People are told for as long as the approval is open. One that is cancelled has ended when it says so."""
    return _outside(timedelta(minutes=2), None, _PATIENT)


def settle_options() -> OutsideOptions:
    """An outcome is shown for as long as somebody may look for it."""
    return _outside(timedelta(minutes=2), timedelta(days=2), _PATIENT)


def webhook_options() -> OutsideOptions:
    """A webhook is tried for about nine hours."""
    return _outside(timedelta(seconds=30), None, _POST)


_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=1)
)
_POST = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=3.0,
    maximum_interval=timedelta(hours=1),
    maximum_attempts=18,
)


def _outside(call: timedelta, whole: timedelta | None, retries: RetryPolicy) -> OutsideOptions:
    return OutsideOptions(
        task_queue=Queue.TURNS,
        start_to_close_timeout=call,
        schedule_to_close_timeout=whole,
        retry_policy=retries,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def lease_options() -> ActivityOptions:
    """On the leases' queue: the market, our stores, or both. A lease waits for them as long as it has to."""
    return ActivityOptions(
        task_queue=None,
        schedule_to_start_timeout=None,
        start_to_close_timeout=MARKET_LIMIT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=PERSISTENT,
        priority=Priority.default,
    )


def order_options() -> ActivityOptions:
    """As `lease_options`, and never again: an order that is sent twice may be two boxes."""
    return {**lease_options(), "retry_policy": RetryPolicy(maximum_attempts=1)}


def move_options(host: str, ask: MoveAsk) -> ActivityOptions:
    """On the queue of the card's host, for as long as the resident may take to start, however often it is tried."""
    return _host_options(host, ask.resident.start_timeout + MOVE_GRACE)


def inspect_options(spec: CardSpec) -> ActivityOptions:
    """On the queue of the card's host."""
    return _host_options(spec.host, INSPECT_LIMIT)


def _host_options(host: str, limit: timedelta) -> ActivityOptions:
    return ActivityOptions(
        task_queue=host_queue(host),
        schedule_to_start_timeout=None,
        start_to_close_timeout=limit,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=PERSISTENT,
        priority=Priority.default,
    )
