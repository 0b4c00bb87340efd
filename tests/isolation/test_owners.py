"""The same migrations under every kind of owner and by both command lines."""

import re
from pathlib import Path

import asyncpg
import pytest

from infra.embedded.postgres import ADMIN, APP
from infra.postgres.app_role import RoleError, admit
from infra.postgres.database import Database, StoreUnavailable
from infra.postgres.keys import PostgresKeys
from infra.postgres.migrate import FOLDER, MigrationError, Standing, entries, migrate, read
from infra.postgres.schema_check import findings
from infra.postgres.supabase_layout import FILE_NAME, SUPABASE, tell_supabase, wrapped, write
from infra.postgres.tenants import PostgresTenants
from tests.isolation.owners import BOUND_OWNER, OUTSIDERS, SUPABASE_OWNER, Cluster
from tests.isolation.pushing import push, split


def test_supabases_folder_says_what_ours_says() -> None:
    """Run `python -m infra.postgres.supabase_layout` where this fails."""
    files = sorted(SUPABASE.glob("*.sql"))
    assert [match[2] + ".sql" for path in files if (match := FILE_NAME.fullmatch(path.name))] == [
        migration.name for migration in read(FOLDER)
    ]
    for path, migration in zip(files, read(FOLDER), strict=True):
        text = path.read_text()
        assert text == wrapped(migration), path.name
        assert migration.sql.rstrip() == text.split("$aither_migration$")[1].strip("\n")


def test_a_migration_is_one_statement_to_supabases_command_line() -> None:
    for migration in read(FOLDER):
        [statement] = split(wrapped(migration))
        assert statement.startswith("-- Written by") and statement.endswith("end $aither$")
    # As they are they would be cut: `aither.spend` ends in what ends a function's body.
    whole = (FOLDER / "002_ladder.sql").read_text()
    assert any(part.endswith("and s.kind = 'settled'") for part in split(whole))


def test_a_new_migration_comes_after_those_that_are_there(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "sql", tmp_path / "migrations"
    ours.mkdir()
    (ours / "001_one.sql").write_text("select 1;\n")
    (ours / "002_two.sql").write_text("select 2;\n")
    [first, second] = write(theirs, ours)
    assert write(theirs, ours) == []
    (ours / "003_three.sql").write_text("select 3;\n")
    [third] = write(theirs, ours)
    assert first < second < third
    (ours / "001_one.sql").write_text("select '$aither$';\n")
    with pytest.raises(MigrationError, match=r"001_one\.sql"):
        write(theirs, ours)


async def test_what_supabase_has_pushed_is_known_to_us_and_the_other_way_round(
    bare: Cluster, project: str
) -> None:
    async with bare.open(SUPABASE_OWNER, project) as owner:
        stand = await entries(owner)
        assert {each.standing for each in stand} == {Standing.APPLIED}
        assert await migrate(owner) == []
        assert await push(owner, SUPABASE) == []
        # What we apply is in its history, so that its next push finds nothing to do.
        undone = owner.transaction()
        await undone.start()
        await owner.execute("delete from supabase_migrations.schema_migrations")
        assert await tell_supabase(owner, [each.name for each in stand]) == len(stand)
        assert await push(owner, SUPABASE) == []
        await undone.rollback()


@pytest.mark.parametrize("database", ["project", "bound"])
async def test_the_application_works_whoever_owns_the_schema(
    bare: Cluster, database: str, project: str, bound: str
) -> None:
    del project, bound
    async with bare.open(APP, database) as app:
        assert await findings(app) == []
    async with Database.connect(bare.dsn(APP, database), 2) as rows:
        keys = PostgresKeys(rows)
        for tenant in ("left", "right"):
            made, secret = await keys.create(tenant, "test")
            caller = await keys.authenticate(secret)
            assert caller is not None
            assert (caller.tenant_id, caller.key_id) == (tenant, made.id)
        assert {"left", "right"} <= {each.id for each in await PostgresTenants(rows).list()}
        assert len(await keys.list("left")) == 1
        await rows.run(lambda c: c.fetch("select * from aither.due_turns(10)"))
        await rows.run(lambda c: c.fetch("select * from aither.due_approvals(10)"))


@pytest.mark.parametrize(
    ("role", "database"), [(SUPABASE_OWNER, "project"), (BOUND_OWNER, "bound"), (ADMIN, "bound")]
)
async def test_nobody_works_as_a_role_that_sees_all_tenants(
    bare: Cluster, role: str, database: str, project: str, bound: str
) -> None:
    del project, bound
    for lazy in (False, True):
        with pytest.raises(StoreUnavailable, match=f"does not bind the database role {role}"):
            async with Database.connect(bare.dsn(role, database), 1, lazy=lazy) as rows:
                await rows.run(lambda c: c.fetchval("select 1"))


@pytest.mark.parametrize("who", OUTSIDERS)
async def test_a_projects_own_roles_have_no_business_here(bare: Cluster, project: str, who: str) -> None:
    async with bare.open(ADMIN, project) as admin:
        for schema in ("aither", "aither_ops"):
            for what in ("usage", "create"):
                assert not await admin.fetchval(
                    "select has_schema_privilege($1::name, $2, $3)", who, schema, what
                )
        held = await admin.fetch(
            "select c.oid::regclass::text as what from pg_class c where c.relnamespace::regnamespace::text ~ '^aither'"
            " and c.relkind in ('r', 'v') and has_table_privilege($1::name, c.oid,"
            " 'select, insert, update, delete, truncate, references, trigger')"
            " union all select p.oid::regprocedure::text from pg_proc p"
            " where p.pronamespace::regnamespace::text ~ '^aither'"
            " and has_function_privilege($1::name, p.oid, 'execute')",
            who,
        )
        assert [row["what"] for row in held] == []
        async with admin.transaction():
            await admin.execute(f'set local role {who}; set local request.jwt.claims = \'{{"sub": "x"}}\'')
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with admin.transaction():
                    await admin.fetch("select * from aither.turns")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await admin.fetch("select aither.current_tenant()")


async def test_only_who_may_gives_the_role_its_login(bare: Cluster, bound: str) -> None:
    async with bare.open(BOUND_OWNER, bound) as owner, bare.open(ADMIN, bound) as admin:
        dsn = bare.dsn(APP, bound)
        # It can log in already, with the password that it has.
        assert await admit(owner, dsn) == ""
        assert await admit(owner, dsn.replace(APP, "somebody_else")) == ""
        await admin.execute(f"alter role {APP} nologin")
        try:
            with pytest.raises(RoleError, match="as a superuser") as refused:
                await admit(owner, dsn)
            assert "own" not in re.sub("owner", "", str(refused.value))
        finally:
            await admin.execute(f"alter role {APP} login")
