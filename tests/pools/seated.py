"""A desk with made-up members, for tests that need no server."""

from collections.abc import AsyncGenerator, Sequence

from activities.contracts.backends import Backend
from activities.contracts.chat import ChatCall, ChatChunk, Message
from activities.contracts.policy import BreakerRules
from workers.breakers import BreakerBoard
from workers.pools.desk import Desk
from workers.pools.members import Member

POOL = "llm-test"
RULES = BreakerRules(failures_in_row=1, first_open_s=5.0, max_open_s=5.0)


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Nobody:
    """A client that nobody calls."""

    async def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        raise AssertionError
        yield

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        raise AssertionError


def backend(name: str, slots: int = 2) -> Backend:
    return Backend(name=name, base_url="http://127.0.0.1:1/v1", model="m", slots=slots, pool=POOL)


def member(name: str, slots: int = 2) -> Member:
    return Member(backend=backend(name, slots), client=Nobody())


def desk(*members: Member, clock: Clock | None = None) -> Desk:
    clock = clock or Clock()
    desk = Desk(BreakerBoard(RULES, clock), clock)
    desk.seat(POOL, members)
    return desk
