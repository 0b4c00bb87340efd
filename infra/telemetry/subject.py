"""What a request is about, for whoever tells of it: its logs, its trace.

It costs a context variable, and nothing of OpenTelemetry is imported for it.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

Join = Callable[[str, bool], None]
"""Takes the id of a turn or job, and whether it was there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Ids only. Empty ones are not known, or not meant."""

    turn_id: str = ""
    job_id: str = ""
    tenant_id: str = ""


NOTHING = Subject()
_subject: ContextVar[Subject] = ContextVar("aither_subject", default=NOTHING)
joining: ContextVar[Join | None] = ContextVar("aither_joining", default=None)
"""The trace of the request that is served, which joins that of its turn or job; None while nobody traces."""


def subject() -> Subject:
    """What is worked on here."""
    return _subject.get()


def about(*, turn_id: str = "", job_id: str = "", tenant_id: str = "", before: bool = False) -> None:
    """The request that is served is about this turn or job, which was there `before` or came with it."""
    _subject.set(Subject(turn_id=turn_id, job_id=job_id, tenant_id=tenant_id))
    join = joining.get()
    if join is not None:
        join(turn_id or job_id, before)
