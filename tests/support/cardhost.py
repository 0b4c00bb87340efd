"""A card on a real Temporal server, with a host that answers as it is told, and workflows that hold."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from activities.contracts.cards import (
    CardSpec,
    CardView,
    Found,
    HoldAsk,
    HostKind,
    InspectAsk,
    Inventory,
    Lease,
    LeaseDecision,
    LeaseRef,
    MoveAsk,
    MoveDone,
    Residency,
    Resident,
)
from tests.support.holders import Collector, Holder, Wish
from workers.sandbox import workflow_runner
from workflows.gpu_card import GpuCardWorkflow
from workflows.names import CARD, LEASE_VALID, RELEASE_HOLD, REQUEST_HOLD, Queue, card_workflow_id, host_queue
from workflows.starts import ensure_card

PATIENCE_S = 60.0
LOOK_S = 5.0
TASK_TIMEOUT = timedelta(seconds=3)
"""The server may hand a task to the poll of a worker that has just stopped: a test's before this one."""
T = TypeVar("T")
_numbers = itertools.count(1)


def resident(name: str, mib: int, **how: Any) -> Resident:
    given: dict[str, Any] = {"kind": HostKind.PROCESS, "base_url": "http://127.0.0.1:1"} | how
    return Resident(name=name, card="", mib=mib, **given)


def card_spec(*residents: Resident, vram_mib: int = 100, host: str = "", hog_s: float = 30) -> CardSpec:
    """A card on a host of its own, unless one is given."""
    card = f"{host or f'host{next(_numbers)}-{uuid4().hex[:6]}'}/0"
    return CardSpec(
        card=card,
        vram_mib=vram_mib,
        hog=timedelta(seconds=hog_s),
        residents=tuple(replace(each, card=card) for each in residents),
    )


@dataclass
class ScriptedHost:
    """Moves as it is told; with a closed `gate`, not before that opens. `refuse` names whom it cannot move."""

    truth: dict[str, Residency] = field(default_factory=dict[str, Residency])
    refuse: set[str] = field(default_factory=set[str])
    asked: list[MoveAsk] = field(default_factory=list[MoveAsk])
    published: list[CardView] = field(default_factory=list[CardView])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    moving: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @activity.defn(name="move-resident")
    async def move_resident(self, ask: MoveAsk) -> MoveDone:
        name = ask.resident.name
        self.asked.append(ask)
        self.moving.set()
        while not self.gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        ok = name not in self.refuse
        there = ask.to if ok else self.truth.get(name, Residency.ABSENT)
        self.truth[name] = there
        return MoveDone(resident=name, number=ask.number, residency=there, ok=ok, why="" if ok else "refused")

    @activity.defn(name="inspect-card")
    async def inspect_card(self, ask: InspectAsk) -> Inventory:
        found = tuple(
            Found(resident=each.name, residency=self.truth.get(each.name, Residency.ABSENT))
            for each in ask.spec.residents
        )
        return Inventory(card=ask.spec.card, residents=found)

    @activity.defn(name="publish-card")
    async def publish_card(self, view: CardView) -> None:
        self.published.append(view)


@dataclass
class Place:
    """A card at work."""

    client: Client
    spec: CardSpec
    host: ScriptedHost

    @property
    def card(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(card_workflow_id(self.spec.card))

    async def view(self) -> CardView:
        return await self.card.query(CARD, result_type=CardView)

    async def valid(self, lease: str, token: int | None) -> bool:
        return await self.card.query(LEASE_VALID, LeaseRef(lease=lease, token=token), result_type=bool)

    async def until(self, holds: Callable[[CardView], bool]) -> CardView:
        """Looks at the card until that is so."""

        async def looked() -> CardView | None:
            seen = await self.view()
            return seen if holds(seen) else None

        return await until(looked)

    async def hold(self, of: str | int, **how: Any) -> WorkflowHandle[Any, Any]:
        """Starts a workflow that holds until it is told to let go."""
        wish = Wish(card=self.spec.card, resident=of if isinstance(of, str) else None, **how)
        wish = wish if isinstance(of, str) else replace(wish, mib=of)
        return await self.client.start_workflow(
            Holder.run,
            wish,
            id=f"holder-{uuid4().hex[:8]}",
            task_queue=Queue.TURNS,
            task_timeout=TASK_TIMEOUT,
        )

    async def lease(self, holder: WorkflowHandle[Any, Any]) -> Lease:
        """The lease that a holder has got."""

        async def got() -> Lease | None:
            return await holder.query(Holder.lease)

        return await until(got)

    async def collector(self) -> WorkflowHandle[Any, Any]:
        """Starts a workflow that takes down every decision it is told."""
        return await self.client.start_workflow(
            Collector.run,
            id=f"collector-{uuid4().hex[:8]}",
            task_queue=Queue.TURNS,
            task_timeout=TASK_TIMEOUT,
        )

    async def ask(self, collector: WorkflowHandle[Any, Any], lease: str, of: str | int, **how: Any) -> None:
        """Asks by hand, for the collector."""
        await self.card.signal(REQUEST_HOLD, self.asked(collector, lease, of, **how))

    def asked(self, collector: WorkflowHandle[Any, Any], lease: str, of: str | int, **how: Any) -> HoldAsk:
        """The collector's ask."""
        given: dict[str, Any] = {"priority": 3, "ttl": timedelta(minutes=10)} | how
        return HoldAsk(
            lease=lease,
            holder=collector.id,
            holder_run=collector.result_run_id or "",
            resident=of if isinstance(of, str) else None,
            mib=of if isinstance(of, int) else 0,
            **given,
        )

    async def release(self, lease: str) -> None:
        await self.card.signal(RELEASE_HOLD, LeaseRef(lease=lease))

    async def told(self, collector: WorkflowHandle[Any, Any], count: int) -> list[LeaseDecision]:
        """The first decisions, once there are so many."""

        async def heard() -> list[LeaseDecision] | None:
            so_far = await collector.query(Collector.told)
            return so_far if len(so_far) >= count else None

        return await until(heard)


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """Looks until there is something. A query that went to a worker which has just stopped is asked again."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    if (found := await look()) is not None:
                        return found
            await asyncio.sleep(0.02)


@asynccontextmanager
async def placed(
    client: Client,
    spec: CardSpec,
    host: ScriptedHost | None = None,
    *,
    more: Sequence[type] = (),
    **how: Any,
) -> AsyncGenerator[Place]:
    """A card with its workers, until the block ends."""
    host = host or ScriptedHost()
    short = timedelta(milliseconds=100)
    async with AsyncExitStack() as workers:
        await workers.enter_async_context(
            Worker(
                client,
                task_queue=Queue.TURNS,
                workflows=[GpuCardWorkflow, Holder, Collector, *more],
                activities=[host.publish_card],
                workflow_runner=workflow_runner(),
                **how,
            )
        )
        await workers.enter_async_context(
            Worker(
                client,
                task_queue=host_queue(spec.host),
                activities=[host.move_resident, host.inspect_card],
                max_heartbeat_throttle_interval=short,
                default_heartbeat_throttle_interval=short,
            )
        )
        await ensure_card(client, spec)
        place = Place(client, spec, host)
        try:
            await place.until(lambda view: all(each.residency != "unknown" for each in view.residents))
            yield place
        finally:
            await place.card.terminate()
