"""How the workflow of a card is reached: in one place, whether it runs already or not."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy

from activities.contracts.telegram import CardRef
from workflows.attributes import TENANT
from workflows.names import SHOW_CARD, TELEGRAM_CARD, Queue, telegram_card_id

LIFETIME = timedelta(days=14)
"""How long Telegram may be away before a card is given up; the approval's next news would start it again."""


async def show_card(client: Client, card: CardRef, *, rpc_timeout: timedelta | None = None) -> None:
    """Has the card shown as the approval stands."""
    await client.start_workflow(
        TELEGRAM_CARD,
        card,
        id=telegram_card_id(card.approval_id, card.chat_id),
        task_queue=Queue.TURNS,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        start_signal=SHOW_CARD,
        execution_timeout=LIFETIME,
        search_attributes=TypedSearchAttributes([SearchAttributePair(TENANT, card.tenant_id)]),
        rpc_timeout=rpc_timeout,
    )
