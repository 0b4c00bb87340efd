"""For every table and every operation, as the application in SQL: nothing of another tenant's is there.

The tables come from the catalogue, and so do the rows: a new table is looked at with the rest.
"""

import json
from collections.abc import Iterable
from typing import Any

import asyncpg
import pytest

from infra.embedded.postgres import APP
from infra.postgres.house import HOUSE
from infra.postgres.migrate import Connection
from tests.isolation.filling import SECRET, Table, insert
from tests.isolation.ground import MINE, THEIRS, Ground, digests

EVERYWHERE = {
    "api_keys": {("secret_sha256",): "a digest of 256 random bits, or of nothing"},
    "approvals": {("id",): "80 random bits, or a digest over a random id"},
    "webhook_endpoints": {("id",): "80 random bits"},
    "telegram_codes": {("sha256",): "a digest of a random code"},
    "telegram_buttons": {("id",): "122 random bits"},
    "telegram_messages": {
        ("bot_id", "chat_id", "message_id"): "Telegram's own; a chat is a person's or a group's"
    },
    "tenants": {("id",): "names of tenants are the house's to give"},
}
"""Keys that are unique among all tenants, so that a clash tells that one is there: each can only be guessed."""
DENIED = (asyncpg.InsufficientPrivilegeError,)


def owned(tables: Iterable[Table]) -> list[Table]:
    found = list(tables)
    assert len(found) > 25
    return found


def test_a_table_is_a_tenants_or_is_known_as_the_houses(ground: Ground) -> None:
    assert set(HOUSE) <= set(ground.filler.tables), "the list names tables that are not there"
    for name, table in ground.filler.tables.items():
        columns = {column.name for column in table.columns}
        if name in HOUSE:
            assert not columns & {"tenant_id", "scope"}, f"{name} names a tenant, and is not bound to it"
            assert not [r for r in table.references if r.to not in HOUSE], f"{name} points at tenants' rows"
            assert HOUSE[name].why
        else:
            assert table.owner in columns, (
                f"{name} is neither bound to a tenant nor listed in infra.postgres.house"
            )


async def test_there_is_something_to_see(ground: Ground) -> None:
    async with ground.admin() as admin:
        for table in owned(ground.tenants_tables):
            for tenant in (MINE, THEIRS):
                count = f"select count(*) from aither.{table.name} where {table.owner} = $1"
                assert await admin.fetchval(count, tenant) == 1, table.name


async def test_without_a_tenant_there_is_nothing(ground: Ground) -> None:
    for tenant in (None, "", "nobody"):
        async with ground.app(tenant) as app:
            for table in owned(ground.tenants_tables):
                assert await app.fetchval(f"select count(*) from aither.{table.name}") == 0, table.name


async def test_only_ones_own_rows_are_seen_in_whatever_way(ground: Ground) -> None:
    async with ground.app() as app:
        for table in owned(ground.tenants_tables):
            name, owner = table.name, table.owner
            for rows in (
                await app.fetch(f"select {owner} as of from aither.{name}"),
                await app.fetch(
                    f"select {owner} as of from only aither.{name} where true or {owner} = $1", THEIRS
                ),
                await app.fetch(f"table aither.{name}"),
            ):
                assert {row["of"] if "of" in row else row[owner] for row in rows} == {MINE}, name
            nothing = (
                f"select count(*) from aither.{name} where {owner} = $1",
                f"select count(*) from aither.{name} a join aither.{name} b on b.{owner} = $1",
                f"select coalesce(max((t::text ~ $1)::int), 0) from aither.{name} t where t::text ~ $1",
                f"select exists (select from aither.{name} where {owner} = $1)::int",
            )
            for query in nothing:
                assert await app.fetchval(query, THEIRS) == 0, query


async def _outcome(app: Connection, statement: str, *given: Any) -> str:
    """The statement's status, or the name of what refused it."""
    try:
        async with app.transaction():
            return await app.execute(statement, *given)
    except asyncpg.PostgresError as error:
        return type(error).__name__


DENIAL = "InsufficientPrivilegeError"


async def test_nothing_of_anothers_is_changed_moved_locked_or_removed(ground: Ground) -> None:
    async with ground.app() as app:
        for table in owned(ground.tenants_tables):
            name, owner = table.name, table.owner
            untouched = {
                f"update aither.{name} set {owner} = {owner} where {owner} = '{THEIRS}'": "UPDATE 0",
                f"update aither.{name} set {owner} = '{MINE}' where {owner} = '{THEIRS}'": "UPDATE 0",
                f"delete from aither.{name} where {owner} = '{THEIRS}'": "DELETE 0",
                f"select from aither.{name} where {owner} = '{THEIRS}' for update": "SELECT 0",
                f"select from aither.{name} where {owner} = '{THEIRS}' for key share": "SELECT 0",
            }
            for statement, none in untouched.items():
                assert await _outcome(app, statement) in {none, DENIAL}, statement
            # One's own are in reach, so that the words above are not true of everything.
            mine = f"select from aither.{name} where {owner} = '{MINE}'"
            assert await _outcome(app, mine) == "SELECT 1", name
            for gift in (
                f"update aither.{name} set {owner} = '{THEIRS}'",
                f"truncate aither.{name}",
                f"truncate aither.{name} cascade",
                f"alter table aither.{name} disable row level security",
                f"drop policy tenant on aither.{name}",
                f"create policy mine on aither.{name} using (true)",
                f"create rule mine as on insert to aither.{name} do nothing",
                f"create index on aither.{name} ({owner})",
                f"comment on table aither.{name} is 'mine'",
            ):
                assert await _outcome(app, gift) == DENIAL, gift


async def test_a_row_of_anothers_cannot_be_made(ground: Ground) -> None:
    async with ground.app() as app:
        for table in owned(ground.tenants_tables):
            theirs = ground.filler.row(table, THEIRS, 1)
            for more in ("", "on conflict do nothing", "returning true"):
                with pytest.raises(DENIED):
                    async with app.transaction():
                        await insert(app, table.name, theirs, more)
            # What is refused there is not refused to oneself.
            if table.name != "tenants":
                await insert(app, table.name, ground.filler.row(table, MINE, 1), "on conflict do nothing")


async def test_a_child_of_anothers_parent_cannot_be_made(ground: Ground) -> None:
    tried = 0
    async with ground.app() as app:
        for table in owned(ground.tenants_tables):
            for reference in table.references:
                assert reference.to not in HOUSE
                parent = ground.filler.tables[reference.to]
                pairs = dict(reference.columns)
                assert pairs.get(table.owner) == parent.owner, (
                    f"{table.name} may point at another tenant's {reference.to}"
                )
                row = ground.filler.row(table, MINE, 2)
                stolen = {
                    ours: ground.theirs(reference.to)[theirs]
                    for ours, theirs in pairs.items()
                    if ours != table.owner
                }
                if not stolen:
                    continue
                tried += 1
                with pytest.raises(asyncpg.ForeignKeyViolationError):
                    async with app.transaction():
                        await insert(app, table.name, row | stolen)
                        await app.execute("set constraints all immediate")
    assert tried >= 15


async def test_what_clashes_tells_nothing_but_of_keys_that_cannot_be_guessed(ground: Ground) -> None:
    tried = 0
    async with ground.app() as app:
        for table in owned(ground.tenants_tables):
            for key in table.keys:
                if table.owner in key and table.name != "tenants":
                    continue
                assert key in EVERYWHERE.get(table.name, {}), (
                    f"{table.name}: {key} is unique among all tenants"
                )
            everywhere = EVERYWHERE.get(table.name, {})
            assert set(everywhere) <= set(table.keys), table.name
            # A row of mine by all the names that theirs has: there is room for it.
            pointing = {ours for reference in table.references for ours, _ in reference.columns}
            if table.name == "tenants" or any(set(key) <= pointing | {table.owner} for key in table.keys):
                continue
            mine, named = ground.filler.made[table.name, MINE], table.named - pointing - {table.owner}
            named -= {name for key in everywhere for name in key}
            twin = {name: ground.theirs(table.name)[name] for name in named}
            tried += twin != {name: mine[name] for name in named}
            row = ground.filler.row(table, MINE, 3)
            await insert(
                app, table.name, row | {name: twin[name] for name in named if twin[name] != mine[name]}
            )
    assert tried >= 12


async def test_no_plan_leaves_the_policy_out_and_none_counts_anothers_rows(ground: Ground) -> None:
    async with ground.app() as app:
        for table in owned(ground.tenants_tables):
            for query in (
                f"select * from aither.{table.name}",
                f"select * from aither.{table.name} where {table.owner} = '{THEIRS}'",
            ):
                [plan] = json.loads(await app.fetchval(f"explain (format json, verbose) {query}"))
                assert "aither.tenant" in json.dumps(plan), query
        # What the planner keeps of the columns' values is not shown to whom rows are hidden from.
        seen = await app.fetch("select tablename from pg_stats where schemaname = 'aither'")
        assert {row["tablename"] for row in seen} <= set(HOUSE)


async def test_a_function_of_ones_own_is_not_shown_what_it_might_tell(ground: Ground) -> None:
    async with ground.app() as app:
        told: list[str] = []
        app.add_log_listener(lambda _, message: told.append(str(message)))
        await app.execute(
            "create function pg_temp.tell(text) returns boolean language plpgsql cost 0.0000001"
            " as $$ begin raise notice '%', $1; return true; end $$"
        )
        for table in owned(ground.tenants_tables):
            await app.fetch(f"select 1 from aither.{table.name} t where pg_temp.tell(t::text)")
        assert len(told) >= len(ground.tenants_tables)
        assert not [line for line in told if THEIRS in line]
        with pytest.raises(asyncpg.PostgresError):
            await app.fetch("select 1 from aither.turns where pg_temp.tell(model) and 1 / 0 = 1")


async def test_shared_files_are_read_by_all_and_written_by_who_says_so(ground: Ground) -> None:
    table = ground.filler.tables["model_files"]
    shared = ground.filler.row(table, "shared")
    for tenant in (MINE, None):
        async with ground.app(tenant) as app:
            with pytest.raises(DENIED):
                async with app.transaction():
                    await insert(app, "model_files", shared)
            await app.execute("select set_config('aither.tenant', 'shared', true)")
            await insert(app, "model_files", shared)
            await app.execute("select set_config('aither.tenant', $1, true)", tenant or "")
            assert await app.fetchval("select count(*) from aither.model_files where scope = 'shared'") == 1
            for statement in (
                "update aither.model_files set object_key = 'evil' where scope = 'shared'",
                "delete from aither.model_files where scope = 'shared'",
            ):
                assert (await app.execute(statement)).endswith(" 0"), statement
            if tenant is not None:
                with pytest.raises(DENIED):
                    await app.execute("update aither.model_files set scope = 'shared'")
    async with ground.admin() as admin:
        with pytest.raises(asyncpg.CheckViolationError):
            await admin.execute("insert into aither.tenants (id, name) values ('shared', 'shared')")


@pytest.mark.parametrize(
    "statement",
    [
        "set role postgres",
        "set role landlord",
        "set role service_role",
        "set session authorization postgres",
        "alter role aither_app bypassrls",
        "create table aither.mine (id integer)",
        "create function aither.mine() returns integer language sql as 'select 1'",
        "select * from aither_ops.migrations",
        "alter function aither.current_tenant() rename to nobody",
        "select pg_read_file('postgresql.conf')",
        "select * from pg_authid",
        "copy aither.turns to program 'cat'",
        "create publication all_of_it for table aither.turns",
        "set row_security = off; select * from aither.turns",
    ],
)
async def test_the_role_cannot_become_more_than_it_is(ground: Ground, statement: str) -> None:
    async with ground.app() as app:
        with pytest.raises(DENIED):
            async with app.transaction():
                await app.execute(statement)


async def test_counters_are_nobodys_to_read(ground: Ground) -> None:
    async with ground.app() as app:
        rows = await app.fetch(
            "select c.oid::regclass::text as name from pg_class c where c.relkind = 'S'"
            " and c.relnamespace = 'aither'::regnamespace"
            " and (has_sequence_privilege(c.oid, 'select') or has_sequence_privilege(c.oid, 'usage')"
            " or has_sequence_privilege(c.oid, 'update'))"
        )
    assert rows == []


async def test_all_that_was_tried_has_changed_nothing(ground: Ground) -> None:
    """The tests above roll back; what they write is seen by them alone. This one commits to nothing either."""
    async with ground.admin() as admin:
        before = await digests(admin, ground, THEIRS)
        await admin.execute(f"set local role {APP}")
        await admin.execute("select set_config('aither.tenant', $1, true)", MINE)
        for table in owned(ground.tenants_tables):
            for statement in (
                f"delete from aither.{table.name}",
                *(
                    f"update aither.{table.name} set {column.name} = {column.name}"
                    for column in table.columns
                ),
            ):
                await _outcome(admin, statement)
        await admin.execute("reset role")
        assert await digests(admin, ground, THEIRS) == before
        assert len(set(before.values())) == len(before)
        secrets = await admin.fetchval(
            "select count(*) from aither.turns t where t::text ~ $1", SECRET + THEIRS
        )
        assert secrets == 1
