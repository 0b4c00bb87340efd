"""Cards of approvals on Telegram: which there are, and what came of showing one."""

from dataclasses import dataclass
from enum import StrEnum

from activities.contracts.approvals import ApprovalRef


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRef:
    """The card of one approval in one chat."""

    tenant_id: str
    approval_id: str
    chat_id: int

    @property
    def approval(self) -> ApprovalRef:
        """The approval that it shows."""
        return ApprovalRef(tenant_id=self.tenant_id, approval_id=self.approval_id)


class Shown(StrEnum):
    """What came of showing a card: it shows what is true, or it cannot be shown, or nobody wants it."""

    SHOWN = "shown"
    CLOSED = "closed"
    """The person has blocked the bot, or the group has put it out: it is noted, and tried again with other news."""
    REFUSED = "refused"
    """Telegram refuses the message for good."""
    GONE = "gone"
    """There is no such card, or no such approval any more."""
