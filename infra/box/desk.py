"""The boxes of leases, for whoever watches leases: ordered, looked at, drained, dismissed."""

from collections.abc import Awaitable, Callable

import aiohttp

from activities.contracts.boxes import BoxPhase, BoxReport, BoxView
from activities.contracts.lease_views import LeaseView, lease_label
from activities.contracts.leases import BoxOrder, Instance
from activities.errors import MarketRefused
from infra.box.collecting import collect
from infra.box.membership import Membership
from infra.box.pushing import ONSTART, PAGE_PORT, BoxCall, environment
from infra.box.reception import Reception
from infra.postgres.boxes import PostgresBoxes

OverlayKey = Callable[[str], Awaitable[dict[str, str]]]
"""Makes a key of the overlay for one box, by its host name there."""


class LeasedBoxes:
    """Implements `activities.leasing_ports.BoxDesk`. Raises `StoreUnavailable`."""

    def __init__(
        self,
        boxes: PostgresBoxes,
        membership: Membership,
        reception: Reception,
        session: aiohttp.ClientSession,
        *,
        master: bytes | None,
        call: BoxCall,
        overlay: OverlayKey | None = None,
    ) -> None:
        self._boxes, self._membership, self._reception = boxes, membership, reception
        self._session, self._master, self._call, self._overlay = session, master, call, overlay

    async def order(self, lease: LeaseView) -> BoxOrder:
        """See `BoxDesk`. The box is expected before it is ordered: it may be quicker than the order's answer."""
        if self._master is None:
            raise MarketRefused("no box can be let in: AITHER_BURST_MASTER_KEY is not set")
        plan, label = lease.plan, lease.label or ""
        label = label or lease_label(plan.installation, lease.id, lease.attempt)
        await self._boxes.prepare(lease.id, lease.attempt, plan.box)
        call = self._call
        if self._overlay:
            call = call.with_overlay(await self._overlay(label))
        told = environment(self._master, lease.id, lease.attempt, call)
        # Where the box cannot reach us its page has to be reached by us.
        page = () if call.url or call.page_port is None else (call.page_port,)
        return BoxOrder(
            image=plan.image,
            label=label,
            disk_gb=plan.need.disk_gb,
            env=tuple(told.items()),
            ports=(plan.box.port, *page),
            onstart=ONSTART,
        )

    async def box(self, lease_id: str, attempt: int) -> BoxView | None:
        """See `BoxDesk`."""
        found = await self._boxes.view(lease_id, attempt)
        return None if found is None or found.phase is BoxPhase.EXPECTED else found

    async def attend(self, lease: LeaseView, instance: Instance) -> None:
        """See `BoxDesk`."""
        plan = lease.plan.box
        port = instance.public_port(plan.port)
        if instance.address and port and not self._overlay:
            path = "/v1" if plan.backend.base_url.rstrip("/").endswith("/v1") else ""
            await self._boxes.locate(
                lease.id, lease.attempt, base_url=f"http://{_host(instance.address)}:{port}{path}"
            )
        page = instance.public_port(self._call.page_port or PAGE_PORT)
        if self._call.url is None and instance.address and page:
            await collect(
                self._session, f"http://{_host(instance.address)}:{page}", lease.id, self._reception
            )

    async def drain(self, lease: LeaseView) -> None:
        """See `BoxDesk`."""
        row = await self._boxes.row(lease.id, lease.attempt)
        seen = await self._boxes.view(lease.id, lease.attempt)
        if row is not None:
            await self._membership.drain(row, seen.report if seen else BoxReport(phase=BoxPhase.EXPECTED))

    async def dismiss(self, lease: LeaseView) -> None:
        """See `BoxDesk`. What the box says from now on is refused by the state of its lease."""
        await self._membership.leave(lease.id)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
