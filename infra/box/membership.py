"""A joined box as a member of its pool: a service in the registry, exactly like a backend of our own."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from activities.contracts.boxes import BoxPhase, BoxReport
from activities.contracts.leases import LeaseState
from activities.contracts.registry import Beat, ServiceKind
from infra.postgres.boxes import BoxRow, service_name
from infra.postgres.registry import PostgresRegistry, ServiceNotFound

WORKING = frozenset({LeaseState.RENTING, LeaseState.BOOTING, LeaseState.JOINING, LeaseState.SERVING})
VERSION = "box-1"


class Membership:
    """Raises `StoreUnavailable`."""

    def __init__(self, registry: PostgresRegistry) -> None:
        self._registry = registry

    async def follow(self, box: BoxRow, state: LeaseState | None, report: BoxReport) -> None:
        """Has the registry say what the box's heartbeat means for its pool."""
        if report.phase is BoxPhase.SERVING and state is not None:
            await self._registry.beat(_beat(box, report, draining=state not in WORKING))
        elif report.phase is not BoxPhase.PULLING or state is None:
            await self.leave(box.lease_id)

    async def drain(self, box: BoxRow, report: BoxReport) -> None:
        """Takes it out of its pool for new calls; nothing where it is not in it."""
        if report.phase is BoxPhase.SERVING:
            await self._registry.beat(_beat(box, report, draining=True))

    async def leave(self, lease_id: str) -> None:
        """Takes it out of its pool for good."""
        with suppress(ServiceNotFound):
            await self._registry.leave(service_name(lease_id))


def _beat(box: BoxRow, report: BoxReport, *, draining: bool) -> Beat:
    told: dict[str, Any] = {
        "lease": box.lease_id,
        "attempt": box.attempt,
        "tokens": report.tokens,
        "idle_s": round(report.idle_s),
    }
    return Beat(
        name=box.service,
        kind=ServiceKind.BACKEND,
        version=VERSION,
        load=None if report.load is None else min(1.0, max(0.0, report.load)),
        metadata=told,
        draining=draining,
        backend=replace(box.plan.backend, name=box.service, base_url=box.base_url),
    )
