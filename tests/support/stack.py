"""A whole stack for a test: real parts in a data directory of their own, on ports of their own.

    async with running_stack(tmp_path, without=("embeddings",)) as stack:
        stack.kill("workers")                 # kill -9; returns the pid that it had
        await stack.back("workers")           # until the supervisor has it up again
        with stack.frozen("postgres"): ...    # stopped in its tracks, then goes on

The fixture `stack` (a whole one, shared by a session's tests) is for tests that leave it whole; import it in a
conftest. The parts are processes of `aither up --detach`, so a test that dies leaves nothing behind but what
`down` in the fixture's end stops.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from infra.embedded import addresses, credentials, passwords, ports, state
from infra.embedded.layout import Layout
from infra.embedded.state import PartPhase, PartState, StackState

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
AITHER = (sys.executable, "-m", "api.cli.main")
PATIENCE_S = 90.0
POLL_S = 0.02

# Below the ports that the kernel hands out, so that no client connection takes one of ours meanwhile.
BASES = range(20000, 31000, 20)


class StackError(AssertionError):
    """The stack did not do what the test asked of it; the message says what its commands printed."""


@dataclass
class Stack:
    """A stack that a test has started. All waiting ends in an error that shows the logs."""

    data_dir: Path
    port_base: int
    without: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def layout(self) -> Layout:
        return Layout(self.data_dir)

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.port('api')}"

    @property
    def api_key(self) -> str:
        known = credentials.read(self.layout)
        assert known is not None
        return known.api_key

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    @property
    def temporal_target(self) -> str:
        return f"{HOST}:{self.port('temporal')}"

    @property
    def app_dsn(self) -> str:
        dsn = addresses.app_dsn(self.data_dir, self.port("postgres"))
        assert dsn is not None
        return dsn

    @property
    def admin_dsn(self) -> str:
        return addresses.admin_dsn(self.layout, self.port("postgres"))

    @property
    def redis_url(self) -> str:
        password = passwords.load_or_make(self.layout).redis
        return f"redis://:{password}@{HOST}:{self.port('redis')}/0"

    def port(self, use: str) -> int:
        """The port of `api`, `temporal_ui`, `temporal`, `orchestrator`, `embeddings`, `postgres` or `redis`."""
        return self.port_base + ports.ORDER.index(use)

    @property
    def state(self) -> StackState:
        seen = state.read(self.layout)
        assert seen is not None
        return seen

    def part(self, name: str) -> PartState:
        return self.state.part(name)

    def pid(self, name: str) -> int:
        pid = self.part(name).pid
        assert pid is not None, f"{name} is not running: {self.part(name)}"
        return pid

    def aither(self, *arguments: str, check: bool = True, timeout: float = PATIENCE_S) -> str:
        """Runs a command of the command line on this stack; what it printed."""
        done = subprocess.run(
            [*AITHER, *arguments],
            env=self.environment,
            cwd=self.data_dir,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise StackError(
                f"aither {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this stack and no other."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")}
        return ours | {"AITHER_DATA_DIR": str(self.data_dir), "NO_COLOR": "1"} | dict(self.env)

    def up_arguments(self, *, detach: bool = True) -> list[str]:
        left_out = [word for name in self.without for word in ("--without", name)]
        return ["up", *(["--detach"] if detach else []), "--port-base", str(self.port_base), *left_out]

    async def up(self) -> str:
        """Starts it, detached, and waits until all is up; what `up` printed."""
        return await asyncio.to_thread(self.aither, *self.up_arguments())

    async def down(self) -> str:
        return await asyncio.to_thread(self.aither, "down")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Kills a part (or `supervisor`); the pid that it had. The supervisor will start the part again."""
        pid = self.state.pid if name == "supervisor" else self.pid(name)
        os.kill(pid, number)
        return pid

    async def back(self, name: str, *, restarts: int | None = None) -> PartState:
        """Waits until a part that was killed is up again: once more than before, or `restarts` times in all."""
        goal = self._known_restarts.get(name, 0) + 1 if restarts is None else restarts
        async with asyncio.timeout(PATIENCE_S):
            while True:
                part = self.part(name)
                if part.phase is PartPhase.UP and part.restarts >= goal:
                    self._known_restarts[name] = part.restarts
                    return part
                await asyncio.sleep(POLL_S)

    @contextmanager
    def frozen(self, name: str) -> Generator[None]:
        """The part does nothing within the block, and goes on after it as if nothing had been."""
        pid = self.kill(name, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def log(self, name: str) -> str:
        """All that a part has said."""
        return self.layout.log_file(name).read_text(errors="replace")

    def __post_init__(self) -> None:
        self._known_restarts: dict[str, int] = {}


def free_port_base() -> int:
    """A base from which every port of a stack is free."""
    for base in random.sample(BASES, len(BASES)):
        if all(ports.is_free(HOST, base + offset) for offset in range(len(ports.ORDER))):
            return base
    raise StackError("no row of free ports")


@asynccontextmanager
async def running_stack(
    data_dir: Path, *, without: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> AsyncGenerator[Stack]:
    """A stack that is up for the block and gone after it. `env` reaches every part."""
    data_dir.mkdir(parents=True, exist_ok=True)
    stack = Stack(data_dir, free_port_base(), tuple(without), env or {})
    try:
        await stack.up()
        yield stack
    finally:
        await stack.down()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A whole stack, shared: for tests that leave it as they found it."""
    async with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
