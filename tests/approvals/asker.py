"""A workflow that asks, and says what it was told."""

from temporalio import workflow

from activities.contracts.approvals import ApprovalAsk, Decision
from workflows.approving import ask_approval

QUEUE = "askers"


@workflow.defn(name="test-asker")
class Asker:
    """Asks for each of the approvals, one after the other; the decisions are its result."""

    @workflow.run
    async def run(self, asks: list[ApprovalAsk]) -> list[Decision]:
        return [await ask_approval(ask) for ask in asks]
