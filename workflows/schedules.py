"""The background loops: what runs again and again, and how often."""

from datetime import timedelta

from activities.contracts.bursting import Burst
from activities.contracts.loops import Loop
from workflows.names import CHECK_BURST, REAP_LEASES, SWEEP_APPROVALS, SWEEP_JOBS, SWEEP_TURNS, Queue

SWEEP_EVERY = timedelta(seconds=15)
LEAST = timedelta(seconds=1)
"""Between two starts of a schedule: Temporal takes no less."""

SWEEPS = tuple(
    Loop(workflow=sweep, queue=Queue.TURNS, every=SWEEP_EVERY)
    for sweep in (SWEEP_TURNS, SWEEP_JOBS, SWEEP_APPROVALS)
)


def burst_loops(burst: Burst) -> tuple[Loop, ...]:
    """The reaper and the check of leases, as often as is configured; none where burst is not configured."""
    if not burst.installation:
        return ()
    return (
        Loop(workflow=REAP_LEASES, queue=Queue.BURST, every=max(LEAST, burst.reap), args=(burst.dry_run,)),
        Loop(workflow=CHECK_BURST, queue=Queue.BURST, every=max(LEAST, burst.check)),
    )
