"""The background loops, as Temporal Schedules."""

from temporalio.client import Client

from infra.temporal.schedules import apply_loops
from workflows.schedules import SWEEPS


async def ensure_schedules(client: Client) -> None:
    """Creates the schedules, or brings those that exist up to date. Safe to run by many workers at once."""
    await apply_loops(client, SWEEPS)
