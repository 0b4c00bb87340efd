"""`await ask_approval(...)`: the side of an approval that asks, in any workflow, for as long as people need."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.contracts.approvals import ApprovalAsk, ApprovalRef, Decision, Opened, Outcome, Withdrawal
from workflows.names import APPROVAL_DECIDED, OPEN_APPROVAL, READ_APPROVAL, WITHDRAW_APPROVAL
from workflows.options import approval_options
from workflows.policy.approvals import planned

MARGIN = timedelta(seconds=3)
"""After the deadline the row is read: the word has been lost, or is late."""
LOOK_AGAIN = timedelta(minutes=1)


async def ask_approval(
    ask: ApprovalAsk, *, on_open: Callable[[Opened], Awaitable[None]] | None = None
) -> Decision:
    """Asks people, and waits for their decision: a day, or a year, and no worker is busy with it.

    The same ask (by `id`) is asked once, however often; an open one of the same `dedupe_key` is joined, and a grant
    answers at once. What nobody decides is decided by the deadline. When the workflow is cancelled it waits no more,
    and an approval that nobody waits for is cancelled too. The workflow's handler of `approval-decided` is ours;
    several asks may be open at once. `on_open` is awaited once people have to be waited for, before that is done.

    Raises `ActivityError` (`approval_invalid`) for an ask that cannot be: see `activities.approval_checks`.
    """
    heard = _decisions()
    asked = planned(replace(ask, waiter=workflow.info().workflow_id), workflow.now())
    # Whoever is cancelled in the middle of this must know what to withdraw.
    opening = asyncio.create_task(_open(asked))
    opened: Opened | None = None
    try:
        await workflow.wait([opening])
        opened = opening.result()
        if on_open is not None and opened.decision is None:
            await on_open(opened)
        return opened.decision or await _decided(asked.tenant_id, opened, heard)
    except BaseException as error:
        if is_cancelled_exception(error):
            opened = opened or await opening
            await _withdraw(asked, opened)
        raise


@dataclass
class _Decisions:
    """What this workflow has been told, by approval."""

    newest: dict[str, Decision] = field(default_factory=dict[str, Decision])

    def hear(self, decision: Decision) -> None:
        """Takes in what an approval says."""
        self.newest[decision.approval_id] = decision


def _decisions() -> _Decisions:
    """This workflow's ears; made with its first ask."""
    handler = cast(object, workflow.get_signal_handler(APPROVAL_DECIDED))  # pyright: ignore[reportUnknownMemberType]
    heard = getattr(handler, "__self__", None)
    if not isinstance(heard, _Decisions):
        heard = _Decisions()
        workflow.set_signal_handler(APPROVAL_DECIDED, heard.hear)  # pyright: ignore[reportUnknownMemberType]
    return heard


async def _open(ask: ApprovalAsk) -> Opened:
    return await workflow.execute_activity(OPEN_APPROVAL, ask, result_type=Opened, **approval_options())


async def _decided(tenant_id: str, opened: Opened, heard: _Decisions) -> Decision:
    """The decision, by the word of it or by its row."""
    ref = ApprovalRef(tenant_id=tenant_id, approval_id=opened.approval_id)
    wait = opened.deadline + MARGIN - workflow.now()
    while True:
        try:
            await workflow.wait_condition(
                lambda: ref.approval_id in heard.newest,
                timeout=max(0.001, wait.total_seconds()),
                timeout_summary="deadline",
            )
        except TimeoutError:
            outcome = await workflow.execute_activity(
                READ_APPROVAL, ref, result_type=Outcome, **approval_options()
            )
            if outcome.decision is not None:
                return outcome.decision
            wait = LOOK_AGAIN
        else:
            return heard.newest.pop(ref.approval_id)


async def _withdraw(ask: ApprovalAsk, opened: Opened) -> None:
    assert ask.waiter is not None
    ref = ApprovalRef(tenant_id=ask.tenant_id, approval_id=opened.approval_id)
    withdrawal = Withdrawal(ref=ref, waiter=ask.waiter, why="the workflow that asked was cancelled")
    await workflow.execute_activity(WITHDRAW_APPROVAL, withdrawal, **approval_options())
