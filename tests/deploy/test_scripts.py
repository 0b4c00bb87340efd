"""The scripts that a first start runs: by the shell, and where it can be had, with the servers they are for."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from infra.embedded import carried
from infra.embedded.spawn import launch_argv
from tests.api.stores import free_port
from tests.deploy.files import DEPLOY, MAIN, ROOT, interpolated, services, slow

COMPOSE = DEPLOY / "compose"
SCRIPTS = sorted(COMPOSE.rglob("*.sh"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_can_read_it_and_somebody_runs_it(path: Path) -> None:
    assert path.read_text().startswith("#!/bin/sh\n# ")
    subprocess.run(["sh", "-n", str(path)], check=True)
    inside = str(path.relative_to(ROOT))
    mounted = [mount for one in services(MAIN).values() for mount in one.get("volumes", ())]
    by_hand = path.name == "secrets.sh"
    assert by_hand or any(inside.startswith(mount.split(":")[0].removeprefix("./")) for mount in mounted)


def test_secrets_are_made_once_each_and_are_what_compose_wants(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        told = subprocess.run(
            ["sh", str(COMPOSE / "secrets.sh")], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return dict(line.split("=", 1) for line in told.stdout.splitlines())

    first = made()
    required = {name for name, rest in interpolated(MAIN.read_text()) if rest.startswith(":?")}
    assert set(first) == required
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in first.values())
    assert len(set(first.values())) == len(first)
    (tmp_path / ".env").write_text(
        "".join(f"{name}={value}\n" for name, value in first.items() if "VALKEY" not in name)
    )
    assert set(made()) == {"VALKEY_PASSWORD"}, "what is there already stays"


@contextmanager
def running(argv: list[str], env: dict[str, str], cwd: Path, user: int | None = None) -> Generator[None]:
    """A server for the block; one that is about to start, so whoever asks it asks until it answers."""
    with (cwd / "log").open("w") as log:
        launched = launch_argv(tuple(argv), signal.SIGKILL, user)
        with subprocess.Popen(launched, cwd=cwd, env=os.environ | env, stdout=log, stderr=log) as server:
            try:
                yield
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(60)


@slow
def test_valkey_lets_nobody_in_without_the_password(tmp_path: Path) -> None:
    """By the Redis at hand, with the script's fixed places moved into the test's folder."""
    port = free_port()
    text = (
        (COMPOSE / "valkey.sh")
        .read_text()
        .replace("/tmp/", f"{tmp_path}/")
        .replace("dir /data", f"dir {tmp_path}")
    )
    text = text.replace("port 6379", f"port {port}").replace("bind * -::*", "bind 127.0.0.1")
    (tmp_path / "valkey.sh").write_text(text)
    env = {"VALKEY_PASSWORD": "abc123", "VALKEY_SERVER": str(carried.program("redis-server"))}
    with running(["/bin/sh", str(tmp_path / "valkey.sh")], env, tmp_path):
        patient = Retry(ConstantBackoff(0.05), 600, supported_errors=(redis.ConnectionError,))
        with redis.Redis(port=port, password="abc123", retry=patient, decode_responses=True) as client:
            assert client.ping()
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0


ODD = 'it\'s \\ "odd" $HOME'
"""A password that a careless script would trip over."""


@slow
async def test_a_fresh_postgres_has_a_role_that_row_level_security_binds(tmp_path: Path) -> None:
    """As the image's entrypoint does it: initdb with our arguments, the script, then the one-shot service's command."""
    port, user = free_port(), 65534 if os.geteuid() == 0 else None
    told = services(MAIN)["postgres"]
    cluster, password = tmp_path / "cluster", tmp_path / "password"
    cluster.mkdir(mode=0o700)
    password.write_text("admin\n")
    if user is not None:
        os.chown(cluster, user, -1)
    initdb = (str(carried.postgres_program("initdb")), f"--pgdata={cluster}", "--username=aither_admin")
    initdb += (f"--pwfile={password}", *told["environment"]["POSTGRES_INITDB_ARGS"].split())
    subprocess.run(
        launch_argv(initdb, signal.SIGKILL, user), cwd=tmp_path, check=True, stdout=subprocess.DEVNULL
    )
    argv = [
        str(carried.postgres_program("postgres")),
        "-D",
        str(cluster),
        "-p",
        str(port),
        *told["command"][1:],
    ]
    argv += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    place: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    with running(argv, {}, tmp_path, user):
        admin = await _until_it_answers(place | {"user": "aither_admin", "password": "admin"})
        await admin.execute("create database aither")
        await admin.close()
        psql = Path(carried.postgres_program("psql")).parent
        env = {
            "PATH": f"{psql}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGPASSWORD": "admin",
        }
        env |= {"POSTGRES_USER": "aither_admin", "POSTGRES_DB": "aither", "POSTGRES_APP_PASSWORD": ODD}
        script = COMPOSE / "postgres" / "10-application-role.sh"
        subprocess.run(["sh", str(script)], env=os.environ | env, check=True)
        env = {"AITHER_ADMIN_DATABASE_URL": f"postgresql://aither_admin:admin@127.0.0.1:{port}/aither"}
        env["AITHER_DATABASE_URL"] = f"postgresql://aither_app:{quote(ODD, safe='')}@127.0.0.1:{port}/aither"
        migrate = services(MAIN)["migrate"]["command"][1:]
        for command in (migrate, migrate, ["db", "check"]):
            argv = [sys.executable, "-m", "api.cli.main", *command]
            done = subprocess.run(
                argv, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        await _is_bound(place | {"user": "aither_app", "password": ODD, "database": "aither"})


async def _is_bound(place: dict[str, Any]) -> None:
    connection = await asyncpg.connect(**place)
    try:
        row = await connection.fetchrow(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = current_user"
        )
        assert row is not None
        assert not any(row.values())
        assert await connection.fetchval("select count(*) from aither.turns") == 0
        for refused in ("create table public.mine (id int)", "create schema mine", "drop table aither.turns"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(refused)
    finally:
        await connection.close()


async def _until_it_answers(place: dict[str, Any]) -> "asyncpg.Connection[asyncpg.Record]":
    for _ in range(1200):
        try:
            return await asyncpg.connect(database="postgres", **place)
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.05)
    raise AssertionError("the server does not come up")
