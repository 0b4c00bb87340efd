"""`python -m workers.health`: what it takes for well, against processes that really are and are not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.files import ROOT
from workers.health import READY_FILE, STALE_S, objection

BEATING = """
import asyncio, workers.pulse
workers.pulse.BEAT_S = 0.01
async def run():
    async with workers.pulse.beating():
        await asyncio.Event().wait()
asyncio.run(run())
"""


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    return tmp_path / "ready"


@pytest.fixture
def worker(ready: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", BEATING], cwd=ROOT, env={**os.environ, READY_FILE: str(ready)}
    ) as process:
        yield process
        process.kill()


def _touched(path: Path, later_than: float = 0) -> float:
    """When the file was touched, once that is later: it waits for the process, as long as it takes."""
    for _ in range(3000):
        if path.exists() and path.stat().st_mtime > later_than:
            return path.stat().st_mtime
        time.sleep(0.01)
    raise AssertionError(f"nobody touches {path}")


def test_a_worker_is_well_while_its_loop_turns_and_no_longer(
    ready: Path, worker: subprocess.Popen[bytes]
) -> None:
    assert objection(ready, time.time()) == "the worker is not ready" or ready.exists()
    again = _touched(ready, _touched(ready))
    assert objection(ready, again) is None
    assert objection(ready, again + STALE_S - 1) is None

    os.kill(worker.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
    stood = ready.stat().st_mtime
    assert objection(ready, stood + STALE_S + 1) == f"process {worker.pid} has not moved for 61 s"
    assert ready.stat().st_mtime == stood, "a process that stands still beats no more"

    os.kill(worker.pid, signal.SIGCONT)
    assert objection(ready, _touched(ready, stood)) is None

    worker.kill()
    worker.wait()
    assert objection(ready, stood) == f"process {worker.pid} is gone"


@pytest.mark.parametrize(
    ("held", "code", "said"),
    [
        (None, 1, "the worker is not ready"),
        ("", 1, "cannot be read"),
        ("what?", 1, "cannot be read"),
        ("{pid}\n", 0, ""),
    ],
)
def test_the_command_says_why(ready: Path, held: str | None, code: int, said: str) -> None:
    if held is not None:
        ready.write_text(held.format(pid=os.getpid()))
    done = subprocess.run(
        [sys.executable, "-m", "workers.health"],
        cwd=ROOT,
        env={**os.environ, READY_FILE: str(ready)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert bool(done.stderr) == bool(code)


def test_it_asks_for_the_variable_and_is_quick(ready: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != READY_FILE}
    program = (
        "import sys, workers.health; code = workers.health.main(); print(sorted(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert READY_FILE in done.stderr
    assert "asyncio" not in done.stdout, "it runs every few seconds in every container"
