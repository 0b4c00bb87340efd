"""`aither db` on a project like Supabase's, from nothing to a database that is as it has to be."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from api.cli.db import app
from infra.embedded.postgres import ADMIN, APP
from infra.postgres.migrate import FOLDER, read
from infra.settings import settings
from tests.isolation.owners import APP_PASSWORD, SUPABASE_OWNER, Cluster

NAMES = [migration.name for migration in read(FOLDER)]
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in an empty directory, with these settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("AITHER_DATABASE_URL", "AITHER_ADMIN_DATABASE_URL", "AITHER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    async def ran(*arguments: str, **environment: str) -> Result:
        settings.cache_clear()
        variables = {f"AITHER_{name.upper()}": value for name, value in environment.items()}
        # In a thread of its own: a command has its own loop.
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=variables)

    yield ran
    settings.cache_clear()


async def test_from_nothing_to_all_is_well(bare: Cluster, run: Run, project: str) -> None:
    del project
    await bare.make_database("fresh", SUPABASE_OWNER)
    admin, app_url = bare.dsn(SUPABASE_OWNER, "fresh"), bare.dsn(APP, "fresh")
    urls = {"admin_database_url": admin, "database_url": app_url}

    empty = await run("check", **urls)
    assert empty.exit_code == 1
    assert "the schema aither is not there; run `aither db migrate`" in empty.output
    assert "not applied: 001_turns.sql" in empty.output
    stand = await run("status", **urls)
    assert (stand.exit_code, stand.output.count("missing")) == (1, len(NAMES))
    told = await run("migrate", "--dry-run", **urls)
    assert told.exit_code == 0
    assert told.output.splitlines() == [f"{name} would be applied" for name in NAMES]

    async with bare.open(ADMIN, "fresh") as owner:
        await owner.execute(f"alter role {APP} nologin")
    made = await run("migrate", **urls)
    assert made.exit_code == 0, made.output
    assert made.output.splitlines() == [
        *(f"{name} applied" for name in NAMES),
        f"{APP} may log in now, with the password of AITHER_DATABASE_URL",
    ]
    assert (await run("migrate", **urls)).output == "nothing to apply\n"
    stand = await run("status", "--json", **urls)
    assert [row["name"] for row in json.loads(stand.output)] == NAMES
    assert {row["standing"] for row in json.loads(stand.output)} == {"applied"}
    well = await run("check", **urls)
    assert (well.exit_code, well.output) == (0, "the database is as it has to be\n")
    alone = await run("check", database_url=app_url)
    assert alone.exit_code == 0
    assert alone.output.startswith("warning  migrations were not looked at; AITHER_ADMIN_DATABASE_URL")

    async with bare.open(ADMIN, "fresh") as owner:
        await owner.execute("alter table aither.turns no force row level security")
        await owner.execute("update aither_ops.migrations set sha256 = 'other' where number = 3")
        await owner.execute("insert into aither_ops.migrations values (999, '999_later.sql', 'x')")
        await owner.execute("delete from aither_ops.migrations where number = 5")
    wrong = await run("check", "--json", **urls)
    found = json.loads(wrong.output)
    assert (wrong.exit_code, found["ok"]) == (1, False)
    assert [finding["what"] for finding in found["findings"]] == [
        "row-level security of aither.turns is not forced",
        "003_pools.sql has changed since it was applied",
        "005_priorities.sql comes before one that has been applied",
        "999_later.sql was applied by a version that this one does not know",
    ]
    refused = await run("migrate", **urls)
    assert refused.exit_code == 1
    assert "Traceback" not in refused.output
    owned = await run("check", database_url=admin)
    assert owned.exit_code == 1
    assert "the role postgres bypasses row-level security: it sees all tenants" in owned.output


async def test_what_cannot_be_done_is_said_without_a_password(bare: Cluster, run: Run, project: str) -> None:
    good = bare.dsn(SUPABASE_OWNER, project)
    secret = quote("s3cret/with@signs", safe="")
    tried = {
        "AITHER_ADMIN_DATABASE_URL is not set": (2, {}),
        "use port 5432": (
            2,
            {"admin_database_url": f"postgresql://postgres:{secret}@db.example:6543/postgres"},
        ),
        "is no address of a database": (2, {"admin_database_url": "postgresql://u:s3cret/with@h/x"}),
        "cannot be reached": (3, {"admin_database_url": f"postgresql://u:{secret}@127.0.0.1:1/x"}),
        "refuses: password authentication failed": (
            4,
            {"admin_database_url": good.replace(":owner@", f":{secret}@")},
        ),
        'refuses: database "nowhere" does not exist': (
            4,
            {"admin_database_url": bare.dsn(SUPABASE_OWNER, "nowhere")},
        ),
        # Whoever may not read the ledger is refused by the database.
        "the database refuses: permission denied": (1, {"admin_database_url": bare.dsn(APP, project)}),
    }
    for words, (code, environment) in tried.items():
        for command in ("status", "migrate"):
            said = await run(command, **environment)
            assert (said.exit_code, words in said.output) == (code, True), said.output
            for hidden in ("s3cret", APP_PASSWORD, "Traceback"):
                assert hidden not in said.output


def test_each_command_has_its_help() -> None:
    group = get_command(app)
    assert sorted(getattr(group, "commands", ())) == ["check", "migrate", "status"]
