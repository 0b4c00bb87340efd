"""Whether a turn may go on to a rung: a person is asked for it, by an approval, and waited for."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.contracts.agreement import Asker, TurnRef, Waiting
from activities.contracts.approvals import ApprovalAsk, Opened
from activities.contracts.turn import TurnInput
from workflows.approving import ask_approval
from workflows.names import TELL_WAITING, TURN_ASKER
from workflows.options import store_options
from workflows.policy.agreement import agreed, approval_ask, deadline_of
from workflows.policy.climb import Agreed, SeekAgreement

ASKS_PEOPLE = "asks-people"
"""Turns that were begun before this took every need for an agreement for a no."""


async def agreement(turn: TurnInput, seek: SeekAgreement) -> Agreed:
    """Asks people whether the rung may be asked, and waits for them, or for what of the turn's time is left for that.

    The turn's client is told that it waits, unless an earlier yes answers at once. No answer is a no. When the turn
    is cancelled, so is the approval.
    """
    if not workflow.patched(ASKS_PEOPLE):
        return Agreed(yes=False)
    info = workflow.info()
    deadline = deadline_of(
        workflow.now(), turn.plan.approval_patience, info.start_time, info.execution_timeout
    )
    if deadline is None:
        return Agreed(yes=False, why="the turn has no time left to wait for anybody")
    ref = TurnRef(turn_id=turn.turn_id, tenant_id=turn.tenant_id)
    asker = await workflow.execute_activity(TURN_ASKER, ref, result_type=Asker, **store_options())
    ask = approval_ask(turn, seek, asker, deadline)

    async def tell(opened: Opened) -> None:
        await workflow.execute_activity(
            TELL_WAITING, _waiting(ref, seek, ask, opened), result_type=type(None), **store_options()
        )

    try:
        return agreed(await ask_approval(ask, on_open=tell))
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return Agreed(yes=False, why=f"nobody could be asked: {error.cause}")


def _waiting(turn: TurnRef, seek: SeekAgreement, ask: ApprovalAsk, opened: Opened) -> Waiting:
    return Waiting(
        turn=turn,
        approval_id=opened.approval_id,
        kind=ask.kind.value,
        title=ask.title,
        rung=seek.rung.name,
        leaves_building=ask.leaves_building,
        cost_usd=ask.cost_usd,
        deadline=opened.deadline,
    )
