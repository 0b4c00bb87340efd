"""Makes a data directory from a backup: beside its place, and moved there once it is whole."""

import asyncio
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import asyncpg

from infra.embedded import backup, passwords, postgres
from infra.embedded.archive import ArchiveError, Manifest, read_manifest, unpack
from infra.embedded.layout import Layout
from infra.embedded.standby import HOST, PostgresFailed, run_program, standing_by
from infra.embedded.state import Lock
from infra.postgres import migrate

UNPACKED = "unpacked"
TOLD_BEFORE = timedelta(seconds=1)
"""Two processes' clocks on one machine differ by less."""


class RestoreFailed(Exception):
    """Nothing was restored, and what was there is as it was; says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored, and where what had been there before is now."""

    manifest: Manifest
    aside: Path | None


async def restore(archive: Path, root: Path, *, force: bool) -> Restored:
    """Makes the data directory `root` from the archive; with `force` one that is there is moved aside.

    Nothing is started. Raises `RestoreFailed`.
    """
    try:
        manifest = read_manifest(archive)
        _check_age(manifest, archive)
        with _place(root, force=force) as occupied:
            folder = Path(tempfile.mkdtemp(prefix=f".{root.name}.restoring-", dir=root.parent))
            try:
                await _fill(archive, Layout(folder))
                aside = _swapped(folder, root, occupied=occupied)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except (ArchiveError, PostgresFailed, asyncpg.PostgresError, OSError, sqlite3.Error) as error:
        raise RestoreFailed(str(error)) from error
    return Restored(manifest=manifest, aside=aside)


def _check_age(manifest: Manifest, archive: Path) -> None:
    known = {migration.number for migration in migrate.read(migrate.FOLDER)}
    ours = version("aither")
    if _numbers(manifest.product) > _numbers(ours) or not known.issuperset(manifest.migrations):
        raise RestoreFailed(
            f"{archive} is of version {manifest.product}, newer than this one ({ours}): restore it by that version"
        )


def _numbers(product: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", product)))


@contextmanager
def _place(root: Path, *, force: bool) -> Generator[bool]:
    """Whether something is at the place, which no stack uses within the block."""
    root.parent.mkdir(parents=True, exist_ok=True)
    occupied = root.exists() and any(root.iterdir())
    if not occupied:
        yield False
        return
    layout = Layout(root)
    if not layout.run_dir.is_dir():
        if not force:
            raise RestoreFailed(
                f"{root} is not empty: give another directory, or --force to move this one aside"
            )
        yield True
        return
    lock = Lock(layout)
    if not lock.take():
        raise RestoreFailed(f"the stack in {root} is running: stop it with `aither down` first")
    try:
        if not force:
            raise RestoreFailed(
                f"{root} is not empty: give another directory, or --force to move this one aside"
            )
        yield True
    finally:
        lock.release()


def _swapped(folder: Path, root: Path, *, occupied: bool) -> Path | None:
    """Moves the folder to its place; where to what was there has been moved."""
    if not occupied:
        folder.rename(root)
        return None
    aside = root.with_name(f"{root.name}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    root.rename(aside)
    try:
        folder.rename(root)
    except OSError:
        aside.rename(root)
        raise
    return aside


async def _fill(archive: Path, layout: Layout) -> None:
    """Unpacks the archive and makes the stores from it."""
    unpacked = layout.root / UNPACKED
    manifest = await asyncio.to_thread(unpack, archive, unpacked)
    for name in ("temporal", "redis", "qdrant", "models", backup.CONFIGURATION, *backup.PRIVATE):
        if (unpacked / name).exists():
            (unpacked / name).rename(layout.root / name)
    layout.make()
    if backup.TEMPORAL in manifest.members:
        _check_database(layout.root / backup.TEMPORAL)
    if backup.DUMP in manifest.members:
        await _fill_postgres(layout, manifest, unpacked)
    shutil.rmtree(unpacked)


def _check_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        (verdict,) = database.execute("pragma quick_check").fetchone()
    if verdict != "ok":
        raise RestoreFailed(f"the copy of Temporal's database is not sound: {verdict}")


async def _fill_postgres(layout: Layout, manifest: Manifest, unpacked: Path) -> None:
    secret = passwords.load_or_make(layout).postgres_admin
    roles, dump = unpacked / backup.ROLES, unpacked / backup.DUMP
    # The owner is there already: whoever makes the cluster.
    lines = [line for line in roles.read_text().splitlines() if line != f"CREATE ROLE {postgres.ADMIN};"]
    roles.write_text("\n".join(lines) + "\n")
    async with standing_by(layout, passwords.load_or_make(layout)) as port:

        async def run(name: str, *arguments: str) -> None:
            await run_program(name, *arguments, host=HOST, port=port, password=secret)

        await run(
            "psql",
            *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=postgres", f"--file={roles}"),
        )
        await run("pg_restore", "--exit-on-error", "--create", "--dbname=postgres", str(dump))
        connection = await asyncpg.connect(postgres.dsn(postgres.ADMIN, secret, HOST, port))
        try:
            rows = await connection.fetch("select number from aither_ops.migrations order by number")
            if tuple(row["number"] for row in rows) != manifest.migrations:
                raise RestoreFailed("the restored database is not the one that the manifest tells of")
            if manifest.temporal_at is not None:
                await _tell_again(connection, manifest.temporal_at - TOLD_BEFORE)
        finally:
            await connection.close()


async def _tell_again(connection: "asyncpg.Connection[asyncpg.Record]", since: datetime) -> None:
    """Has the sweep tell decisions anew of which Temporal's copy, being older, has not heard."""
    for table in ("approval_waiters", "approvals"):
        await connection.execute(f"update aither.{table} set told_at = null where told_at >= $1", since)  # noqa: S608
