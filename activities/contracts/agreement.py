"""What a turn needs to know, and to tell, while a person is asked whether it may go on."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRef:
    """One turn of a tenant."""

    turn_id: str
    tenant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who a turn is for: its key, the agent it speaks as, and the conversation or job that it belongs to.

    `history_bytes` is how much has been said before in the conversation.
    """

    key_id: str
    key_name: str = ""
    agent: str | None = None
    conversation_id: str | None = None
    job_id: str | None = None
    history_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Tells a turn's client that a person is asked, by an approval, before `rung` is."""

    turn: TurnRef
    approval_id: str
    kind: str
    title: str
    rung: str
    leaves_building: bool
    cost_usd: float | None
    deadline: datetime
