"""A backup of a running stack: copies that fit together, whatever is written meanwhile."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from infra.embedded import backup, passwords, postgres
from infra.embedded.archive import read_manifest
from infra.embedded.backup import BackupFailed, Wanted, back_up
from infra.embedded.layout import Layout
from infra.embedded.standby import HOST, standing_by
from infra.qdrant.local import LocalQdrant
from infra.qdrant.points import Index, Point, Schema, Where, point_id
from tests.support.stack import Stack

pytestmark = pytest.mark.stack

SCHEMA = Schema(name="written", dimensions=None, indexes={"number": Index.INTEGER})


async def nobody(name: str) -> None:
    raise BackupFailed("nobody has memory open")


def wanted(
    layout: Layout,
    ask: Callable[[str], Awaitable[None]] = nobody,
    *,
    models_dir: Path | None = None,
    configuration: Path | None = None,
) -> Wanted:
    return Wanted(
        models_dir=models_dir or layout.root / "models",
        with_models=False,
        configuration=configuration,
        copy_memory=ask,
    )


class Writer:
    """Does what an installation does, as fast as it can: promises, works, shows; then promises the next.

    PostgreSQL has every number before Temporal's file, that before Redis, and Qdrant has it last of all.
    """

    def __init__(self, stack: Stack, local: LocalQdrant) -> None:
        self._stack, self._local = stack, local
        self.written = 0
        self._more = asyncio.Condition()

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write(stop))
            yield
            stop.set()

    async def reaches(self, number: int) -> None:
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: self.written >= number)

    async def _write(self, stop: asyncio.Event) -> None:
        points = await self._local.collection(SCHEMA)
        promised = await asyncpg.connect(self._stack.admin_dsn)
        clients: Any = redis.Redis
        with (
            closing(sqlite3.connect(self._stack.layout.root / backup.TEMPORAL)) as work,
            clients.from_url(self._stack.redis_url) as shown,
        ):
            work.execute("pragma journal_mode=wal")
            work.execute("create table work (number integer)")
            await promised.execute("create table public.promised (number integer)")
            while not stop.is_set():
                number = self.written + 1
                await promised.execute("insert into public.promised values ($1)", number)
                work.execute("insert into work values (?)", (number,))
                work.commit()
                shown.xadd("shown", {"number": number})
                if number % 20 == 1:
                    await points.add([Point(id=point_id(str(number)), payload={"number": number})], over=True)
                async with self._more:
                    self.written = number
                    self._more.notify_all()
        await promised.execute("drop table public.promised")
        await promised.close()


async def test_the_copies_of_a_running_stack_fit_together(small: Stack, tmp_path: Path) -> None:
    layout, root = small.layout, Layout(tmp_path / "restored")
    archive = tmp_path / "backup.tar.gz"
    (tmp_path / "aither.toml").write_text("# mine\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "big.gguf").write_bytes(b"weights")
    async with LocalQdrant.opened(layout.qdrant_dir) as local:
        writer = Writer(small, local)
        async with writer.at_work():
            await writer.reaches(50)
            before = writer.written

            async def ask(name: str) -> None:
                await local.copy(layout.memory_copy(name))

            beside = wanted(
                layout, ask, models_dir=tmp_path / "models", configuration=tmp_path / "aither.toml"
            )
            manifest = await back_up(layout, archive, beside)
            await writer.reaches(writer.written + 50)
    assert manifest.live
    assert manifest.models == {"big.gguf": 7}
    assert "models/big.gguf" not in manifest.members
    assert {"secrets.json", "credentials.json", "aither.toml"} <= manifest.members.keys()
    assert manifest.migrations == read_manifest(archive).migrations
    assert len(manifest.migrations) > 10
    said = await asyncio.to_thread(
        small.aither, "restore", str(archive), "--data-dir", str(root.root), timeout=120
    )
    assert "files of models are not in it, such as big.gguf" in said
    assert stat.S_IMODE(root.secrets_file.stat().st_mode) == 0o600
    assert root.secrets_file.read_bytes() == layout.secrets_file.read_bytes()
    with closing(sqlite3.connect(root.root / backup.TEMPORAL)) as work:
        (worked,) = work.execute("select max(number) from work").fetchone()
    log = (root.root / backup.REDIS).read_bytes()
    shown = max(n for n in range(1, writer.written + 1) if b"\r\n%d\r\n" % n in log[log.index(b"shown") :])
    async with restored(root) as connection:
        promised: int = await connection.fetchval("select max(number) from public.promised")
        assert await connection.fetchval("select count(*) from public.promised") == promised
    async with LocalQdrant.opened(root.qdrant_dir) as copy:
        points = await copy.collection(SCHEMA)
        kept = await points.count(Where())
    # Whoever repeats or shows is never ahead of whoever promised.
    assert before <= shown <= worked <= promised < writer.written
    assert kept >= (promised - 1) // 20

    # What was restored can be backed up in turn, at rest and without anybody's help.
    again = await back_up(root, tmp_path / "again.tar.gz", wanted(root))
    assert not again.live
    assert again.migrations == manifest.migrations
    assert any(name.startswith("qdrant/written/") for name in again.members)
    (layout.root / backup.TEMPORAL).unlink()


@asynccontextmanager
async def restored(layout: Layout) -> "AsyncGenerator[asyncpg.Connection[asyncpg.Record]]":
    """The restored database, as the application sees it: its own password lets it in."""
    secrets = passwords.load_or_make(layout)
    async with standing_by(layout, secrets) as port:
        app = await asyncpg.connect(postgres.dsn(postgres.APP, secrets.postgres_app, HOST, port))
        assert await app.fetchval("select count(*) from aither.turns") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch("select * from aither_ops.migrations")
        await app.close()
        connection = await asyncpg.connect(postgres.dsn(postgres.ADMIN, secrets.postgres_admin, HOST, port))
        try:
            yield connection
        finally:
            await connection.close()


async def test_what_cannot_be_backed_up_is_said_and_leaves_nothing(small: Stack, tmp_path: Path) -> None:
    empty = Layout(tmp_path / "empty")
    with pytest.raises(BackupFailed, match="aither up"):
        await back_up(empty, tmp_path / "x.tar.gz", wanted(empty))
    taken = tmp_path / "taken.tar.gz"
    taken.write_text("mine")
    with pytest.raises(BackupFailed, match="is there already"):
        await back_up(small.layout, taken, wanted(small.layout))
    async with LocalQdrant.opened(small.layout.qdrant_dir):
        with pytest.raises(BackupFailed, match="nobody has memory open"):
            await back_up(small.layout, tmp_path / "x.tar.gz", wanted(small.layout))
    assert taken.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["taken.tar.gz"]
    assert not list(small.layout.run_dir.glob("memory-*"))


async def test_a_running_stack_is_not_restored_over(small: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    said = await asyncio.to_thread(small.aither, "backup", str(archive))
    assert "of the running stack" in said
    assert "keep it as safe as the data" in said
    assert not any(secret in said for secret in (small.api_key, small.redis_url))
    before = small.state
    with pytest.raises(AssertionError, match=r"exit 1\n.*is running: stop it with `aither down` first"):
        await asyncio.to_thread(small.aither, "restore", str(archive), "--force")
    assert small.state.supervisor == before.supervisor
    assert small.state.running
