from collections.abc import Iterator

import openai
import pytest

from tests.openai_compat.playing import KEY, PlayedTurns
from tests.openai_compat.serving import Served, served


@pytest.fixture(scope="session")
def app() -> Iterator[Served]:
    """The compat routes on a loopback port, for the whole session."""
    with served() as running:
        yield running


@pytest.fixture
def compat(app: Served) -> Served:
    """The running app with a fresh script."""
    app.state.turns = PlayedTurns()
    return app


@pytest.fixture
def sdk(compat: Served) -> Iterator[openai.OpenAI]:
    """The official SDK, as anybody would set it up but for retries, which would hide errors."""
    with openai.OpenAI(base_url=f"{compat.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client
