"""A process is started, seen to be ready, and stopped; real processes, and a real small model once."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest

from activities.contracts.cards import HostKind, Residency, Resident
from activities.errors import MoveFailed
from activities.hosting import HostActivities
from infra.embedded import ports
from infra.embedded.layout import Layout
from infra.embedded.processes import identify
from infra.hosts.process import ProcessHost
from tests.e2e.killing import until
from tests.hosts.conftest import NoGauge, a_resident, an_ask

HOST = "127.0.0.1"
AWAKE, ABSENT, UNKNOWN = Residency.AWAKE, Residency.ABSENT, Residency.UNKNOWN
ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def deaths() -> list[str]:
    return []


@pytest.fixture
async def host(
    http: aiohttp.ClientSession, layout: Layout, deaths: list[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[ProcessHost]:
    monkeypatch.chdir(ROOT)
    async with ProcessHost(http, layout, deaths.append, grace_s=3) as running:
        yield running


def tiny(port: int, *more: str, **known: object) -> Resident:
    command = ("{python}", "-m", "tests.support.tiny_server", str(port), *more)
    return a_resident(HostKind.PROCESS, f"http://{HOST}:{port}", command=command, **known)


def pid_of(generation: str) -> int:
    return int(generation.partition("-")[0])


async def test_it_starts_and_stops(host: ProcessHost, port: int, deaths: list[str]) -> None:
    resident = tiny(port)
    assert (await host.find(resident)).residency is ABSENT
    await host.bring(resident, AWAKE)
    found = await host.find(resident)
    assert found.residency is AWAKE
    await host.bring(resident, ABSENT)
    assert identify(pid_of(found.generation)) is None
    assert ports.is_free(HOST, port)
    assert (await host.find(resident)).residency is ABSENT
    await host.bring(resident, AWAKE)
    again = await host.find(resident)
    assert again.residency is AWAKE and again.generation != found.generation
    assert deaths == []


async def test_a_real_model(host: ProcessHost, port: int, http: aiohttp.ClientSession) -> None:
    command = ("{python}", "-m", "infra.embedded.chat_server", "--port", str(port), "--model-name", "swap-a")
    model = a_resident(
        HostKind.PROCESS, f"http://{HOST}:{port}", command=(*command, "--window", "512"), mib=10
    )
    moves = HostActivities({HostKind.PROCESS: host}, NoGauge())
    done = await moves.move(an_ask(model, AWAKE, 1))
    assert (done.ok, done.residency) == (True, AWAKE)
    # It is declared with far less than it takes: told, and no failure.
    assert done.why.endswith("MiB and is declared with 10")
    async with http.get(f"{model.base_url}/v1/models") as answer:
        assert (await answer.json())["data"][0]["id"] == "swap-a"
    assert (await moves.move(an_ask(model, ABSENT, 2))).residency is ABSENT
    assert ports.is_free(HOST, port)


async def test_it_is_there_once_it_is_ready_and_not_before(
    host: ProcessHost, port: int, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    flag = tmp_path / "ready"
    starting = asyncio.create_task(host.bring(tiny(port, "--manner", "loads", "--flag", str(flag)), AWAKE))

    async def answers() -> bool:
        try:
            async with http.get(f"http://{HOST}:{port}/health") as answer:
                return answer.status == 503
        except aiohttp.ClientError:
            return False

    await until(answers, "it answers that it loads")
    assert not starting.done()
    flag.touch()
    await starting


async def test_one_that_never_gets_ready_is_stopped(host: ProcessHost, port: int, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    resident = tiny(port, "--manner", "loads", "--flag", never, start_timeout=timedelta(seconds=1))
    with pytest.raises(MoveFailed, match=r"one was not ready within 1 s: "):
        await host.bring(resident, AWAKE)
    assert (await host.find(resident)).residency is ABSENT
    assert ports.is_free(HOST, port)


async def test_a_crash_in_its_start_is_told_with_its_last_words(host: ProcessHost, port: int) -> None:
    resident = tiny(port, "--manner", "crashes")
    with pytest.raises(MoveFailed, match="one ended with exit code 1: no such model: here is why"):
        await host.bring(resident, AWAKE)
    assert (await host.find(resident)).residency is ABSENT


async def test_a_program_that_is_not_there(host: ProcessHost, port: int) -> None:
    resident = a_resident(HostKind.PROCESS, f"http://{HOST}:{port}", command=("no-such-program",))
    with pytest.raises(MoveFailed, match="there is no program no-such-program here to start one with"):
        await host.bring(resident, AWAKE)


async def test_anothers_server_is_not_taken_for_it(host: ProcessHost, port: int) -> None:
    """It is healthy, and on the very port; it is not ours, so nothing is started and nothing is stopped."""
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.tiny_server", str(port), cwd=ROOT
    )
    try:
        await until(lambda: not ports.is_free(HOST, port), "the stranger listens")
        resident = tiny(port)
        found = await host.find(resident)
        assert found.residency is UNKNOWN
        assert f"port {port} is taken by" in found.why and str(stranger.pid) in found.why
        for to in (AWAKE, ABSENT):
            with pytest.raises(MoveFailed, match=f"port {port} is taken by .*pid {stranger.pid}"):
                await host.bring(resident, to)
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_one_that_answers_elsewhere_is_not_ready(host: ProcessHost, port: int) -> None:
    """What was started runs and does not listen; another process takes the port meanwhile."""
    resident = tiny(port, "--manner", "idle")
    starting = asyncio.create_task(host.bring(resident, AWAKE))
    await until(lambda: children_at(port), "it is started")
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.tiny_server", str(port), cwd=ROOT
    )
    try:
        with pytest.raises(MoveFailed, match="is not what was started for one"):
            await starting
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


def children_at(port: int) -> list[psutil.Process]:
    """Our children that were told of this port; the session has servers of its own besides."""
    ours: list[psutil.Process] = []
    for child in psutil.Process(os.getpid()).children():
        with contextlib.suppress(psutil.Error):
            if str(port) in child.cmdline():
                ours.append(child)
    return ours


async def test_one_that_will_not_stop_is_killed(host: ProcessHost, port: int) -> None:
    resident = tiny(port, "--manner", "stubborn")
    await host.bring(resident, AWAKE)
    pid = pid_of((await host.find(resident)).generation)
    await host.bring(resident, ABSENT)
    assert identify(pid) is None and ports.is_free(HOST, port)


async def test_its_helpers_go_with_it(host: ProcessHost, port: int, tmp_path: Path) -> None:
    flag = tmp_path / "helper"
    resident = tiny(port, "--manner", "helped", "--flag", str(flag))
    await host.bring(resident, AWAKE)
    helper = int(flag.read_text())
    assert identify(helper) is not None
    await host.bring(resident, ABSENT)
    assert identify(helper) is None


async def test_one_that_dies_by_itself_is_told_of(
    host: ProcessHost, port: int, deaths: list[str], tmp_path: Path
) -> None:
    flag = tmp_path / "helper"
    resident = tiny(port, "--manner", "helped", "--flag", str(flag))
    await host.bring(resident, AWAKE)
    os.kill(pid_of((await host.find(resident)).generation), signal.SIGKILL)
    await until(lambda: deaths == ["one"], "its death is told")
    found = await host.find(resident)
    assert (found.residency, found.why) == (ABSENT, "was ended by signal 9")
    assert identify(int(flag.read_text())) is None
    await host.bring(resident, AWAKE)
    assert (await host.find(resident)).residency is AWAKE
    assert deaths == ["one"]


async def test_a_start_that_is_cancelled_leaves_nothing(host: ProcessHost, port: int) -> None:
    resident = tiny(port, "--manner", "idle")
    starting = asyncio.create_task(host.bring(resident, AWAKE))
    await until(lambda: children_at(port), "it is started")
    (started,) = children_at(port)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert identify(started.pid) is None
    assert (await host.find(resident)).residency is ABSENT


async def test_leaving_stops_everything(http: aiohttp.ClientSession, layout: Layout, port: int) -> None:
    async with ProcessHost(http, layout, lambda _: None, grace_s=3) as host:
        resident = tiny(port)
        await host.bring(resident, AWAKE)
        pid = pid_of((await host.find(resident)).generation)
    assert identify(pid) is None


async def test_it_dies_with_its_host_and_what_it_leaves_is_cleared_away(
    host: ProcessHost, layout: Layout, port: int, tmp_path: Path
) -> None:
    """The host process is killed without a word; its successor finds the helper and ends it."""
    flag = tmp_path / "helper"
    resident = tiny(port, "--manner", "helped", "--flag", str(flag))
    first = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hosts.holding", str(layout.root), str(port), str(flag)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert first.stdout
    leader = int(await first.stdout.readline())
    first.kill()
    await first.wait()
    await until(lambda: identify(leader) is None, "the server has died with its host")
    helper = identify(int(flag.read_text()))
    assert helper is not None
    found = await host.find(resident)
    assert found.residency is UNKNOWN and str(helper.pid) in found.why
    await host.bring(resident, AWAKE)
    assert not helper.alive
    assert (await host.find(resident)).residency is AWAKE


async def test_it_gets_its_card_and_none_of_our_secrets(
    host: ProcessHost, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITHER_DATABASE_URL", "postgresql://me:hunter2@x/y")
    resident = tiny(port, card="desk/3")
    await host.bring(resident, AWAKE)
    process = psutil.Process(pid_of((await host.find(resident)).generation))
    environment = process.environ()
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert not [name for name in environment if name.startswith("AITHER_")]


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
async def test_a_process_cannot_be_elsewhere(host: ProcessHost, address: str) -> None:
    resident = a_resident(HostKind.PROCESS, f"http://{address}:1234", command=("{python}", "-V"))
    with pytest.raises(MoveFailed, match=f"{address} is not an address of this machine"):
        await host.bring(resident, AWAKE)
