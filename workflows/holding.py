"""`async with hold_lease(...)`: the side of the protocol between a workflow and a GPU card that asks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from activities.contracts.cards import Denial, HoldAsk, Lease, LeaseDecision, LeaseRef
from workflows.names import LEASE_DECIDED, RELEASE_HOLD, RENEW_HOLD, REQUEST_HOLD, card_workflow_id

TTL = timedelta(seconds=60)
RENEWALS = 3
"""In a TTL: two may be late before the lease is lost."""


class HoldDenied(ApplicationError):
    """There is no hold, or no more; `denial` says which, `waited` how long it took to know.

    It fails a workflow that does not catch it.
    """

    def __init__(self, denial: Denial, why: str, waited: timedelta) -> None:
        super().__init__(why, type=denial.value, non_retryable=True)
        self.denial = denial
        self.why = why
        self.waited = waited


@asynccontextmanager
async def hold_lease(
    card: str,
    *,
    resident: str | None = None,
    job: str = "",
    mib: int = 0,
    priority: int,
    ttl: timedelta = TTL,
    patience: timedelta,
    tenant_id: str = "",
) -> AsyncGenerator[Lease]:
    """Holds a resident of the card, or `mib` MiB for a job, while the block runs. For any workflow.

    Renews by itself, and lets go however the block ends. When the lease is lost, the block is cancelled. Raises
    `HoldDenied`: with NO_ROOM after `patience`, with LEASE_LOST in mid-block, otherwise with the card's own
    reason. Work that is done under the lease should bring its token. The workflow's handler of `lease-decided` is
    ours; several holds may be open at once.
    """
    info = workflow.info()
    ask = HoldAsk(
        lease=f"lease_{workflow.uuid4().hex}",
        holder=info.workflow_id,
        holder_run=info.run_id,
        priority=priority,
        ttl=ttl,
        resident=resident,
        mib=mib,
        what=job or resident or "",
        tenant_id=tenant_id,
    )
    hold = _Hold(card, ask, _decisions())
    try:
        lease = await hold.granted(patience)
        with _Kept(hold, lease):
            yield lease
    except GeneratorExit:
        # The workflow leaves this worker's memory: it goes on elsewhere, or has been terminated.
        raise
    except BaseException:
        await hold.let_go()
        raise
    else:
        await hold.let_go()


@dataclass
class _Decisions:
    """The newest word on each lease of this workflow that somebody listens for."""

    newest: dict[str, LeaseDecision | None] = field(default_factory=dict[str, LeaseDecision | None])

    def hear(self, decision: LeaseDecision) -> None:
        """Takes in what a card says."""
        if decision.lease in self.newest:
            self.newest[decision.lease] = decision


def _decisions() -> _Decisions:
    """This workflow's ears; made with its first hold."""
    handler = cast(object, workflow.get_signal_handler(LEASE_DECIDED))  # pyright: ignore[reportUnknownMemberType]
    heard = getattr(handler, "__self__", None)
    if not isinstance(heard, _Decisions):
        heard = _Decisions()
        workflow.set_signal_handler(LEASE_DECIDED, heard.hear)  # pyright: ignore[reportUnknownMemberType]
    return heard


class _Hold:
    """One ask, from asking to letting go."""

    def __init__(self, card: str, ask: HoldAsk, heard: _Decisions) -> None:
        self.ask = ask
        self._card = card
        self._handle = workflow.get_external_workflow_handle(card_workflow_id(card))
        self._heard = heard
        self._began = workflow.now()
        self._ref = LeaseRef(lease=ask.lease, holder=ask.holder, holder_run=ask.holder_run)
        self._unknown = ""
        heard.newest[ask.lease] = None

    @property
    def waited(self) -> timedelta:
        return workflow.now() - self._began

    @property
    def decision(self) -> LeaseDecision | None:
        return self._heard.newest.get(self.ask.lease)

    async def granted(self, patience: timedelta) -> Lease:
        """Asks, and waits for the word. The word may be there before it is known that the question was."""
        self._asking = asyncio.create_task(self._ask())
        try:
            await workflow.wait_condition(
                lambda: bool(self.decision or self._unknown),
                timeout=patience.total_seconds(),
                timeout_summary="patience",
            )
        except TimeoutError:
            what = self.ask.resident or f"{self.ask.mib} MiB"
            why = f"no hold of {what} on {self._card} within {patience.total_seconds():g} s"
            raise HoldDenied(Denial.NO_ROOM, why, self.waited) from None
        decision = self.decision
        if decision is None:
            raise HoldDenied(Denial.CARD_UNKNOWN, self._unknown, self.waited)
        if decision.granted is None:
            raise HoldDenied(decision.denial or Denial.NO_ROOM, decision.why, self.waited)
        return decision.granted

    async def lost(self, lease: Lease) -> str:
        """Renews until the lease is lost; why it is."""
        ref = LeaseRef(
            lease=lease.lease, token=lease.token, holder=self._ref.holder, holder_run=self._ref.holder_run
        )
        while True:
            try:
                await workflow.wait_condition(
                    self._denied, timeout=self.ask.ttl.total_seconds() / RENEWALS, timeout_summary="renewal"
                )
            except TimeoutError:
                try:
                    await self._handle.signal(RENEW_HOLD, ref)
                except FailureError as error:
                    if is_cancelled_exception(error):
                        raise
                    return f"the card {self._card} is gone: {error}"
            else:
                return self.decision.why if self.decision else ""

    async def let_go(self) -> None:
        """Releases or withdraws, unless the card has said that it is over."""
        over = bool(self._unknown) or self._denied()
        self._heard.newest.pop(self.ask.lease, None)
        if over:
            return
        try:
            await self._handle.signal(RELEASE_HOLD, self._ref)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise

    async def _ask(self) -> None:
        try:
            await self._handle.signal(REQUEST_HOLD, self.ask)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            self._unknown = f"there is no card {self._card}: {error}"

    def _denied(self) -> bool:
        return self.decision is not None and self.decision.granted is None


class _Kept:
    """Keeps a lease while a block runs, and cancels the block when it is lost, as `asyncio.timeout` does."""

    def __init__(self, hold: _Hold, lease: Lease) -> None:
        self._hold = hold
        self._lease = lease
        self._why: str | None = None

    def __enter__(self) -> None:
        block = asyncio.current_task()
        assert block is not None
        self._block = block
        self._cancels = block.cancelling()
        self._keeper = asyncio.create_task(self._keep())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is GeneratorExit:
            return
        self._keeper.cancel()
        if self._why is None:
            return
        others = self._block.uncancel() > self._cancels
        if error is None or (is_cancelled_exception(error) and not others):
            raise HoldDenied(Denial.LEASE_LOST, self._why, self._hold.waited) from error

    async def _keep(self) -> None:
        self._why = await self._hold.lost(self._lease)
        self._block.cancel()
