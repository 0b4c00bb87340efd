from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.burst.estate import Estate, estate
from tests.ladder.conftest import _no_task_left_behind, ground
from tests.support.house import Ground
from workflows.names import CHECK_BURST, REAP_LEASES

__all__ = ["_no_task_left_behind", "ground"]


@pytest.fixture
async def rented(ground: Ground, tmp_path: Path) -> AsyncIterator[Estate]:
    async with estate(ground, tmp_path) as opened:
        yield opened
    for schedule in (CHECK_BURST, REAP_LEASES):
        await ground.client.get_schedule_handle(schedule).delete()
