"""What passes between the processes of the benchmark: ids and numbers, never a turn's text."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from temporalio.common import SearchAttributeKey


class Start(StrEnum):
    """How the API brings the workflow to life."""

    PLAIN = "plain"
    EAGER = "eager"
    UPDATE = "update"


class Chat(StrEnum):
    """How the workflow runs the chat activity."""

    GATED = "gated"  # on the pool's task queue: priority and slots hold
    SAME = "same"  # on the workflow's own queue, eager: bypasses matching, hence priority
    LOCAL = "local"  # inside the workflow task: no queue at all


class Reply(StrEnum):
    """What wakes the waiting client."""

    STREAM = "stream"  # the turn's own Redis stream
    HUB = "hub"  # one Redis stream for all turns that this API process waits for
    RESULT = "result"  # the workflow's result
    UPDATE = "update"  # the update's result


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnIn:
    """The workflow's input."""

    turn_id: str
    tenant_id: str
    chat: Chat
    chat_queue: str
    reply_to: str
    ungated_step: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatIn:
    """What the chat activity is asked."""

    turn_id: str
    tenant_id: str
    step: int
    reply_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOut:
    """What the workflow learns of an answer: numbers and a preview."""

    preview: str
    tokens: int
    model: str


TENANT = SearchAttributeKey.for_keyword("AitherTenant")
STATUS = SearchAttributeKey.for_keyword("AitherStatus")
RUNG = SearchAttributeKey.for_keyword("AitherRung")
MODEL = SearchAttributeKey.for_keyword("AitherModel")
EFFORT = SearchAttributeKey.for_int("AitherEffort")

PATIENCE = timedelta(seconds=30)
RUN_LIMIT = timedelta(seconds=60)
