"""GPU cards as the API shows and steers them: asked of their workflows, or what they last said."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import QueryRejectCondition
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.cards import CardSpec, CardView, LeaseView, Posture, Residency
from activities.errors import StoreUnavailable
from api.problems import FieldError, Problem
from api.saturation import AWAY
from api.scheduler_views import CardState, HoldState, ResidentState
from infra.postgres.keys import Caller, Role
from workflows.names import CARD, REPAIR, SET_POSTURE, card_workflow_id

log = logging.getLogger(__name__)

QUERY_S = 1.0
UPDATE_S = 5.0
STORE_S = 1.5
FRESH_S = 1.0
"""How long one look at all cards serves everybody who asks."""


class CardRows(Protocol):
    """What cards have last said of themselves."""

    async def views(self) -> tuple[CardView, ...]:
        """Of all cards. Raises `StoreUnavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSeen:
    """A card as it was found. `view` is None where it has never told of itself; `stale` says why it is old."""

    card: str
    spec: CardSpec | None
    view: CardView | None
    stale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deck:
    """All cards, by name. `stored` is False where what they have last said could not be read."""

    cards: tuple[CardSeen, ...] = ()
    stored: bool = True


class Cards:
    """Looks at cards, and tells them what an operator wants."""

    def __init__(self, specs: Sequence[CardSpec], client: Client, rows: CardRows) -> None:
        self._specs = {spec.card: spec for spec in specs}
        self._client = client
        self._rows = rows
        self._seen = Deck()
        self._seen_at = -FRESH_S
        self._one_at_a_time = asyncio.Lock()

    async def all(self) -> Deck:
        """Every card that is configured, or has told of itself; at most `FRESH_S` old. Never raises."""
        async with self._one_at_a_time:
            if time.monotonic() - self._seen_at >= FRESH_S:
                last, stored = await self._last()
                names = sorted({*self._specs, *last})
                seen = await asyncio.gather(*(self._look(name, last.get(name)) for name in names))
                self._seen, self._seen_at = Deck(cards=tuple(seen), stored=stored), time.monotonic()
            return self._seen

    async def one(self, card: str) -> CardSeen:
        """The card as it is now. Raises a 404 `Problem`."""
        last, stored = await self._last()
        if card not in self._specs and card not in last:
            if stored:
                raise no_card()
            raise Problem("store_unavailable", "which cards there are cannot be read; try again in a moment")
        return await self._look(card, last.get(card))

    async def want(self, card: str, posture: Posture) -> CardSeen:
        """Tells the card what is wanted of it; how far it has got is seen by looking again.

        Raises a `Problem`: 404, 409 where the card refuses, 503 where it does not answer.
        """
        return await self._tell(card, SET_POSTURE, posture)

    async def repair(self, card: str) -> CardSeen:
        """Tells the card to find out what is true and to put it right. Raises as `want` does."""
        return await self._tell(card, REPAIR)

    async def _tell(self, card: str, update: str, *argument: object) -> CardSeen:
        await self.one(card)
        try:
            async with asyncio.timeout(UPDATE_S):
                await self._handle(card).execute_update(  # pyright: ignore[reportUnknownMemberType]
                    update, args=argument
                )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            why = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise Problem("card_refused", f"{card} refuses: {why}") from None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise _unavailable(f"{card} is not kept by any workflow yet; workers start it") from None
            raise _unavailable(f"Temporal cannot be reached for {card}") from None
        except (WorkflowUpdateRPCTimeoutOrCancelledError, *AWAY):
            raise _unavailable(f"{card} does not answer; are the workers up?") from None
        return await self.one(card)

    async def _look(self, card: str, last: CardView | None) -> CardSeen:
        spec = self._specs.get(card)
        try:
            async with asyncio.timeout(QUERY_S):
                view = await self._handle(card).query(
                    CARD, result_type=CardView, reject_condition=QueryRejectCondition.NOT_OPEN
                )
        except WorkflowQueryRejectedError:
            why = "its workflow has ended"
        except (WorkflowQueryFailedError, msgspec.ValidationError) as error:
            log.warning("%s does not tell of itself: %s", card, error)
            why = "its workflow does not tell"
        except RPCError as error:
            gone = error.status is RPCStatusCode.NOT_FOUND
            why = "no workflow keeps it yet" if gone else "its workflow does not answer"
        except AWAY:
            why = "its workflow does not answer"
        else:
            return CardSeen(card=card, spec=spec, view=view)
        return CardSeen(card=card, spec=spec, view=last, stale=why)

    async def _last(self) -> tuple[dict[str, CardView], bool]:
        try:
            async with asyncio.timeout(STORE_S):
                return {view.card: view for view in await self._rows.views()}, True
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("what cards have last said cannot be read: %s", error)
        return {}, False

    def _handle(self, card: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(card_workflow_id(card))


def no_card() -> Problem:
    """A 404 about a card."""
    return Problem(
        "card_not_found",
        "there is no card of that name; GET /v1/gpu/cards lists those there are",
        FieldError(field="card", message="no such card"),
    )


def card_state(seen: CardSeen, caller: Caller) -> CardState:
    """The card as it is shown to this caller: who else holds it, or waits for it, is an operator's business."""
    view = seen.view or _untold(seen)
    host, _, index = seen.card.rpartition("/")
    told = seen.view is not None
    return CardState(
        card=seen.card,
        host=host,
        index=int(index),
        posture=view.posture if told else None,
        vram_mib=view.vram_mib,
        reserve_mib=view.reserve_mib,
        free_mib=view.free_mib if told else None,
        measured_free_mib=view.measured_free_mib,
        residents=_residents(seen, told),
        leases=[_hold(lease, caller) for lease in view.leases],
        waiters=[_hold(waiter, caller) for waiter in view.waiters],
        more=view.more,
        granted=view.granted,
        looking=view.looking,
        problem=view.problem,
        revision=view.revision,
        at=view.at,
        stale=bool(seen.stale),
        age_s=age_s(seen),
        why_stale=seen.stale,
    )


def age_s(seen: CardSeen) -> float | None:
    """For how long what a card has last said has been standing; None where it answers, or never told."""
    if not seen.stale or seen.view is None or seen.view.at is None:
        return None
    return round(max(0.0, (datetime.now(UTC) - seen.view.at).total_seconds()), 1)


def _untold(seen: CardSeen) -> CardView:
    """What the configuration alone says of a card."""
    vram, reserve = (seen.spec.vram_mib, seen.spec.reserve_mib) if seen.spec else (0, 0)
    return CardView(card=seen.card, posture=Posture.AWAKE, vram_mib=vram, reserve_mib=reserve, free_mib=0)


def _residents(seen: CardSeen, told: bool) -> list[ResidentState]:
    if told and seen.view is not None:
        return [ResidentState(**asdict(resident)) for resident in seen.view.residents]
    return [
        ResidentState(
            name=resident.name,
            residency=Residency.UNKNOWN,
            moving_to=None,
            mib=resident.mib,
            asleep_mib=resident.asleep_mib,
            on_demand=resident.on_demand,
            holders=0,
            why=seen.stale,
        )
        for resident in (seen.spec.residents if seen.spec else ())
    ]


def _hold(hold: LeaseView, caller: Caller) -> HoldState:
    mine = caller.role is Role.OPERATOR or hold.tenant_id == caller.tenant_id
    return HoldState(
        lease=hold.lease if mine else None,
        holder=hold.holder if mine else None,
        tenant=(hold.tenant_id or None) if mine else None,
        what=hold.what if mine else None,
        priority=hold.priority,
        resident=hold.resident,
        mib=hold.mib,
        since=hold.since,
        token=hold.token if mine else None,
        expires_at=hold.expires_at,
    )


def _unavailable(detail: str) -> Problem:
    return Problem("card_unavailable", detail, headers={"Retry-After": "2"})
