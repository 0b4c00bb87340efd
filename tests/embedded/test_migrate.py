"""Migrations: in order, each once, never one that has changed, and all of one or nothing."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from infra.postgres.migrate import Connection, MigrationError, migrate, read
from tests.support.stack import Stack

pytestmark = pytest.mark.stack


class Folder:
    """A folder of migrations."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, sql: str) -> None:
        (self.path / name).write_text(sql)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("001_first.sql", "create table first (id integer);")
    made.write("002_second.sql", "alter table first add column name text; create view second as table first;")
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def dsn(small: Stack) -> AsyncGenerator[str]:
    """An empty database."""
    name = f"migrate_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(small.admin_dsn)
    try:
        await admin.execute(f"create database {name}")
        yield small.admin_dsn.rpartition("/")[0] + f"/{name}"
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@pytest_asyncio.fixture(loop_scope="session")
async def connection(dsn: str) -> AsyncGenerator[Connection]:
    opened = await asyncpg.connect(dsn)
    yield opened
    await opened.close()


async def test_each_is_applied_once_and_in_order(connection: Connection, folder: Folder) -> None:
    assert await migrate(connection, folder.path) == ["001_first.sql", "002_second.sql"]
    assert await migrate(connection, folder.path) == []
    folder.write("003_third.sql", "create table third (id integer)")
    assert await migrate(connection, folder.path) == ["003_third.sql"]


async def test_a_changed_one_is_an_error_that_names_it(connection: Connection, folder: Folder) -> None:
    await migrate(connection, folder.path)
    folder.write("001_first.sql", "create table first (id bigint);")
    with pytest.raises(MigrationError, match=r"001_first\.sql has changed"):
        await migrate(connection, folder.path)


async def test_a_failing_one_leaves_nothing_and_says_where(connection: Connection, folder: Folder) -> None:
    folder.write("003_third.sql", "create table third (id integer);\nselect nonsense;")
    with pytest.raises(MigrationError, match=r"003_third\.sql failed.*nonsense.*line 2"):
        await migrate(connection, folder.path)
    assert await connection.fetchval("select to_regclass('third')") is None
    assert await connection.fetchval("select max(number) from aither_ops.migrations") == 2


async def test_one_from_a_newer_version_is_an_error(connection: Connection, folder: Folder) -> None:
    await migrate(connection, folder.path)
    (folder.path / "002_second.sql").unlink()
    with pytest.raises(MigrationError, match=r"has had 002_second\.sql"):
        await migrate(connection, folder.path)


async def test_one_that_comes_too_late_is_an_error(connection: Connection, folder: Folder) -> None:
    folder.write("004_fourth.sql", "select 1")
    await migrate(connection, folder.path)
    folder.write("003_third.sql", "select 1")
    with pytest.raises(MigrationError, match=r"003_third\.sql comes before 004_fourth\.sql"):
        await migrate(connection, folder.path)


async def test_two_at_once_take_turns(dsn: str, folder: Folder) -> None:
    opened = [await asyncpg.connect(dsn) for _ in range(3)]
    try:
        applied = await asyncio.gather(*(migrate(one, folder.path) for one in opened))
    finally:
        for one in opened:
            await one.close()
    assert sorted(map(len, applied)) == [0, 0, 2]


async def test_the_application_sees_no_migrations_and_escapes_no_policy(small: Stack) -> None:
    app = await asyncpg.connect(small.app_dsn)
    try:
        role = await app.fetchrow(
            "select rolsuper, rolbypassrls, rolcreatedb from pg_roles where rolname = current_user"
        )
        assert role is not None
        assert not any(role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch("select * from aither_ops.migrations")
    finally:
        await app.close()


def test_names_and_numbers_are_checked(tmp_path: Path) -> None:
    (tmp_path / "1_bad.sql").touch()
    with pytest.raises(MigrationError, match="NNN_what_it_does"):
        read(tmp_path)
    (tmp_path / "1_bad.sql").unlink()
    (tmp_path / "001_one.sql").touch()
    (tmp_path / "001_uno.sql").touch()
    with pytest.raises(MigrationError, match="same number"):
        read(tmp_path)
