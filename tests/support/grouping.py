"""Which tests run in one process: those that share what is dear to start, and those that would disturb each other."""

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/e2e/": "a stack whose parts are killed",
    "tests/telegram/": "a bot and its worker",
    "tests/openai_compat/test_stack.py": "a stack",
    "tests/embedded/test_whole_stack.py": "a stack",
    "tests/deploy/test_journey.py": "an installation",
    "tests/deploy/test_stopping.py": "an installation",
    "tests/cards/test_faults.py": "a card host",
    "tests/cards/test_card_": "cards",
    "tests/replay/": "histories",
    "tests/telemetry/": "processes that are watched",
    "tests/isolation/": "two tenants",
    "tests/api/test_jwt.py": "an identity provider",
}
"""Beginnings of node ids, and the name of their group."""


class GroupScheduling(LoadScopeScheduling):
    """Groups by `TOGETHER`; every other test goes to whichever process is free.

    Marks would say the same, but pytest-xdist 3.8 passes them on in a way that pytest 9.2 no longer understands.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((group for start, group in TOGETHER.items() if nodeid.startswith(start)), nodeid)


def grouping(config: pytest.Config, log: object) -> GroupScheduling | None:
    """The scheduler for `--dist loadgroup`; None leaves the choice to pytest-xdist."""
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None  # type: ignore[arg-type]
