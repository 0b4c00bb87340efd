"""Behind a pooler that gives each transaction another session: PgBouncer, as Supabase's pooler on port 6543."""

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from infra.embedded.postgres import APP
from infra.embedded.spawn import launch_argv
from infra.postgres.database import Connection, Database
from infra.postgres.keys import PostgresKeys
from tests.api.stores import HOST, PATIENCE_S, free_port
from tests.isolation.owners import APP_PASSWORD, Cluster

PROGRAM = shutil.which("pgbouncer") or os.environ.get("AITHER_TEST_PGBOUNCER", "")
SESSIONS = 3


@pytest.fixture
async def pooler(bare: Cluster, project: str) -> AsyncIterator[str]:
    """The DSN of the application's role behind it."""
    if not PROGRAM:
        pytest.skip("pgbouncer is not installed, nor named by AITHER_TEST_PGBOUNCER")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="aither-pooler-") as made:
        folder = Path(made)
        (folder / "users.txt").write_text(f'"{APP}" "{APP_PASSWORD}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{project} = host={HOST} port={bare.port}\n"
            f"[pgbouncer]\nlisten_addr={HOST}\nlisten_port={port}\nunix_socket_dir=\n"
            f"auth_type=plain\nauth_file={folder}/users.txt\npool_mode=transaction\ndefault_pool_size={SESSIONS}\n"
        )
        folder.chmod(0o755)
        # As root it does not run.
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        argv = launch_argv((PROGRAM, "-q", str(folder / "pgbouncer.ini")), signal.SIGKILL, user)
        server = await asyncio.create_subprocess_exec(*argv)
        dsn = bare.dsn(APP, project).replace(f":{bare.port}/", f":{port}/")
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await _answers(dsn):
                    await asyncio.sleep(0.05)
            yield dsn
        finally:
            server.terminate()
            await server.wait()


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
    except OSError:
        return False
    await connection.close()
    return True


async def test_many_tenants_at_once_over_a_few_sessions(pooler: str) -> None:
    async with Database.connect(pooler, 4 * SESSIONS, pooled=True) as rows:
        keys = PostgresKeys(rows)

        async def work(number: int) -> None:
            tenant = f"pooled-{number % 5}"
            made, secret = await keys.create(tenant, "test")
            for _ in range(5):
                caller = await PostgresKeys(rows).authenticate(secret)
                assert caller is not None
                assert (caller.tenant_id, caller.key_id) == (tenant, made.id)
                assert made.id in {each.id for each in await keys.list(tenant)}
                assert not await rows.run(_left)

        await asyncio.gather(*(work(number) for number in range(40)))


async def _left(connection: Connection) -> str:
    """The tenant that somebody else's transaction has left behind."""
    return await connection.fetchval("select coalesce(aither.current_tenant(), '')")
