from collections.abc import AsyncIterator

import pytest

from infra.postgres.keys import Role
from tests.approvals import desk
from tests.approvals.board import Board, seen_on
from tests.approvals.desk import Api, Desk
from tests.approvals.gate import Gate, asking
from tests.approvals.receiver import Receiver, receiving
from tests.ladder.conftest import _no_task_left_behind
from tests.support.house import Ground

__all__ = ["_no_task_left_behind"]


@pytest.fixture(scope="session")
def board() -> Board:
    return Board()


@pytest.fixture(scope="session")
async def ground(board: Board) -> AsyncIterator[Ground]:
    async with Ground.laid(seen_on(board)) as ground, asking(ground):
        yield ground


@pytest.fixture
async def gate(ground: Ground) -> Gate:
    return await Gate.built(ground)


@pytest.fixture(scope="session")
async def api(ground: Ground) -> AsyncIterator[Api]:
    async with desk.opened(ground) as api:
        yield api


@pytest.fixture
async def operator(api: Api, gate: Gate) -> AsyncIterator[Desk]:
    async with desk.client(api, gate, "op", role=Role.OPERATOR) as client:
        yield client


@pytest.fixture
async def user(api: Api, gate: Gate) -> AsyncIterator[Desk]:
    async with desk.client(api, gate, "user") as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver
