"""A backup of the embedded stack, running or stopped: copies of its stores that fit together, in one archive.

The order is what makes them fit: a store that only repeats or shows what another one knows is copied before that
other. Redis (what readers were shown), Temporal (what is to be done), PostgreSQL (what was promised and answered),
Qdrant (what swarms have done). So a workflow of the copy may do again what had been done, and finds it recorded, while
nothing that it believes to be recorded can be missing. The other way round, an answer could be lost.
"""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from infra.embedded import passwords, postgres, state
from infra.embedded.archive import FORMAT, Manifest, measured, pack
from infra.embedded.layout import Layout
from infra.embedded.standby import HOST, PostgresFailed, run_program, standing_by
from infra.embedded.state import Lock, Phase, StackState

ROLES = "postgres/roles.sql"
DUMP = "postgres/aither.dump"
TEMPORAL = "temporal/temporal.db"
REDIS = "redis/appendonly.aof"
QDRANT = "qdrant/"
MODELS = "models/"
CONFIGURATION = "aither.toml"
PRIVATE = ("secrets.json", "credentials.json")

CopyMemory = Callable[[str], Awaitable[None]]
"""Has the worker that has memory open copy it to `Layout.memory_copy` of that name. Raises `BackupFailed`."""


class BackupFailed(Exception):
    """There is no backup; says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a backup is to hold beside the stores. `copy_memory` is called only where a worker has memory open."""

    models_dir: Path
    with_models: bool
    configuration: Path | None
    copy_memory: CopyMemory


async def back_up(layout: Layout, target: Path, wanted: Wanted) -> Manifest:
    """Makes the archive at `target`, which must not exist. Raises `BackupFailed`; then there is none.

    A stopped stack cannot be started while this goes on.
    """
    _check_places(layout, target)
    lock = Lock(layout)
    live = None if lock.take() else _running(layout)
    try:
        with tempfile.TemporaryDirectory(prefix=".aither-backup-", dir=target.parent) as folder:
            return await _collected(layout, live, target, Path(folder), wanted)
    except (OSError, sqlite3.Error, PostgresFailed) as error:
        raise BackupFailed(str(error)) from error
    finally:
        lock.release()


def _check_places(layout: Layout, target: Path) -> None:
    if not layout.run_dir.is_dir():
        raise BackupFailed(f"there is no installation in {layout.root}: `aither up` makes one")
    if os.path.lexists(target):
        raise BackupFailed(f"{target} is there already, and is not replaced")
    if not target.parent.is_dir():
        raise BackupFailed(f"there is no directory {target.parent}")


def _running(layout: Layout) -> StackState:
    seen = state.read(layout)
    if seen is None or not seen.running or seen.phase is not Phase.UP:
        raise BackupFailed(f"the stack in {layout.root} is about to start or to stop; try again in a moment")
    return seen


async def _collected(
    layout: Layout, live: StackState | None, target: Path, folder: Path, wanted: Wanted
) -> Manifest:
    files: dict[str, Path] = {}
    _keep(files, REDIS, copied_log(layout.redis_dir / "appendonly.aof", folder / "redis.aof"))
    temporal_at = datetime.now(UTC)
    _keep(files, TEMPORAL, copied_database(layout.temporal_dir / "temporal.db", folder / "temporal.db"))
    migrations = tuple[int, ...]()
    if (layout.postgres_dir / "PG_VERSION").exists():
        files[ROLES], files[DUMP] = folder / "roles.sql", folder / "aither.dump"
        async with _postgres(layout, live) as (host, port):
            migrations = await _dumped(layout, host, port, files[ROLES], files[DUMP])
    await _copy_qdrant(layout, folder, files, wanted.copy_memory)
    for name in PRIVATE:
        _keep(files, name, layout.root / name)
    _keep(files, CONFIGURATION, wanted.configuration)
    models = {
        str(path.relative_to(wanted.models_dir)): path.stat().st_size for path in _files(wanted.models_dir)
    }
    if wanted.with_models:
        files |= {MODELS + name: wanted.models_dir / name for name in models}
    manifest = Manifest(
        format=FORMAT,
        product=version("aither"),
        made_at=datetime.now(UTC),
        live=live is not None,
        migrations=migrations,
        temporal_at=temporal_at if TEMPORAL in files else None,
        members=measured(files),
        models=models,
    )
    pack(target, manifest, files)
    return manifest


def _keep(files: dict[str, Path], name: str, path: Path | None) -> None:
    if path is not None and path.exists():
        files[name] = path


def copied_log(log: Path, target: Path) -> Path | None:
    """A copy of Redis' log up to now. What is appended meanwhile is left out, and a cut last entry Redis leaves out."""
    if not log.exists():
        return None
    with log.open("rb") as source, target.open("wb") as copy:
        left = os.fstat(source.fileno()).st_size
        while left > 0 and (chunk := source.read(min(left, 1 << 20))):
            copy.write(chunk)
            left -= len(chunk)
    return target


def copied_database(database: Path, target: Path) -> Path | None:
    """A copy of Temporal's SQLite file as of one moment, while the server goes on writing. Raises `sqlite3.Error`."""
    if not database.exists():
        return None
    with (
        closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=30)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    return target


@asynccontextmanager
async def _postgres(layout: Layout, live: StackState | None) -> AsyncGenerator[tuple[str, int]]:
    """Where the cluster is served: by the running stack, or for the block."""
    if live is not None and any(part.name == "postgres" for part in live.parts):
        yield live.host, live.ports["postgres"]
        return
    async with standing_by(layout, passwords.load_or_make(layout)) as port:
        yield HOST, port


async def _dumped(layout: Layout, host: str, port: int, roles: Path, dump: Path) -> tuple[int, ...]:
    """Writes roles and database, which is as of one moment; the migrations that it has had."""
    password = passwords.load_or_make(layout).postgres_admin

    async def run(name: str, *arguments: str) -> bytes:
        return await run_program(name, *arguments, host=host, port=port, password=password)

    await run("pg_dumpall", "--roles-only", f"--file={roles}")
    await run(
        "pg_dump",
        "--format=custom",
        "--compress=0",
        "--create",
        f"--file={dump}",
        "--dbname",
        postgres.DATABASE,
    )
    numbers = await run(
        "psql",
        *("--no-psqlrc", "--tuples-only", "--no-align", "--dbname", postgres.DATABASE),
        *("--command", "select number from aither_ops.migrations order by number"),
    )
    return tuple(int(number) for number in numbers.split())


async def _copy_qdrant(layout: Layout, folder: Path, files: dict[str, Path], ask: CopyMemory) -> None:
    """Copies it directly where no process has it open, and has the one that has do so otherwise."""
    if not layout.qdrant_dir.is_dir():
        return
    copy = folder / "qdrant"
    descriptor = os.open(layout.qdrant_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.copytree(layout.qdrant_dir, copy, ignore=shutil.ignore_patterns("lock", "*.draft"))
    except BlockingIOError:
        name = os.urandom(8).hex()
        place = layout.memory_copy(name)
        try:
            await ask(name)
            shutil.move(place, copy)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(descriptor)
    files |= {QDRANT + str(path.relative_to(copy)): path for path in _files(copy)}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
