"""The embedded PostgreSQL: its cluster, its settings, its roles."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from infra.embedded import carried, probes
from infra.embedded.layout import Layout
from infra.embedded.parts import Part, Probe
from infra.embedded.passwords import Passwords, scram_verifier
from infra.embedded.processes import ProcessId, identify

if TYPE_CHECKING:
    import asyncpg

ADMIN = "aither_admin"
"""Owns the schema and sees all tenants; only migrations and `up` itself connect as it."""
APP = "aither_app"
"""What the API and the workers connect as; row-level security binds it."""
DATABASE = "aither"
MIGRATIONS = Path(__file__).parent.parent / "sql"

SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_worker_processes": "4",
    "jit": "off",
    # Workers for I/O are processes that a small box can do without.
    "io_method": "sync",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


def dsn(user: str, password: str, host: str, port: int) -> str:
    """How `user` connects."""
    return f"postgresql://{user}:{password}@{host}:{port}/{DATABASE}"


def postgres_part(layout: Layout, host: str, port: int, passwords: Passwords) -> Part:
    """The server, in the foreground. It comes up with its roles and with all migrations applied."""
    data = layout.postgres_dir
    settings = {"listen_addresses": host, "port": str(port), **SETTINGS}
    admin_dsn = dsn(ADMIN, passwords.postgres_admin, host, port)

    async def before() -> None:
        if not (data / "PG_VERSION").exists():
            await make_cluster(data, passwords.postgres_admin)
        await asyncio.to_thread(_clear_stale_postmaster, data)

    async def after() -> None:
        await make_roles_and_schema(admin_dsn, passwords.postgres_app)

    return Part(
        name="postgres",
        title="PostgreSQL",
        argv=(
            str(carried.postgres_program("postgres")),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        cwd=layout.root,
        user_id=_server_user(data),
        port=port,
        ready=accepts_logins(host, port),
        before=before,
        after=after,
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
    )


def accepts_logins(host: str, port: int) -> Probe:
    """Up when the server asks for a password, which it does not do while it recovers."""
    body = struct.pack("!i", 196608) + f"user\0{ADMIN}\0database\0postgres\0\0".encode()
    hello = struct.pack("!i", len(body) + 4) + body

    async def probe() -> bool:
        return await probes.exchange(host, port, hello, 1) == b"R"

    return probe


async def make_cluster(data: Path, admin_password: str) -> None:
    """Makes a new cluster beside its place and moves it there whole, so that a cut attempt leaves nothing."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    secret = fresh.with_name("postgres.password")
    descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(admin_password + "\n")
    user = _server_user(data)
    if user is not None:
        os.chown(fresh, user, -1)
        os.chown(secret, user, -1)
    try:
        await _initdb(fresh, secret, user)
    finally:
        secret.unlink()
    fresh.rename(data)


async def _initdb(data: Path, password_file: Path, user: int | None) -> None:
    from infra.embedded.spawn import launch_argv

    argv = (
        str(carried.postgres_program("initdb")),
        f"--pgdata={data}",
        f"--username={ADMIN}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
    )
    process = await asyncio.create_subprocess_exec(
        *launch_argv(argv, signal.SIGKILL, user),
        cwd=data.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"initdb failed: {said.decode(errors='replace').strip()}")


async def make_roles_and_schema(admin_dsn: str, app_password: str) -> None:
    """Makes the database and the application's role where they are missing, then applies the migrations."""
    import asyncpg

    from infra.postgres.migrate import migrate

    try:
        connection = await asyncpg.connect(admin_dsn, timeout=10)
    except asyncpg.InvalidCatalogNameError:
        first = await asyncpg.connect(admin_dsn, database="postgres", timeout=10)
        try:
            await first.execute(f"create database {DATABASE}")
        finally:
            await first.close()
        connection = await asyncpg.connect(admin_dsn, timeout=10)
    try:
        await _make_app_role(connection, app_password)
        await migrate(connection, MIGRATIONS)
    finally:
        await connection.close()


async def _make_app_role(connection: "asyncpg.Connection[asyncpg.Record]", password: str) -> None:
    exists = await connection.fetchval(
        "select rolpassword is not null from pg_authid where rolname = $1", APP
    )
    if exists:
        return
    if exists is None:
        await connection.execute(f"create role {APP} nosuperuser nobypassrls")
    await connection.execute(f"alter role {APP} login password '{scram_verifier(password)}'")
    await connection.execute(f"grant connect on database {DATABASE} to {APP}")


def _server_user(data: Path) -> int | None:
    """Whom the server runs as: the cluster's owner, or else the least of the users that are there.

    PostgreSQL refuses to run as root; anybody else runs it as themselves (None).
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        owner = data.stat().st_uid
        if owner != 0:
            return owner
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise RuntimeError("PostgreSQL does not run as root, and there is no user `nobody` to run it as")


def _clear_stale_postmaster(data: Path) -> None:
    """Stops a server that an earlier run left on this cluster, and removes a pid file that lies.

    The server itself trusts the pid alone, and refuses to start when another process has it by now.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    left = _postmaster_at(pid, data)
    if left:
        left.stop(signal.SIGQUIT, 10)
    pid_file.unlink(missing_ok=True)


def _postmaster_at(pid: int, data: Path) -> ProcessId | None:
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/cwd").resolve() == data.resolve():
            return identify(pid)
    return None
