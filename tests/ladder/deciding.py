"""People who are asked whether a turn may go on, and what they say."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activities.contracts.approvals import (
    ApprovalRef,
    ApprovalView,
    Choice,
    Person,
    Scope,
    Surface,
    Verdict,
)
from activities.contracts.events import EventKind
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.people import PostgresPeople
from tests.ladder.told import Told
from tests.support.house import PATIENCE_S, House
from workflows.approval_starts import wake_approval


@dataclass(frozen=True)
class Desk:
    """Anna, an operator of the house's tenant, and the approvals that she is asked for."""

    house: House
    store: PostgresApprovals

    @classmethod
    async def of(cls, house: House) -> "Desk":
        await PostgresPeople(house.ground.database).put(
            house.tenant_id, Person(name="anna", roles=("operator",))
        )
        return cls(house, PostgresApprovals(house.ground.database))

    async def asked(self, told: Told) -> dict[str, Any]:
        """What the turn's client is told once the turn waits for a person."""
        await self.house.follow(told, until=EventKind.TURN_WAITING)
        last = told.events[-1]
        assert last.kind is EventKind.TURN_WAITING, f"nobody was asked: {told.view}"
        return dict(last.data)

    async def say(
        self, waiting: dict[str, Any], option: str = "approve", scope: Scope = Scope.ONCE, note: str = ""
    ) -> None:
        """Anna decides, as on any surface."""
        ref = self.ref(waiting)
        choice = Choice(by="anna", option=option, surface=Surface.TELEGRAM, scope=scope, note=note)
        answer = await self.store.decide(ref, choice)
        assert answer.verdict is Verdict.DECIDED, answer
        await wake_approval(self.house.ground.client, ref)

    async def view(self, waiting: dict[str, Any]) -> ApprovalView:
        view = await self.store.view(self.ref(waiting))
        assert view is not None
        return view

    async def turn(self, told: Told) -> dict[str, Any]:
        """The turn as the API shows it."""
        view = await self.house.ground.turns.view(self.house.tenant_id, told.turn_id)
        assert view is not None
        return view

    async def approvals(self) -> list[tuple[str, str, str]]:
        """All there are: kind, status, and through what each was decided."""
        rows = await self.house.rows(
            "select kind, status, coalesce(decided_through, '') as through from aither.approvals"
            " where tenant_id = $1 order by seq"
        )
        return [(row["kind"], row["status"], row["through"]) for row in rows]

    async def closed(self, waiting: dict[str, Any]) -> ApprovalView:
        """The approval once it is open no more."""
        async with asyncio.timeout(PATIENCE_S):
            while (view := await self.view(waiting)).decision is None:
                await asyncio.sleep(0.02)
            return view

    def ref(self, waiting: dict[str, Any]) -> ApprovalRef:
        return ApprovalRef(tenant_id=self.house.tenant_id, approval_id=waiting["approval_id"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
