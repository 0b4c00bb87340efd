"""What the tests of model hosts share: a client, a place on disk, residents, and a card that can be measured."""

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from activities.contracts.cards import HostKind, MoveAsk, Residency, Resident
from activities.hosting import Vram
from infra.embedded.layout import Layout


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


class Card:
    """A gauge whose reading is a sum of what stands on the card."""

    def __init__(self, total_mib: int, *taken: Callable[[], int]) -> None:
        self.total_mib = total_mib
        self.taken = taken

    def read(self, index: int) -> Vram | None:
        taken = sum(each() for each in self.taken)
        return Vram(free_mib=self.total_mib - taken, total_mib=self.total_mib)


class NoGauge:
    """A machine where nothing can be measured."""

    def read(self, index: int) -> Vram | None:
        return None


def a_resident(kind: HostKind, url: str, **more: Any) -> Resident:
    known: dict[str, Any] = {
        "name": "one",
        "card": "desk/0",
        "kind": kind,
        "mib": 1000,
        "base_url": url,
        "start_timeout": timedelta(seconds=60),
    }
    return Resident(**(known | more))


def an_ask(resident: Resident, to: Residency, number: int = 1, **more: Any) -> MoveAsk:
    return MoveAsk(card=resident.card, resident=resident, to=to, number=number, vram_mib=2000, **more)
