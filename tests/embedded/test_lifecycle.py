"""The stack keeps itself up, says what is wrong, and leaves nothing behind: with real processes, killed for real."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

from infra.embedded import ports
from infra.embedded.processes import ProcessId, identify
from tests.embedded.conftest import SMALL
from tests.support.stack import AITHER, PATIENCE_S, POLL_S, Stack, free_port_base

pytestmark = pytest.mark.stack


def processes_of(stack: Stack) -> list[ProcessId]:
    """The supervisor, the parts, and all below them, by pid and start."""
    named = [stack.state.supervisor, *(part.process for part in stack.state.parts if part.process)]
    below = [child.pid for known in named for child in psutil.Process(known.pid).children(recursive=True)]
    found = {known.pid: known for known in named}
    for pid in below:
        process = identify(pid)
        if process:
            found.setdefault(pid, process)
    return list(found.values())


async def gone(processes: list[ProcessId]) -> None:
    """Waits until none of the processes is there."""
    async with asyncio.timeout(PATIENCE_S):
        while any(process.alive for process in processes):
            await asyncio.sleep(POLL_S)


def redis_of(stack: Stack) -> Any:
    """A client; its own types are not of this world."""
    clients: Any = redis.Redis
    return clients.from_url(stack.redis_url)


async def remember(stack: Stack, word: str) -> None:
    """Puts a word into both stores."""
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        await connection.execute("create table if not exists public.words (word text)")
        await connection.execute("insert into public.words values ($1)", word)
    finally:
        await connection.close()
    with redis_of(stack) as client:
        client.xadd("words", {"word": word})


async def remembered(stack: Stack) -> tuple[set[str], set[str]]:
    """The words in PostgreSQL and in Redis."""
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        rows = await connection.fetch("select word from public.words")
    finally:
        await connection.close()
    with redis_of(stack) as client:
        entries = client.xrange("words")
    return {row["word"] for row in rows}, {fields[b"word"].decode() for _, fields in entries}


async def test_a_second_up_finds_the_running_one(small: Stack) -> None:
    before = small.state
    said = await small.up()
    assert "is up already" in said
    assert small.api_url in said
    assert small.state.supervisor == before.supervisor


async def test_secrets_are_the_owners_only(small: Stack) -> None:
    for path in (
        small.layout.secrets_file,
        small.layout.credentials_file,
        small.layout.redis_dir / "redis.conf",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    secrets: dict[str, str] = json.loads(small.layout.secrets_file.read_text())
    for process in processes_of(small):
        command = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not any(secret in command for secret in secrets.values())
    logs = "".join(path.read_text(errors="replace") for path in small.layout.logs_dir.iterdir())
    assert not any(secret in logs for secret in secrets.values())


async def test_a_killed_part_comes_back_with_its_data(small: Stack) -> None:
    await remember(small, "kept")
    for name in ("redis", "postgres"):
        restarts = small.part(name).restarts
        killed = small.kill(name)
        back = await small.back(name, restarts=restarts + 1)
        assert back.pid != killed
        assert back.last_end == "was ended by SIGKILL"
    in_postgres, in_redis = await remembered(small)
    assert "kept" in in_postgres
    assert "kept" in in_redis


async def test_a_killed_supervisor_takes_everything_with_it(small: Stack) -> None:
    await remember(small, "before the supervisor was killed")
    processes = processes_of(small)
    assert len(processes) > 3
    small.kill("supervisor")
    await gone(processes)
    assert small.aither("status", "--json", check=False).startswith('{\n  "running": false')
    await small.up()
    in_postgres, in_redis = await remembered(small)
    assert "before the supervisor was killed" in in_postgres & in_redis


async def test_up_works_after_the_whole_lot_was_killed(small: Stack) -> None:
    processes = processes_of(small)
    for process in processes:
        process.send(signal.SIGKILL)
    await gone(processes)
    await small.up()
    assert {part.phase for part in small.state.parts} == {"up"}


async def test_up_stops_what_a_dead_run_left(small: Stack) -> None:
    """A part that escaped its supervisor's end is found by the state file, and stopped before a new one starts."""
    left = small.part("redis").process
    assert left is not None
    held = subprocess.Popen(["sleep", "1000"])
    written = small.state
    await small.down()
    stranger = identify(held.pid)
    assert stranger is not None
    escaped = written.part("redis")
    escaped.pid, escaped.pid_started = stranger.pid, stranger.started
    reused = written.part("postgres")
    reused.pid, reused.pid_started = os.getpid(), 1
    written.write(small.layout)
    await small.up()
    assert held.wait(10) == -signal.SIGKILL
    # The pid of postgres is this very test's by now, with another start: not ours to stop.


async def test_down_leaves_nothing_and_may_be_repeated(small: Stack) -> None:
    processes = processes_of(small)
    assert await small.down() == "Stopped.\n"
    assert not any(process.alive for process in processes)
    assert await small.down() == "Nothing is running.\n"
    done = subprocess.run([*AITHER, "status"], env=small.environment, capture_output=True, check=False)
    assert done.returncode == 3
    await small.up()


async def test_status_tells_what_is_up_and_what_is_not(small: Stack) -> None:
    seen = json.loads(small.aither("status", "--json"))
    parts = {part["name"]: part for part in seen["parts"]}
    assert parts.keys() == {"postgres", "redis", "supervisor"}
    assert parts["redis"]["port"] == small.port("redis")
    assert all(part["state"] == "up" and part["memory_mib"] > 0 for part in parts.values())
    assert seen["memory_mib"] < 300
    with small.frozen("redis"):
        done = subprocess.run(
            [*AITHER, "status", "--json"], env=small.environment, capture_output=True, check=False
        )
    assert done.returncode == 4
    assert '"not answering"' in done.stdout.decode()


async def test_logs_of_one_part_of_all_and_of_none(small: Stack) -> None:
    assert "database system is ready" in small.aither("logs", "postgres", "-n", "1000")
    merged = small.aither("logs", "-n", "1000").splitlines()
    assert {line.split("│")[0].strip() for line in merged} >= {"postgres", "redis"}
    done = subprocess.run(
        [*AITHER, "logs", "nonsense"], env=small.environment, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"postgres" in done.stderr


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    stack = Stack(tmp_path, free_port_base(), SMALL)
    with socket.create_server(("127.0.0.1", stack.port("redis"))):
        done = subprocess.run(
            [*AITHER, *stack.up_arguments()],
            env=stack.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"port {stack.port('redis')} (redis) is taken by" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert "--port-base" in done.stderr
    assert "AITHER_REDIS_PORT" in done.stderr
    assert not stack.layout.postgres_dir.exists()


async def test_a_part_that_cannot_start_is_shown_with_its_last_words(tmp_path: Path) -> None:
    stack = Stack(tmp_path, free_port_base(), SMALL)
    stack.layout.postgres_dir.mkdir()
    (stack.layout.postgres_dir / "PG_VERSION").write_text("18\n")
    done = subprocess.run(
        [*AITHER, *stack.up_arguments()], env=stack.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Could not start: postgres ended with exit code 2" in done.stdout
    assert "postgresql.conf" in done.stdout
    assert all(not part.process for part in stack.state.parts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_a_foreground_stack_in_order(tmp_path: Path, number: signal.Signals) -> None:
    stack = Stack(tmp_path, free_port_base(), (*SMALL, "postgres"))
    process = subprocess.Popen(
        [*AITHER, *stack.up_arguments(detach=False)],
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    heard: list[str] = []
    while "Ctrl-C" not in (line := await asyncio.to_thread(process.stdout.readline)):
        assert line, heard
        heard.append(line)
    processes = processes_of(stack)
    process.send_signal(number)
    rest, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert rest.endswith("Stopped.\n")
    assert not any(known.alive for known in processes)
    assert "\x1b" not in "".join(heard)


async def test_a_start_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path, free_port_base(), SMALL)
    process = subprocess.Popen(
        [*AITHER, *stack.up_arguments(detach=False)],
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    async with asyncio.timeout(PATIENCE_S):
        while not stack.layout.state_file.exists() or not any(part.process for part in stack.state.parts):
            await asyncio.sleep(POLL_S)
    processes = processes_of(stack)
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    await gone(processes)
    await stack.up()
    await stack.down()


def test_every_port_has_its_place_in_the_row() -> None:
    assert list(ports.from_base(9000).values()) == list(range(9000, 9007))
    with pytest.raises(ValueError, match="between 1 and"):
        ports.from_base(65535)
